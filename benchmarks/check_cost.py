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
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.machine import describe, markdown, versions

RESULTS = Path(__file__).parent / "results"
THREAD, PROCESS = time.thread_time, time.process_time


class Clock:
    """Seconds of processor time that each check has taken."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.seconds: dict[str, float] = {}

    def watch(
        self, module: ModuleType | type, name: str, what: str, clock: Callable[[], float]
    ) -> None:
        """Time every call of a function, under the name that a module knows it by."""
        inner = getattr(module, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = clock()
            try:
                return inner(*args, **kwargs)
            finally:
                # One addition: workers that finish at once may lose each other's microseconds only.
                self.seconds[what] = self.seconds.get(what, 0.0) + clock() - begun

        setattr(module, name, timed)


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
    builds = []
    for _ in range(repeats + 1):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        builds.append(json.loads(done.stdout.splitlines()[-1]))
    return builds[1:]


def table(builds: list[dict[str, float]]) -> list[str]:
    """Medians of every check, and of all that 0.1 had not: seconds, and share of the build."""
    lines = ["| what | processor seconds | share of the build |", "| --- | --- | --- |"]
    whole = [build["all"] for build in builds]
    names = [name for name in builds[0] if name != "all"]
    new = [name for name in names if "0.1" not in name]
    rows = [(name, [build[name] for build in builds]) for name in names]
    sums = [sum(build[name] for name in new) for build in builds]
    rows += [("**all checks that 0.1 had not**", sums), ("the build", whole)]
    for name, seconds in rows:
        share = statistics.median(s / t for s, t in zip(seconds, whole, strict=True))
        lines.append(f"| {name} | {statistics.median(seconds):.3f} | {100 * share:.2f} % |")
    return lines


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
    facts = markdown(describe() | versions(sys.executable, ("bratsprep", "numpy", "numba")))
    about = f"{args.note}; {args.repeats} builds, {args.workers} workers, medians. {facts}"
    lines = ["# Cost of the checks of a build", "", *table(builds), "", about]
    text = "\n".join(lines) + "\n"
    (args.results / "check_cost.md").write_text(text, encoding="utf-8")
    (args.results / "check_cost.json").write_text(json.dumps(builds, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
