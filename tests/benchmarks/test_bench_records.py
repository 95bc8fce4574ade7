"""What `benchmarks.demo`, `pythons` and `help_time` keep."""

import json
import sys

import pytest

from benchmarks import demo, help_time, pythons


def scores(*rows):
    """The part of `evaluation.json` that is read."""
    kept = ("convention", "metric", "part", "mean")
    rest = {"low": 0.1, "high": 0.9, "nothing": 0.0, "n_cases": 5, "median": 0.5}
    return {
        "cases": "test of fold 0", "planes": "every plane", "headline": {"convention": "brats"},
        "rows": [dict(zip(kept, row, strict=True)) | rest for row in rows],
    }  # fmt: skip


ROWS = (
    ("brats", "volume Dice", "WT", 0.957), ("brats", "HD95 (mm)", "WT", 0.5),
    ("nnunet", "volume Dice", "WT", 0.8),
)  # fmt: skip


def test_demo_keeps_the_headline_alone():
    (row,) = demo.rows(scores(*ROWS))
    assert row == {
        "part": "WT", "mean": 0.957, "low": 0.1, "high": 0.9, "nothing": 0.0, "n_cases": 5,
    }  # fmt: skip


def test_demo_reads_the_scores_of_a_run(tmp_path, monkeypatch, capsys):
    place = tmp_path / "run" / "evaluation" / "test"
    place.mkdir(parents=True)
    (place / "evaluation.json").write_text(json.dumps(scores(*ROWS)))
    words = ["demo", str(tmp_path / "run"), "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    demo.main()
    kept = json.loads((tmp_path / "demo.json").read_text())
    assert json.loads(capsys.readouterr().out) == kept
    assert (kept["cases"], len(kept["rows"])) == ("test of fold 0", 1)


def test_demo_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["demo", str(tmp_path)])
    with pytest.raises(SystemExit, match="run 'make demo' first"):
        demo.main()


def test_errors_count_as_failures_and_skips_not_as_passes(tmp_path):
    path = tmp_path / "counts.xml"
    path.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3" /></testsuites>'
    )
    assert pythons.counted(path) == {"passed": 4, "failed": 3, "skipped": 3}


def test_interpreter_that_runs_no_test_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no test was run"):
        pythons.tested("/bin/false", 1)


def test_help_of_both_programs_is_timed():
    rows = help_time.measure(rounds=1)
    assert [row["program"] for row in rows] == ["bratsprep", "bratstrain"]
    assert all(row["cpu_seconds"] > 0 and 0 < row["seconds"] < 60 for row in rows)
