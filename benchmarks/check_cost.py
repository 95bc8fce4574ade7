"""What the checks of a build cost: processor time of each, as a share of the whole build's.

    python -m benchmarks.check_cost RAW --work DIR

Two builds cannot be compared to a few per cent on a machine that others use. So the checks are
timed within one build: the clock of the thread that runs a check, or of the process for the search
for repeated patients, which has threads of its own and runs when the others have ended. Every build
is a process of its own and counts from its start, imports included. Kernels are compiled before.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path

from benchmarks.grid import grid
from benchmarks.within import PROCESS, THREAD, Clock, parts, write

RESULTS = Path(__file__).parent / "results"


def one_build(raw: Path, out: Path, workers: int) -> dict[str, float]:
    """Build once in this process, and give the seconds of every check and of everything."""
    from bratsprep.building import builder, case_work, convert  # noqa: PLC0415
    from bratsprep.volumes import normalise  # noqa: PLC0415

    clock = Clock()
    clock.watch(normalise, "coverage", "background and brain", THREAD)
    clock.watch(normalise, "check_brain", "background and brain", THREAD)
    clock.watch(case_work, "case_notes", "odd images", THREAD)
    clock.watch(builder, "intensity_notes", "odd images", THREAD)
    clock.watch(builder, "find_repeats", "search for repeated patients", PROCESS)
    clock.watch(builder, "take_stamps", "records of the sources", THREAD)
    clock.watch(builder, "with_checksums", "records of the sources", THREAD)
    clock.watch(builder, "write_sidecar", "records of the sources", THREAD)
    clock.watch(convert, "fingerprints", "fingerprints (in 0.1 too)", THREAD)
    builder.build(raw, out, workers=workers, force=True)
    return clock.seconds | {"all": PROCESS()}


def measure(raw: Path, work: Path, repeats: int, workers: int) -> list[dict[str, float]]:
    """Build several times, each in a process of its own, after one that compiles the kernels."""
    command = [sys.executable, "-m", "benchmarks.check_cost", str(raw), "--work", str(work)]
    command += ["--workers", str(workers), "--one"]
    return [parts(command) for _ in range(repeats + 1)][1:]


def table(builds: list[dict[str, float]]) -> list[str]:
    """Medians of every check, and of all that 0.1 had not: seconds, and share of the build."""
    whole = [build["all"] for build in builds]
    names = [name for name in builds[0] if name != "all"]
    new = [name for name in names if "0.1" not in name]
    rows = [(name, [build[name] for build in builds]) for name in names]
    sums = [sum(build[name] for name in new) for build in builds]
    rows += [("**all checks that 0.1 had not**", sums), ("the build", whole)]
    cells = []
    for name, seconds in rows:
        share = statistics.median(s / t for s, t in zip(seconds, whole, strict=True))
        cells.append([name, f"{statistics.median(seconds):.3f}", f"{100 * share:.2f} %"])
    return grid(("what", "processor seconds", "share of the build"), cells)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_cost")
    parser.add_argument("raw", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--note", default="", help="what the cases are")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    out = args.work / "check_cost.h5"
    if args.one:
        print(json.dumps(one_build(args.raw, out, args.workers)))
        return
    builds = measure(args.raw, args.work, args.repeats, args.workers)
    lines = ["# Cost of the checks of a build", "", *table(builds)]
    about = f"{args.note}; {args.repeats} builds, {args.workers} workers, medians"
    write("check_cost", lines[:-1], builds, about, args.results)


if __name__ == "__main__":
    main()
