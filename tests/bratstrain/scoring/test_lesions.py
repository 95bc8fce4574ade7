import math
from dataclasses import replace

import cc3d
import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from surface_distance import metrics as published

from bratstrain.scoring.lesion_rules import RULES
from bratstrain.scoring.lesions import LesionScores, in_file_order, lesion_scores

UNIT = (1.0, 1.0, 1.0)
EIGHTEEN = ndimage.generate_binary_structure(3, 2)


def rules_of(year, least=None):
    """The rules of a year, with another least volume where it is given."""
    rules = RULES[f"brats{year}"]
    return rules if least is None else replace(rules, least_mm3=least, least_mm3_of={})


sparse = hnp.arrays(np.bool_, (6, 7, 8), elements=st.sampled_from([False] * 9 + [True]))


def cubes(*boxes, size=60):
    mask = np.zeros((size, size, size), bool)
    for start, stop in boxes:
        mask[start:stop, start:stop, start:stop] = True
    return mask


def summary(scores, penalty_mm=374):
    counts = scores.n_found, scores.n_false, scores.n_missed
    return (*counts, scores.lesionwise_dice, scores.lesionwise_hd95(penalty_mm))


def joined(mask):
    """Number pieces that grow together within three dilations, with SciPy and cc3d."""
    grown = ndimage.binary_dilation(mask, EIGHTEEN, iterations=3)
    return cc3d.connected_components(grown, connectivity=26) * mask


def official(truth, predicted, least, joins):
    """The seven steps as they are written down, on whole volumes with other libraries."""
    said = (
        joined(predicted) if joins else cc3d.connected_components(predicted, connectivity=26)
    ).astype(int)
    for number in np.unique(said) if joins else ():
        if (said == number).sum() <= least:
            said[said == number] = 0
    lesions = joined(truth)
    dice, hd95, claimed = [], [], set()
    for number in range(1, int(lesions.max()) + 1):
        lesion = lesions == number
        grown = ndimage.binary_dilation(lesion, EIGHTEEN, iterations=3)
        members = set(np.unique(said[grown])) - {0}
        claimed |= members
        if lesion.sum() <= least:
            continue
        union = np.isin(said, list(members))
        dice.append(2 * (lesion & union).sum() / (lesion.sum() + union.sum()))
        if members:
            surfaces = published.compute_surface_distances(lesion, union, UNIT)
            hd95.append(published.compute_robust_hausdorff(surfaces, 95))
        else:
            hd95.append(374)
    n_false = len(set(np.unique(said)) - {0} - claimed)
    n = len(dice) + n_false
    return (sum(dice) / n, (sum(hd95) + 374 * n_false) / n) if n else (1, 0)


A = cubes((10, 20))
NOTHING = np.zeros_like(A)
NEAR = A.copy()
NEAR[10:20, 10:20, 24:28] = True
VOXEL = cubes((40, 41))


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        (NOTHING, NOTHING, (0, 0, 0, 1, 0)),
        (A, NOTHING, (0, 0, 1, 0, 374)),
        (NOTHING, A, (0, 1, 0, 0, 374)),
        (A, A, (1, 0, 0, 1, 0)),
        (A, np.roll(A, 2, axis=2), (1, 0, 0, 0.8, 2)),
        (A | cubes((40, 50)), A, (1, 0, 1, 0.5, 187)),
        (A, A | VOXEL, (1, 1, 0, 0.5, 187)),
        (NEAR, NEAR, (1, 0, 0, 1, 0)),
        (A | cubes((40, 43)), A, (1, 0, 0, 1, 0)),
    ],
    ids=["empty", "missed", "false", "same", "shifted", "one of two", "voxel", "near", "small"],
)
def test_lesions_reproduce_the_official_values(truth, predicted, expected):
    assert summary(lesion_scores(truth, predicted, UNIT, rules_of(2023))) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside surface_distance
@pytest.mark.parametrize("joins", [False, True], ids=["2023", "2024"])
@pytest.mark.parametrize("seed", range(6))
def test_lesions_equal_the_steps_done_with_other_libraries(joins, seed):
    noise = np.random.default_rng(seed).normal(size=(2, 36, 38, 40))
    smooth = ndimage.gaussian_filter(noise, (0, 1.3, 1.3, 1.3))
    truth = smooth[0] > 0.3
    predicted = smooth[0] + 0.6 * smooth[1] > 0.36
    got = lesion_scores(truth, predicted, UNIT, rules_of(2024 if joins else 2023, 6))
    assert len(got.overlap) > 1
    expected = official(truth, predicted, 6, joins)
    assert summary(got)[3:] == pytest.approx(expected)


