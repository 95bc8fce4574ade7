"""Ranks of runs over cases, regions and metrics."""

import numpy as np
import pytest

from bratstrain.evaluation.ranks import challenge_ranks, mean_ranks
from tests.helpers import scored_runs


def test_mean_rank_is_over_all_races():
    results = np.array([[1.0, 2, 3], [2, 1, 3], [3, 3, 1]])
    np.testing.assert_allclose(mean_ranks(results), [(1 + 2 + 2.5) / 3, (2 + 1 + 2.5) / 3, 7 / 3])


def test_races_without_a_result_are_not_run():
    results = np.array([[1.0, np.nan], [2, 1]])
    np.testing.assert_array_equal(mean_ranks(results), [1, 2])


def test_no_race_gives_no_rank():
    assert np.isnan(mean_ranks(np.full((2, 3), np.nan))).all()


def test_higher_dice_and_lower_distance_rank_first():
    good, bad = (scored_runs.evaluation(dice, 10 / dice) for dice in (0.9, 0.5))
    assert challenge_ranks([bad, good]).tolist() == [2, 1]


def test_dice_and_distance_weigh_the_same():
    sharp, near = scored_runs.evaluation(0.9, 9.0), scored_runs.evaluation(0.5, 2.0)
    assert challenge_ranks([sharp, near]).tolist() == pytest.approx([1.5, 1.5])
