"""Samples of several planes a second, by one thread of the loader.

`python -m benchmarks.load_samples --work DIR`: slices of 192 x 160 from cases of 140 planes, in
batches of 16 samples or 2 patches, on the CPU as float32. Read is the loader alone; gathered, with
the samples put together in the main thread, which fit does on the device. Seconds are those of the
processor, since the file is in the page cache and a busy machine would slow the clock.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.load_file import write_slice_file
from benchmarks.machine import describe, versions
from bratsprep.slicefile.reader import SliceFile, open_file
from bratstrain.data.loader import Loader
from bratstrain.data.neighbours import neighbours_of
from bratstrain.data.patch_plan import PatchPlan, make_patch_plan
from bratstrain.data.sampler import Plan, make_plan

BATCH = 16
PATCHES = 2
PLANES = 140
"""Slices of a case, about as many as have brain."""
CASES = 6
WAYS = ((1, 1), (1, 4), (3, 1), (3, 4), (3, 16), (5, 4), (7, 4))
"""Planes of a sample, and slices dealt together."""
SIDES = ((32, 128, 128), (64, 128, 128), (96, 128, 128))
"""Patches."""


def stacks(file: SliceFile, context: int, block: int) -> Plan:
    """Samples of so many planes, dealt in runs."""
    rows, around = np.arange(len(file)), None if context == 1 else neighbours_of(file, context)
    voxels = file.slices["voxels"]
    return make_plan(rows, voxels, BATCH, "uniform", block, neighbours=around)


def patches(file: SliceFile, sides: tuple[int, ...]) -> PatchPlan:
    """Patches of these sides."""
    return make_patch_plan(file, np.arange(len(file)), sides, PATCHES, "foreground", 0)


def rate(file: SliceFile, plan: Plan | PatchPlan, seconds: float, *, gathered: bool) -> float:
    """Samples a second, after the first eight batches."""
    with Loader(file, plan, first=0, last=1 << 30, threads=1) as loader:
        for batch in loader:
            if gathered:
                batch.reading.gather(batch.image, batch.label)
            if batch.step == 8:
                begin = time.process_time()
            elif batch.step > 8 and (spent := time.process_time() - begin) > seconds:
                return (batch.step - 8) * plan.batch_size / spent
    raise SystemExit("the loader ended")


def ways(file: SliceFile) -> dict[str, Callable[[], Plan | PatchPlan]]:
    """Plans by name."""
    found: dict[str, Callable[[], Plan | PatchPlan]] = {}
    for context, block in WAYS:
        name = f"{context} plane{'s' if context > 1 else ''}, runs of {block}"
        found[name] = lambda context=context, block=block: stacks(file, context, block)
    for sides in SIDES:
        found["patches of " + " x ".join(map(str, sides))] = lambda sides=sides: patches(
            file, sides
        )
    return found


def main() -> None:
    """Measure, print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="Folder for the slice file.")
    parser.add_argument("--seconds", type=float, default=3.0, help="Of each measurement.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    path = options.work / "samples.h5"
    if not path.exists():
        write_slice_file(path, CASES * PLANES, planes=PLANES)
    rates: dict[str, dict[str, list[float]]] = {}
    with open_file(path) as file:
        for _ in range(options.rounds):
            for name, make in ways(file).items():
                kinds = rates.setdefault(name, {"read": [], "gathered": []})
                for kind, found in kinds.items():
                    found.append(rate(file, make(), options.seconds, gathered=kind == "gathered"))
    lines = ["# Samples of several planes", "", "| samples | read a second | gathered |"]
    lines += ["| --- | ---: | ---: |"]
    for name, kinds in rates.items():
        read, gathered = (statistics.median(found) for found in kinds.values())
        lines.append(f"| {name} | {read:,.0f} | {gathered:,.0f} |")
    machine = describe() | versions(sys.executable, ("bratsprep", "torch", "numpy"))
    turns = options.rounds
    about = f"One thread, slices of 192 x 160, seconds of the processor, medians of {turns} turns."
    lines += ["", about, "", *(f"- {name}: {value}" for name, value in machine.items())]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "load_samples.md").write_text("\n".join(lines) + "\n")
    content = {"rates": rates, "machine": machine}
    (options.results / "load_samples.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
