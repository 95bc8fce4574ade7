"""The registry of metrics: a record is all that tables, files, pages and comparisons need."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bratstrain.evaluation.comparison import compare_evaluations
from bratstrain.evaluation.tables import to_json, write_report
from bratstrain.pages import compare_sections, score_sections
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metric import Metric
from bratstrain.scoring.metric_registry import (
    HEADLINE,
    METRICS,
    decimals,
    every_metric,
    metrics_named,
)
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers import scored_runs
from tests.helpers.class_sets import GLIOMA

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


def test_metric_has_a_known_range():
    with pytest.raises(ValueError, match="range is 'angle'"):
        replace(METRICS[HEADLINE], range="angle")


@pytest.mark.parametrize("word", ["ASSD (mm)", "assd", "ASSD"])
def test_metric_is_found_by_what_a_user_calls_it(word):
    assert metrics_named([word]) == [METRICS["ASSD (mm)"]]


def test_metric_is_found_by_its_short_name():
    assert metrics_named(["ece"]) == [METRICS["calibration error (ECE)"]]


def test_unknown_metric_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"metric 'sadness' is unknown; one of volume Dice, IoU"):
        metrics_named(["assd", "sadness"])


def test_no_two_metrics_share_a_word():
    words = [word for metric in METRICS.values() for word in metric.words]
    assert len(words) == len(set(words))


def test_further_tolerances_add_metrics():
    further = [name for name in every_metric((1.0, 2.5)) if name not in METRICS]
    assert further == ["surface Dice at 2.5 mm", "lesion-wise surface Dice at 2.5 mm"]
    assert metrics_named(["Surface dice at 2.5 mm"], (2.5,))[0].better == "higher"


EMPTY = np.zeros((6, 6, 6), np.uint8)
CUBE = np.zeros((6, 6, 6), np.uint8)
CUBE[1:5, 1:5, 1:5] = 3
OF_EMPTY = {
    "IoU": {"brats": (1, 0, 0), "nnunet": (None, 0, 0), "present": (None, None, 0)},
    "HD100 (mm)": {"brats": (0, 373.13, 373.13), "nnunet": (None, None, None)},
    "ASSD (mm)": {"brats": (0, 373.13, 373.13), "nnunet": (None, None, None)},
    "MASD (mm)": {"brats2023": (0, 374, 374), "present": (None, None, None)},
    "surface Dice at 0.5 mm": {"brats": (1, 0, 0), "nnunet": (None, 0, 0)},
    "precision": {"brats": (None, 0, None), "nnunet": (None, 0, None)},
    "sensitivity": {"brats": (None, None, 0)},
    "relative volume difference": {"brats": (None, None, -1), "nnunet": (None, None, -1)},
    "absolute relative volume difference": {"brats": (None, None, 1)},
    "volume difference (ml)": {"brats": (0, 0.064, -0.064)},
    "calibration error (ECE)": {"brats": (None, None, None)},
    "lesion-wise F1": {"brats": (1, 0, 0), "brats2024": (1, 0, 0), "nnunet": (None, None, None)},
    "lesion-wise surface Dice at 1 mm": {"brats": (1, 0, 0), "present": (None, None, None)},
}
"""Value with both sides empty, only a prediction, only a truth; None where it is left out."""


@pytest.mark.parametrize("metric", OF_EMPTY)
def test_empty_masks_are_scored_by_the_convention(metric):
    pairs = ((EMPTY, EMPTY), (EMPTY, CUBE), (CUBE, EMPTY))
    parts = [score_case(*pair, Grid((1.0, 1.0, 1.0)), GLIOMA).parts["ET"] for pair in pairs]
    for name, expected in OF_EMPTY[metric].items():
        got = [METRICS[metric].measure(part, CONVENTIONS[name]) for part in parts]
        assert got == pytest.approx([math.nan if e is None else e for e in expected], nan_ok=True)


def test_decimals_follow_the_unit():
    assert decimals("HD95 (mm)") == 1
    assert decimals(HEADLINE) == decimals("pooled Dice") == 3


@pytest.mark.parametrize(
    "name", [*METRICS, *(task for c in CONVENTIONS.values() for task in c.tasks)]
)
def test_every_metric_and_task_stands_in_the_document(name):
    """Short forms such as `at 1 mm` and `GLI, SSA, PED 2023` name several in one row."""
    page = (Path(__file__).parents[3] / "docs" / "numbers.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    words = name.replace(" 2023", "").replace("small lesions dropped", "").rstrip(", ").split(", ")
    assert any(all(word in line for word in words[0].split()) for line in rows)
