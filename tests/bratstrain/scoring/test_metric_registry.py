"""The registry of metrics: a record is all that tables, files, pages and comparisons need."""

import csv
import json
from dataclasses import replace

import pytest

from bratstrain.evaluation.comparison import compare_evaluations
from bratstrain.evaluation.tables import to_json, write_report
from bratstrain.pages import compare_sections, score_sections
from bratstrain.scoring.metric_registry import HEADLINE, METRICS, Metric, decimals
from tests.helpers import scored_runs

TOY = "error volume (mm)"


def wrong_voxels(part, _):
    return float(part.counts.fp + part.counts.fn)


@pytest.fixture
def toy(monkeypatch):
    """A metric that is shown, compared and in mm, where less is better."""
    metric = Metric(
        name=TOY,
        short="errors",
        unit="mm",
        better="lower",
        explained="Voxels that differ.",
        measure=wrong_voxels,
        is_beside=True,
        is_compared=True,
    )
    monkeypatch.setitem(METRICS, TOY, metric)
    return metric


@pytest.fixture
def report(toy):
    return scored_runs.report(dice=(0.8, 0.6))


def test_new_metric_is_in_the_terminal_table(report):
    head = next(line for line in report.lines() if line.startswith("case average"))
    row = next(line for line in report.lines() if line.startswith("NCR"))
    assert "errors" in head
    assert "60.0" in row  # 40 and 80 voxels, one decimal for mm


def test_new_metric_is_in_every_file(report, tmp_path):
    write_report(report, tmp_path)
    with (tmp_path / "cases.csv").open(newline="") as file:
        values = [float(row[TOY]) for row in csv.DictReader(file) if row["part"] == "ET"]
    assert values[:2] == [40, 80]
    record = json.loads((tmp_path / "evaluation.json").read_text())
    means = {row["part"]: row["mean"] for row in record["rows"] if row["metric"] == TOY}
    assert means["ET"] == 60
    assert f"### {TOY}" in (tmp_path / "summary.md").read_text()


def test_new_metric_is_on_the_page_with_its_explanation(toy):
    content = score_sections.scores(scored_runs.evaluation(dice=(0.8, 0.6)))
    assert TOY in content["table"]["head"]
    column = content["table"]["head"].index(TOY)
    assert "60.0" in [row[column] for row in content["table"]["rows"]]
    assert content["explained"][TOY] == "Voxels that differ."


def test_new_metric_is_compared_in_its_own_direction(toy):
    runs = [
        scored_runs.evaluation(dice=(dice, dice), run=name)
        for name, dice in (("good", 0.9), ("bad", 0.5))
    ]
    comparison = compare_evaluations(runs)
    (row,) = comparison.chosen(TOY, "ET")
    assert (row.mean, row.n_better, row.n_worse) == (-80, 2, 0)
    assert TOY in compare_sections.standings(comparison)["head"]
    assert "errors" in "".join(comparison.lines())


def test_record_without_the_metric_is_unchanged_by_it(toy):
    with_toy = to_json(scored_runs.report())
    del METRICS[TOY]
    without = to_json(scored_runs.report())
    with_toy["rows"] = [row for row in with_toy["rows"] if row["metric"] != TOY]
    assert with_toy["rows"] == without["rows"]


def test_metric_has_a_known_direction():
    with pytest.raises(ValueError, match="better is 'up'"):
        replace(METRICS[HEADLINE], better="up")


def test_decimals_follow_the_unit():
    assert decimals("HD95 (mm)") == 1
    assert decimals(HEADLINE) == decimals("pooled Dice") == 3
