"""Scores of surfaces against SciPy over whole volumes, and what holds for any masks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from surface_distance import metrics as published

from bratstrain.scoring.surface import surface_distances
from bratstrain.scoring.surface_scores import SURFACE_TOLERANCES_MM, surface_scores
from tests.helpers import metric_oracles as oracle

UNIT = (1.0, 1.0, 1.0)
TOLERANCES = (0.5, 1.0, 2.0)
masks = hnp.arrays(np.bool_, (4, 5, 6))
sizes = st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 3.0])] * 3)


def scored(truth, predicted, spacing=UNIT, tolerances=TOLERANCES):
    return surface_scores(surface_distances(truth, predicted, spacing), tolerances)


def cube(start, stop, size=12):
    mask = np.zeros((size, size, size), bool)
    mask[start:stop, start:stop, start:stop] = True
    return mask


@given(truth=masks, predicted=masks, spacing=sizes)
def test_scores_equal_those_of_scipy(truth, predicted, spacing):
    got = scored(truth, predicted, spacing)
    hd100, assd, masd, dice = oracle.surface_scores(truth, predicted, spacing, TOLERANCES)
    expected = [hd100, assd, masd, *dice]
    numbers = [got.hd100_mm, got.assd_mm, got.masd_mm, *got.dice.values()]
    assert numbers == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside the package
@given(truth=masks, predicted=masks, spacing=sizes)
def test_scores_equal_the_published_package(truth, predicted, spacing):
    truth[1, 2, 3] = predicted[2, 2, 2] = True
    expected = published.compute_surface_distances(truth, predicted, spacing[::-1])
    got = scored(truth, predicted, spacing)
    means = published.compute_average_surface_distance(expected)
    assert got.masd_mm == pytest.approx(sum(means) / 2, abs=1e-6)
    largest = max(expected["distances_gt_to_pred"].max(), expected["distances_pred_to_gt"].max())
    assert got.hd100_mm == pytest.approx(largest, abs=1e-6)
    for limit in TOLERANCES:
        share = published.compute_surface_dice_at_tolerance(expected, limit)
        assert got.dice[limit] == pytest.approx(share, abs=1e-6)


@given(truth=masks, predicted=masks, spacing=sizes)
def test_scores_are_symmetric(truth, predicted, spacing):
    one, other = scored(truth, predicted, spacing), scored(predicted, truth, spacing)
    assert [one.hd95_mm, one.hd100_mm] == pytest.approx(
        [other.hd95_mm, other.hd100_mm], nan_ok=True
    )
    assert [one.assd_mm, one.masd_mm] == pytest.approx([other.assd_mm, other.masd_mm], nan_ok=True)
    assert one.dice == pytest.approx(other.dice, nan_ok=True)


@given(truth=masks, predicted=masks, spacing=sizes)
def test_no_distance_is_above_the_largest(truth, predicted, spacing):
    truth[0, 0, 0] = predicted[3, 4, 5] = True
    got = scored(truth, predicted, spacing)
    assert 0 <= got.hd95_mm <= got.hd100_mm
    assert 0 <= min(got.assd_mm, got.masd_mm) <= max(got.assd_mm, got.masd_mm) <= got.hd100_mm


@given(truth=masks, predicted=masks, spacing=sizes)
def test_distances_grow_with_the_voxels(truth, predicted, spacing):
    truth[0, 0, 0] = predicted[3, 4, 5] = True
    one = scored(truth, predicted, spacing)
    twice = scored(truth, predicted, tuple(2 * size for size in spacing), (1.0, 2.0, 4.0))
    assert twice.assd_mm == pytest.approx(2 * one.assd_mm)
    assert twice.masd_mm == pytest.approx(2 * one.masd_mm)
    assert twice.hd100_mm == pytest.approx(2 * one.hd100_mm)
    assert [*twice.dice.values()] == pytest.approx([*one.dice.values()])


def test_distances_run_along_the_spacing():
    """Two planes of voxels that lie two planes apart, of 3 mm each."""
    truth, predicted = np.zeros((5, 9, 9), bool), np.zeros((5, 9, 9), bool)
    truth[1], predicted[3] = True, True
    assert scored(truth, predicted, (0.1, 0.1, 3.0)).hd100_mm == 6


def test_mean_distances_differ_where_the_surfaces_differ_in_size():
    """A false cube far away: its surface weighs more in the one mean than in the other."""
    truth, predicted = cube(1, 4), cube(1, 4) | cube(8, 11)
    got = scored(truth, predicted)
    (d_t, a_t), (d_p, a_p) = oracle.elements(truth, predicted, UNIT)
    assert d_t.max() == 0
    assert got.assd_mm == pytest.approx((d_p * a_p).sum() / (a_t.sum() + a_p.sum()))
    assert got.masd_mm == pytest.approx((d_p * a_p).sum() / a_p.sum() / 2)
    assert got.assd_mm > got.masd_mm


def test_mask_against_itself_is_at_no_distance():
    got = scored(cube(2, 9), cube(2, 9))
    assert (got.hd95_mm, got.hd100_mm, got.assd_mm, got.masd_mm) == (0, 0, 0, 0)
    assert set(got.dice.values()) == {1}


def test_two_empty_masks_have_no_distance():
    got = scored(cube(0, 0), cube(0, 0))
    assert all(map(math.isnan, (got.hd95_mm, got.hd100_mm, got.assd_mm, got.masd_mm)))
    assert all(map(math.isnan, got.dice.values()))


@pytest.mark.parametrize("truth", [cube(2, 9), cube(0, 0)], ids=["some", "none"])
def test_nothing_is_scored_as_an_empty_prediction(truth):
    nothing = scored(truth, cube(0, 0))
    got = scored(truth, cube(3, 5)).of_nothing(has_truth=bool(truth.any()))
    numbers = [[s.hd95_mm, s.hd100_mm, s.assd_mm, s.masd_mm, *s.dice.values()]
               for s in (got, nothing)]  # fmt: skip
    assert numbers[0] == pytest.approx(numbers[1], nan_ok=True)


def test_usual_tolerances_are_those_of_the_challenge():
    assert [*scored(cube(1, 2), cube(1, 2), tolerances=SURFACE_TOLERANCES_MM).dice] == [0.5, 1]
