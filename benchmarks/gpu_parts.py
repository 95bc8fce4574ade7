"""The parts of `benchmarks.gpu`, in the order of their worth; each gives its rows one by one."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks import train_parts
from benchmarks.machine import answered
from benchmarks.train_parts import PRECISIONS, ROOT, Size, asked, fresh, settings_of
from benchmarks.train_ways import Task
from bratstrain.device import cores

Rows = Iterator[dict[str, Any]]
BARE_S: Final = {"cuda": 1.5, "cpu": 0.05}
"""Seconds of bare steps before `fit`, and after it."""
FIT_S: Final = {"cuda": 6.0, "cpu": 0.1}
RATES: Final = {"cuda": (1e-3, 2.5e-3, 5e-3, 1e-2), "cpu": (5e-3,)}
"""Learning rates that are compared at the same number of steps."""
RATE_STEPS: Final = {"cuda": 2000, "cpu": 2}
LOADER_THREADS: Final = {"cuda": (1, 2, 4), "cpu": (1,)}
KILL_STEPS: Final = {"cuda": 200, "cpu": 20}
HUGE_BATCH: Final = 1 << 14
"""Slices that no GPU has room for."""
_COUNTS: Final = re.compile(r"(\d+) (passed|failed|skipped|error)")


@dataclass(frozen=True, slots=True)
class Kit:
    """What is measured, and on what."""

    kind: str
    """`cuda`, or `cpu` in a dry run."""
    data: Path
    raw: Path
    work: Path
    networks: tuple[str, ...]
    size: Size

    @property
    def precisions(self) -> tuple[str, ...]:
        """What is measured, the default of a new device first; half precision crawls on a CPU."""
        return PRECISIONS[self.kind] if self.kind == "cuda" else ("fp32",)

    @property
    def options(self) -> argparse.Namespace:
        """The same as the parts of `benchmarks.train` take it."""
        return argparse.Namespace(
            data=self.data,
            work=self.work,
            networks=self.networks,
            sizes={self.kind: (self.size,)},
            threads=cores(),
            steps=KILL_STEPS[self.kind],
        )

    def settings(self, network: str, precision: str) -> dict[str, Any]:
        """Settings of `fit` for a network at the kit's size."""
        return settings_of(network, precision, self.size)


def tests(kit: Kit) -> Rows:
    """The tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in _COUNTS.findall(done.stdout)}
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    yield {"exit": done.returncode, **counts, "failures": failed}


def matrix(kit: Kit) -> Rows:
    """The matrix rate of the device in each precision."""
    for precision in kit.precisions:
        task = Task("matrix", kit.kind, cores(), settings={"precision": precision})
        yield {"precision": precision, **asked(task)}


def speed(kit: Kit) -> Rows:
    """Bare steps of each network and precision; in the first, also `fit` and compiled steps."""
    for network in kit.networks:
        for precision in kit.precisions:
            is_first = precision == kit.precisions[0]
            for is_compiled in (False, True)[: 1 + (is_first and kit.kind == "cuda")]:
                settings = kit.settings(network, precision) | {"compile": is_compiled}
                fit_s = FIT_S[kit.kind] if is_first and not is_compiled else 0.0
                task = Task(
                    "speed",
                    kit.kind,
                    cores(),
                    str(kit.data),
                    fresh(kit.options, "gpu-speed"),
                    settings=settings,
                    seconds=BARE_S[kit.kind],
                    fit_seconds=fit_s,
                )
                yield settings | asked(task)


def loader(kit: Kit) -> Rows:
    """Slices a second from the file to the device, by reading threads."""
    for threads in LOADER_THREADS[kit.kind]:
        yield {"threads": threads, **way(kit, "loader", threads=threads)}


def kill(kit: Kit) -> Rows:
    """A run that is killed and resumed, beside one that is not."""
    return train_parts.kill(kit.options, kit.kind)


def memory(kit: Kit) -> Rows:
    """The batch that `--batch auto` finds, and what a batch that is too large says."""
    if kit.kind != "cuda":
        yield {"missing": "not measured: needs a GPU"}
        return
    for network in kit.networks:
        yield {"network": network, **way(kit, "batch", model=network)}
    command = [sys.executable, "-m", "bratstrain", "fit", str(kit.data), "--steps", "1"]
    command += ["--batch", str(HUGE_BATCH), "--run", fresh(kit.options, "gpu-full")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines() or [""]
    yield {"batch": HUGE_BATCH, "exit": done.returncode, "message": said[-1]}


def apply(kit: Kit) -> Rows:
    """`predict` and `evaluate` on the device, and with the same run on a CPU."""
    run = fresh(kit.options, "gpu-apply")
    settings = kit.settings(kit.networks[-1], kit.precisions[0])
    yield {"network": kit.networks[-1], **way(kit, "apply", run=run, **settings)}


def rates(kit: Kit) -> Rows:
    """Validation score of runs that differ in nothing but the learning rate."""
    for rate in RATES[kit.kind]:
        settings = kit.settings(kit.networks[-1], kit.precisions[0])
        length = {"steps": RATE_STEPS[kit.kind], "learning_rate": rate}
        run = fresh(kit.options, "gpu-rate")
        yield length | way(kit, "score", run=run, **settings, **length)


def way(kit: Kit, name: str, **settings: Any) -> dict[str, Any]:
    """Make a measurement of `benchmarks.gpu_ways` in a process of its own."""
    task = {"way": name, "device": kit.kind, "data": str(kit.data), "raw": str(kit.raw)}
    return answered([sys.executable, "-m", "benchmarks.gpu_ways", json.dumps(task | settings)])


PARTS: Final[MappingProxyType[str, Callable[[Kit], Rows]]] = MappingProxyType(
    {each.__name__: each for each in (tests, matrix, speed, loader, memory, kill, apply, rates)}
)
