"""What a report costs beyond its evaluation: processor time of its parts, within one process.

    python -m benchmarks.report_cost RUN --raw RAW --split test

Each report is a process of its own that evaluates the run anew. What only a report does is timed
by itself, so that a machine that others use as well does not matter. The ratio is that of the whole
process to the same without these parts, which is what `bratstrain evaluate` does.
"""

import argparse
import json
import shutil
import statistics
import sys
from pathlib import Path

from benchmarks.grid import grid
from benchmarks.within import PROCESS, THREAD, Clock, parts, write

RESULTS = Path(__file__).parent / "results"
KEPT, VIEWS, PAGE = "images kept while scoring", "views of cases", "the page"
PARTS = (KEPT, VIEWS, PAGE)


def one_report(run: Path, raw: Path, split: str) -> dict[str, float]:
    """Write one report of a copy of a run in this process, and give the seconds of its parts."""
    import bratstrain  # noqa: PLC0415
    from bratstrain.pages import gallery, report  # noqa: PLC0415

    clock = Clock()
    clock.watch(gallery.Gallery, "watch", KEPT, THREAD)
    clock.watch(report, "views", VIEWS, PROCESS)
    clock.watch(report, "page", PAGE, THREAD)
    clock.watch(report, "write_page", PAGE, THREAD)
    bratstrain.report(run, raw=raw, split=split)  # type: ignore[arg-type]
    return clock.seconds | {"all": PROCESS()}


def measure(run: Path, raw: Path, split: str, work: Path, repeats: int) -> list[dict[str, float]]:
    """Report several times, each time in a process of its own on a run without evaluations."""
    command = [sys.executable, "-m", "benchmarks.report_cost", str(work / "run"), "--one"]
    command += ["--raw", str(raw), "--split", split]
    made = []
    for _ in range(repeats):
        shutil.rmtree(work / "run", ignore_errors=True)
        shutil.copytree(run, work / "run", ignore=shutil.ignore_patterns("evaluation*"))
        made.append(parts(command))
    return made


def table(made: list[dict[str, float]]) -> list[str]:
    """Medians: seconds of each part, of the whole, and the ratio of the whole to the rest."""
    seconds = {name: statistics.median(each[name] for each in made) for name in (*PARTS, "all")}
    ratios = [each["all"] / (each["all"] - sum(each[name] for name in PARTS)) for each in made]
    least, most = min(ratios), max(ratios)
    ratio = f"{statistics.median(ratios):.3f} ({least:.3f} to {most:.3f})"
    cells = [[name, f"{taken:.2f}"] for name, taken in seconds.items()]
    return grid(("what", "processor seconds"), [*cells, ["**report to evaluate**", ratio]])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report_cost")
    parser.add_argument("run", type=Path)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--work", type=Path, default=Path("demo/report_cost"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--note", default="", help="what the run and the cases are")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one_report(args.run, args.raw, args.split)))
        return
    args.work.mkdir(parents=True, exist_ok=True)
    made = measure(args.run, args.raw, args.split, args.work, args.repeats)
    about = f"{args.note}; {args.repeats} reports, medians"
    lines = ["# Cost of a report", "", *table(made)]
    write("report_cost", lines[:-1], made, about, args.results)


if __name__ == "__main__":
    main()
