"""Tables: what stands in the files and on the terminal, and that nothing is unsaid."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.evaluation.formatting import aligned, interval, number
from bratstrain.evaluation.tables import (
    Report,
    csv_text,
    headline,
    markdown,
    per_case,
    terminal_lines,
    to_json,
    write_report,
)
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers.class_sets import GLIOMA

UNIT = Grid((1.0, 1.0, 1.0))
CONVENTIONS = ("brats", "brats2023", "brats2024", "nnunet")


def scored():
    """Case A: half of an ED cube is found; case B: nothing there, an ET voxel predicted."""
    truth = np.zeros((4, 6, 6), np.uint8)
    truth[1:3, 1:3, 1:3] = 2
    half = truth.copy()
    half[2] = 0
    speck = np.zeros_like(truth)
    speck[0, 0, 0] = 3
    pairs = {"A": (truth, half), "B": (np.zeros_like(truth), speck)}
    return tuple(score_case(*pair, UNIT, GLIOMA, case=case) for case, pair in pairs.items())


@pytest.fixture(scope="module")
def report():
    scores = scored()
    table = summarise(
        scores, cases="test of fold 2, split slice LEAKS", planes="tumour slices only",
        conventions=CONVENTIONS,
    )  # fmt: skip
    planes = ({"case": "A", "z": 1},)
    about = {"run": "a", "versions": {"torch": "2"}}
    return Report("test-raw", ("too good to be true",), about, scores, table, planes)


@pytest.fixture(scope="module")
def twice(report):
    """The same, where case A has a twin in training."""
    second = summarise(
        report.scores[1:], cases=f"{report.table.cases}, {WITHOUT}", planes="tumour slices only",
        conventions=CONVENTIONS,
    )  # fmt: skip
    repeats = Twins("test case", 2, {"A": ("T",)}, are_told=True)
    return replace(report, repeats=repeats, table_without_twins=second)


SAID = "1 of 2 test cases (50 %) have a twin in training, a case of the same person"


def test_json_holds_the_twins_and_both_tables(twice):
    found = to_json(twice)
    assert found["twins"]["cases"] == {"A": ["T"]}
    assert found["headline"]["values"]["ET"] == pytest.approx(0.5)
    assert found["headline_without_twins"]["values"]["ET"] == 0
    assert {row["n_cases"] for row in found["rows"]} == {2}
    assert {row["n_cases"] for row in found["rows_without_twins"]} == {1}
    assert {row["cases"] for row in found["rows_without_twins"]} == {
        "test of fold 2, split slice LEAKS, without a twin in training"
    }


def test_csv_says_of_each_case_whether_it_has_a_twin(twice, tmp_path):
    write_report(twice, tmp_path)
    with (tmp_path / "cases.csv").open(newline="") as file:
        found = {(row["case"], row["twin"]) for row in csv.DictReader(file)}
    assert found == {("A", "true"), ("B", "false")}


def test_csv_leaves_twin_empty_where_there_was_no_training(report, tmp_path):
    assert {row["twin"] for row in per_case(report)} == {None}


def test_terminal_shows_the_table_without_twins_below_the_first(twice):
    lines = twice.lines()
    where = lines.index(SAID)
    assert lines[where + 1] == "1 case without a twin in training"
    assert lines[where + 2].startswith("case average")
    first, second = (line for line in lines if line.startswith("ET"))
    assert (first.split()[1], second.split()[1]) == ("0.500", "0.000")


def test_markdown_shows_every_metric_twice(twice):
    page = markdown(twice)
    assert SAID in page
    for table in (twice.table, twice.table_without_twins):
        metrics = {row.metric for row in table.rows} - {"volume Dice"}
        assert {f"### {metric}" for metric in metrics} <= set(page)
    assert page.count("### pooled Dice") == 2
    assert "## Every metric, without a twin in training" in page


def test_nothing_is_shown_twice_where_there_is_no_twin(report):
    alone = replace(report, repeats=Twins("test case", 2, {}, are_told=True))
    assert "no test case has a known twin in training" in alone.lines()
    assert sum(line.startswith("case average") for line in alone.lines()) == 1
    assert "no test case has a known twin in training" in markdown(alone)


def test_headline_is_the_case_average_worked_out_by_hand(report):
    found = headline(report, report.table)
    assert found["what"] == "case-average volume Dice"
    assert found["values"]["ED"] == pytest.approx((2 / 3 + 1) / 2)  # B is empty on both sides
    assert found["values"]["ET"] == pytest.approx((1 + 0) / 2)
    assert found["values"]["mean of classes"] == pytest.approx((5 / 6 + 1 / 2 + 1) / 3)


def test_csv_holds_every_case_part_and_convention(report, tmp_path):
    write_report(report, tmp_path)
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = {(row["case"], row["part"], row["convention"]) for row in rows}
    assert len(rows) == len(keys) == 2 * 5 * len(CONVENTIONS)
    assert {row["planes"] for row in rows} == {"tumour slices only"}
    found = {
        row["case"]: row for row in rows if (row["part"], row["convention"]) == ("ED", "brats")
    }
    assert float(found["A"]["volume Dice"]) == pytest.approx(2 / 3)
    assert [found["A"][name] for name in ("tp", "fp", "fn")] == ["4", "0", "4"]


def test_csv_leaves_a_field_empty_where_a_case_does_not_count(report, tmp_path):
    write_report(report, tmp_path)
    with (tmp_path / "cases.csv").open(newline="") as file:
        rows = csv.DictReader(file)
        found = [
            r for r in rows if (r["case"], r["part"], r["convention"]) == ("B", "ED", "nnunet")
        ]
    assert found[0]["volume Dice"] == ""


def test_json_holds_everything_and_no_nan(report, tmp_path):
    write_report(report, tmp_path)

    def refuse(word):
        raise AssertionError(word)

    found = json.loads((tmp_path / "evaluation.json").read_text(), parse_constant=refuse)
    assert found["notes"] == ["too good to be true"]
    assert found["confusion"]["A"][2] == [4, 0, 4, 0]
    assert len(found["per_case"]) == 2 * 5 * len(CONVENTIONS)
    for row in found["rows"]:
        assert row["cases"] == "test of fold 2, split slice LEAKS"
        assert row["n_present"] + row["n_absent"] == row["n_cases"] * (
            3 if row["part"].startswith("mean") else 1
        )


def test_planes_are_written_only_where_they_were_counted(report, tmp_path):
    assert tmp_path / "planes.csv" in write_report(report, tmp_path)
    assert (tmp_path / "planes.csv").read_text() == "case,z\nA,1\n"
    bare = Report("x", (), {}, report.scores, report.table)
    (tmp_path / "bare").mkdir()
    assert [path.name for path in write_report(bare, tmp_path / "bare")] == [
        "cases.csv",
        "evaluation.json",
        "summary.md",
        "summary.json",
    ]


def test_markdown_says_cases_planes_notes_and_facts_before_any_number(report):
    page = "\n".join(markdown(report))
    top = page[: page.index("## Case-average volume Dice")]
    for words in ("split slice LEAKS", "tumour slices only", "too good", "run: a", "torch 2"):
        assert words in top


def test_markdown_joins_conventions_that_agree_and_parts_those_that_differ(report):
    page = markdown(report)
    table = page[page.index("## Case-average volume Dice") : page.index("## Volume agreement")]
    names = {line.split("|")[1].strip() for line in table if line.startswith("| ")}
    assert names == {"convention", "---", "brats, brats2023, brats2024", "nnunet"}


def test_markdown_shows_every_metric_beside_an_empty_prediction(report):
    page = "\n".join(markdown(report))
    for metric in {row.metric for row in report.table.rows} - {"volume Dice"}:
        assert f"### {metric}\n" in page
    section = page[page.index("### sensitivity") :].splitlines()
    found = dict(zip(section[2].split("|"), section[4].split("|"), strict=True))
    assert found[" ED "] == " 0.500 (0.000) "  # of case A alone: B has none


def test_terminal_begins_with_the_headline(report):
    lines = terminal_lines(report)
    assert lines == report.lines()
    assert lines[0] == "test of fold 2, split slice LEAKS: 2 cases, tumour slices only"
    assert "volume Dice" in lines[2]
    assert lines[3].split()[:4] == ["mean", "of", "classes", "0.778"]
    assert lines[-1] == "note: too good to be true"
    row = next(line for line in lines if line.startswith("ET"))
    assert row.endswith("0/2/1")


def test_terminal_leaves_out_what_was_not_measured():
    scores = [
        score_case(*2 * [np.zeros((1, 2, 2), np.uint8)], UNIT, GLIOMA, tolerances=None, lesions=())
    ]
    table = summarise(scores, cases="all cases", conventions=("nnunet",))
    lines = Report("x", (), {}, tuple(scores), table).lines()
    assert lines[0] == "all cases: 1 case, every plane"
    assert "HD95" not in lines[2]


def test_json_of_a_report_without_numbers_has_none(report):
    empty = score_case(*2 * [np.zeros((1, 2, 2), np.uint8)], UNIT, GLIOMA, case="E")
    table = summarise([empty], cases="c", conventions=("nnunet",))
    found = to_json(Report("x", (), {}, (empty,), table))
    assert found["headline"]["values"]["ED"] is None


def test_columns_are_aligned():
    assert aligned([["a", "1.5", "x"], ["long", "10", ""]]) == ["a     1.5  x", "long   10"]


def test_numbers_are_short():
    assert number(0.12345) == "0.123"
    assert number(37.22, "HD95 (mm)") == "37.2"
    assert number(math.nan) == "-"


def test_interval_is_a_dash_where_nothing_was_scored(report):
    rows = {(row.convention, row.metric, row.part): row for row in report.table.rows}
    row = rows["nnunet", "volume Dice", "NCR"]
    assert (row.n_scored, interval(row)) == (0, "-")


def test_csv_without_rows_is_an_empty_header():
    assert csv_text([]) == "\n"
