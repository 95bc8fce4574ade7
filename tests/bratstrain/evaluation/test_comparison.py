"""Runs against runs: differences of the same cases, and what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from bratsprep.errors import BratsError
from bratstrain.evaluation.comparison import LEAD, chance, compare_evaluations, distinct, short
from bratstrain.pages.compare_sections import page, telling
from bratstrain.scoring.metric_registry import HEADLINE
from tests.helpers import scored_runs

CASES = ("a", "b", "c", "d")


def two(first=(0.9, 0.8, 0.7, 0.9), second=(0.5, 0.6, 0.7, 0.6), **changes):
    one = scored_runs.evaluation(first, 2.0, run="runs/one", cases=CASES)
    other = scored_runs.evaluation(second, 4.0, run="runs/other", cases=CASES, **changes)
    return [one, other]


def test_difference_is_of_the_same_case():
    (row,) = compare_evaluations(two()).chosen()
    assert (row.run, row.other, row.n_cases) == ("one", "other", 4)
    assert row.mean == pytest.approx(np.mean([0.4, 0.2, 0.0, 0.3]))
    assert row.median == pytest.approx(0.25)
    assert (row.n_better, row.n_worse) == (3, 0)
    assert row.low <= row.mean <= row.high
    assert row.p == pytest.approx(0.25)


def test_less_distance_is_better():
    (row,) = compare_evaluations(two()).chosen("HD95 (mm)")
    assert row.mean == pytest.approx(-2)
    assert (row.n_better, row.n_worse) == (4, 0)


def test_metric_that_was_not_measured_has_no_row():
    assert compare_evaluations(two()).chosen("lesion-wise Dice") == []


def test_p_is_corrected_for_the_pairs():
    runs = [*two(), scored_runs.evaluation((0.8, 0.7, 0.6, 0.8), 2.0, run="third", cases=CASES)]
    rows = compare_evaluations(runs).chosen()
    assert [(row.run, row.other) for row in rows] == [
        ("one", "other"), ("one", "third"), ("other", "third"),
    ]  # fmt: skip
    least = min(rows, key=lambda row: row.p)
    assert least.p_holm == pytest.approx(min(1.0, 3 * least.p))


def test_case_that_one_convention_leaves_out_is_in_no_difference():
    runs = two()
    for row in runs[1].record["per_case"]:
        if row["case"] == "a":
            row[HEADLINE] = None
    (row,) = compare_evaluations(runs).chosen(part="ET")
    assert row.n_cases == 3


def test_standing_has_mean_interval_and_rank():
    first, second = compare_evaluations(two()).standings
    assert first.means[HEADLINE][LEAD] == pytest.approx(0.825)
    assert first.low < 0.825 < first.high
    assert first.rank < second.rank


def test_lines_say_the_means_and_the_difference():
    lines = compare_evaluations(two(notes=["of other", "mind"])).lines()
    assert lines[0] == "test of fold 0: 4 cases, every plane"
    assert any(line.startswith("one") and "0.825" in line for line in lines)
    assert any(line.startswith("one - other") and "+0.225" in line for line in lines)
    assert lines[-1] == "note on other: mind"


def test_json_is_plain():
    made = json.loads(json.dumps(compare_evaluations(two()).to_json(), allow_nan=False))
    assert made["ids"] == list(CASES)
    assert made["runs"][0]["run"] == "one"
    assert {row["metric"] for row in made["differences"]} == {HEADLINE, "HD95 (mm)"}


def refused(first, second):
    with pytest.raises(BratsError) as found:
        compare_evaluations([first, second])
    return str(found.value)


def test_other_cases_are_refused():
    one = scored_runs.evaluation(run="one", cases=("a", "b"))
    other = scored_runs.evaluation(run="two", cases=("b", "c"))
    assert "two: is scored on other cases than one, a and 1 more" in refused(one, other)


def test_other_planes_are_refused():
    one, other = two(planes="tumour slices only")
    assert "other: planes is tumour slices only, of runs/one every plane" in refused(one, other)


def test_other_conventions_are_refused():
    one, other = two()
    other.record["headline"]["convention"] = "nnunet"
    assert "convention is nnunet, of runs/one brats" in refused(one, other)


def test_other_truth_is_refused():
    one, other = two()
    other.record["confusion"]["a"][1][1] += 1
    assert "other: the true labels are not those that runs/one" in refused(one, other)


def test_runs_of_one_name_are_told_apart_by_the_folders_above(tmp_path):
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert distinct(runs) == ("a/run", "b/run")
    assert distinct([Path("x"), Path("y")]) == ("x", "y")


def test_page_shows_disputed_typical_and_hardest_case():
    means = {"a": (0.9, 0.4), "b": (0.4, 0.4), "c": (0.75, 0.65), "d": (0.9, 0.8)}
    first, second = zip(*means.values(), strict=True)
    assert telling(compare_evaluations(two(first, second))) == {
        "a": "runs differ most: a",
        "c": "typical: c",
        "b": "hardest: b",
    }


def test_case_may_be_telling_in_several_ways():
    one, other = (scored_runs.evaluation(dice, run=f"r{dice}", cases=("a",)) for dice in (0.5, 0.8))
    assert telling(compare_evaluations([one, other])) == {
        "a": "runs differ most, typical, hardest: a"
    }


def test_page_says_a_common_note_once_and_others_with_their_run():
    one, other = two()
    one.record["notes"] = ["common", "first only"]
    other.record["notes"] = ["common"]
    comparison = compare_evaluations([one, other])
    text = page(comparison, telling(comparison), comparison.names, [])
    assert text.count("<li>common</li>") == 1
    assert "one: first only" in text


def test_page_has_more_pairs_than_dots():
    runs = [scored_runs.evaluation(0.5 + i / 20, run=f"r{i}", cases=CASES) for i in range(6)]
    comparison = compare_evaluations(runs)
    text = page(comparison, telling(comparison), comparison.names[:4], [])
    assert "5 more pairs are in the table only" in text
    assert "2 more runs are in the tables only" in text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (float("nan"), "-"), (0.5, "0.500")])
def test_missing_number_is_a_dash(value, text):
    assert short(value) == text


@pytest.mark.parametrize(("p", "text"), [(0.0004, "<0.001"), (0.0312, "0.031")])
def test_chance_is_short(p, text):
    assert chance(p) == text


def test_difference_of_distances_with_a_penalty_has_no_interval():
    runs = [
        scored_runs.evaluation(hd95_mm=distances, run=name)
        for name, distances in (("a", (3.0, 4.0)), ("b", (5.0, 9.0)))
    ]
    comparison = compare_evaluations(runs)
    (row,) = comparison.chosen("HD95 (mm)", "ET")
    assert (row.mean, row.n_cases) == (-3.5, 2)
    assert math.isnan(row.low)
