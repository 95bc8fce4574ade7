"""Limits of agreement: the published example, SciPy, and what holds for any cases."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratstrain.scoring.agreement import agreement
from tests.helpers import metric_oracles as oracle

WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
"""Peak expiratory flow by two meters, l/min: the example of Bland and Altman 1986."""
volumes = hnp.arrays(np.float64, (2, 7), elements=st.floats(0, 400))


def test_published_example_is_reproduced():
    """The paper rounds: mean -2.1, s.d. 38.8, limits -79.7 and 75.5 at 2 standard deviations."""
    got = agreement(np.array(MINI, float), np.array(WRIGHT, float))
    assert round(got.mean, 1) == -2.1
    assert round(got.deviation, 1) == 38.8
    assert round(got.mean - 2 * got.deviation, 1) == pytest.approx(-79.7, abs=0.15)
    assert round(got.mean + 2 * got.deviation, 1) == pytest.approx(75.5, abs=0.15)
    assert round(got.mean_reach / 2.12, 1) == 9.4  # standard error of the mean
    assert round(got.limit_reach / 2.12, 1) == 16.3  # of a limit


@given(pair=volumes)
def test_numbers_equal_those_of_scipy(pair):
    got = agreement(*pair)
    numbers = [got.mean, got.low, got.high, got.mean_reach, got.limit_reach]
    assert numbers == pytest.approx(oracle.limits_of_agreement(*pair), abs=1e-9, rel=1e-9)


@given(pair=volumes)
def test_agreement_turns_with_its_sides(pair):
    one, other = agreement(*pair), agreement(*pair[::-1])
    assert (one.mean, one.deviation) == pytest.approx((-other.mean, other.deviation))
    assert one.low == pytest.approx(-other.high)


@given(pair=volumes, shift=st.floats(-50, 50))
def test_a_shift_is_the_bias(pair, shift):
    one = agreement(*pair)
    moved = agreement(pair[0], pair[1] + shift)
    assert moved.mean == pytest.approx(one.mean + shift, abs=1e-9)
    assert moved.deviation == pytest.approx(one.deviation, abs=1e-9)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_cases_have_no_limits(n):
    got = agreement(np.ones(n), np.full(n, 3.0))
    assert got.n == n
    assert math.isnan(got.mean) if n == 0 else got.mean == 2
    assert all(map(math.isnan, (got.low, got.high, got.mean_reach)))


@pytest.mark.parametrize("predicted", [np.ones(3), np.array([1.0, np.nan])])
def test_unusable_values_are_refused(predicted):
    with pytest.raises(ValueError, match=r"must agree|not finite"):
        agreement(np.ones(2), predicted)
