"""Intervals: what they are for, that they cover what they say, and where there is none."""

import math

import numpy as np
import pytest
from scipy import special, stats

from bratstrain.scoring.intervals import mean_interval, student_quantile, student_within
from tests.helpers import interval_oracle as oracle

SIZES = (2, *oracle.SIZES)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", oracle.POPULATIONS)
def test_interval_covers_what_it_says(name, n):
    """Of 20,000 draws: standard error .0015. Counts of lesions cover more, since many are equal."""
    share = oracle.coverage(oracle.POPULATIONS[name], n)
    assert share >= 0.93
    if name != "lesions, 2 a case":
        assert share <= 0.97


@pytest.mark.parametrize("name", oracle.PENALISED)
def test_interval_of_rare_penalties_would_not_cover_what_it_says(name):
    """Why a mean of distances with a penalty has none."""
    assert oracle.coverage(oracle.PENALISED[name], 5) < 0.8


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", [*oracle.POPULATIONS, *oracle.PENALISED])
def test_interval_equals_the_oracle(name, n):
    population = (oracle.POPULATIONS | oracle.PENALISED)[name]
    samples = population.draw(np.random.default_rng(n), (20, n))
    got = np.array([mean_interval(sample, population.scale) for sample in samples]).T
    np.testing.assert_allclose(got, oracle.intervals(samples, population.scale), rtol=1e-6)


def test_interval_without_skew_is_students_t_on_the_logit():
    values = np.array([0.5, 0.6, 0.7])
    half = stats.t.ppf(0.975, 2) * stats.sem(values) / (0.6 * 0.4)
    wanted = special.expit(special.logit(0.6) + np.array([-half, half]))
    assert mean_interval(values, "share") == pytest.approx(wanted)


def test_interval_of_lengths_is_on_the_logarithm():
    values = np.array([1.0, 2.0, 3.0])
    half = stats.t.ppf(0.975, 2) * stats.sem(values) / 2
    wanted = 2 * math.exp(-half), 2 * math.exp(half)
    assert mean_interval(values, "positive") == pytest.approx(wanted)


def test_interval_is_wider_on_the_side_of_the_tail():
    values = np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    low, high = mean_interval(values, "difference")
    assert high - 0.2 > 0.2 - low
    assert mean_interval(-values, "difference") == pytest.approx((-high, -low))


@pytest.mark.parametrize("values", [[], [0.8], [0.8, 0.8, 0.8], [0.0, 0.0]])
def test_too_few_or_equal_cases_have_no_interval(values):
    assert all(map(math.isnan, mean_interval(np.array(values), "share")))


def test_interval_of_shares_stays_inside_0_and_1():
    low, high = mean_interval(np.array([0.0, 1.0]), "share")
    assert 0 < low < high < 1


@pytest.mark.parametrize("n_free", [1, 2, 3, 4, 9, 24, 79, 500])
def test_students_t_equals_scipy(n_free):
    assert student_quantile(n_free) == pytest.approx(stats.t.ppf(0.975, n_free), rel=1e-9)
    inside = 1 - 2 * stats.t.sf(1.7, n_free)
    assert student_within(1.7, n_free) == pytest.approx(inside, rel=1e-9)
