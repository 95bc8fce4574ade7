"""A cross-validation: one table over all cases, resumable as a whole, and an ensemble."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratstrain.commands.cli import main
from bratstrain.evaluation.tables import EVERYTHING
from bratstrain.runs.ensemble import runs_of
from bratstrain.scoring.aggregate import summarise
from bratstrain.studies import crossvalidator
from bratstrain.studies.side_by_side import StoppedFolds, fit_side_by_side
from tests.helpers import forks
from tests.helpers.fitfiles import one_thread  # noqa: F401  for every test here

SETTINGS = {"width": 2, "depth": 2, "steps": 4, "batch_size": 4, "device": "cpu"}
OPTIONS = ["--width", "2", "--depth", "2", "--steps", "4", "--batch", "4"]
N_FOLDS = 3


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three raw cases, each of another person, and their slice file."""
    folder = tmp_path_factory.mktemp("data")
    raw = bratsprep.phantoms(folder / "raw", cases=N_FOLDS, shape=(32, 32, 16), workers=1)
    bratsprep.build(raw, folder / "data.h5", crop="32x32", workers=1)
    return folder / "data.h5", raw


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A finished cross-validation that nothing disturbed."""
    return bratstrain.crossval(*data, tmp_path_factory.mktemp("whole") / "cv", **SETTINGS)


def rows_of(folder):
    """Rows of the table out of fold, as they were written."""
    return json.loads((folder / "out-of-fold" / EVERYTHING).read_text())["rows"]


def weights_of(folder):
    """Weights of the best validation of every fold."""
    return [
        torch.load(run / "best.pt", weights_only=True)["network"]
        for run in sorted(folder.glob("fold-*"))
    ]


def check_same(folder, other):
    """Same weights and rows to the bit."""
    assert rows_of(folder) == rows_of(other)
    for ours, theirs in zip(weights_of(folder), weights_of(other), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_table_is_that_of_the_fits_joined_by_hand(data, whole):
    scores = []
    for fold in range(N_FOLDS):
        report = bratstrain.evaluate(whole.folder / f"fold-{fold}", raw=data[1])
        scores += report.scores
    scores.sort(key=lambda case: case.case)
    by_hand = summarise(
        scores,
        cases=f"out of fold, {N_FOLDS} folds, split subject",
        planes=whole.report.table.planes,
        conventions=whole.report.conventions,
    )
    assert whole.report.table.to_rows() == by_hand.to_rows()
    assert rows_of(whole.folder) == json.loads(json.dumps(by_hand.to_rows()))


def test_every_case_is_scored_once_by_a_network_that_has_not_seen_it(data, whole):
    with bratsprep.open(data[0]) as file:
        assert [case.case for case in whole.report.scores] == sorted(map(str, file.cases["id"]))
    for fold in range(N_FOLDS):
        split = json.loads((whole.folder / f"fold-{fold}" / "split.json").read_text())
        assert set(split["train"]).isdisjoint(split["validation"])
    assert whole.report.repeats.n_cases == N_FOLDS


def test_the_same_call_finds_everything_finished(data, whole, monkeypatch):
    monkeypatch.setattr(crossvalidator, "fit_at", None)
    monkeypatch.setattr("bratstrain.evaluation.kept_scores.evaluate_opened", None)
    again = bratstrain.crossval(*data, whole.folder, **SETTINGS)
    assert again.report.table.to_rows() == whole.report.table.to_rows()


def test_folds_done_apart_give_the_same_as_together(data, whole, tmp_path):
    part = bratstrain.crossval(*data, tmp_path / "cv", folds="2", **SETTINGS)
    assert part.report is None
    assert part.missing == (0, 1)
    assert "--folds 0,1" in part.lines()[0]
    rest = bratstrain.crossval(*data, tmp_path / "cv", folds="1,0", **SETTINGS)
    assert rest.missing == ()
    assert "without --folds for the table" in rest.lines()[0]
    bratstrain.crossval(*data, tmp_path / "cv", **SETTINGS)
    check_same(tmp_path / "cv", whole.folder)


def test_the_page_shows_folds_and_scores(whole):
    text = whole.page.read_text()
    for fold in range(N_FOLDS):
        assert f"fold-{fold}" in text
    assert "out of fold, 3 folds, split subject: 3 cases" in text


def test_the_folder_predicts_as_its_folds_do_together(data, whole, tmp_path):
    case = "BRATS_001"
    for name, runs in (("one", whole.folder), ("many", runs_of(whole.folder))):
        bratstrain.predict(runs, data[1], tmp_path / name, cases=[case], device="cpu")
    ours, theirs = (
        np.asanyarray(nib.load(next((tmp_path / name).glob("*.nii.gz"))).dataobj)
        for name in ("one", "many")
    )
    np.testing.assert_array_equal(ours, theirs)
    assert len(runs_of(whole.folder)) == N_FOLDS


def test_the_folder_knows_every_case_as_trained_on(data, whole, tmp_path):
    report = bratstrain.evaluate(whole.folder, raw=data[1], split="all", out=tmp_path / "tables")
    assert sorted(report.twins) == [case.case for case in report.scores]
    with pytest.raises(BratsError, match="split has no validation cases"):
        bratstrain.evaluate(whole.folder, raw=data[1], out=tmp_path / "tables")


@pytest.mark.slow
def test_the_folder_is_exported_as_the_mean_of_its_networks(whole, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra export is not installed")
    bratstrain.export(whole.folder, tmp_path / "mean.onnx")
    bratstrain.export(whole.folder / "fold-0", tmp_path / "one.onnx")
    sizes = [(tmp_path / name).stat().st_size for name in ("one.onnx", "mean.onnx")]
    assert sizes[1] > 1.5 * sizes[0]


def test_an_ensemble_without_one_of_its_folds_is_refused(whole, tmp_path):
    shutil.copytree(whole.folder, tmp_path / "cv")
    (tmp_path / "cv" / "fold-1" / "best.pt").unlink()
    with pytest.raises(BratsError, match=r"fold-1 of the ensemble has no best\.pt"):
        runs_of(tmp_path / "cv")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": "0,x"}, "folds must be numbers such as 0,2"),
        ({"folds": "0,3"}, "fold 3 does not exist, folds are counted from 0: 0,1,2"),
        ({"gpus": "a"}, "gpus must be a number of GPUs such as 4, or which such as 0,2"),
        ({"gpus": "1", "device": "cpu"}, "device has no effect beside gpus"),
        ({"fold": 1}, "name some of them with folds"),
        ({"split": "slice"}, "split slice puts a case into several folds"),
        ({"labels": "nothing"}, "nothing"),
    ],
)
def test_what_is_not_allowed_is_refused_before_anything_is_fitted(
    data, tmp_path, settings, message
):
    with pytest.raises(ValueError, match=message):
        bratstrain.crossval(*data, tmp_path / "cv", steps=4, **settings)
    assert not (tmp_path / "cv" / "fold-0").exists()


def test_a_case_that_two_folds_hold_out_is_refused(data, tmp_path):
    fold = {"train": ["BRATS_002", "BRATS_003"], "validation": ["BRATS_001"]}
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([fold, fold]))
    with pytest.raises(BratsError, match="case BRATS_001 is validated on in two folds"):
        bratstrain.crossval(*data, tmp_path / "cv", split=str(path), **SETTINGS)


def test_a_single_fold_is_no_cross_validation(data, tmp_path):
    fold = {"train": ["BRATS_002", "BRATS_003"], "validation": ["BRATS_001"]}
    path = tmp_path / "splits.json"
    path.write_text(json.dumps([fold]))
    with pytest.raises(BratsError, match="holds 1 folds"):
        bratstrain.crossval(*data, tmp_path / "cv", split=str(path), **SETTINGS)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_folds_side_by_side_give_the_same_as_in_turn(data, whole, tmp_path):
    settings = {name: value for name, value in SETTINGS.items() if name != "device"}
    bratstrain.crossval(*data, tmp_path / "cv", gpus="cpu,cpu", **settings)
    check_same(tmp_path / "cv", whole.folder)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_a_fold_that_fails_is_named_and_the_others_are_fitted(data, tmp_path, capfd):
    good, bad = tmp_path / "fold-0", tmp_path / "fold-1"
    runs = {run: {**SETTINGS, "fold": fold} for fold, run in enumerate((good, bad))}
    bad.mkdir()
    (bad / "mine.txt").write_text("x")
    with pytest.raises(BratsError, match=r"fold-1 of .* failed, see above"):
        fit_side_by_side(data[0], runs, ["cpu#0"], lambda line: None)
    assert (good / "best.pt").is_file()
    assert "fold-1: " in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_a_signal_stops_every_fold_at_a_checkpoint(data, tmp_path):
    command = [
        sys.executable, "-m", "bratstrain", "crossval", str(data[0]), "--raw", str(data[1]),
        "-o", str(tmp_path / "cv"), "--gpus", "cpu,cpu", "--width", "2", "--depth", "2",
        "--steps", "100000", "--batch", "4",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    logs = [tmp_path / "cv" / f"fold-{fold}" / "log.jsonl" for fold in (0, 1)]
    while not all(log.exists() and log.stat().st_size for log in logs):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM; repeat the command to resume" in said
    assert all((log.parent / "last.pt").is_file() for log in logs)


def test_the_number_of_the_signal_is_kept(tmp_path):
    assert StoppedFolds(tmp_path, signal.SIGINT).number == signal.SIGINT


@pytest.mark.slow
def test_killed_three_times_it_ends_as_undisturbed(data, whole, tmp_path):
    words = [
        "crossval", str(data[0]), "--raw", str(data[1]), "-o", str(tmp_path / "cv"),
        "--device", "cpu", "--checkpoint-steps", "1", *OPTIONS,
    ]  # fmt: skip
    generator = random.Random(16)  # noqa: S311  no secret
    for _ in range(3):
        n_before = len([*tmp_path.rglob("*.json*")])
        process = forks.begin(forks.commanding, words)
        n_more = generator.randrange(1, 6)
        while process.is_alive() and len([*tmp_path.rglob("*.json*")]) < n_before + n_more:
            time.sleep(0.005)
        forks.kill(process)
    assert CliRunner().invoke(main, words).exit_code == 0
    check_same(tmp_path / "cv", whole.folder)
