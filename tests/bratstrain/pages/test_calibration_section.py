"""The section on calibration: numbers of the record, and dots and bars where they belong."""

import numpy as np
import pytest

from bratstrain.evaluation.summaries import calibration_record
from bratstrain.pages import calibration_section
from bratstrain.scoring.calibration import calibrations
from tests.helpers import scored_runs
from tests.helpers.class_sets import GLIOMA

BINS = [
    {"from": 0.0, "voxels": 1000, "probability": 0.1, "share": 0.05},
    {"from": 0.25, "voxels": 0, "probability": None, "share": None},
    {"from": 0.5, "voxels": 10, "probability": 0.6, "share": 0.4},
    {"from": 0.75, "voxels": 1, "probability": 1.0, "share": 1.0},
]
RECORD = {
    "over": "some voxels", "n_bins": 4,
    "parts": {"WT": {"error": 0.0515, "bins": BINS}, "ET": {"error": None, "bins": BINS}},
}  # fmt: skip


def section(record=RECORD):
    return calibration_section.calibration(scored_runs.evaluation(calibration=record))


def shapes(tag):
    (drawing,) = section()["charts"]
    return [shape for shape in drawing.shapes if shape.tag == tag]


def test_table_has_the_numbers_of_the_record():
    head, rows = section()["table"].values()
    assert rows == [["WT", "0.0515", "0.1058", "0.0544", "1,011"]]
    assert len(head) == len(rows[0])


def test_parts_without_a_probability_are_not_drawn():
    assert [drawing.name for drawing in section()["charts"]] == ["WT, ECE 0.0515"]


@pytest.mark.parametrize("record", [None, {**RECORD, "parts": {"ET": RECORD["parts"]["ET"]}}])
def test_section_is_left_out_without_probabilities(record):
    assert section(record) is None


def test_dots_lie_at_mean_probability_and_true_share():
    dots = shapes("circle")
    assert [dot.title for dot in dots] == [
        "probability 0.00 to 0.25: mean 0.100, truly 0.050, 1,000 voxels",
        "probability 0.50 to 0.75: mean 0.600, truly 0.400, 10 voxels",
        "probability 0.75 to 1.00: mean 1.000, truly 1.000, 1 voxels",
    ]
    x, y = ([float(dot.attributes[name]) for dot in dots] for name in ("cx", "cy"))
    assert (x[1] - x[0]) / (x[2] - x[0]) == pytest.approx(5 / 9, abs=0.01)
    assert (y[0] - y[1]) / (y[0] - y[2]) == pytest.approx(35 / 95, abs=0.01)


def test_bars_have_the_height_of_the_logarithm_of_the_voxels():
    bars = shapes("rect")
    heights = [float(bar.attributes["height"]) for bar in bars]
    full = calibration_section.COUNTS_GROUND - calibration_section.COUNTS_TOP
    assert heights == pytest.approx([full, full / 3, 1], abs=0.1)
    assert all(bar.title for bar in bars)


@pytest.mark.parametrize(
    ("n", "words"), [(1, "1"), (100, "100"), (10**4, "10k"), (10**6, "1M"), (10**9, "1G")]
)
def test_counts_are_short(n, words):
    assert calibration_section.count_text(n) == words


def test_section_takes_the_record_of_an_evaluation():
    rng = np.random.default_rng(0)
    probability = rng.dirichlet((1, 1, 1, 1), (2, 8, 8)).transpose(0, 3, 1, 2).astype(np.float32)
    truth = rng.integers(0, 4, (2, 8, 8)).astype(np.uint8)
    found = calibrations(probability, truth, np.ones(truth.shape, bool), [*GLIOMA.parts.values()])
    scores = scored_runs.case_scores("a", 0.5, 1.0).with_calibration(
        dict(zip(GLIOMA.parts, found, strict=True))
    )
    made = section(calibration_record([scores, scores]))
    assert [row[0] for row in made["table"]["rows"]] == list(GLIOMA.parts)
    assert {row[-1] for row in made["table"]["rows"]} == {f"{2 * truth.size:,}"}
    whole = dict(zip(GLIOMA.parts, found, strict=True))["WT"]
    row = next(row for row in made["table"]["rows"] if row[0] == "WT")
    assert row[1:4] == [
        f"{value:.4f}"
        for value in (whole.error, probability[:, 1:].sum(axis=1).mean(), (truth > 0).mean())
    ]
