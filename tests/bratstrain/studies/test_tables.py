"""Tables of a study: what they say, and what they keep to themselves."""

import csv
import json

import pytest

from bratstrain.studies.tables import MINUS, signed, terminal_lines, write_study
from tests.helpers.studies import outcome, study


@pytest.fixture
def three():
    return study(
        outcome("leaky", [0.30, 0.50], leaks=True, claims=0.91, unseen=0.42),
        outcome("honest", [0.40, 0.60], like="leaky"),
        outcome("best", [0.70, 0.75], like="honest"),
        more=["later"],
    )


def row(lines, name):
    return next(line for line in lines if line.startswith(name)).split()


def test_row_holds_claim_unseen_honest_and_differences(three):
    assert row(terminal_lines(three), "best") == [
        "best", "0.900", "0.600", "0.725", "0.700-0.750", "(n", "2)", "+0.325", "honest", "+0.225",
        f"{MINUS}0.728", "to", "+1.178", "(n", "2)",
    ]  # fmt: skip


def test_leak_is_in_its_row(three):
    assert row(terminal_lines(three), "leaky")[:3] == ["leaky", "(LEAKS)", "0.910"]


def test_leak_is_explained(three):
    text = "\n".join(terminal_lines(three))
    assert "leaky scores 0.910 on patients whose other slices are in its training set" in text
    assert "the same metric is 0.420, and volume Dice is 0.400" in text


def test_each_column_says_what_it_is(three):
    text = "\n".join(terminal_lines(three))
    assert "slice-mean Dice, tumour slices, of the run's own validation part" in text
    assert "case-average volume Dice of the held-out cases, every brain plane" in text


def test_title_counts_experiments_and_cases(three):
    assert terminal_lines(three)[0].startswith(
        "deck, profile demo: 3 of 4 experiments on raw; 2 held-out cases"
    )


def test_unfinished_experiments_are_named(three):
    assert "note: not finished yet: later" in terminal_lines(three)


def test_few_cases_are_said(three):
    assert "note: intervals over only 2 held-out cases are unreliable" in terminal_lines(three)
    many = study(outcome("one", [0.5] * 10))
    assert "only" not in "\n".join(terminal_lines(many))


def test_best_is_named_with_what_choosing_does(three):
    assert any(
        "best has the best held-out volume Dice, 0.725" in line for line in terminal_lines(three)
    )


def test_departure_is_left_out_where_it_is_the_baseline():
    two = study(outcome("one", [0.5]), outcome("two", [0.6], like="one"))
    assert "departs from" not in "\n".join(terminal_lines(two))


def test_other_metrics_are_shown_where_they_are_asked_for():
    lines = terminal_lines(study(outcome("one", [0.5]), also=("lesions FP",), profile=""))
    assert lines[0].startswith("deck: 1 of 1")
    assert lines[2].endswith("lesions FP")
    assert row(lines, "one")[-1] == "-"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "+0.123"), (-0.1, "−0.100"), (0.0001, "0.000"), (float("nan"), "-")],  # noqa: RUF001
)
def test_sign_is_shown(value, text):
    assert signed(value) == text


def test_files_hold_the_same_rows(three, tmp_path):
    page, table, whole = write_study(three, tmp_path)
    found = list(csv.DictReader(table.read_text().splitlines()))
    rows = json.loads(whole.read_text())["rows"]
    assert [each["experiment"] for each in found] == ["leaky", "honest", "best"]
    assert [float(each["honest"]) for each in found] == [each["honest"] for each in rows]
    assert "| best | subject | 1,234 | 0.900 | 0.400 | 0.600 | 0.725 |" in page.read_text()


def test_json_holds_settings_held_out_cases_and_what_is_missing(three, tmp_path):
    whole = json.loads(write_study(three, tmp_path)[2].read_text())
    assert whole["held_out"] == ["a", "b"]
    assert whole["unfinished"] == ["later"]
    assert whole["settings"]["leaky"]["fit"]["model"]["kind"] == "residual"
