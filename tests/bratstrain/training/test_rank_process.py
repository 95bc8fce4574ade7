"""What a rank says to its parent at the end, and its exit code."""

import warnings
from pathlib import Path

import pytest

from bratsprep.errors import BratsError
from bratstrain.config import TrainConfig
from bratstrain.ranks.process_group import LostRankError
from bratstrain.training import rank_process
from bratstrain.training.result import Progress, Run
from bratstrain.training.signals import Stopped

RUN = Run(Path("runs/a"), TrainConfig(), Progress(step=3), "stored planes", False)
PLACE = {"rank": 0, "size": 2, "local": 0, "n_here": 2, "meeting": "file:///x", "starter": "fit"}
TASK = {"place": PLACE, "data": "a.h5", "run": None, "call": {"config": None, "width": 2}}


@pytest.fixture(autouse=True)
def warnings_as_before():
    with warnings.catch_warnings():
        yield


def ended(monkeypatch, what, task=TASK):
    """Exit code and words of a rank whose fit does something."""
    said = []

    def fit_at(place, data, run, *, tell, **call):
        assert (data, run) == ("a.h5", None)
        tell("begins")
        return what(call)

    monkeypatch.setattr(rank_process, "fit_at", fit_at)
    return rank_process.work(task, lambda **entry: said.append(entry)), said


def raising(error):
    def fail(call):
        raise error

    return fail


def test_a_run_is_handed_over(monkeypatch):
    code, said = ended(monkeypatch, lambda call: RUN)
    assert code == 0
    assert said == [{"tell": "begins"}, {"done": RUN.to_plain()}]
    assert Run.from_plain(said[1]["done"]) == RUN


def test_settings_at_once_are_read(monkeypatch):
    given = []
    task = TASK | {"call": {"config": TrainConfig(steps=7).to_json()}}
    ended(monkeypatch, lambda call: given.append(call) or RUN, task)
    assert given == [{"config": TrainConfig(steps=7)}]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Stopped(Path("runs/a"), 5, 15), 143, {"stopped": ["runs/a", 5, 15]}),
        (BratsError("the disk is full"), 1, {"failed": ["BratsError", "the disk is full", []]}),
        (ValueError("batch 5"), 1, {"failed": ["ValueError", "batch 5", []]}),
        (LostRankError("gone"), 1, {"lost": "gone"}),
    ],
)
def test_how_it_ended_is_said(monkeypatch, error, code, words):
    assert ended(monkeypatch, raising(error)) == (code, [{"tell": "begins"}, words])


def test_ctrl_c_before_the_first_step_says_nothing(monkeypatch, capsys):
    assert ended(monkeypatch, raising(KeyboardInterrupt())) == (130, [{"tell": "begins"}])
    assert capsys.readouterr().err == ""


def test_a_fault_of_the_program_shows_its_traceback(monkeypatch, capsys):
    code, said = ended(monkeypatch, raising(RuntimeError("a bug")))
    assert (code, said) == (1, [{"tell": "begins"}])
    assert "RuntimeError: a bug" in capsys.readouterr().err


@pytest.mark.parametrize(("rank", "n_said"), [(0, 1), (1, 0)])
def test_the_first_rank_warns_for_all(monkeypatch, rank, n_said):
    def warn(call):
        warnings.warn("a leak", stacklevel=1)
        return RUN

    task = TASK | {"place": PLACE | {"rank": rank}}
    warnings.simplefilter("default")
    _, said = ended(monkeypatch, warn, task)
    assert said.count({"warn": "a leak"}) == n_said