@pytest.mark.parametrize(("gap", "n_lesions"), [(6, 1), (7, 2)])
def test_pieces_are_one_lesion_when_their_dilations_touch(gap, n_lesions):
    truth = np.zeros((12, 12, 24), bool)
    truth[4:8, 4:8, 2:6] = truth[4:8, 4:8, 6 + gap : 10 + gap] = True
    assert len(lesion_scores(truth, truth, UNIT, rules_of(2023)).overlap) == n_lesions


def test_one_component_may_serve_two_lesions():
    truth = A | cubes((40, 50))
    bridge = truth.copy()
    bridge[15, 15, 10:50] = bridge[15, 10:50, 45] = bridge[10:50, 45, 45] = True
    scores = lesion_scores(truth, bridge, UNIT, rules_of(2023))
    assert (scores.n_found, scores.n_false, scores.n_missed) == (2, 0, 0)


def test_small_lesion_absorbs_its_prediction():
    small = cubes((40, 43))
    scores = lesion_scores(A | small, A | small, UNIT, rules_of(2023))
    assert (scores.n_found, scores.n_false, scores.n_small) == (1, 0, 1)


def test_lesion_of_exactly_the_threshold_leaves_the_score():
    truth = np.zeros((8, 8, 8), bool)
    truth[1:6, 1:6, 1:3] = True
    assert lesion_scores(truth, truth, UNIT, rules_of(2023)).n_small == 1
    assert lesion_scores(truth, truth, UNIT, rules_of(2023, 49)).n_found == 1


def test_lesion_found_without_overlap_has_a_distance():
    predicted = np.zeros_like(A)
    predicted[10:20, 10:20, 21:24] = True
    scores = lesion_scores(A, predicted, UNIT, rules_of(2023))
    assert scores.overlap == (0.0,)
    assert scores.n_found == 1
    assert scores.hd95_mm[0] < 20


def test_2024_drops_a_small_false_component():
    scores = lesion_scores(A, A | VOXEL, UNIT, rules_of(2024))
    assert summary(scores, 337) == (1, 0, 0, 1, 0)


def test_2024_joins_false_components_that_are_near():
    false = cubes((40, 44))
    false[40:44, 40:44, 46:50] = True
    assert lesion_scores(A, A | false, UNIT, rules_of(2023, 20)).n_false == 2
    assert lesion_scores(A, A | false, UNIT, rules_of(2024)).n_false == 1


def test_2024_counts_a_missed_lesion_337_mm():
    scores = lesion_scores(A, NOTHING, UNIT, rules_of(2024))
    assert scores.lesionwise_hd95(337) == 337


def test_2024_thresholds_are_10_for_et_and_20_for_others():
    rules = RULES["brats2024"]
    assert {part: rules.least(part) for part in ("ET", "TC", "WT", "NCR", "ED")} == {
        "ET": 10, "TC": 20, "WT": 20, "NCR": 20, "ED": 20,
    }  # fmt: skip


def test_lesions_know_the_spacing():
    scores = lesion_scores(A, np.roll(A, 2, axis=2), (3.0, 1.0, 1.0), rules_of(2023))
    assert scores.hd95_mm == (6.0,)


def test_lesions_at_the_border_are_scored():
    truth = np.zeros((6, 6, 6), bool)
    truth[:4, :4, :4] = True
    assert summary(lesion_scores(truth, truth, UNIT, rules_of(2023))) == (1, 0, 0, 1, 0)


@given(truth=sparse, predicted=sparse)
def test_lesionwise_scores_keep_their_bounds(truth, predicted):
    scores = lesion_scores(truth, predicted, UNIT, rules_of(2023, 1))
    assert 0 <= scores.lesionwise_dice <= 1
    assert 0 <= scores.lesionwise_hd95(374) <= 374


