"""`benchmarks.train` beside the peers: who is set beside whom, and what its table says."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import train_peers
from benchmarks.train_peers import CONTESTANTS, against, group, phases
from benchmarks.train_table import BESIDE, beside
from bratstrain.config import MODELS

ROOT = Path(__file__).parent.parent.parent
SIZE = {"family": "unet", "network": "ours", "precision": "fp32", "width": 2, "batch_size": 2}
ROW = SIZE | {
    "layout": "channels last",
    "compiled": False,
    "parameters": 2_500_000,
    "macs": 1_000_000_000,
    "first_s": 3.2,
    "seconds": [2.0, 4.0, 2.0],
    "operations_per_s": [1e10, 1e10, 2e10],
    "against_ours": [1.0, 3.0, 2.0],
    "memory_mb": 512.0,
    "device_memory_mb": 0.0,
}


def cells(row):
    return dict(zip(BESIDE, beside([row])[2].strip("| ").split(" | "), strict=False))


def test_every_network_of_ours_begins_its_family():
    first = {each.family: each for each in reversed(CONTESTANTS)}
    assert list(reversed(first)) == list(MODELS)
    assert all(each.is_ours for each in first.values())
    assert sum(each.is_ours for each in CONTESTANTS) == len(MODELS)


def test_table_says_rates_shares_and_ratios():
    said = cells(ROW)
    assert said["slices/s"] == "1"
    assert said["share of matrix rate"] == "30%"  # 2 x 6e9 operations: 60, 30 and 30 %
    assert said["time a multiply-add, ours = 1"] == "2.00"
    assert said["M parameters"] == "2.50"
    assert said["MB, host / GPU"].strip() == "512"


def test_table_says_why_a_row_is_missing():
    assert "not measured: no --peers" in beside([SIZE | {"missing": "not measured: no --peers"}])[2]


class Runner:
    """Stands for a process whose network has so many multiply-adds."""

    def __init__(self, macs):
        self.facts = {"macs": macs}


def test_time_a_multiply_add_is_taken_within_a_round():
    ours, other = Runner(10), Runner(20)
    rounds = [
        {ours: {"seconds": 1.0}, other: {"seconds": 1.0}},
        {ours: {"seconds": 2.0}, other: {"seconds": 8.0}},
        {other: {"seconds": 1.0}},
    ]
    assert against(other, ours, rounds) == [0.5, 2.0, None]


@pytest.mark.parametrize(
    ("kind", "compilers", "last"),
    [("cpu", [], "no compiler"), ("cpu", ["g++"], "compiled"), ("cuda", [], "compiled")],
)
def test_without_a_compiler_a_cpu_compiles_nothing(monkeypatch, kind, compilers, last):
    monkeypatch.setattr(train_peers.shutil, "which", lambda name: name in compilers or None)
    assert phases(kind, is_compiled=True)[-1] == last


def test_nothing_is_compiled_unasked():
    assert phases("cuda", is_compiled=False) == ("eager", "channels last")


@pytest.mark.slow
def test_our_networks_step_without_the_peers(monkeypatch):
    monkeypatch.setattr(train_peers, "PHASE_S", {"cpu": 0.0})
    setting = train_peers.Setting("cpu", "fp32", 2, 1, 1)
    rows = list(group(SimpleNamespace(peers=""), setting, "attention", is_compiled=False))
    assert [row.get("missing") for row in rows] == ["not measured: no --peers", None]
    assert rows[1]["against_ours"] == [1.0] * len(rows[1]["seconds"])
    assert all(seconds > 0 for seconds in rows[1]["seconds"])


@pytest.mark.slow
def test_runner_answers_each_line_with_one():
    command = [sys.executable, "-m", "benchmarks.peers.train_ours", "unet", "--width", "2"]
    command += ["--batch", "1", "--precision", "fp32", "--layout", "plain", "--device", "cpu"]
    asked = "step\nlay_channels_last\nmatrix\nmemory\n"
    done = subprocess.run(
        [*command, "--threads", "1"], input=asked, capture_output=True, text=True, check=True,
        cwd=ROOT,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    names = ("macs", "seconds", "first_s", "operations_per_s", "memory_mb")
    assert all(answer[name] > 0 for answer, name in zip(answers, names, strict=True))
