"""The section on volumes: numbers of the record, and dots where they belong."""

import pytest

from bratstrain.pages import volume_section
from tests.helpers import scored_runs

AGREEMENT = {
    "unit": "ml", "n": 3, "n_empty": 1, "mean_difference": -1.0, "mean_interval": [-3.0, 1.0],
    "low": -5.0, "low_interval": [-8.0, -2.0], "high": 3.0, "high_interval": [0.0, 6.0],
    "standard_deviation": 2.04,
    "points": [
        {"case": "a", "mean": 10.0, "difference": -3.0},
        {"case": "b", "mean": 20.0, "difference": 0.0},
        {"case": "c", "mean": 40.0, "difference": 0.0},
    ],
}  # fmt: skip
NONE = {
    "n": 0, "n_empty": 4, "mean_difference": None, "mean_interval": None, "low": None,
    "high": None, "points": [],
}  # fmt: skip


@pytest.fixture
def section():
    record = {"volume_agreement": {"WT": AGREEMENT, "ET": NONE}}
    return volume_section.volumes(scored_runs.evaluation(**record))


def test_table_has_the_numbers_of_the_record(section):
    whole, enhancing = section["table"]["rows"]
    assert whole == ["WT", "-1.0", "-3.0 to +1.0", "-5.0 to +3.0", "3", "1"]
    assert enhancing == ["ET", *[volume_section.DASH] * 3, "0", "4"]
    assert len(section["table"]["head"]) == len(whole)


def test_only_parts_with_limits_are_drawn(section):
    assert [drawing.name for drawing in section["charts"]] == ["WT, 3 cases"]


def test_dots_lie_at_mean_and_difference(section):
    (drawing,) = section["charts"]
    dots = [shape for shape in drawing.shapes if shape.tag == "circle"]
    assert [dot.title for dot in dots] == [
        "a: -3.0 ml of 10.0 ml", "b: +0.0 ml of 20.0 ml", "c: +0.0 ml of 40.0 ml",
    ]  # fmt: skip
    across = [float(dot.attributes["cx"]) for dot in dots]
    assert (across[2] - across[1]) == pytest.approx(2 * (across[1] - across[0]), abs=0.2)
    heights = [float(dot.attributes["cy"]) for dot in dots]
    assert heights[0] > heights[1] == heights[2]


def test_mean_and_limits_are_named_in_their_order(section):
    (drawing,) = section["charts"]
    named = {shape.text: float(shape.attributes["y"]) for shape in drawing.shapes if shape.text}
    assert named["+1.96 s.d."] < named["mean"] < named["-1.96 s.d."]


def test_section_of_a_real_evaluation_has_a_plot_of_each_part():
    made = volume_section.volumes(scored_runs.evaluation(dice=(0.8, 0.6)))
    assert len(made["charts"]) == len(made["table"]["rows"]) == 5
