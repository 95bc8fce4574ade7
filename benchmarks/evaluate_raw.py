"""`evaluate --raw` beside reading and the network alone: what scoring adds.

    python -m benchmarks.evaluate_raw --work demo/evaluate_raw

A small network is fitted for 300 steps on phantoms of the real size, so that it says something like
a tumour: noise everywhere is thousands of lesions to score. Then, in turn and in one process: every
case is read and prepared and nothing else; prepared cases go through the network and nothing else;
and `evaluate` does the whole job, scores of every measure included.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import torch

import bratsprep
import bratstrain
from benchmarks import machine
from bratsprep.discovery.discover import scan
from bratsprep.phantom.phantoms import phantoms
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.label_schemes import resolve
from bratstrain.apply_config import ApplyConfig
from bratstrain.inference.segment import prepare_case, segment
from bratstrain.runs.fitted import load_fitted
from bratstrain.scoring import metrics

RESULTS = Path(__file__).parent / "results"
SETTINGS = {
    "model": "unet",
    "steps": 300,
    "batch_size": 8,
    "learning_rate": 4e-3,
    "ema": 0.9,
    "sampling": "uniform",
    "deep_supervision": False,
}
PACKAGES = ("bratsprep", "torch", "numba", "numpy")
NOISE = (
    "With a network that had hardly been fitted (80 steps, 1.8 million voxels predicted a case) "
    "the ratio was 2.2 to 2.7 in three runs: noise is thousands of lesions to score."
)
AIM = 1.2
"""Of reading and network together."""


def make_run(work: Path, options: argparse.Namespace) -> tuple[Path, Path]:
    """Phantoms of the real size and a network; made where they are not there."""
    raw, run = work / "raw", work / f"run-{options.width}x{options.depth}"
    if not raw.exists():
        phantoms(raw, cases=options.cases, workers=2)
    if not run.exists():
        bratsprep.build(raw, work / "slices.h5")
        sizes = {"width": options.width, "depth": options.depth}
        bratstrain.fit(work / "slices.h5", run, device=options.device, **SETTINGS, **sizes)
    return raw, run


def parts(raw: Path, run: Path, device: str) -> dict[str, float]:
    """Seconds of reading every case, of its network, and of the whole evaluation."""
    fitted, config, buffers = load_fitted([run], device), ApplyConfig(device=device), Buffers()
    seconds = {"reading": 0.0, "network": 0.0}
    with open_source(raw) as source:
        cases = scan(source, unlabelled=False).cases
        schemes = resolve(source, cases, None)
        for files in cases:
            started = time.perf_counter()
            case = prepare_case(files, buffers, source, fitted, schemes[files.id])
            seconds["reading"] += time.perf_counter() - started
            started = time.perf_counter()
            segment(fitted, case.image, case.z, config)
            seconds["network"] += time.perf_counter() - started
    started = time.perf_counter()
    bratstrain.evaluate(run, raw=raw, split="all", device=device)
    seconds["evaluate"] = time.perf_counter() - started
    return seconds


def ratio(one: dict[str, float]) -> float:
    """The whole job over its two parts that nobody can do without."""
    return one["evaluate"] / (one["reading"] + one["network"])


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluate_raw")
    parser.add_argument("--work", type=Path, default=Path("demo/evaluate_raw"))
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; all cores by default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Measure, print, write."""
    options = read_options()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    facts = machine.describe() | machine.versions(sys.executable, PACKAGES)
    raw, run = make_run(options.work.resolve(), options)
    metrics.warm()
    parts(raw, run, options.device)  # the first one compiles and fills caches
    runs = [parts(raw, run, options.device) for _ in range(options.rounds)]
    found = median(map(ratio, runs))
    about = (
        f"{options.cases} phantoms of 240 x 240 x 155, U-Net of width {options.width} and depth "
        f"{options.depth}, {options.device}, {torch.get_num_threads()} threads of torch, "
        f"{options.rounds} rounds, medians."
    )
    names = "reading s/case", "network s/case", "evaluate s/case", "evaluate, the two = 1", "aim"
    about += " What a case costs to score depends on what is predicted: see the last line."
    head = [f"| {' | '.join(names)} | |", f"{'| ---: ' * len(names)}| --- |"]
    lines = ["# evaluate --raw", "", about, "", *head]
    each = [median(one[key] for one in runs) / options.cases
            for key in ("reading", "network", "evaluate")]  # fmt: skip
    reached = "reached" if found <= AIM else "not reached"
    cells = " | ".join(f"{value:.3f}" for value in each)
    lines += [f"| {cells} | {found:.2f} | ≤ {AIM:g} | {reached} |", "", machine.markdown(facts)]
    lines += ["", NOISE]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "evaluate_raw.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = json.dumps({"facts": facts, "runs": runs}, indent=1)
    (options.results / "evaluate_raw.json").write_text(content + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
