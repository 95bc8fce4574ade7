"""Starts and ends of runs of two ranks in a row: none may hang.

    python -m benchmarks.rank_starts --work DIR [--times 50]

Each start is `bratstrain fit --gpus cpu,cpu` of one step in a folder of its own, with a limit of
two minutes. Prints how they ended, and the times.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import bratsprep

LIMIT_S = 120
TINY = [
    "--gpus", "cpu,cpu", "--steps", "1", "--batch", "2", "--width", "2", "--depth", "2",
    "--precision", "fp32", "--quiet",
]  # fmt: skip


def slice_file(work):
    """A slice file of six small phantoms."""
    path = work / "small.h5"
    if not path.exists():
        raw = bratsprep.phantoms(work / "raw", cases=6, shape=(32, 32, 16))
        bratsprep.build(raw, path, crop="32x32", workers=1)
    return path


def started(data, run):
    """Seconds that one run took, and how it ended: its exit code, or `over the limit`."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "bratstrain", "fit", str(data), "--run", str(run), *TINY]
    try:
        code = subprocess.run(command, timeout=LIMIT_S, check=False, capture_output=True).returncode
    except subprocess.TimeoutExpired:
        return time.perf_counter() - begin, "over the limit"
    return time.perf_counter() - begin, code


def main():
    """Start and end so many times, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--times", type=int, default=50)
    args = parser.parse_args()
    args.work.mkdir(exist_ok=True, parents=True)
    data = slice_file(args.work)
    runs = args.work / f"runs-{os.getpid()}"
    ends = [started(data, runs / str(n)) for n in range(args.times)]
    times = sorted(seconds for seconds, _ in ends)
    counts = {str(how): [end for _, end in ends].count(how) for how in {end for _, end in ends}}
    print(f"{args.times} starts, by exit code: {counts}")
    print(f"seconds: median {statistics.median(times):.1f}, {times[0]:.1f} to {times[-1]:.1f}")


if __name__ == "__main__":
    main()
