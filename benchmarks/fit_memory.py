"""Memory of `fit` above torch and the network's own needs, for few and many cases.

`python -m benchmarks.fit_memory --work DIR`: each figure is the median of processes of their own,
each asked for its own peak. `steps` imports torch and takes steps on one batch of noise with the
settings, the trainer and the threads of `fit` (parameters, optimiser, averaged weights,
activations); `fit` takes the same number of steps from a slice file, validates and saves.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.load_file import PLANES, write_slice_file
from benchmarks.machine import describe, versions

SETTINGS: dict[str, object] = {
    "model": "unet",
    "width": 16,
    "depth": 4,
    "batch_size": 8,
    "steps": 12,
}
OTHERS = {"3 planes": {"context": 3}, "patches": {"model": "unet3d", "width": 8, "batch_size": 2}}
"""Further ways of `fit`, beside the same numbers of cases: they share the rest of the settings."""
THREADS = 2
"""Of torch, in every process: each has buffers of its own, and a busy machine does not matter."""
_PEAK = """
lines = open("/proc/self/status").read().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
"""
_IMPORT = "import torch"
_STEPS = """
import json, sys
from dataclasses import replace
import torch
from bratstrain.recipes import configure
from bratstrain.training.step import Trainer
config = replace(configure(**json.loads(sys.argv[1])), precision="fp32")
trainer = Trainer(config, torch.device("cpu"))
image = torch.randn(config.batch_size, 4, 192, 160)
label = torch.randint(0, 4, (config.batch_size, 192, 160), dtype=torch.uint8)
for step in range(config.steps):
    trainer.step(image, label, step, step / config.steps)
"""
_FIT = """
import json, sys, bratstrain
bratstrain.fit(sys.argv[2], sys.argv[3], **json.loads(sys.argv[1]))
"""


def peak_mb(code: str, *arguments: str, settings: dict[str, object] = SETTINGS) -> float:
    """Peak resident memory of a Python process that runs some code, MB."""
    command = [sys.executable, "-c", code + _PEAK, json.dumps(settings), *arguments]
    env = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stdout.split()[-1]) * 1024 / 1e6


def slice_file(folder: Path, n_cases: int) -> Path:
    """A slice file of so many cases, made where it is not there."""
    path = folder / f"cases{n_cases}.h5"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        write_slice_file(unfinished, n_cases * PLANES)
        unfinished.replace(path)
    return path


def measure(folder: Path, cases: list[int], repeats: int) -> dict[str, list[float]]:
    """Peaks of every process in turn, MB."""
    files = {n: slice_file(folder, n) for n in cases}
    peaks: dict[str, list[float]] = {}
    for _ in range(repeats):
        peaks.setdefault("import torch", []).append(peak_mb(_IMPORT))
        peaks.setdefault("steps on one batch of noise", []).append(peak_mb(_STEPS))
        for n, path in files.items():
            run = tempfile.mkdtemp(dir=folder)
            peaks.setdefault(f"fit, {n} cases", []).append(peak_mb(_FIT, str(path), run))
            for name, changed in OTHERS.items():
                run = tempfile.mkdtemp(dir=folder)
                peak = peak_mb(_FIT, str(path), run, settings=SETTINGS | changed)
                peaks.setdefault(f"{name}: fit, {n} cases", []).append(peak)
    return peaks


def table(peaks: dict[str, list[float]]) -> list[str]:
    """The medians as lines of Markdown, with the lowest and the highest."""
    medians = {name: statistics.median(found) for name, found in peaks.items()}
    bare = medians["steps on one batch of noise"]
    lines = ["| process | peak MB | of runs | above the steps |", "| --- | ---: | ---: | ---: |"]
    for name, found in peaks.items():
        spread = f"{min(found):.0f}-{max(found):.0f}"
        above = f"{medians[name] - bare:.0f}" if name.startswith("fit") else ""
        lines.append(f"| {name} | {medians[name]:.0f} | {spread} | {above} |")
    return lines


def main() -> None:
    """Measure, print a table, write JSON and Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="Folder for slice files and runs.")
    parser.add_argument("--cases", type=int, nargs="+", default=[20, 200])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    machine = describe() | versions(sys.executable, ("bratsprep", "torch", "numpy"))
    options.work.mkdir(parents=True, exist_ok=True)
    peaks = measure(options.work, options.cases, options.repeats)
    settings = ", ".join(f"{name} {value}" for name, value in SETTINGS.items())
    lines = ["# Memory of fit", "", *table(peaks), ""]
    others = "; ".join(
        f"{name}: {', '.join(f'{key} {value}' for key, value in changed.items())}"
        for name, changed in OTHERS.items()
    )
    of_slices = f"slices of 192 x 160, {PLANES} a case, CPU, fp32, {THREADS} threads"
    lines += [f"{settings} ({others}); {of_slices}.", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "fit_memory.md").write_text("\n".join(lines) + "\n")
    content = {"peak_mb": peaks, "settings": SETTINGS, "machine": machine}
    (options.results / "fit_memory.json").write_text(json.dumps(content, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
