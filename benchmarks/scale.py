"""Scale: the whole Task01 built and streamed within a hard limit of 2 GB, where a notebook dies.

    python -m benchmarks.scale Task01_BrainTumour/labelsTr --work demo/scale

484 cases: every mask is a real one, the images are links to a few phantoms, so that the disk holds
150 MB and the build reads 4 GB. A row is a process of its own under RLIMIT_DATA, see
`benchmarks.scale_part`. Without masks the phantoms' own are taken.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import machine
from benchmarks.scale_cases import DISTINCT, make_cases, source_bytes

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("bratsprep", "h5py", "imagecodecs", "isal", "numba", "numpy", "torch")
GROWTH_MB = 50.0
"""How much more the many cases may take than the few."""


def run_part(part: str, given: Path, made: Path, options: list[str], folder: Path) -> dict:
    """Run one part in a process of its own; a failure is a result too."""
    command = [sys.executable, "-m", "benchmarks.scale_part", part, str(given), str(made), *options]
    env = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    took = machine.measured(command, env, folder)
    return machine.said(took) | {"cpu_seconds": took.cpu_seconds}


def measure(options: argparse.Namespace, work: Path) -> list[dict[str, Any]]:
    """Build and stream few cases and many, in turn; then the notebook's way."""
    limits = ["--limit", str(int(options.limit * 1e6)), "--workers", str(options.workers)]
    runs = []
    for number in range(options.rounds):
        for cases in (options.few, options.cases):
            raw, file = make_cases(work, options.labels, cases), work / f"{cases}.h5"
            for part, given, made in (("build", raw, file), ("epoch", file, work)):
                os.sync()
                about = {"part": part, "of": cases, "round": number}
                runs.append(about | run_part(part, given, made, limits, work))
                runs[-1] |= {"source_bytes": source_bytes(raw) if part == "build" else 0}
                print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    raw = make_cases(work, options.labels, options.cases)
    about = {"part": "hold", "of": options.cases, "round": 0, "source_bytes": 0}
    return [*runs, about | run_part("hold", raw, work, limits, work)]


TITLES = {
    "build": "`bratsprep build`",
    "epoch": "one epoch of the loader",
    "hold": "notebook: `get_fdata` into a list",
}


def table(runs: list[dict[str, Any]]) -> list[str]:
    """Medians of the rounds as Markdown."""
    names = ("what", "cases", "seconds", "CPU s", "slices", "slices/s", "peak MB", "imports MB",
             "read MB", "file MB")  # fmt: skip
    lines = [f"| {' | '.join(names)} |", f"| --- {'| ---: ' * (len(names) - 1)}|"]
    for part, of in dict.fromkeys((run["part"], run["of"]) for run in runs):
        mine = [run for run in runs if (run["part"], run["of"]) == (part, of)]
        good = [run for run in mine if "fault" not in run]
        if not good:
            lines.append(f"| {TITLES[part]} | {of} | {mine[0]['fault']} | | | | | | | |")
            continue
        seen = {key: median(run[key] for run in good)
                for key in ("seconds", "cpu_seconds", "slices", "peak_bytes", "imports_bytes",
                            "source_bytes", "bytes", "cases")}  # fmt: skip
        said = f"{of}, out of memory after {seen['cases']:.0f}" if part == "hold" else f"{of}"
        rate = seen["slices"] / seen["seconds"]
        lines.append(
            f"| {TITLES[part]} | {said} | {seen['seconds']:.1f} | {seen['cpu_seconds']:.1f} "
            f"| {seen['slices']:,.0f} | {rate:,.0f} | {seen['peak_bytes'] / 1e6:.0f} "
            f"| {seen['imports_bytes'] / 1e6:.0f} | {seen['source_bytes'] / 1e6:,.0f} "
            f"| {seen['bytes'] / 1e6:,.0f} |"
        )
    return lines


def peak_mb(runs: list[dict[str, Any]], part: str, cases: int) -> float | None:
    """Median peak of a row, MB; None where no run came to its end."""
    found = [run["peak_bytes"] / 1e6 for run in runs
             if (run["part"], run["of"]) == (part, cases) and "fault" not in run]  # fmt: skip
    return median(found) if found else None


def aims(runs: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """What was aimed at beside what was measured."""
    lines = ["| aim | measured | |", "| --- | --- | --- |"]
    for part in ("build", "epoch"):
        few, many = (peak_mb(runs, part, n) for n in (options.few, options.cases))
        name = f"{part} of {options.cases} cases within {options.limit:g} MB"
        shown, reached = (
            ("failed", "not reached") if many is None else (f"{many:.0f} MB", "reached")
        )
        lines.append(f"| {name} | {shown} | {reached} |")
        if few is not None and many is not None:
            more = many - few
            reached = "reached" if more < GROWTH_MB else "not reached"
            name = f"{part} of {options.cases} cases < {GROWTH_MB:g} MB above {options.few}"
            lines.append(f"| {name} | {more:+.0f} MB | {reached} |")
    return lines


def about(options: argparse.Namespace) -> str:
    """What was built, and what the limit is."""
    masks = "real masks of Task01" if options.labels else "the phantoms' own masks"
    return (
        f"240 x 240 x 155 int16 cases in the Decathlon's layout: {masks}, images linked to "
        f"{DISTINCT} phantoms (the page cache holds them, so this is no measurement of a disk). "
        f"{options.workers} threads, {options.rounds} rounds in turn, medians. The limit of "
        f"{options.limit:g} MB is RLIMIT_DATA, all private memory that can be written to, set "
        "before anything is imported; peak is the most resident memory. `--max-ram` was not given. "
        "Time is from the first case to the last, loading of compiled kernels left out."
    )


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    add = parser.add_argument
    add("labels", type=Path, nargs="?", help="folder of masks, such as labelsTr of Task01")
    add("--work", type=Path, default=Path("demo/scale"), help="cases, slice files; 4 GB, kept")
    add("--cases", type=int, default=484)
    add("--few", type=int, default=64)
    add("--limit", type=float, default=2000.0, help="MB")
    add("--workers", type=int, default=2)
    add("--rounds", type=int, default=1)
    add("--results", type=Path, default=RESULTS)
    return parser.parse_args()


def main() -> None:
    """Measure, print, write; exit 1 where a part did not come to its end."""
    options = read_options()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    facts = machine.describe() | machine.versions(sys.executable, PACKAGES)
    runs = measure(options, work)
    command = "python -m benchmarks.scale" + " LABELS" * bool(options.labels)
    command += f" --cases {options.cases} --workers {options.workers} --rounds {options.rounds}"
    lines = ["# Scale", "", f"`{command}`", "", about(options), "", *table(runs), ""]
    lines += [*aims(runs, options), "", machine.markdown(facts)]
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / "scale.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = json.dumps({"facts": facts, "command": command, "runs": runs}, indent=1)
    (options.results / "scale.json").write_text(content + "\n", encoding="utf-8")
    print("\n".join(lines))
    sys.exit(any("fault" in run for run in runs if run["part"] != "hold"))


if __name__ == "__main__":
    main()
