"""Numbers of a study, by hand."""

import math

import pytest
from scipy import stats

from bratstrain.studies.outcomes import difference, score_of
from tests.helpers.studies import evaluation, outcome, study


def test_claim_is_of_the_runs_own_validation():
    assert outcome("one", [0.5], claims=0.9, unseen=0.6).claims.mean == 0.9


def test_unseen_is_the_same_metric_on_the_held_out_cases():
    assert outcome("one", [0.5], claims=0.9, unseen=0.6).unseen.mean == 0.6


def test_honest_is_volume_dice_of_the_held_out_cases_with_its_interval():
    honest = outcome("one", [0.5, 0.7]).honest
    assert (honest.mean, honest.low, honest.high, honest.n_cases) == (0.6, 0.5, 0.7, 2)


def test_metric_that_was_not_measured_is_unknown():
    found = evaluation([0.5])
    assert not score_of(found, "HD95 (mm)", "mean of classes").is_known
    assert not score_of(found, "lesions FP", "mean of classes").is_known


def test_difference_is_paired():
    # Cases differ by far more than experiments do, and each gains exactly a tenth.
    gain = difference(outcome("new", [0.2, 0.5, 0.9]), outcome("old", [0.1, 0.4, 0.8]))
    assert gain.mean == pytest.approx(0.1)
    assert math.isnan(gain.low)  # cases that gain alike say nothing of how gains vary
    assert (gain.n_cases, gain.n_better) == (3, 3)


def test_interval_of_a_difference_holds_its_mean():
    gain = difference(outcome("new", [0.5, 0.5, 0.5]), outcome("old", [0.4, 0.6, 0.2]))
    assert gain.mean == pytest.approx(0.1)
    half = stats.t.ppf(0.975, 2) * 0.2 / math.sqrt(3)
    assert (gain.low, gain.high) == pytest.approx((0.1 - half, 0.1 + half))
    assert gain.n_better == 2


def test_difference_leaves_out_cases_without_a_number():
    gain = difference(outcome("new", [0.5, 0.7]), outcome("old", [0.4, math.nan]))
    assert (gain.mean, gain.n_cases) == (pytest.approx(0.1), 1)


def test_difference_of_no_case_is_unknown():
    assert not difference(outcome("new", [0.5]), outcome("old", [math.nan])).is_known


def test_gain_over_itself_or_something_unfinished_is_unknown():
    one = outcome("one", [0.5])
    assert not study(one).gain(one, "one").is_known
    assert not study(one, more=["two"]).gain(one, "two").is_known


def test_record_says_what_is_compared_to_what():
    both = study(outcome("one", [0.4]), outcome("two", [0.5], like="one"))
    row = both.records()[1]
    assert (row["baseline"], row["like"], row["run"]) == ("one", "one", "runs/two")
    assert row["minus_baseline"] == row["minus_like"] == pytest.approx(0.1)
    assert (row["claims"], row["honest"]) == (0.9, 0.5)
    assert row["minus_like_better_cases"] == 1


def test_record_has_none_where_there_is_no_number():
    row = study(outcome("one", [0.4]), also=("lesions FP",)).records()[0]
    assert row["minus_baseline"] is None
    assert row["minus_baseline_better_cases"] is None
    assert row["lesions FP"] is None
