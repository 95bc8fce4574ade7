"""Keeps the scores that `make demo` ended with, for the README's table.

python -m benchmarks.demo demo/run
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from bratstrain.evaluation.tables import EVERYTHING
from bratstrain.scoring.metric_registry import HEADLINE

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("bratsprep", "torch", "numpy")


def rows(scores: dict[str, Any]) -> list[dict[str, Any]]:
    """Case-average volume Dice of each class and region under the convention of the headline."""
    first = scores["headline"]["convention"]
    return [
        {key: row[key] for key in ("part", "mean", "low", "high", "nothing", "n_cases")}
        for row in scores["rows"]
        if (row["convention"], row["metric"]) == (first, HEADLINE)
    ]


def main() -> None:
    """Read the newest scores of a run, write those of the headline."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo")
    parser.add_argument("run", type=Path, help="run folder that `evaluate` has scored")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    found = sorted(options.run.rglob(EVERYTHING), key=lambda path: path.stat().st_mtime)
    if not found:
        raise SystemExit(f"{options.run}: no {EVERYTHING} is there; run 'make demo' first")
    scores = json.loads(found[-1].read_text(encoding="utf-8"))
    content = {
        "facts": machine.describe() | machine.versions(sys.executable, PACKAGES),
        "command": "make demo",
        "cases": scores["cases"],
        "planes": scores["planes"],
        "rows": rows(scores),
    }
    text = json.dumps(content, indent=1) + "\n"
    (options.results / "demo.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
