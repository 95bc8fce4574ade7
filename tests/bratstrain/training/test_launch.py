"""Ranks that are started here: their surroundings, what they say, and how a run is said to end."""

import signal
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from bratsprep.errors import BratsError
from bratstrain.config import Session, TrainConfig
from bratstrain.training import launch
from bratstrain.training.launch import Rank, check_devices, hear, surroundings, verdict
from bratstrain.training.result import Progress, Run
from bratstrain.training.signals import Stopped

WHERE = Path("runs/a")


def ended(number, code, last=None, *, is_killed=False):
    """A rank that has ended with an exit code and some last words."""
    process = SimpleNamespace(returncode=code, poll=lambda: code)
    return Rank(number, process, None, last or {}, is_killed)


@pytest.mark.parametrize(
    ("gpus", "devices"),
    [
        ("", ()),
        ("2", ("cuda:0", "cuda:1")),
        ("1", ("cuda:0",)),
        ("0,2", ("cuda:0", "cuda:2")),
        ("cpu,cpu", ("cpu", "cpu")),
        ("cpu", ("cpu",)),
    ],
)
def test_gpus_are_a_number_or_which(gpus, devices):
    assert Session(gpus=gpus).devices == devices


@pytest.mark.parametrize("gpus", ["0", "a", "2,", ",2", "1.5", "-1", "cuda:1", "0 1", "\u0662"])
def test_gpus_that_are_neither_are_refused(gpus):
    with pytest.raises(ValueError, match="gpus must be a number of GPUs such as 4, or which"):
        Session(gpus=gpus)


def test_a_device_beside_gpus_is_refused():
    with pytest.raises(ValueError, match="device has no effect beside gpus"):
        Session(gpus="2", device="cpu")


@pytest.mark.parametrize("devices", [["cpu", "cuda:0"], ["cuda:1", "cuda:0", "cuda:1"]])
def test_devices_that_cannot_add_up_are_refused(devices):
    with pytest.raises(ValueError, match="on GPUs, each of them once, or on processors alone"):
        check_devices(devices)


def test_ranks_on_a_processor_share_its_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(launch, "cores", lambda: 8)
    assert surroundings(["cpu"] * 3)["OMP_NUM_THREADS"] == "2"
    assert surroundings(["cpu"] * 9)["OMP_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in surroundings(["cuda:0", "cuda:1"])


def test_what_the_user_has_set_stays(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    assert surroundings(["cpu", "cpu"]) == {}


def test_lines_are_told_and_warnings_are_warned():
    ranks, told = [ended(0, 0), ended(1, 0)], []
    hear(ranks, (0, {"tell": "begins"}), told.append)
    with pytest.warns(UserWarning, match="a subject on two sides"):
        hear(ranks, (0, {"warn": "a subject on two sides"}), told.append)
    hear(ranks, (1, {"lost": "gone"}), told.append)
    assert told == ["begins"]
    assert [rank.last for rank in ranks] == [{}, {"lost": "gone"}]


def test_a_run_comes_back_whole():
    run = Run(WHERE, TrainConfig(), Progress(step=3, best_score=0.5), "stored planes", False)
    ranks = [ended(0, 0, {"done": run.to_plain()}), ended(1, 0, {"done": run.to_plain()})]
    assert verdict(ranks, WHERE, 0) == run


def test_a_rank_that_hung_after_all_was_done_changes_nothing():
    run = Run(WHERE, TrainConfig(), Progress(step=3), "stored planes", False)
    ranks = [ended(0, 0, {"done": run.to_plain()}), ended(1, -9, is_killed=True)]
    assert verdict(ranks, WHERE, 0) == run


@pytest.mark.parametrize(
    ("kind", "error"), [("BratsError", BratsError), ("ValueError", ValueError)]
)
def test_the_error_of_the_first_rank_is_raised_once(kind, error):
    ranks = [
        ended(0, 1, {"failed": [kind, "the disk is full", ["free some"]]}),
        ended(1, 1, {"failed": ["BratsError", "the disk is full", []]}),
        ended(2, -9, {"lost": "another rank was lost"}, is_killed=True),
    ]
    with pytest.raises(error, match="the disk is full") as raised:
        verdict(ranks, WHERE, 0)
    assert str(raised.value) == "the disk is full"
    assert raised.value.__notes__ == ["free some"]


def test_a_killed_rank_is_named_with_the_way_on():
    ranks = [ended(0, 1, {"lost": "another rank was lost"}), ended(1, -9)]
    with pytest.raises(BratsError, match=r"runs/a: rank 1 of 2 was ended by SIGKILL; repeat the"):
        verdict(ranks, WHERE, 0)


def test_a_rank_that_crashed_is_named():
    ranks = [ended(0, 1, {"lost": "another rank was lost"}), ended(1, 1)]
    with pytest.raises(BratsError, match=r"rank 1 of 2 failed, see above"):
        verdict(ranks, WHERE, 0)


def test_ranks_that_only_lost_each_other_say_so():
    ranks = [ended(0, 1, {"lost": "another rank was lost"}), ended(1, 1, {"lost": "so it was"})]
    with pytest.raises(BratsError, match="runs/a: another rank was lost"):
        verdict(ranks, WHERE, 0)


def test_stopped_ranks_name_their_step():
    ranks = [ended(number, 143, {"stopped": ["runs/b", 7, 15]}) for number in range(2)]
    with pytest.raises(Stopped, match="runs/b: stopped by SIGTERM after step 7; repeat") as stop:
        verdict(ranks, WHERE, 0)
    assert stop.value.number == signal.SIGTERM


def test_a_signal_before_the_first_step_is_said():
    with pytest.raises(Stopped, match="runs/a: stopped by SIGINT; repeat the command"):
        verdict([ended(0, -2), ended(1, 130)], WHERE, signal.SIGINT)


@pytest.mark.parametrize(
    ("rank", "has_gone"),
    [
        (ended(1, None), False),
        (ended(1, 0), False),  # the first is still writing
        (ended(0, 0), True),
        (ended(1, 143, {"stopped": ["a", 1, 15]}), False),
        (ended(1, -9), True),
        (ended(1, 1), True),
    ],
)
def test_when_the_others_are_not_waited_for_any_longer(rank, has_gone):
    assert rank.has_gone is has_gone


def test_messages_that_came_late_are_heard():
    inbox = SimpleQueue()
    rank = ended(0, 0)
    rank.reader = SimpleNamespace(join=lambda timeout: inbox.put((0, {"lost": "gone"})))
    launch.attend([rank], inbox, SimpleNamespace(number=0), None)
    assert rank.last == {"lost": "gone"}
