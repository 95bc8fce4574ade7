"""Figures out of the results of the benchmarks: one number each, or None where it was not measured.

What `benchmarks/results/*.json` holds is taken as it is; nothing is measured here, and nothing that
is shown to a reader is typed by hand.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import build_figures as build

Results = Mapping[str, Any]
"""Name of a results file without its ending -> what it holds."""
NONE = "not measured"


def read(folder: Path) -> dict[str, Any]:
    """All results of a folder."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }


def digits(value: float, count: int = 2) -> str:
    """A number with so many digits that count, thousands apart: 0.048, 1.2, 25, 12,000."""
    rounded = float(f"{value:.{count}g}")
    above = math.floor(math.log10(abs(rounded))) if rounded else 0
    return f"{rounded:,.{max(count - 1 - above, 0)}f}"


def said(form: str, *values: float | None) -> str:
    """Put numbers of two digits into a text; `not measured` where one is missing."""
    known = [digits(value) for value in values if value is not None]
    return form.format(*known) if len(known) == len(values) else NONE


def middle(values: list[float]) -> float | None:
    """Median; None of nothing."""
    return median(values) if values else None


def over(one: float | None, other: float | None) -> float | None:
    """One number in the other; None where one of the two is missing."""
    return None if one is None or other is None else one / other


def build_runs(results: Results, dtype: str) -> build.Runs:
    """Timed runs of a type of voxels."""
    return build.speed(results.get("build", {}).get("runs", []), dtype)


def loader(results: Results, way: str, key: str = "slices_per_s") -> float | None:
    """Slices a second of a way of loading, or its memory in MB."""
    runs = results.get("load", {}).get("runs", [])
    return middle([value for run in runs if run["way"] == way for value in run[key]])


def scale(results: Results, part: str, most: bool = True) -> dict[str, float] | None:
    """Medians of a part of the large build: seconds, cases, peak_bytes, bytes.

    Args:
        results: all of them.
        part: build, epoch or hold.
        most: of the most cases; else of the fewest.
    """
    runs = results.get("scale", {}).get("runs", [])
    good = [run for run in runs if run["part"] == part and "fault" not in run]
    if not good:
        return None
    of = (max if most else min)(run["of"] for run in good)
    chosen = [run for run in good if run["of"] == of]
    keys = ("of", "cases", "seconds", "peak_bytes", "bytes")
    return {key: median(run[key] for run in chosen) for key in keys}


def workers(results: Results, name: str, otherwise: int) -> int:
    """Threads that a benchmark was told to use, from its command."""
    found = re.search(r"--workers (\d+)", results.get(name, {}).get("command", ""))
    return int(found[1]) if found else otherwise


def fit_memory(results: Results) -> dict[str, float]:
    """Peak of `fit` above the bare steps, MB, by the number of cases."""
    peaks = results.get("fit_memory", {}).get("peak_mb", {})
    bare = middle(peaks.get("steps on one batch of noise", []))
    if bare is None:
        return {}
    fits = {name: found for name, found in peaks.items() if name.startswith("fit, ")}
    return {name.split()[1]: median(found) - bare for name, found in fits.items()}


def fit_spread(results: Results) -> float:
    """How far the peaks of one kind of `fit` lie from each other at most, MB."""
    peaks = results.get("fit_memory", {}).get("peak_mb", {})
    fits = [found for name, found in peaks.items() if name.startswith("fit, ")]
    return max((max(found) - min(found) for found in fits), default=0.0)


def scoring(results: Results, measure: str, row: str) -> float | None:
    """Seconds a case of a way of scoring."""
    runs = results.get("evaluate", {}).get("runs", [])
    good = [run for run in runs if "fault" not in run]
    mine = [run for run in good if (run["measure"], run["row"]) == (measure, row)]
    return middle([run["seconds"] / run["cases"] for run in mine])


def slower(results: Results, measure: str, row: str) -> float | None:
    """Time of a way of scoring, ours = 1: median over the rounds."""
    runs = results.get("evaluate", {}).get("runs", [])
    seconds = {(run["row"], run["round"]): run["seconds"] / run["cases"] for run in runs
               if run["measure"] == measure and "fault" not in run}  # fmt: skip
    rounds = {number for name, number in seconds if name == row}
    return middle([seconds[row, n] / seconds["**ours**", n] for n in sorted(rounds)
                   if ("**ours**", n) in seconds])  # fmt: skip


def evaluate_raw(results: Results) -> float | None:
    """Time of `evaluate --raw`, reading and network = 1."""
    runs = results.get("evaluate_raw", {}).get("runs", [])
    return middle([run["evaluate"] / (run["reading"] + run["network"]) for run in runs])


def demo(results: Results, part: str) -> Mapping[str, Any] | None:
    """Case-average volume Dice of a class or region in `make demo`: mean, nothing, n_cases."""
    rows = results.get("demo", {}).get("rows", [])
    return next((row for row in rows if row["part"] == part), None)


def gpu_fit(results: Results) -> float | None:
    """Slices a second of `fit` on a GPU, the bare step = 1: the lowest of all networks."""
    kit = results.get("gpu", {}).get("rows", {}).get("speed", [])
    rows = kit or results.get("train", {}).get("cuda", {}).get("rows", {}).get("speed", [])
    shares = [
        row["fit"]["slices_per_s"] / bare
        for row in rows
        if row.get("fit") and (bare := middle([each["augmented"] for each in row["bare"]]))
    ]
    return min(shares, default=None)
