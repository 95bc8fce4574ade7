"""The measurements of `benchmarks.train`; one process makes one of them and prints it as JSON.

`python -m benchmarks.train_ways TASK`, where TASK is a `Task` as JSON.
"""

import gc
import json
import sys
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

import bratstrain
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.memory import peak_bytes
from bratstrain.config import TrainConfig
from bratstrain.data.intake import Intake
from bratstrain.data.loader import Loader
from bratstrain.device import DTYPES, choose_device, peak_device_bytes, set_up
from bratstrain.networks.build import build_model
from bratstrain.networks.counts import count_macs, count_parameters
from bratstrain.recipes import configure
from bratstrain.runs.checkpoint import Checkpoint, load
from bratstrain.runs.files import FACTS, LAST, LOG, read_json, read_log
from bratstrain.training.job import dealt
from bratstrain.training.step import Trainer

SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows of the square matrices whose product gives the matrix rate."""
WARM_STEPS = {"cpu": 1, "cuda": 10}
"""Bare steps before the first that counts, in which cuDNN tries its ways; at least 1."""
BLOCK_S = 0.25
"""Seconds of the steps that are timed at a time, since a GPU is only waited for at their end."""
LEAST_STEPS = 30
"""Of a fit; its first ten do not count."""
BACKWARD = 3
"""Operations of a step over those of its forward pass: two products more in each layer."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process is to measure."""

    way: str
    """A name in `WAYS`."""
    device: str
    threads: int
    """Of torch, on a CPU."""
    data: str = ""
    run: str = ""
    """Folder of the run; it is not there yet, or holds a run to go on with."""
    settings: dict[str, Any] = field(default_factory=dict)
    """As `bratstrain.fit` takes them."""
    seconds: float = 0.0
    """Of bare steps; 0 is a single one."""
    fit_seconds: float = 0.0
    """Of `fit`; 0 leaves it out."""


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_rate(task: Task) -> dict[str, float]:
    """Operations a second of the fastest product of two large matrices."""
    device = choose_device(task.device)
    side = SIDES[device.type]
    with set_up(device):
        left, right = (
            torch.randn(side, side, device=device).to(DTYPES[task.settings["precision"]])
            for _ in range(2)
        )
        torch.mm(left, right)
        synchronise(device)
        begin, best = time.perf_counter(), float("inf")
        while time.perf_counter() < begin + 2.0:
            start = time.perf_counter()
            torch.mm(left, right)
            synchronise(device)
            best = min(best, time.perf_counter() - start)
    return {"operations_per_s": 2 * side**3 / best}


def speed(task: Task) -> dict[str, Any]:
    """Bare steps on a resident batch; then `fit`, where it is asked for, and bare steps again."""
    device, config = choose_device(task.device), configure(**task.settings)
    batch = resident(task, config, device)
    model = build_model(config.model)
    found: dict[str, Any] = {
        "parameters": count_parameters(model),
        "operations_per_slice": 2
        * BACKWARD
        * count_macs(model, *batch[0].shape[-3 if config.model.is_volumetric else -2 :]),
        "bare": [bare(task, config, batch)],
        "bare_memory_mb": peak_bytes() / 1e6,
        "bare_device_memory_mb": peak_device_bytes(device) / 1e6,
    }
    if task.fit_seconds:
        free(device)
        steps = round(task.fit_seconds * found["bare"][0]["augmented"] / config.batch_size)
        found["fit"] = fit(task, steps=max(LEAST_STEPS, steps))
        free(device)
        found["bare"].append(bare(task, config, batch))
    return found


def resident(task: Task, config: TrainConfig, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first batch of a run, as a network takes it, on the device: images and labels."""
    with SliceFile(task.data) as file:
        rows = np.arange(len(file))
        plan, _, _ = dealt(file, replace(config, block=config.block or 1), rows, rows[:0])
        with Loader(file, plan, first=0, last=1, threads=1, device=device) as batches:
            batch = next(iter(batches))
        return batch.reading.gather(Intake(file, device)(batch.image, batch.rows), batch.label)


def bare(task: Task, config: TrainConfig, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Slices a second through `Trainer.step`, with augmentation and without, in turn."""
    device = batch[0].device
    kinds = {"augmented": config, "plain": replace(config, augment="none")}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    with set_up(device):
        trainer = Trainer(config, device)
        for step in range(WARM_STEPS[device.type]):
            once = block(trainer, config, batch, range(step, step + 1))
        n = max(1, round(BLOCK_S / once))
        begin = time.perf_counter()
        while not times["plain"] or time.perf_counter() < begin + task.seconds:
            step += n
            for name, kind in kinds.items():
                times[name].append(block(trainer, kind, batch, range(step, step + n)))
    return {name: config.batch_size / median(each) for name, each in times.items()}


def block(
    trainer: Trainer, config: TrainConfig, batch: tuple[Tensor, Tensor], steps: range
) -> float:
    """Seconds a step of some steps on the same batch; only the augmentation may differ."""
    trainer.config = config
    synchronise(trainer.device)
    start = time.perf_counter()
    for step in steps:
        trainer.step(*batch, step, 0.0)
    synchronise(trainer.device)
    return (time.perf_counter() - start) / len(steps)


def free(device: torch.device) -> None:
    """Give back what the last trainer held, so that the next one's peak is its own."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def fit(task: Task, **settings: Any) -> dict[str, Any]:
    """Run `bratstrain.fit`; its own speed and share of waiting, from its log."""
    settings = task.settings | settings
    run = bratstrain.fit(task.data, task.run, device=task.device, **settings)
    records, facts = read_log(run.folder / LOG), read_json(run.folder / FACTS)
    counted = [
        (now["step"] - then["step"], now["seconds"] - then["seconds"], now["wait_share"])
        for then, now in pairwise(records)
        if then["kind"] == now["kind"] == "train"  # no validation between
    ]
    if not counted:
        raise SystemExit("an epoch is too short to be timed; take a slice file with more slices")
    steps, seconds = (sum(each[i] for each in counted) for i in (0, 1))
    n = run.config.batch_size
    return {
        "steps": run.progress.step,
        "seconds": run.progress.used_s,
        "slices_per_s": steps * n / seconds,
        "with_validation": run.progress.step * n / run.progress.used_s,
        "wait_share": sum(share * each for _, each, share in counted) / seconds,
        "memory_mb": facts["peak_memory_mb"],
        "device_memory_mb": facts["peak_gpu_memory_mb"],
        "skipped": run.progress.skipped,
        "loss": {each["step"]: each["loss"] for each in records if each["kind"] == "train"},
    }


def compare(run: str, another: str) -> dict[str, Any]:
    """Hold the last weights of two runs, the averaged ones too, against each other."""
    one, other = (load(Path(folder) / LAST, Checkpoint) for folder in (run, another))
    largest, is_same = 0.0, True
    for mine, theirs in ((one.network, other.network), (one.average, other.average)):
        for name, value in mine.items():
            is_same &= torch.equal(value, theirs[name])
            largest = max(largest, float((value.double() - theirs[name].double()).abs().max()))
    return {"same_bits": is_same, "largest_difference": largest}


WAYS = {"matrix": matrix_rate, "speed": speed, "fit": fit}


def main() -> None:
    """Make one measurement."""
    task = Task(**json.loads(sys.argv[1]))
    torch.set_num_threads(task.threads)
    sys.stdout.write(f"{json.dumps(WAYS[task.way](task))}\n")


if __name__ == "__main__":
    main()
