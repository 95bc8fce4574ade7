"""The page of a study: which runs come first, and when it is made again."""

import json
import os
from pathlib import Path

import pytest

from bratstrain.apply_config import ApplyConfig
from bratstrain.studies import page as page_module
from bratstrain.studies.page import is_up_to_date, telling, write_page
from tests.helpers.studies import outcome, study


def test_baseline_best_and_leaks_come_first():
    found = study(
        outcome("base", [0.5]), outcome("other", [0.4]), outcome("leaky", [0.3], leaks=True),
        outcome("best", [0.8]),
    )  # fmt: skip
    assert [path.name for path in telling(found)] == ["base", "best", "leaky", "other"]


def test_run_is_named_once_whatever_it_is():
    found = study(outcome("base", [0.9], leaks=True), outcome("other", [0.4]))
    assert [path.name for path in telling(found)] == ["base", "other"]


def test_baseline_that_is_not_finished_is_left_out():
    found = study(outcome("base", [0.5]), outcome("other", [0.4]))
    later = type(found)(found.plan, "raw", found.outcomes[1:])
    assert [path.name for path in telling(later)] == ["other"]


def test_one_experiment_has_no_page(tmp_path):
    assert write_page(study(outcome("base", [0.5])), tmp_path, Path("raw"), ApplyConfig()) == []


@pytest.fixture
def page(tmp_path):
    """A page of two runs, a second later than their evaluations."""
    runs = [tmp_path / "one", tmp_path / "two"]
    for run in runs:
        (run / "evaluation-test-raw").mkdir(parents=True)
        evaluation = run / "evaluation-test-raw" / "evaluation.json"
        evaluation.touch()
        os.utime(evaluation, (1000, 1000))
    for suffix in (".html", ".json"):
        path = tmp_path / f"compare{suffix}"
        path.write_text(json.dumps({"runs": [{"run": run.name} for run in runs]}))
        os.utime(path, (1001, 1001))
    return tmp_path / "compare.html", runs


def test_page_later_than_all_evaluations_is_left_alone(page):
    assert is_up_to_date(*page)


@pytest.mark.parametrize("suffix", [".html", ".json"])
def test_page_that_is_missing_is_made(page, suffix):
    page[0].with_suffix(suffix).unlink()
    assert not is_up_to_date(*page)


def test_page_older_than_an_evaluation_is_made_again(page):
    path, runs = page
    os.utime(runs[0] / "evaluation-test-raw" / "evaluation.json", (1002, 1002))
    assert not is_up_to_date(path, runs)


def test_page_of_other_runs_is_made_again(page):
    path, runs = page
    assert not is_up_to_date(path, [*runs, runs[0].with_name("three")])


def test_comparison_is_asked_for_the_held_out_cases(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(page_module, "compare", lambda runs, **given: asked.append((runs, given)))
    found = study(outcome("base", [0.5]), outcome("other", [0.4]))
    assert write_page(found, tmp_path, Path("raw"), ApplyConfig(device="cpu")) == [
        tmp_path / "compare.html"
    ]
    ((runs, given),) = asked
    assert [run.name for run in runs] == ["base", "other"]
    assert (given["raw"], given["split"]) == (Path("raw"), "test")
    assert (given["out"], given["device"]) == (tmp_path / "compare.html", "cpu")
