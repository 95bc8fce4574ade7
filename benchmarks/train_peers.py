"""The part of `benchmarks.train` that sets our networks beside those of MONAI and smp.

Every network is a process of its own (`peers/train_runner.py`), ours too, and one step is asked of
each in turn, round after round, so that what else the machine does falls on all alike. A family is
our network and those that are like it; ratios are taken within a round.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.train_parts import PRECISIONS

ROOT = Path(__file__).parent.parent
OURS, PLAIN, LAST = "ours", "plain", "channels last"
ROUNDS = 3
PHASE_S = {"cpu": 6.0, "cuda": 5.0}
"""Seconds of rounds at least."""
COMPILING = 2
"""Networks that are compiled at a time, each by one thread."""
Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contestant:
    """A network of somebody."""

    family: str
    name: str
    module: str
    """Runner in `benchmarks.peers`."""
    network: str
    is_ours: bool = False


CONTESTANTS = (
    Contestant("unet", OURS, "train_ours", "unet", is_ours=True),
    Contestant("unet", "MONAI BasicUNet", "train_monai", "basic"),
    Contestant("unet", "smp Unet, VGG-13", "train_smp", "unet"),
    Contestant("unet", "MONAI UNet", "train_monai", "unet"),
    Contestant("attention", OURS, "train_ours", "attention", is_ours=True),
    Contestant("attention", "MONAI AttentionUnet", "train_monai", "attention"),
    Contestant("residual", OURS, "train_ours", "residual", is_ours=True),
    Contestant("residual", "MONAI UNet, 2 residual units", "train_monai", "residual"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What the networks of a group share."""

    kind: str
    precision: str
    width: int
    batch: int
    threads: int


class Runner:
    """A process that holds a network; gives what it was asked for, or why it cannot.

    Args:
        contestant: whose network.
        python: of the environment that has it.
        setting: of its group.
    """

    def __init__(self, contestant: Contestant, python: str, setting: Setting) -> None:
        self.contestant = contestant
        self.layout = LAST if contestant.is_ours else PLAIN
        command = [python, "-m", f"benchmarks.peers.{contestant.module}", contestant.network]
        for name in ("width", "batch", "precision", "threads"):
            command += [f"--{name}", str(getattr(setting, name))]
        command += ["--device", setting.kind, "--layout", self.layout]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=env, text=True
        )
        self.facts: Answer = {}

    def begin(self) -> None:
        """Wait until the network is there, with its size."""
        self.facts = self._answer()

    def ask(self, word: str) -> Answer:
        """Have something done; a runner that has ended answers `missing`."""
        if self._process.poll() is None and self._process.stdin is not None:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _answer(self) -> Answer:
        """The next line of JSON; what a library prints is passed over."""
        for line in self._process.stdout or ():
            if line.startswith("{"):
                found: Answer = json.loads(line)
                return found
        return {"missing": f"failed with exit status {self._process.wait()}"}


def peers(options: argparse.Namespace, kind: str) -> Iterator[Answer]:
    """Steps of each network, ours and the peers', in each precision; eager, then compiled."""
    size = options.sizes[kind][-1]
    for precision in PRECISIONS[kind]:
        setting = Setting(kind, precision, size.width, size.batch_size, options.threads)
        first = precision == PRECISIONS[kind][0]
        is_compiled = options.compile == "all" or (options.compile == "some" and first)
        for family in options.networks:
            yield from group(options, setting, family, is_compiled=is_compiled)


def group(
    options: argparse.Namespace, setting: Setting, family: str, *, is_compiled: bool
) -> Iterator[Answer]:
    """The rows of a family in one precision."""
    mine = [each for each in CONTESTANTS if each.family == family]
    about = {"family": family, "precision": setting.precision, "width": setting.width,
             "batch_size": setting.batch}  # fmt: skip
    if not options.peers:
        for each in mine[1:]:
            yield about | {"network": each.name, "missing": "not measured: no --peers"}
        mine = mine[:1]
    runners = [Runner(each, options.peers or sys.executable, setting) for each in mine]
    try:
        for runner in runners:
            runner.begin()
        for mode in phases(setting.kind, is_compiled=is_compiled):
            yield from (about | row for row in phase(runners, mode, setting.kind))
    finally:
        for runner in runners:
            runner.close()


def phases(kind: str, *, is_compiled: bool) -> Sequence[str]:
    """What is measured one after the other."""
    if not is_compiled:
        return ("eager", LAST)
    return ("eager", LAST, "compiled" if kind == "cuda" or has_compiler() else "no compiler")


def has_compiler() -> bool:
    """Whether torch will find a C++ compiler, without which it compiles nothing for a CPU."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++"))


def phase(runners: list[Runner], mode: str, kind: str) -> list[Answer]:
    """Prepare the networks for a mode, go round, and give a row of each that is in it."""
    if mode == "no compiler":
        return [head(each, mode) | {"missing": mode} for each in runners]
    first = prepared(runners, mode)
    able = [runner for runner, said in zip(runners, first, strict=True) if "missing" not in said]
    rounds = go_round(able, kind)
    rows = []
    for runner, said in zip(runners, first, strict=True):
        row = head(runner, mode) | said
        if runner in able:
            row |= {name: [each[runner][name] for each in rounds] for name in rounds[0][runner]}
            row |= {"against_ours": against(runner, runners[0], rounds)} | runner.ask("memory")
        rows.append(row)
    return rows if mode != LAST else [row for row in rows if row["network"] != OURS]


def against(runner: Runner, ours: Runner, rounds: list[dict[Runner, Answer]]) -> list[float | None]:
    """Seconds a multiply-add of each round, ours = 1; None where ours has none."""

    def cost(each: dict[Runner, Answer], who: Runner) -> float:
        return float(each[who]["seconds"]) / float(who.facts["macs"])

    return [cost(each, runner) / cost(each, ours) if ours in each else None for each in rounds]


def head(runner: Runner, mode: str) -> Answer:
    """What a row begins with."""
    return runner.facts | {
        "network": runner.contestant.name,
        "layout": runner.layout,
        "compiled": mode == "compiled",
    }


def prepared(runners: list[Runner], mode: str) -> list[Answer]:
    """Lay the peers' networks out, or compile all; ours keep the layout that `fit` gives them."""
    if mode == "eager":
        return [each.facts for each in runners]
    if mode == LAST:
        for runner in runners:
            runner.layout = LAST
        return [{} if r.contestant.is_ours else r.ask("lay_channels_last") for r in runners]
    for runner in runners:
        if not runner.contestant.is_ours:
            runner.ask("lay_plain")
            runner.layout = PLAIN
    with ThreadPoolExecutor(COMPILING) as threads:
        return list(threads.map(lambda each: each.ask("compile"), runners))


def go_round(runners: list[Runner], kind: str) -> list[dict[Runner, Answer]]:
    """Have every network step in turn, with the matrix rate at that time."""
    begin, rounds = time.perf_counter(), []
    while len(rounds) < ROUNDS or time.perf_counter() < begin + PHASE_S[kind]:
        rounds.append({each: each.ask("matrix") | each.ask("step") for each in runners})
    return rounds
