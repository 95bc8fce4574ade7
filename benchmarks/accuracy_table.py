"""Markdown of `benchmarks.accuracy`: scores, paired differences, and what each run took."""

import json
import math
from collections.abc import Sequence
from typing import Any

from benchmarks.accuracy_plan import Plan
from benchmarks.accuracy_run import Found, Place
from benchmarks.accuracy_scores import Scored
from benchmarks.grid import grid


def number(value: float | None) -> str:
    """A score without the zero before its point; a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}".replace("0.", ".", 1)


def signed(value: float) -> str:
    """A difference with its sign."""
    return "-" if math.isnan(value) else f"{value:+.3f}".replace("0.", ".", 1)


def megabytes(size: float | None) -> str:
    """Memory; a dash where it was not measured."""
    return "-" if size is None else f"{size / 1e6:.0f}"


def about_folds(plan: Plan, place: Place) -> str:
    """How many cases each fold has, and what its minutes are."""
    splits = json.loads(place.splits.read_text(encoding="utf-8"))
    parts = [
        f"fold {fold}: {len(splits[fold]['train'])} cases to train on, {len(splits[fold]['val'])} "
        "to be scored on"
        for fold in plan.folds
    ]
    clock = {"processor": "of processor time, all threads of a process", "wall": "of wall time"}
    return (
        f"Folds by subject; {'; '.join(parts)}. Minutes are {clock[plan.clock]}; preparing and "
        "labelling are not counted."
    )


def score_table(done: Sequence[Scored], runs: Sequence[Found]) -> list[str]:
    """Volume Dice of each side at each number of minutes."""
    if not done:
        return []
    parts = done[0].evaluation.order
    head = ("side", "minutes", "seed", "cases", "steps", f"{parts[0]} (95 %)", *parts[1:])
    rows = []
    for one in done:
        means = one.evaluation.rows()
        steps = [
            str(run["steps"])
            for run in runs
            if (run["side"], run["seed"], run.get("minutes")) == (one.side.name, one.seed,
                                                                  one.minutes)
            and "fault" not in run
        ]  # fmt: skip
        first = means[parts[0]]
        lead = f"{number(first['mean'])} ({number(first['low'])} to {number(first['high'])})"
        rows.append(
            [one.side.name, f"{one.minutes:g}", str(one.seed), str(len(one.evaluation.cases)),
             ", ".join(steps), lead, *(number(means[part]["mean"]) for part in parts[1:])]
        )  # fmt: skip
    return grid(head, rows)


def difference_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Paired differences; the means first, then classes and regions."""
    head = ("difference", "seed", "part", "volume Dice", "95 %", "better/worse", "p")
    return grid(
        head,
        [
            [f"{row['run']} - {row['other']}", str(row["seed"]), row["part"], signed(row["mean"]),
             f"{signed(row['low'])} to {signed(row['high'])}",
             f"{row['n_better']}/{row['n_worse']} of {row['n_cases']}", f"{row['p']:.3f}"]
            for row in rows
        ],
    )  # fmt: skip


def run_table(runs: Sequence[Found]) -> list[str]:
    """What each run took; a fault in place of it where it failed."""
    head = ("side", "fold", "seed", "minutes", "steps of", "clock (s)", "wall (s)", "labelling (s)",
            "memory (MB)", "fault")  # fmt: skip
    rows = []
    for run in runs:
        start = [run["side"], str(run["fold"]), str(run["seed"])]
        if "fault" in run:
            rows.append([*start, f"{run['minutes']:g}" if "minutes" in run else "-",
                         *["-"] * 5, run["fault"]])  # fmt: skip
            continue
        rows.append(
            [*start, f"{run['minutes']:g}", f"{run['steps']} of {run['batch']}",
             f"{run['seconds']:.0f}", f"{run['fit']:.0f}", f"{run['predict']:.0f}",
             megabytes(run["peak_bytes"]), ""]
        )  # fmt: skip
    return grid(head, rows)


def settings_lines(plan: Plan) -> list[str]:
    """What each side was given."""
    lines = []
    for side in plan.sides:
        if side.configuration:
            flips = "mirroring" if side.mirroring else "no mirroring"
            lines.append(f"- {side.name}: its own plan `{side.configuration}`, {flips}")
            continue
        given = json.dumps(side.settings) if side.settings else "its defaults"
        lines.append(
            f"- {side.name}: fit {given}; build {json.dumps(side.prepare)}; flips {side.tta}"
        )
    return [*lines, ""]
