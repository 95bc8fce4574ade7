import math

import numpy as np
import pytest

from bratstrain.scoring.permutation import DRAWS, allocations, permutation_test


def marks(n, n_marked):
    """The last values are marked."""
    return np.arange(n) >= n - n_marked


def test_most_extreme_allocation_has_one_in_all():
    values = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    test = permutation_test(values, marks(5, 2))
    assert (test.p, test.n_allocations, test.method) == (1 / 10, 10, "exact")


def test_opposite_allocation_has_a_p_of_one():
    assert permutation_test(np.arange(6.0), marks(6, 3)).p == 1


def test_equal_values_say_nothing():
    assert permutation_test(np.full(8, 0.3), marks(8, 3)).p == 1


def test_ties_count_as_as_extreme():
    # Marked sums of the six allocations: 0, 1, 1, 1, 1, 2.
    assert permutation_test(np.array([1.0, 1.0, 0.0, 0.0]), marks(4, 1)).p == 2 / 4
    assert permutation_test(np.array([1.0, 0.0, 1.0, 0.0]), marks(4, 2)).p == 5 / 6


def test_allocations_are_all_different():
    rows = np.concatenate([*allocations(9, 4)])
    assert rows.shape == (math.comb(9, 4), 4)
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.slow
def test_drawn_p_is_near_the_normal_one_and_repeats():
    values = np.random.default_rng(3).normal(0, 1, 60)
    values[:30] += 0.4
    test = permutation_test(values, marks(60, 30))
    assert (test.method, test.n_allocations) == ("drawn", DRAWS)
    error = values.std(ddof=1) * math.sqrt(2 / 30)
    z = (values[:30].mean() - values[30:].mean()) / error
    assert test.p == pytest.approx(math.erfc(z / math.sqrt(2)) / 2, abs=0.02)
    assert permutation_test(values, marks(60, 30)) == test


@pytest.mark.parametrize("n_marked", [0, 3])
def test_empty_side_is_refused(n_marked):
    with pytest.raises(ValueError, match=f"got {n_marked} of 3"):
        permutation_test(np.arange(3.0), marks(3, n_marked))