@pytest.mark.parametrize("axis", [0, 1, 2])
@given(truth=sparse, predicted=sparse)
def test_lesionwise_scores_survive_a_flip(axis, truth, predicted):
    one = lesion_scores(truth, predicted, UNIT, rules_of(2023, 1))
    other = lesion_scores(np.flip(truth, axis), np.flip(predicted, axis), UNIT, rules_of(2023, 1))
    assert summary(one) == pytest.approx(summary(other))


def test_scores_of_nothing_equal_those_of_an_empty_prediction():
    truth = A | cubes((40, 50)) | cubes((30, 32))
    scores = lesion_scores(truth, A | VOXEL, UNIT, rules_of(2023)).of_nothing()
    assert scores == lesion_scores(truth, NOTHING, UNIT, rules_of(2023))


def test_lesionwise_hd95_counts_each_miss_and_each_false_one():
    scores = LesionScores((0.5, 0.0), (4.0, math.inf), n_false=2, n_small=0)
    assert scores.lesionwise_hd95(100) == (4 + 300) / 4


def test_lesions_refuse_masks_that_differ_in_shape():
    with pytest.raises(ValueError, match="of one shape"):
        lesion_scores(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), UNIT, rules_of(2023))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "ASL"])
def test_file_order_is_that_of_nibabel(codes):
    canonical = np.arange(24).reshape(2, 3, 4)  # (z, y, x)
    target = nibabel.orientations.axcodes2ornt(codes)
    turn = nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), target)
    wanted = nibabel.orientations.apply_orientation(canonical.transpose(), turn)
    np.testing.assert_array_equal(in_file_order(canonical, codes), wanted)


TWO = cubes((10, 20), (40, 50))
SHIFTED_AND_FALSE = cubes((11, 21), (30, 33))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside the package
def test_f1_and_surface_dice_of_lesions_by_hand():
    """One of two lesions is found, and one component is false: a third of its surface Dice."""
    scores = lesion_scores(TWO, SHIFTED_AND_FALSE, UNIT, rules_of(2023))
    assert (scores.n_found, scores.n_false, scores.n_missed) == (1, 1, 1)
    assert scores.f1 == 0.5
    apart = published.compute_surface_distances(cubes((10, 20)), cubes((11, 21)), UNIT)
    share = published.compute_surface_dice_at_tolerance(apart, 1)
    assert scores.lesionwise_surface_dice(1.0) == pytest.approx(share / 3)
    assert 0 < scores.lesionwise_surface_dice(0.5) < scores.lesionwise_surface_dice(1.0)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@given(truth=sparse, predicted=sparse)
def test_shares_of_lesions_are_shares(rules, truth, predicted):
    scores = lesion_scores(truth, predicted, (1.0, 0.5, 2.0), replace(rules, least_mm3=0))
    shares = [scores.f1, *map(scores.lesionwise_surface_dice, scores.tolerances)]
    if rules.pairs and not (truth.any() and predicted.any()):
        shares = [share for share in shares if not math.isnan(share)]  # left out
    assert all(0 <= share <= 1 for share in shares)
    assert shares[1:] == sorted(shares[1:])


def test_no_lesion_on_either_side_is_perfect():
    scores = lesion_scores(0 * TWO, 0 * TWO, UNIT, rules_of(2023))
    assert (scores.f1, scores.lesionwise_surface_dice(1.0)) == (1, 1)


def test_every_lesion_found_is_perfect():
    scores = lesion_scores(TWO, TWO, UNIT, rules_of(2024))
    assert (scores.f1, scores.lesionwise_surface_dice(0.5)) == (1, 1)


def test_surface_dice_of_lesions_at_another_tolerance_is_unknown():
    assert math.isnan(lesion_scores(TWO, TWO, UNIT, rules_of(2023)).lesionwise_surface_dice(3.0))


@pytest.mark.parametrize("rules", ["brats2023", "brats2024"])
def test_nothing_has_the_lesion_scores_of_an_empty_prediction(rules):
    nothing = lesion_scores(TWO, 0 * TWO, UNIT, RULES[rules])
    got = lesion_scores(TWO, SHIFTED_AND_FALSE, UNIT, RULES[rules]).of_nothing()
    assert (got.f1, got.lesionwise_surface_dice(1.0)) == (0, 0)
    assert got.lesionwise_surface_dice(1.0) == nothing.lesionwise_surface_dice(1.0)
