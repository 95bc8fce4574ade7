"""Two small runs and their raw cases, for pages: weights are drawn, the log is made up."""

import json
from dataclasses import replace

import numpy as np

from tests.helpers import niftis, runs

CASES = ("BraTS2021_00001", "BraTS2021_00002", "BraTS2021_00003")
SPLIT = replace(runs.SPLIT, train=(), validation=CASES[:2], test=CASES[2:])
FACTS = {
    "used_s": 90.0, "waited_s": 0.9, "peak_memory_mb": 321.4, "peak_gpu_memory_mb": 12.0,
    "step": 30, "best_step": 20, "finished": True, "device": "cpu", "data": "small.h5",
    "versions": {"torch": "2.0"},
}  # fmt: skip


def log_lines(steps=30):
    """A log of training and validation."""
    for step in range(10, steps + 1, 10):
        yield {"kind": "train", "step": step, "loss": 3 / step, "learning_rate": 1e-3 / step}
        dice = dict.fromkeys(("NCR", "ED", "ET", "TC", "WT"), step / 40)
        yield {"kind": "validation", "step": step, "planes": "stored planes",
               "convention": "brats", "volume_dice": dice, "mean_regions": step / 40}  # fmt: skip


def write_run(folder, seed=0, split=SPLIT):
    """Write a run folder with a log."""
    runs.write(folder, seed=seed, split=split, facts=FACTS)
    lines = [json.dumps(each) for each in log_lines()]
    (folder / "log.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return folder


def write_cases(root, names=CASES):
    """Write raw cases."""
    for seed, name in enumerate(names):
        images, label = niftis.phantom(seed)
        label[1:7, 3:8, 2] = np.where(seed, 2, label[1:7, 3:8, 2])
        niftis.write_case(
            root, name, codes=("LPS", "RAS", "PIR")[seed % 3], volumes=(images, label)
        )
    return root
