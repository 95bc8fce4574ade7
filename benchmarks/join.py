"""Joining the parts of a build beside a copy of their bytes, in pairs.

    python -m benchmarks.join --work DIR [--cases 484] [--parts 16] [--pairs 5]

The copy writes what the parts hold into one file, by calls of one megabyte. A join is the command
`bratsprep build`, from its start; it copies the same bytes, checks each case, makes the HDF5 file
and removes the parts. Both are timed twice: to their end, and until the file is on the disk.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bratsprep
from benchmarks.grid import grid
from benchmarks.scale_cases import make_cases
from benchmarks.within import write

RESULTS = Path(__file__).parent / "results"
NAME = "joined.h5"
PIECE = 1 << 20
OPTIONS = ["--repeats", "off"]
"""The cases are links to a few images, which would all be one person's."""


def build(raw: Path, out: Path, *options: str) -> None:
    """Build, join or convert a part, by the command."""
    command = [sys.executable, "-m", "bratsprep", "build", str(raw), str(out), *OPTIONS, *options]
    subprocess.run(command, check=True, capture_output=True)


def make_parts(raw: Path, folder: Path, n_parts: int) -> None:
    """Build the parts once."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, n_parts + 1):
        build(raw, folder / NAME, "--part", f"{number}/{n_parts}")


def laid_out(parts: Path, work: Path) -> None:
    """Put a copy of the parts into an empty folder, and wait until it is on the disk."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(parts, work)
    os.sync()


def on_disk(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def timed_copy(work: Path) -> dict[str, float]:
    """Seconds that the copy takes, and removing what was copied."""
    sources, target = sorted(work.glob("*.partial")), work / "copy"
    begun = time.perf_counter()
    with target.open("wb") as out:
        for path in sources:
            with path.open("rb") as file:
                shutil.copyfileobj(file, out, PIECE)
    ended = time.perf_counter()
    on_disk(target)
    kept = time.perf_counter()
    for path in sources:
        path.unlink()
    removed = time.perf_counter() - kept
    return {"copy": ended - begun, "copy, on disk": kept - begun, "removing the parts": removed}


def timed_join(raw: Path, work: Path) -> dict[str, float]:
    """Seconds that the command takes."""
    begun = time.perf_counter()
    build(raw, work / NAME)
    ended = time.perf_counter()
    on_disk(work / NAME)
    return {"join": ended - begun, "join, on disk": time.perf_counter() - begun}


def pair(raw: Path, parts: Path, work: Path) -> dict[str, float]:
    """Seconds of one copy and one join, each of parts that were just laid out."""
    laid_out(parts, work)
    took = timed_copy(work)
    laid_out(parts, work)
    return took | timed_join(raw, work)


def table(pairs: list[dict[str, float]]) -> list[str]:
    """Medians, and the ratios of each pair."""
    rows = [
        [name, f"{statistics.median(one[name] for one in pairs):.1f} s", ""] for name in pairs[0]
    ]
    for what, to in (
        ("join", ("copy",)),
        ("join, on disk", ("copy, on disk",)),
        ("join, on disk", ("copy, on disk", "removing the parts")),
    ):
        ratios = sorted(one[what] / sum(one[name] for name in to) for one in pairs)
        between = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        rows.append([f"{what} / {' + '.join(to)}", f"{statistics.median(ratios):.2f}", between])
    return grid(("what", "median", "all"), rows)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.join")
    add = parser.add_argument
    add("--work", type=Path, required=True)
    add("--cases", type=int, default=484)
    add("--parts", type=int, default=16)
    add("--pairs", type=int, default=5)
    add("--shape", type=int, nargs=3, default=(240, 240, 155), metavar=("X", "Y", "Z"))
    add("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    raw = make_cases(args.work, None, args.cases, distinct=8, shape=tuple(args.shape))
    parts = args.work / f"parts-{args.cases}-{args.parts}-{bratsprep.__version__}"
    make_parts(raw, parts, args.parts)
    pairs = [pair(raw, parts, args.work / "join") for _ in range(args.pairs)]
    size = sum(path.stat().st_size for path in parts.glob("*.partial")) / 1e9
    about = f"{args.cases} cases in {args.parts} parts of {size:.1f} GB in all, {args.pairs} pairs"
    write("join", ["# Joining parts", "", *table(pairs)[:-1]], pairs, about, args.results)


if __name__ == "__main__":
    main()
