"""Calibration: bins that add up, and the error against one that is computed bin by bin."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratstrain.scoring.calibration import N_BINS, calibrations, count_bins_
from tests.helpers import metric_oracles as oracle

PARTS = ((1,), (2,), (1, 2))
"""Two classes and their region, beside background."""
SHAPE = (2, 3, 4)


def softmaxed(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


cases = st.tuples(
    hnp.arrays(np.float64, (2, 3, 3, 4), elements=st.floats(-4, 4)).map(softmaxed),
    hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 2)),
    hnp.arrays(np.bool_, SHAPE),
)


def flat(case, labels):
    """Probability and membership of every voxel that counts."""
    probability, truth, inside = case
    chosen = probability.astype(np.float64)[:, list(labels)].sum(axis=1)
    return chosen[inside], np.isin(truth, labels)[inside]


@given(case=cases)
def test_error_equals_the_one_computed_bin_by_bin(case):
    case[2][0, 0, 0] = True
    for labels, got in zip(PARTS, calibrations(*case, PARTS), strict=True):
        assert got.error == pytest.approx(
            oracle.calibration_error(*flat(case, labels), N_BINS), abs=1e-9
        )


@given(case=cases)
def test_plain_kernel_counts_as_the_compiled_one(case):
    members = np.array([[False, True, False], [False, False, True], [False, True, True]])
    sums = np.zeros((3, N_BINS), np.int64), np.zeros((3, N_BINS)), np.zeros((3, N_BINS), np.int64)
    count_bins_.py_func(*case, members, sums)
    for row, got in enumerate(calibrations(*case, PARTS)):
        np.testing.assert_array_equal(sums[0][row], got.n)
        np.testing.assert_allclose(sums[1][row], got.confidence)
        np.testing.assert_array_equal(sums[2][row], got.hits)


@given(case=cases)
def test_every_voxel_of_the_mask_is_in_one_bin(case):
    for labels, got in zip(PARTS, calibrations(*case, PARTS), strict=True):
        probability, belongs = flat(case, labels)
        assert (got.n.sum(), got.hits.sum()) == (len(probability), belongs.sum())
        assert got.confidence.sum() == pytest.approx(probability.sum())
        assert (got.hits <= got.n).all()


@given(case=cases)
def test_planes_add_up_to_the_case(case):
    probability, truth, inside = case
    planes = [calibrations(probability[s : s + 1], truth[s : s + 1], inside[s : s + 1], PARTS)
              for s in range(2)]  # fmt: skip
    for one, other, whole in zip(*planes, calibrations(*case, PARTS), strict=True):
        np.testing.assert_array_equal((one + other).n, whole.n)
        assert (one + other).error == pytest.approx(whole.error, nan_ok=True)


@given(case=cases)
def test_error_is_a_share(case):
    for got in calibrations(*case, PARTS):
        assert math.isnan(got.error) if not case[2].any() else 0 <= got.error <= 1


def of_one(probability, belongs):
    """Calibration of a class that has some probability in every voxel, against the background."""
    p = np.asarray(probability, np.float32).reshape(1, 1, -1)
    truth = np.asarray(belongs, np.uint8).reshape(1, 1, -1)
    both = np.stack((1 - p, p), axis=1)
    return calibrations(both, truth, np.ones(truth.shape, bool), ((1,),))[0]


def test_error_by_hand():
    """Four voxels at .5, one of them true; and one at .9 that is true."""
    got = of_one([0.5, 0.5, 0.5, 0.5, 0.9], [1, 0, 0, 0, 1])
    assert got.error == pytest.approx((4 * 0.25 + 0.1) / 5)


def test_certain_and_right_has_no_error():
    assert of_one([1, 0, 1], [1, 0, 1]).error == 0


def test_certain_and_wrong_has_all_the_error():
    assert of_one([1, 0, 1], [0, 1, 0]).error == 1


def test_probability_1_is_in_the_last_bin():
    assert of_one([1, 1], [1, 1]).n[-1] == 2


def test_nothing_is_certain_of_an_empty_mask():
    got = of_one([0.5, 0.9, 0.2, 0.1], [1, 1, 1, 0]).of_nothing()
    assert (got.n[0], got.error) == (4, 0.75)


def test_no_voxel_has_no_error():
    empty = np.zeros((1, 2, 2, 2), np.float32)
    got = calibrations(empty, np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2), bool), ((1,),))[0]
    assert math.isnan(got.error)
    assert got.rows()[0] == {"from": 0.0, "voxels": 0, "probability": None, "share": None}


def test_rows_hold_the_means_of_each_bin():
    rows = of_one([0.5, 0.5, 0.9], [1, 0, 1]).rows()
    assert [row["voxels"] for row in rows if row["voxels"]] == [2, 1]
    middle = next(row for row in rows if row["voxels"] == 2)
    assert (middle["probability"], middle["share"]) == (0.5, 0.5)


def test_shapes_that_differ_are_refused():
    probability = np.ones((1, 2, 2, 2), np.float32)
    with pytest.raises(ValueError, match="must be of the same planes"):
        calibrations(probability, np.zeros((1, 2, 3), np.uint8), np.ones((1, 2, 3), bool), ((1,),))
