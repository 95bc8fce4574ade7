"""Signed ranks, intervals and corrections, held against SciPy, brute force and textbook numbers."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bratstrain.scoring import paired_tests
from bratstrain.scoring.paired_tests import average_ranks, holm, signed_rank

few = st.lists(st.integers(-5, 5).filter(bool), min_size=1, max_size=9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=8))
def test_ranks_of_equal_numbers_are_shared(numbers):
    values = np.array(numbers, float)
    np.testing.assert_array_equal(average_ranks(values), stats.rankdata(values))


@given(few)
def test_signed_rank_counts_every_choice_of_signs_ties_and_all(numbers):
    values = np.array(numbers, float)
    ranks = stats.rankdata(np.abs(values))
    middle = ranks.sum() / 2
    sums = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(ranks))])
    seen = ranks[values > 0].sum()
    wanted = np.mean(np.abs(sums - middle) >= abs(seen - middle) - 1e-9)
    assert signed_rank(values).p == pytest.approx(wanted)


@pytest.mark.parametrize("n", [3, 10, 40])
def test_signed_rank_is_that_of_scipy_where_nothing_is_tied(n):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    found = signed_rank(values)
    assert found.p == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)
    assert (found.n, found.method) == (n, "exact")


def test_signed_rank_of_many_cases_is_the_normal_one_of_scipy():
    values = np.random.default_rng(0).normal(0.1, 1, 300).round(1)
    found = signed_rank(values)
    wanted = stats.wilcoxon(values, method="asymptotic", correction=False)
    assert found.p == pytest.approx(wanted.pvalue)
    assert found.method == "normal"


def test_both_ways_of_the_test_agree_at_the_border(monkeypatch):
    values = np.random.default_rng(1).normal(0.1, 1, paired_tests.EXACT_UP_TO)
    exact = signed_rank(values)
    monkeypatch.setattr(paired_tests, "EXACT_UP_TO", 0)
    assert signed_rank(values).p == pytest.approx(exact.p, rel=0.02)


def test_cases_without_a_difference_say_nothing():
    assert signed_rank(np.array([0.0, 1, 0, 2, 3])) == signed_rank(np.array([1.0, 2, 3]))
    assert signed_rank(np.zeros(4)) == paired_tests.PairedTest(1.0, 0, "exact")


def test_five_of_five_cases_cannot_be_below_a_sixteenth():
    assert signed_rank(np.array([1.0, 2, 3, 4, 5])).p == pytest.approx(1 / 16)


def test_correction_multiplies_the_least_by_the_number_of_tests_and_never_falls():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_correction_stays_below_one():
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def test_correction_of_no_test_is_none():
    assert holm([]) == []
