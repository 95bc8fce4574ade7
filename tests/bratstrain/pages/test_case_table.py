"""The report as a work place: its table, what explains a case, small tumours, what to look at."""

import math

import numpy as np
import pytest

from bratstrain.pages.attention import attention
from bratstrain.pages.case_table import case_table, cells, emptiness, lesions, worst_line
from bratstrain.pages.size_section import answer, sizes
from tests.helpers import scored_runs
from tests.helpers.class_sets import GLIOMA

CASES = tuple("abcdefghijkl")
WHOLE = GLIOMA.nested[0][0]


def evaluation(dice, ml=None, **changes):
    """An evaluation whose cases have those scores, and true volumes of the whole tumour."""
    one = scored_runs.evaluation(dice, cases=CASES[: len(dice)], **changes)
    for row in one.record["per_case"]:
        if ml is not None and row["part"] == WHOLE:
            row["truth_mm3"] = 1000 * ml[one.cases.index(row["case"])]
    return one


def test_worst_case_comes_first_and_every_case_is_there():
    table = case_table(evaluation((0.5, 0.2, 0.9)), ["c"])
    assert [row.case for row in table["rows"]] == ["b", "a", "c"]
    assert [row.shown for row in table["rows"]] == [None, None, 0]
    assert table["head"][0] == "Dice"
    assert set(GLIOMA.parts) <= set(table["head"])
    assert {len(row.cells) for row in table["rows"]} == {len(table["head"])}


def test_numbers_that_are_none_are_sorted_by_nothing():
    one, two = cells(np.array([math.nan, 0.5]))
    assert (one.key, two.key) == ("", "0.5")


def test_remarks_say_what_lies_behind_a_score():
    assert list(emptiness("X", {"truth_mm3": 500.0, "predicted_mm3": 0.0})) == ["X missed (0.5 ml)"]
    assert list(emptiness("X", {"truth_mm3": 0.0, "predicted_mm3": 50.0})) == [
        "X predicted (0.05 ml), none is true"
    ]
    assert list(emptiness("X", {"truth_mm3": 1.0, "predicted_mm3": 1.0})) == []
    row = {"lesions FN": 1, "lesions FP": 2, "lesions TP": 3}
    assert list(lesions("X", row)) == ["1 of 4 X lesions missed", "2 false X lesions"]
    assert list(lesions("X", {"lesions FN": None, "lesions FP": None})) == []


def test_odd_images_and_repeated_patients_are_remarks():
    one = evaluation((0.5, 0.2), odd_images={"b": ["t1w covers 20 %"]})
    for row in one.record["per_case"]:
        row["twin"] = row["case"] == "b"
    remarks = case_table(one, [])["rows"][0].remarks
    assert "images: t1w covers 20 %" in remarks
    assert "the network was trained on this person" in remarks


def test_worst_case_is_named_with_its_lowest_class_and_size():
    line = worst_line(evaluation((0.5, 0.2, 0.9), ml=(3, 2, 1)))
    assert line.startswith("b, volume Dice 0.200")
    assert f"{WHOLE} of 2 ml, number 2 of 3 from the smallest" in line


def test_no_case_is_worst_where_none_is_scored():
    one = evaluation((0.5, 0.2))
    for row in one.record["per_case"]:
        row["volume Dice"] = None
    assert worst_line(one) == ""


@pytest.mark.parametrize(
    ("dice", "verdict"),
    [
        (np.linspace(0.1, 0.9, 12), "Yes: the smaller"),
        (np.linspace(0.9, 0.1, 12), "No, the opposite"),
        (np.tile([0.5, 0.6, 0.4], 4), "Not shown by these cases"),
        (np.full(12, 0.5), "It cannot be told: all scores"),
    ],
)
def test_small_tumours_are_answered_by_the_interval(dice, verdict):
    lines = answer(evaluation(dice, ml=np.arange(1.0, 13)), WHOLE)
    assert lines[0].startswith(verdict)
    assert "(n 12)" in lines[0]


def test_smallest_third_is_beside_the_others():
    lines = answer(evaluation(np.linspace(0.12, 0.9, 12), ml=np.arange(1.0, 13)), WHOLE)
    assert "Smallest third, up to 4 ml" in lines[1]
    assert "(n 4)" in lines[1]
    assert "(n 8)" in lines[1]


def test_few_cases_cannot_answer():
    (line,) = answer(evaluation((0.5, 0.2)), WHOLE)
    assert line.startswith("It cannot be told: 2 cases")


def test_figures_have_a_dot_for_each_case_that_has_both_sides():
    one = evaluation((0.5, 0.2, 0.9), ml=(0, 2, 3))
    by_size, agreement = sizes(one)["drawings"]
    counts = [sum(shape.tag == "circle" for shape in each.shapes) for each in (by_size, agreement)]
    assert counts == [2, 2]
    assert "1 with an empty side are not drawn" in agreement.name
    assert sizes(evaluation((0.5, 0.2), ml=(0, 0)))["drawings"] == []


def test_uncertain_cases_come_first_and_empty_predictions_before_them():
    one = evaluation((0.5, 0.2, 0.9), uncertainty={"a": 0.1, "b": None, "c": 0.3})
    found = attention(one)
    assert [case for case, *_ in found["first"]] == ["b", "c", "a"]
    assert found["first"][0][1] == "nothing is predicted"
    assert "cannot be told from 2 cases" in found["works"]


@pytest.mark.parametrize(
    ("turn", "verdict"), [(1, "finds the bad ones"), (-1, "misleads"), (0, "do not show")]
)
def test_list_says_whether_it_works(turn, verdict):
    dice = np.linspace(0.9, 0.1, 12)
    unsure = dict(zip(CASES, turn * np.linspace(0.1, 0.4, 12), strict=True))
    if turn == 0:
        unsure = dict(zip(CASES, np.tile([0.1, 0.3, 0.2], 4), strict=True))
    assert verdict in attention(evaluation(dice, uncertainty=unsure))["works"]


def test_flips_are_named():
    one = evaluation((0.5, 0.2))
    assert attention(one)["first"] == []
    assert "one pass" in attention(one)["passes"]
    one.record["about"]["tta"] = "lr"
    assert attention(one)["passes"] == "flips (lr)"
