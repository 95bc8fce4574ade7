"""Figures out of the runs of `benchmarks.build`: medians, ratios, aims.

A run is one row on one number of cases in one round. Ratios are of time per case, taken within a
round, and their median is the figure; what was not measured is None.
"""

from dataclasses import dataclass
from statistics import median
from typing import Any

OURS = "ours"
FLOOR = "floor"
H5PY = "h5py"
NNUNET = "nnunet"
NNUNET_START = "nnunet-start"
"""nnU-Net with one case a process."""
NNUNET_MARGIN = "nnunet-margin"
"""Its further cases alone: its time without its start."""
SUMMED = ("cases", "seconds", "cpu_seconds", "output_bytes")
Runs = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be reached, and what was."""

    name: str
    first: float | None
    """Bound at first; at most this, or at least where `is_least`. None: nothing is asked."""
    last: float | None
    """Bound in the end."""
    value: float | None
    """None: not measured."""
    is_least: bool = False

    def holds(self, bound: float | None) -> bool:
        """Whether the figure keeps a bound."""
        if self.value is None or bound is None:
            return False
        return self.value >= bound if self.is_least else self.value <= bound

    def verdict(self) -> str:
        """In one word; empty where nothing is asked or was measured."""
        if self.value is None or self.last is None:
            return ""
        if self.holds(self.last):
            return "reached"
        return "in part" if self.holds(self.first) else "not reached"


def asked(run: dict[str, Any]) -> int:
    """Cases of the run that a record was taken from; of further cases alone, those of the whole."""
    return run.get("of", run["cases"])


def good(runs: Runs, row: str, cases: int | None = None) -> Runs:
    """Runs of a row that came to their end, with a number of cases or with any."""
    return [
        run
        for run in runs
        if run["row"] == row and "fault" not in run and cases in (None, asked(run))
    ]


def numbers(runs: Runs, row: str) -> list[int]:
    """Numbers of cases that a row was measured on, rising."""
    return sorted({asked(run) for run in good(runs, row)})


def usual(runs: Runs) -> int | None:
    """The number of cases that most rows were measured on, ours among them."""
    rows = {run["row"] for run in runs}
    counts = {n: sum(n in numbers(runs, row) for row in rows) for n in numbers(runs, OURS)}
    return max(counts, key=lambda n: (counts[n], n), default=None)


def per_case(runs: Runs, row: str, cases: int, key: str) -> dict[int, float]:
    """Round -> a quantity divided by the cases."""
    return {run["round"]: run[key] / run["cases"] for run in good(runs, row, cases)}


def typical(runs: Runs, row: str, cases: int | None, key: str) -> float | None:
    """Median over the rounds of a quantity a case; of `peak_bytes`, of the whole."""
    found = good(runs, row, cases)
    if cases is None or not found:
        return None
    return median(run[key] / (1 if key == "peak_bytes" else run["cases"]) for run in found)


def beside(runs: Runs, row: str, cases: int) -> int:
    """The number of cases of a row that another one on that many is held against.

    The same where it was measured, else the next larger one, else the largest.
    """
    found = numbers(runs, row)
    return min((n for n in found if n >= cases), default=max(found, default=cases))


def ratio(runs: Runs, row: str, other: str, cases: int | None) -> float | None:
    """Median over the rounds of time per case, row over other; None where one is missing."""
    if cases is None:
        return None
    mine = per_case(runs, row, cases, "seconds")
    theirs = per_case(runs, other, beside(runs, other, cases), "seconds")
    both = [mine[number] / theirs[number] for number in mine if number in theirs]
    return median(both) if both else None


def margins(runs: Runs) -> Runs:
    """nnU-Net's runs on many cases less those on few: its processes take seconds to start."""
    few = {run["round"]: run for run in good(runs, NNUNET_START)}
    found = []
    for run in good(runs, NNUNET):
        start = few.get(run["round"])
        if start is None or start["cases"] >= run["cases"]:
            continue
        less = {key: run[key] - start[key] for key in SUMMED}
        if less["seconds"] <= 0:  # few cases on a busy machine
            continue
        found.append({**run, "row": NNUNET_MARGIN, "of": run["cases"], **less})
    return found


def speed(runs: Runs, dtype: str) -> Runs:
    """The timed runs of a type of voxels, nnU-Net's further cases alone among them."""
    found = [run for run in runs if run["dtype"] == dtype and run["part"] == "speed"]
    return found + margins(found)


def peaks(runs: Runs, dtype: str) -> dict[int, float]:
    """Cases -> median peak bytes of ours, of the runs that tell whether memory grows."""
    grown = [run for run in runs if run["dtype"] == dtype and run["part"] == "growth"]
    found = {n: typical(grown, OURS, n, "peak_bytes") for n in numbers(grown, OURS)}
    return {n: peak for n, peak in found.items() if peak is not None}


def aims(runs: Runs, dtype: str) -> list[Aim]:
    """What was set out to be reached, and whether it was.

    Aims are held against the number of cases that every row is measured on. nnU-Net's is of the
    whole command on the most cases that it was given; what is left of it without its start is
    shown beside it, and nothing is asked of that.
    """
    timed = speed(runs, dtype)
    n, most = usual(timed), max(numbers(timed, NNUNET), default=None)
    peak, size = typical(timed, OURS, n, "peak_bytes"), typical(timed, OURS, n, "output_bytes")
    return [
        Aim("time against the floor", 3.0, 2.5, ratio(timed, OURS, FLOOR, n)),
        *(
            Aim(f"- of {other} cases", None, None, ratio(timed, OURS, FLOOR, other))
            for other in numbers(timed, OURS)
            if other != n and good(timed, FLOOR, other)
        ),
        Aim(
            f"nnU-Net's time against ours, the whole command on {most or 'many'} cases",
            15.0, 20.0, ratio(timed, NNUNET, OURS, most), is_least=True,
        ),
        Aim("- its further cases alone", None, None, ratio(timed, NNUNET_MARGIN, OURS, most)),
        Aim("h5py's time against ours", 6.0, 8.0, ratio(timed, H5PY, OURS, n), is_least=True),
        Aim("peak MB", 900.0, 750.0 if dtype == "int16" else 1000.0, peak and peak / 1e6),
        Aim("more memory for many cases, %", 5.0, 5.0, growth(runs, dtype)),
        Aim("output MB a case", None, 8.0, size and size / 1e6),
    ]  # fmt: skip


def growth(runs: Runs, dtype: str) -> float | None:
    """Percent of memory that the most cases take more than the fewest."""
    found = peaks(runs, dtype)
    return 100 * (found[max(found)] / found[min(found)] - 1) if len(found) > 1 else None
