"""The measurements of `benchmarks.gpu` that `benchmarks.train_ways` has not.

`python -m benchmarks.gpu_ways TASK` makes one and prints it as JSON; TASK is JSON, too.
"""

import json
import os
import socket
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import nibabel
import numpy as np
import torch

import bratstrain
from benchmarks.train_ways import Task, fit, synchronise
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.loader import Loader
from bratstrain.data.sampler import make_plan
from bratstrain.device import choose_device, peak_device_bytes

LOADED_S: Final = {"cuda": 3.0, "cpu": 0.1}
"""Seconds that the loader is measured for."""
BATCH: Final = 16
WARM_BATCHES: Final = 8
"""Batches before the first that counts: threads start, and the ring is filled."""
APPLY_CASES: Final = 2
"""That are predicted, on a GPU and on a CPU."""
APPLY_STEPS: Final = {"cuda": 200, "cpu": 2}
"""Of the run that is applied."""


def loader(task: dict[str, Any]) -> dict[str, float]:
    """Slices a second that arrive on the device, through page-locked memory on a GPU."""
    device = choose_device(task["device"])
    with SliceFile(task["data"]) as file:
        plan = make_plan(np.arange(len(file)), file.slices["voxels"], BATCH)
        with Loader(
            file, plan, first=0, last=1 << 30, threads=task["threads"], device=device
        ) as batches:
            stream = iter(batches)
            for _ in range(WARM_BATCHES):
                next(stream)
            synchronise(device)
            count, begin = 0, time.perf_counter()
            for batch in stream:
                count += len(batch.rows)
                if time.perf_counter() - begin > LOADED_S[device.type]:
                    break
            synchronise(device)
            return {"slices_per_s": count / (time.perf_counter() - begin)}


def batch(task: dict[str, Any]) -> dict[str, Any]:
    """The batch that fits by itself, and the memory of a step of it."""
    settings = {"model": task["model"], "batch_size": 0, "steps": 2}
    done = bratstrain.fit(task["data"], task["run"], device=task["device"], **settings)
    device = choose_device(task["device"])
    return {
        "batch_size": done.config.batch_size,
        "device_memory_mb": peak_device_bytes(device) / 1e6,
    }


def apply(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds a case of `predict` and `evaluate`, and how far a CPU gives the same labels."""
    kind, run = task["device"], Path(task["run"])
    bratstrain.fit(task["data"], run, device=kind, steps=APPLY_STEPS[kind], **task["settings"])
    found: dict[str, Any] = {}
    folders = {}
    with SliceFile(task["data"]) as file:
        cases = file.cases["id"][:APPLY_CASES].astype(str).tolist()
    for device in dict.fromkeys((kind, "cpu") if task["on_cpu"] else (kind,)):
        folder = folders[device] = run / f"predicted-{device}"
        begin = time.perf_counter()
        bratstrain.predict(run, task["raw"], folder, cases=cases, device=device, force=True)
        found[f"predict_s_{device}"] = (time.perf_counter() - begin) / len(cases)
    begin = time.perf_counter()
    report = bratstrain.evaluate(run, raw=task["raw"], split="all", device=kind)
    found["evaluate_s"] = (time.perf_counter() - begin) / len(report.scores)
    if len(folders) > 1:
        found["same_as_cpu"] = agreement(folders[kind], folders["cpu"])
    return found


def agreement(one: Path, other: Path) -> float:
    """Share of labelled voxels, in either, that two folders of predictions have alike."""
    same = labelled = 0
    for path in sorted(one.glob("*.nii.gz")):
        mine, theirs = (
            np.asarray(nibabel.load(folder / path.name).dataobj) for folder in (one, other)
        )
        either = (mine > 0) | (theirs > 0)
        labelled += int(either.sum())
        same += int((mine[either] == theirs[either]).sum())
    return same / max(labelled, 1)


def score(task: dict[str, Any]) -> dict[str, float]:
    """Best validation score of a run."""
    done = bratstrain.fit(task["data"], task["run"], device=task["device"], **task["settings"])
    return {"score": done.progress.best_score, "seconds": done.progress.used_s}


def sitting(task: dict[str, Any]) -> dict[str, float]:
    """Slices a second of `fit`, alone or as the only rank of a group."""
    if task["is_rank"]:
        os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        os.environ["MASTER_PORT"] = str(free_port())
    asked = Task("fit", task["device"], 1, task["data"], task["run"], settings=task["settings"])
    return {"slices_per_s": fit(asked)["slices_per_s"]}


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


WAYS: Final = MappingProxyType(
    {each.__name__: each for each in (loader, batch, apply, score, sitting)}
)


def main() -> None:
    """Make one measurement."""
    task = json.loads(sys.argv[1])
    torch.manual_seed(0)
    sys.stdout.write(f"{json.dumps(WAYS[task['way']](task))}\n")


if __name__ == "__main__":
    main()
