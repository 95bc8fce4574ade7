"""The parts of `benchmarks.train`: each gives its rows one by one, as they are measured."""

import argparse
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import answered
from benchmarks.train_ways import Task, compare
from bratstrain.runs.files import LAST, LOG, read_log

ROOT = Path(__file__).parent.parent
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("bf16", "fp16", "fp32")}
"""The first is the one that `fit` takes by itself on a new device of the kind."""
COMPILE = ("none", "some", "all")
"""Compiled networks: none, those beside the peers' in a device's first precision, or all."""
STEPS = {"cpu": 20, "cuda": 200}
"""Of the runs whose losses and weights are compared."""
BARE_S = {"cpu": 2.0, "cuda": 5.0}
"""Seconds of bare steps before `fit`, and after it."""
MINUTES = {"cpu": 0.1, "cuda": 20.0}
"""Of the long fits, unless said."""
SHORT_S = 20.0
"""Seconds of the other fits, at most."""
CHECKPOINT_STEPS = 7
"""Between checkpoints of the run that is killed: seldom where the log has a line."""


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of a network, and whether `fit` is measured at them or only the bare step."""

    width: int
    depth: int
    batch_size: int
    fits: bool


SIZES = {
    "cpu": (Size(8, 3, 4, fits=True), Size(64, 5, 1, fits=False)),
    "cuda": (Size(32, 6, 16, fits=True), Size(64, 5, 16, fits=True)),
}
"""The first is small on a CPU and the default of `fit` on a GPU; 64 x 5 is the full size."""
QUICK = {
    "cpu": (Size(8, 3, 4, fits=True), Size(16, 4, 2, fits=False)),
    "cuda": (Size(32, 6, 16, fits=True),),
}


def asked(task: Task) -> dict[str, Any]:
    """Make a measurement in a process of its own; `missing` says why there is none."""
    return answered(command(task))


def command(task: Task) -> list[str]:
    """Command line of a measurement."""
    return [sys.executable, "-m", "benchmarks.train_ways", json.dumps(asdict(task))]


def fresh(options: argparse.Namespace, name: str) -> str:
    """Path of a run folder that is not there."""
    folder = options.work / "train" / name
    shutil.rmtree(folder, ignore_errors=True)
    return str(folder)


def settings_of(network: str, precision: str, size: Size) -> dict[str, Any]:
    """Settings of `fit` that all parts share."""
    return {
        "model": network,
        "width": size.width,
        "depth": size.depth,
        "batch_size": size.batch_size,
        "precision": precision,
    }


def matrix(options: argparse.Namespace, kind: str) -> Iterator[dict[str, Any]]:
    """The matrix rate of the device in each precision."""
    for precision in PRECISIONS[kind]:
        task = Task("matrix", kind, options.threads, settings={"precision": precision})
        yield {"precision": precision, **asked(task)}


def speed(options: argparse.Namespace, kind: str) -> Iterator[dict[str, Any]]:
    """Bare steps and `fit` of each network, size and precision, compiled too where asked for."""
    long_s = 60 * (MINUTES[kind] if options.minutes is None else options.minutes)
    ways = itertools.product(
        options.sizes[kind],
        options.networks,
        PRECISIONS[kind],
        (False, True)[: 1 + (options.compile == "all")],
    )
    for size, network, precision, is_compiled in ways:
        is_long = size is options.sizes[kind][0] and precision == PRECISIONS[kind][0]
        fit_s = long_s if is_long and not is_compiled else min(SHORT_S, long_s)
        settings = settings_of(network, precision, size) | {"compile": is_compiled}
        task = Task(
            "speed",
            kind,
            options.threads,
            str(options.data),
            fresh(options, "speed"),
            settings=settings,
            seconds=BARE_S[kind] if size.fits else 0.0,
            fit_seconds=fit_s if size.fits else 0.0,
        )
        yield settings | asked(task)


def losses(options: argparse.Namespace, kind: str, settings: dict[str, Any], name: str) -> Task:
    """A run of some steps with one validation, at its end."""
    steps = options.steps or STEPS[kind]
    length = {"steps": steps, "validate_steps": steps, "checkpoint_steps": CHECKPOINT_STEPS}
    run = fresh(options, name)
    data = str(options.data)
    return Task("fit", kind, options.threads, data, run, settings=settings | length)


def agreement(options: argparse.Namespace, kind: str) -> Iterator[dict[str, Any]]:
    """Loss of runs that differ in nothing but the precision."""
    for network, precision in itertools.product(options.networks, PRECISIONS[kind]):
        settings = settings_of(network, precision, options.sizes[kind][0])
        yield settings | asked(losses(options, kind, settings, "agreement"))


def kill(options: argparse.Namespace, kind: str) -> Iterator[dict[str, Any]]:
    """Last weights of a run that was killed and gone on with, beside those of one that was not.

    On a GPU, where sums come in any order, also those of a second one that was not.
    """
    for network in options.networks:
        settings = settings_of(network, PRECISIONS[kind][0], options.sizes[kind][0])
        whole, again, cut = (
            losses(options, kind, settings, name) for name in ("whole", "again", "cut")
        )
        others = {"killed": cut} | ({"repeated": again} if kind == "cuda" else {})
        row = settings | killed(cut) | {"steps": cut.settings["steps"]}
        for task in (whole, *others.values()):
            row |= {name: each for name, each in asked(task).items() if name == "missing"}
        for name, other in others.items():
            row |= {} if "missing" in row else {name: compare(whole.run, other.run)}
        yield row


def killed(task: Task) -> dict[str, Any]:
    """Begin a run and kill it once half of it is in its log; gives the steps that it had logged.

    Where it ended before, `killed_after` is None.
    """
    log = Path(task.run) / LOG
    process = subprocess.Popen(command(task), cwd=ROOT, stdout=subprocess.DEVNULL)
    step = 0
    while process.poll() is None and step < task.settings["steps"] / 2:
        time.sleep(0.01)
        step = max((each["step"] for each in read_log(log)), default=0)
    process.send_signal(signal.SIGKILL)
    is_cut = process.wait() == -signal.SIGKILL and (Path(task.run) / LAST).exists()
    return {"killed_after": step if is_cut else None}


PARTS = {"matrix": matrix, "speed": speed, "agreement": agreement, "kill": kill}
