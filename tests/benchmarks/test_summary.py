"""The tables of figures are what `benchmarks.summary` makes of the committed results."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import build_figures as build
from benchmarks import figures, summary
from benchmarks.build_table import write
from benchmarks.summary_aims import lines

ROOT = Path(__file__).parent.parent.parent
RESULTS = figures.read(ROOT / "benchmarks" / "results")


@pytest.mark.parametrize("page", summary.pages(RESULTS), ids=lambda path: path.name)
def test_table_of_a_page_is_what_the_results_say(page):
    assert page.read_text() == summary.pages(RESULTS)[page], "run python -m benchmarks.summary"


def test_check_says_that_nothing_differs():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.summary", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def cells(table):
    """The cells of each line below the head."""
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_readme_without_results_holds_no_figure():
    for row in cells(summary.readme_table({})):
        assert figures.NONE in row[1]
        assert not re.search(r"\d (s|MB|x)\b", " ".join(row[1:]))


def test_aims_without_results_are_all_not_measured():
    assert {line[1:] for line in map(tuple, cells(summary.aims_table({})))} == {
        (figures.NONE, figures.NONE)
    }


@pytest.mark.parametrize("name", RESULTS)
def test_table_does_without_any_one_file(name):
    left = {other: found for other, found in RESULTS.items() if other != name}
    assert len(cells(summary.aims_table(left))) >= len(lines({}))
    assert len(cells(summary.readme_table(left))) == len(cells(summary.readme_table({})))


def run(row, cases, seconds, number=0, dtype="int16", part="speed", **more):
    """One record of `benchmarks.build`; seconds are of all cases."""
    return {
        "row": row, "workers": 4, "cases": cases, "dtype": dtype, "round": number, "part": part,
        "seconds": seconds, "cpu_seconds": 2 * seconds, "output_bytes": 7_000_000 * cases,
        "peak_bytes": 600_000_000, **more,
    }  # fmt: skip


RUNS = [
    *(run("floor", n, n * 0.01) for n in (16, 48, 144)),
    *(run("ours", n, n * 0.02 + 0.32) for n in (16, 48, 144)),
    *(run("nnunet", n, n * 0.4 + 30) for n in (16, 48, 144)),
    run("nnunet-start", 4, 31.6),
    run("ours-2", 48, 2.0) | {"workers": 2},
    run("ours-tar", 48, 2.0),
    run("h5py", 48, 24.0),
    run("monai", 48, 12.0),
    {"row": "torchio", "workers": 4, "cases": 48, "dtype": "int16", "round": 0, "part": "speed",
     "fault": "not installed"},
    run("notebook", 8, 4.0),
    run("ours", 48, 96.0, dtype="float32"),
]  # fmt: skip
MADE = {"build": {"runs": RUNS, "facts": {"machine": {"cores": "4"}}}}


def test_usual_number_of_cases_is_that_of_most_rows():
    assert build.usual(build.speed(RUNS, "int16")) == 48


def test_nnunet_is_held_against_on_the_most_cases_whole():
    line = next(line for line in lines(MADE) if "nnU-Net's fingerprint" in line.aim)
    assert line.aim.endswith("the whole command, 144 int16 cases, 4 threads")
    # 87.6 s against 3.2 s; without the start, 56.0 s of 140 cases against 3.2 s of 144
    assert line.measured == "27.4 x; its further cases alone 18.0 x"
    assert line.verdict == "reached"


def test_readme_says_both_figures_of_nnunet():
    row = cells(summary.readme_table(MADE))[0]
    assert row[0] == "build, 48 real-sized int16 cases, 4 threads"
    assert row[1] == "0.027 s a case, 600 MB at most, 7.0 MB a case on disk"
    assert row[2] == (
        "nnU-Net v2 2D preprocessing of 144 cases 0.61 s each (27 x, its start included; 18 x for "
        "its further cases alone), MONAI 0.25 s (9.4 x), four processes of nibabel and h5py 0.50 s "
        "(19 x)"
    )


def test_ratio_to_the_floor_is_shown_for_every_number_of_cases():
    line = next(line for line in lines(MADE) if "the inflate floor, 48 int16" in line.aim)
    assert line.measured == "2.67 x; 4.00 x for 16, 2.22 x for 144"
    assert line.verdict == "in part"


def test_ratios_are_taken_within_a_round():
    slow = [run("floor", 4, 4.0, 1), run("ours", 4, 4.0, 1)]
    runs = [run("floor", 4, 1.0), run("ours", 4, 2.0), run("ours", 4, 99.0, 2), *slow]
    assert build.ratio(runs, "ours", "floor", 4) == 1.5


def test_row_on_other_cases_is_held_against_the_next_larger_number():
    assert build.ratio(build.speed(RUNS, "int16"), "notebook", "ours", 8) == 0.5 / 0.04


def test_failed_runs_do_not_count():
    runs = [run("ours", 4, 1.0), run("floor", 4, 1.0) | {"fault": "failed, exit 1"}]
    assert build.ratio(runs, "ours", "floor", 4) is None
    assert build.usual(runs) == 4


@pytest.mark.parametrize(
    ("value", "word"),
    [(2.5, "reached"), (2.6, "in part"), (3.0, "in part"), (3.1, "not reached"), (None, "")],
)
def test_aim_with_two_bounds_may_be_reached_in_part(value, word):
    assert build.Aim("time", 3.0, 2.5, value).verdict() == word


def test_bound_from_below_is_kept_by_more():
    aims = [build.Aim("faster", 15.0, 20.0, value, is_least=True) for value in (14, 15, 20)]
    assert [aim.verdict() for aim in aims] == ["not reached", "in part", "reached"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0478, "0.048"), (0.05, "0.050"), (1.25, "1.2"), (24.8, "25"), (0.0, "0.0"), (-3.14, "-3.1"),
     (12057.0, "12,000"), (9.96, "10")],
)  # fmt: skip
def test_two_digits_are_shown(value, shown):
    assert figures.digits(value) == shown


def test_page_without_a_place_is_refused():
    with pytest.raises(ValueError, match="no place for its table"):
        summary.with_table("# Title\n", "| a |")


def test_what_stands_between_the_comments_is_replaced():
    page = f"before\n{summary.START}\n| typed |\n{summary.END}\nafter\n"
    assert summary.with_table(page, "| a |") == (
        f"before\n{summary.START}\n| a |\n{summary.END}\nafter\n"
    )


def test_markdown_of_a_build_has_a_line_for_each_number_of_cases(tmp_path):
    facts = {"command": "python", "machine": {}, "ours": {}, "peers": {}}
    text = write(RUNS, facts, {"int16": 8e6, "float32": 11e6}, tmp_path)
    ours = re.findall(r"^\| \*\*bratsprep build\*\* \| (\d) \| (\d+) ", text, flags=re.MULTILINE)
    assert ours == [("4", "16"), ("4", "48"), ("4", "144"), ("2", "48"), ("4", "48")]
    assert "| TorchIO, saved as .nii | 4 | 48 | 0 | not installed |" in text
    assert "| - its further cases alone |  |  | 18.00 |  |" in text
    assert json.loads((tmp_path / "build.json").read_text())["runs"] == RUNS


def test_peers_are_pinned_to_what_we_use():
    pins = [
        dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / path).read_text(), flags=re.MULTILINE))
        for path in ("constraints.txt", "benchmarks/peers/requirements.txt")
    ]
    shared = pins[0].keys() & pins[1].keys()
    assert {"torch", "numpy", "h5py"} <= shared
    assert {name: pins[0][name] for name in shared} == {name: pins[1][name] for name in shared}


def test_bench_ends_with_the_tables():
    recipe = re.search(r"^bench:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe[1].splitlines()[-1] == "\t$(PY) -m benchmarks.summary"
