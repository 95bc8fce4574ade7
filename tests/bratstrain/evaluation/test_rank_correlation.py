"""Rank correlation: SciPy's values, an interval that covers, silence where cases are few."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bratstrain.evaluation.rank_correlation import LEAST_CASES, rank_correlation

NUMBERS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=LEAST_CASES, max_size=40
)


@given(NUMBERS)
def test_rho_is_that_of_scipy(pairs):
    x, y = np.array(pairs, float).T
    found = rank_correlation(x, y)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert math.isnan(found.rho)
        return
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert -1 <= found.low <= found.rho <= found.high <= 1
    assert rank_correlation(y, x).rho == pytest.approx(found.rho)


def test_interval_is_that_of_the_paper():
    x, y = np.arange(10.0), np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 9.0])
    rho = stats.spearmanr(x, y).statistic
    reach = stats.norm.ppf(0.975) * math.sqrt((1 + rho**2 / 2) / 7)
    found = rank_correlation(x, y)
    ends = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
    assert (found.low, found.high) == pytest.approx(tuple(ends))
    assert found.is_clear
    assert found.text() == f"{rho:+.2f}, 95 % {ends[0]:+.2f} to {ends[1]:+.2f} (n 10)"


@pytest.mark.slow
def test_interval_covers_the_true_correlation_about_as_often_as_it_says():
    generator, true, hits = np.random.default_rng(0), 0.5, 0
    rank = 6 / math.pi * math.asin(true / 2)
    for _ in range(500):
        x = generator.normal(size=40)
        y = true * x + math.sqrt(1 - true**2) * generator.normal(size=40)
        found = rank_correlation(x, y)
        hits += found.low <= rank <= found.high
    assert 0.92 <= hits / 500 <= 0.98


def test_cases_without_a_number_do_not_count():
    x = np.array([1, 2, 3, 4, 5, math.nan, 7])
    y = np.array([2, 1, 4, 3, 5, 9, math.nan])
    assert rank_correlation(x, y).n == 5


def test_few_cases_say_nothing():
    found = rank_correlation(np.arange(4.0), np.arange(4.0))
    assert math.isnan(found.rho)
    assert not found.is_clear
    assert found.text() == "not defined (n 4)"


def test_perfect_order_has_no_width():
    found = rank_correlation(np.arange(9.0), -np.arange(9.0))
    assert (found.rho, found.low, found.high) == (-1, -1, -1)
