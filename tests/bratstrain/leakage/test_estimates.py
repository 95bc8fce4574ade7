import math

import numpy as np
import pytest

from bratstrain.leakage.estimates import (
    NOTHING,
    Term,
    case_means,
    mean_term,
    part_means,
    total,
)
from bratstrain.scoring.intervals import mean_interval

NAN = math.nan


def test_difference_of_two_means_is_that_of_welch():
    # Student's original sleep data; t.test(extra ~ group) of R prints -3.3654832 to 0.2054832.
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    term = total([mean_term(first), mean_term(second).scaled(-1)])
    assert term.n_free == pytest.approx(17.776, abs=1e-3)
    estimate = term.estimate()
    assert estimate.value == pytest.approx(-1.58)
    # Degrees of freedom are rounded down to 17, which widens the interval a little.
    assert estimate.low == pytest.approx(-3.3654832, abs=0.01)
    assert estimate.high == pytest.approx(0.2054832, abs=0.01)


def test_single_value_has_no_interval():
    assert math.isnan(mean_term(np.array([0.5])).estimate().low)
    term = total([mean_term(np.array([0.5])), mean_term(np.array([0.1, 0.3])).scaled(-1)])
    assert term.estimate().value == pytest.approx(0.3)
    assert math.isnan(term.estimate().low)


def test_equal_values_have_no_interval():
    assert math.isnan(total([mean_term(np.full(3, 0.5))] * 2).estimate().low)


def test_scaled_term_scales_its_interval():
    plain, half = Term(0.4, 0.01, 9).estimate(), Term(0.4, 0.01, 9).scaled(0.5).estimate()
    assert half.low == pytest.approx(plain.low / 2)
    assert half.high == pytest.approx(plain.high / 2)


def test_interval_over_persons_of_one_case_is_that_over_cases():
    values = np.array([0.2, 0.5, 0.9, 0.7, 0.6])
    (part,), mean = part_means(values[:, None], "abcde")
    assert (part.low, part.high) == pytest.approx(mean_interval(values, "share"))
    assert mean == part


def test_persons_of_two_equal_cases_count_once():
    values = np.array([0.2, 0.5, 0.9, 0.7, 0.6])
    twice = np.repeat(values, 2)[:, None]
    (part,), _ = part_means(twice, [*"aabbccddee"])
    assert (part.low, part.high) == pytest.approx(mean_interval(values, "share"))


def test_mean_of_parts_leaves_absent_ones_out():
    dice = np.array([[0.2, NAN], [0.4, 1.0]])
    parts, mean = part_means(dice, "ab")
    assert [part.value for part in parts] == pytest.approx([0.3, 1.0])
    assert mean.value == pytest.approx(0.65)
    np.testing.assert_allclose(case_means(dice), [0.2, 0.7])


def test_part_that_no_case_has_has_no_mean():
    parts, mean = part_means(np.full((2, 1), NAN), "ab")
    assert math.isnan(parts[0].value)
    assert mean is NOTHING
    assert mean.to_json() == {"value": None, "low": None, "high": None}
    assert np.isnan(case_means(np.full((1, 2), NAN))).all()
