"""Commands: what they print, and how they end when something is wrong."""

import json
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner

from bratstrain.apply_config import Convention, Tta
from bratstrain.commands.cli import main
from bratstrain.inference.segment import FLIPS
from bratstrain.scoring.conventions import CONVENTIONS
from tests.helpers import niftis, nnunet_results, runs

CASE = "BraTS2021_00002"


@pytest.fixture
def place(tmp_path):
    runs.write(tmp_path / "run")
    niftis.write_case(tmp_path / "raw", CASE)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_predict_says_where_and_how_much(place):
    done = call("predict", place / "run", place / "raw", "-o", place / "out")
    assert done.exit_code == 0, done.output
    wanted = rf"{place}/out/{CASE}\.nii\.gz: NCR [\d.]+ ml, ED [\d.]+ ml, ET .* \(brats2017\)\n"
    assert re.fullmatch(rf"{wanted}note: run keeps no fingerprints .*\n", done.stdout)


def test_predict_takes_several_runs(place):
    runs.write(place / "other", seed=3)
    done = call("predict", place / "run", place / "other", place / "raw", "-o", place / "out")
    assert done.exit_code == 0, done.output


def test_predict_needs_a_run_and_raw(place):
    done = call("predict", place / "raw", "-o", place / "out")
    assert done.exit_code == 2
    assert "give at least one RUN, and RAW last" in done.stderr


def test_predict_options_arrive(place):
    options = ["--tta", "lr", "--labels", "msd", "--probabilities", "--case", CASE, "--batch", 3]
    done = call("predict", place / "run", place / "raw", "-o", place / "out", *options)
    assert done.exit_code == 0, done.output
    assert "(msd)" in done.stdout
    assert (place / "out" / f"{CASE}_probabilities.nii.gz").is_file()
    again = call("predict", place / "run", place / "raw", "-o", place / "out")
    assert again.exit_code == 1
    assert "replace them with --force" in again.stderr
    forced = call("predict", place / "run", place / "raw", "-o", place / "out", "--force")
    assert forced.exit_code == 0


def test_evaluate_says_the_headline_first(place):
    done = call("evaluate", place / "run", "--raw", place / "raw", "--planes")
    assert done.exit_code == 0, done.output
    first, second, head, *rows = done.stdout.splitlines()
    assert first == "validation of fold 0, split subject: 1 case, every plane, original space"
    assert second.startswith("convention brats;")
    assert head.split()[:4] == ["case", "average", "volume", "Dice"]
    assert rows[0].startswith("mean of classes")
    folder = Path(rows[-1].removeprefix("written to "))
    assert folder.parent == place / "run"
    assert (folder / "planes.csv").is_file()


def test_evaluate_takes_other_conventions(place):
    named = ["--convention", "present", "--convention", "nnunet"]
    done = call("evaluate", place / "run", "--raw", place / "raw", *named)
    assert done.stdout.splitlines()[1].startswith("convention present;")


def test_evaluate_draws_a_figure(place):
    path = place / "cases.png"
    done = call("evaluate", place / "run", "--raw", place / "raw", "--figure", path)
    assert done.exit_code == 0, done.output
    assert path.read_bytes().startswith(b"\x89PNG")


def test_evaluate_scores_files(place):
    done = call("evaluate", "--predictions", place / "raw", "--raw", place / "raw",
                "-o", place / "tables", "--case", CASE)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("label files of raw: 1 case, every plane, original space")
    assert "mean of classes        1.000" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--raw", "raw"], "give a RUN, or --predictions and --raw"),
        (["--predictions", "a"], "give a RUN, or --predictions and --raw"),
        (["--predictions", "a", "--raw", "b", "--tta", "lr"], "--tta: no effect on label files"),
        (
            ["--predictions", "a", "--raw", "b", "--tune-cleanup"],
            "--tune-cleanup: no effect",
        ),
        (["run", "--predictions", "a", "--raw", "b"], "give RUN or --predictions, not both"),
        (["run"], "a slice file, or raw cases: one of them"),
        (["--json"], "--json is for --nnunet-results"),
        (["--nnunet-results", "a", "--raw", "b"], "--raw: no effect on --nnunet-results"),
        (["run", "--nnunet-results", "a"], "RUN: no effect on --nnunet-results"),
    ],
)
def test_evaluate_refuses_what_does_not_go_together(arguments, message):
    done = call("evaluate", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_evaluate_examines_results_of_nnunet(tmp_path):
    rows, subjects = nnunet_results.drawn_rows(0, gain=0.2)
    results = nnunet_results.write_summaries(tmp_path / "results", rows)
    table = tmp_path / "subjects.csv"
    table.write_text("case,subject\n" + "".join(f"{a},{b}\n" for a, b in subjects.items()))
    done = call("evaluate", "--nnunet-results", results, "--subjects", table)
    assert done.exit_code == 0, done.output
    assert (
        "5 folds, 80 cases of 70 persons; persons of 80 cases from the given table" in done.stdout
    )
    record = call("evaluate", "--nnunet-results", results, "--subjects", table, "--json")
    assert json.loads(record.stdout)["subjects"] == 70


def test_results_of_nnunet_that_are_missing_end_with_1(tmp_path):
    done = call("evaluate", "--nnunet-results", tmp_path)
    assert done.exit_code == 1
    assert "holds summaries of 0 folds" in done.stderr


def test_fault_of_the_data_ends_with_1(place):
    done = call("evaluate", place / "raw", "--raw", place / "raw")
    assert done.exit_code == 1
    assert "raw: is no run folder" in done.stderr


def test_export_says_how_well_it_agrees(place):
    done = call("export", place / "run", place / "model.onnx")
    assert done.exit_code == 0, done.output
    assert "opset 18, probabilities within" in done.stdout


@pytest.mark.parametrize(
    ("module", "loads", "extra"),
    [("onnx", "onnx_export", "export"), ("matplotlib.axes", "figure", "plot")],
)
def test_missing_library_is_named_with_what_brings_it(place, monkeypatch, module, loads, extra):
    monkeypatch.setitem(sys.modules, module, None)
    for room in ("inference", "pages"):
        monkeypatch.delitem(sys.modules, f"bratstrain.{room}.{loads}", raising=False)
    arguments = {
        "onnx_export": ["export", place / "run", place / "model.onnx"],
        "figure": ["evaluate", place / "run", "--raw", place / "raw", "--figure", place / "a.png"],
    }[loads]
    done = call(*arguments)
    assert done.exit_code == 1
    assert f"{module.split('.')[0]} is missing; install it with: pip install" in done.stderr
    assert f"'bratsprep[{extra}]'" in done.stderr


@pytest.mark.parametrize("name", ["predict", "evaluate", "export"])
def test_help_has_an_example(name):
    done = call(name, "--help")
    assert re.search(rf"Example:\n +bratstrain {name} ", done.stdout)


def test_choices_are_those_of_the_verbs():
    assert get_args(Tta) == tuple(FLIPS)
    assert get_args(Convention) == tuple(CONVENTIONS)
