"""Intervals: what they are for, that they cover what they say, and where there is none."""

import math

import numpy as np
import pytest
from scipy import special, stats

from bratstrain.scoring.intervals import (
    mean_interval,
    student_quantile,
    student_within,
)

POPULATIONS = {
    "oedema": (0.002, 0.0, 12.0, 2.8),
    "core": (0.004, 0.0, 2.0, 1.33),
    "enhancing": (0.035, 0.0, 4.6, 1.2),
    "enhancing, absent": (0.035, 0.02, 4.6, 1.2),
    "near 1": (0.0, 0.0, 25.0, 1.8),
    "near 0": (0.2, 0.0, 1.0, 2.0),
}
"""Share of 0, share of 1 and both parameters of a beta distribution, as published scores of the
three classes have them, and more skewed ones."""


def drawn(name, n_samples, n, rng):
    at_0, at_1, a, b = POPULATIONS[name]
    place = rng.random((n_samples, n))
    values = rng.beta(a, b, (n_samples, n))
    return np.where(place < at_0, 0.0, np.where(place > 1 - at_1, 1.0, values))


def mean_of(name):
    at_0, at_1, a, b = POPULATIONS[name]
    return at_1 + (1 - at_0 - at_1) * a / (a + b)


def covered(samples, truth, scale):
    """Share of the intervals that hold the truth, of the samples that have one."""
    ends = np.array([mean_interval(sample, scale) for sample in samples])
    ends = ends[~np.isnan(ends[:, 0])]
    return float(np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])))


@pytest.mark.parametrize("n", [2, 5, 10, 25, 80])
@pytest.mark.parametrize("name", POPULATIONS)
def test_interval_covers_what_it_says(name, n):
    samples = drawn(name, 3000, n, np.random.default_rng(n))
    assert 0.93 <= covered(samples, mean_of(name), "share") <= 0.975  # 3000 draws: s.d. .004


@pytest.mark.parametrize("n", [5, 10, 25, 80])
def test_interval_of_a_difference_covers_what_it_says(n):
    rng = np.random.default_rng(n)
    one, other = drawn("core", 3000, n, rng), drawn("core", 3000, n, rng)
    assert 0.93 <= covered(one - other, 0.0, "difference") <= 0.975


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
