"""The parts of `benchmarks.gpu`, in the order of their worth; each gives its rows one by one."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from benchmarks import train_parts
from benchmarks.machine import answered
from benchmarks.train_parts import PRECISIONS, ROOT, Size, asked, fresh, settings_of
from benchmarks.train_ways import Task
from bratstrain.config import VOLUME_MODELS
from bratstrain.device import cores

Rows = Iterator[dict[str, Any]]
BARE_S: Final = {"cuda": 1.5, "cpu": 0.05}
"""Seconds of bare steps before `fit`, and after it."""
FIT_S: Final = {"cuda": 6.0, "cpu": 0.1}
RATES: Final = {"cuda": (1e-3, 2.5e-3, 5e-3, 1e-2), "cpu": (5e-3,)}
"""Learning rates that are compared at the same number of steps."""
RATE_STEPS: Final = {"cuda": 2000, "cpu": 2}
VOLUMES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    "cuda": (
        {"model": "residual", "context": 3, "width": 32, "depth": 6, "batch_size": 16},
        {"model": "residual3d"},
        {"model": "unet3d"},
        {"model": "attention3d"},
    ),
    "cpu": (
        {"model": "residual", "context": 3, "width": 4, "depth": 3, "batch_size": 4},
        {"model": "unet3d", "width": 4, "depth": 3, "patch": "8x16x16", "batch_size": 2},
    ),
}
"""Settings of networks that see more than a plane: the defaults of `fit`, and small ones."""
RANK_STEPS: Final = {"cuda": 1000, "cpu": 40}
RANK_TURNS: Final = {"cuda": 2, "cpu": 1}
MARK: Final = "mark.gpu"
NO_PLUGINS: Final = ("-p", "no:cacheprovider", "-p", "no:benchmark")
"""pytest-benchmark, where a machine has it, warns of parallel tests, and warnings are errors."""
LOADER_THREADS: Final = {"cuda": (1, 2, 4), "cpu": (1,)}
KILL_STEPS: Final = {"cuda": 200, "cpu": 20}
HUGE: Final = {"--batch": 1 << 12, "--width": 128}
"""A batch that no GPU has room for, though the memory of the machine has."""
_COUNTS: Final = re.compile(r"(\d+) (passed|failed|skipped|error)")


@dataclass(frozen=True, slots=True)
class Kit:
    """What is measured, and on what."""

    kind: str
    """`cuda`, or `cpu` in a dry run."""
    data: Path
    raw: Path
    brain: Path | None
    """Slice file of every plane with brain, which patches and neighbours are cut from."""
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
    """The tests that need a GPU; other files may import what is not there."""
    files = [str(file) for file in (ROOT / "tests").rglob("test_*.py") if MARK in file.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", *NO_PLUGINS, *files]
    if find_spec("xdist"):
        command += ["--numprocesses", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in _COUNTS.findall(done.stdout)}
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode:
        sys.stderr.write(done.stdout)
    yield {"exit": done.returncode, **counts, "failures": failed}


def matrix(kit: Kit) -> Rows:
    """The matrix rate of the device in each precision."""
    for precision in kit.precisions:
        task = Task("matrix", kit.kind, cores(), settings={"precision": precision})
        yield {"precision": precision, **asked(task)}


def speed(kit: Kit) -> Rows:
    """Bare steps of each network in the first precision, and `fit`."""
    for network in kit.networks:
        settings = kit.settings(network, kit.precisions[0]) | {"compile": False}
        yield settings | asked(speed_task(kit, kit.data, settings, fits=True))


def variants(kit: Kit) -> Rows:
    """Bare steps of each network compiled, and in the other precisions."""
    ways = [(precision, False) for precision in kit.precisions[1:]]
    if kit.kind == "cuda":
        ways.insert(0, (kit.precisions[0], True))
    for precision, is_compiled in ways:
        for network in kit.networks:
            settings = kit.settings(network, precision) | {"compile": is_compiled}
            yield settings | asked(speed_task(kit, kit.data, settings, fits=False))


def speed_task(kit: Kit, data: Path, settings: dict[str, Any], *, fits: bool) -> Task:
    """The task of some bare steps, and of `fit` where it is asked for."""
    return Task(
        "speed",
        kit.kind,
        cores(),
        str(data),
        fresh(kit.options, "gpu-speed"),
        settings=settings,
        seconds=BARE_S[kit.kind],
        fit_seconds=FIT_S[kit.kind] if fits else 0.0,
    )


def volumes(kit: Kit) -> Rows:
    """Steps and `fit` of networks that see more than a plane, in the first precision."""
    if kit.brain is None:
        yield {"missing": "not measured: needs --brain, a slice file of every plane with brain"}
        return
    for model in VOLUMES[kit.kind]:
        settings = {"precision": kit.precisions[0], "compile": False} | model
        yield settings | asked(speed_task(kit, kit.brain, settings, fits=True))


def ranks(kit: Kit) -> Rows:
    """`fit` alone and as the only rank of a group, in turn: what a group costs by itself."""
    settings = kit.settings(kit.networks[-1], kit.precisions[0])
    length = {"steps": RANK_STEPS[kit.kind], "validate_steps": RANK_STEPS[kit.kind]}
    for is_rank in (False, True) * RANK_TURNS[kit.kind]:
        run = fresh(kit.options, "gpu-rank")
        found = way(kit, "sitting", run=run, is_rank=is_rank, settings=settings | length)
        yield {"group": "of one" if is_rank else "none", **found}


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
        run = fresh(kit.options, "gpu-batch")
        yield {"network": network, **way(kit, "batch", model=network, run=run)}
    command = [sys.executable, "-m", "bratstrain", "fit", str(kit.data), "--steps", "1"]
    command += [str(word) for pair in HUGE.items() for word in pair]
    command += ["--run", fresh(kit.options, "gpu-full")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines() or [""]
    yield {**HUGE, "exit": done.returncode, "message": said[-1]}


def apply(kit: Kit) -> Rows:
    """`predict` and `evaluate` on the device, and with the same run on a CPU."""
    precision = kit.precisions[0]
    runs = [(kit.data, kit.settings(kit.networks[-1], precision))]
    if kit.brain is not None and kit.kind == "cuda":
        runs.append((kit.brain, {"model": VOLUME_MODELS[-1], "precision": precision}))
    for data, settings in runs:
        on_cpu = data == kit.data  # which a volume of full size takes too long on
        run = fresh(kit.options, "gpu-apply")
        found = way(kit, "apply", data=str(data), run=run, settings=settings, on_cpu=on_cpu)
        yield {"network": settings["model"], **found}


def rates(kit: Kit) -> Rows:
    """Validation score of runs that differ in nothing but the learning rate."""
    for rate in RATES[kit.kind]:
        settings = kit.settings(kit.networks[-1], kit.precisions[0])
        length = {"steps": RATE_STEPS[kit.kind], "learning_rate": rate}
        run = fresh(kit.options, "gpu-rate")
        yield length | way(kit, "score", run=run, settings=settings | length)


def way(kit: Kit, name: str, **settings: Any) -> dict[str, Any]:
    """Make a measurement of `benchmarks.gpu_ways` in a process of its own."""
    task = {"way": name, "device": kit.kind, "data": str(kit.data), "raw": str(kit.raw)}
    return answered([sys.executable, "-m", "benchmarks.gpu_ways", json.dumps(task | settings)])


PARTS: Final[MappingProxyType[str, Callable[[Kit], Rows]]] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            tests,
            matrix,
            speed,
            volumes,
            loader,
            memory,
            kill,
            apply,
            ranks,
            rates,
            variants,
        )
    }
)
