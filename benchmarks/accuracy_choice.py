"""Choose our settings for `benchmarks.accuracy` without a case of the folds that are scored.

    python -m benchmarks.accuracy_choice RAW --work demo/accuracy

The cases that every fold of the plan trains on are dealt into inner folds. Each candidate is
fitted on the other inner folds by the plan's clock, and scored on the stored planes of one of
them, without flips. What is finished is kept in the work folder.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import bratsprep
from benchmarks import machine
from benchmarks.accuracy import PACKAGES, PLANS, RESULTS
from benchmarks.accuracy_plan import Plan, Side, read_plan
from benchmarks.accuracy_run import Found, Leg, Place, deal, fit_ours
from benchmarks.accuracy_table import number
from benchmarks.grid import grid

INNER = 3
"""Inner folds: every third case in the order of the names."""


def inner_folds(splits: Sequence[Mapping[str, Sequence[str]]]) -> list[dict[str, list[str]]]:
    """Deal the cases that all given folds train on."""
    common = sorted(set.intersection(*(set(split["train"]) for split in splits)))
    return [
        {
            "train": [case for i, case in enumerate(common) if i % INNER != fold],
            "val": common[fold::INNER],
        }
        for fold in range(INNER)
    ]


def mean_of_classes(found: Found, data: Path) -> float:
    """Mean volume Dice of the classes in the validation of a fit."""
    with bratsprep.open(data) as file:
        names = file.classes.classes[1:]
    dice = found["validation"]["volume_dice"]
    return float(sum(dice[name] for name in names) / len(names))


def row(found: Found, data: Path) -> list[str]:
    """Line of the table."""
    start = [found["name"], f"{found['minutes']:g}", str(found["fold"])]
    if "fault" in found:
        return [*start, found["fault"], "-", "-"]
    scores = mean_of_classes(found, data), found["validation"]["mean_regions"]
    return [*start, f"{found['steps']} of {found['batch']}", *map(number, scores)]


def means(runs: list[Found], data: Path) -> list[list[str]]:
    """Lines of the candidates over their inner folds, the best first."""
    scores: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for one in runs:
        if "fault" not in one:
            both = mean_of_classes(one, data), float(one["validation"]["mean_regions"])
            scores.setdefault((one["name"], one["minutes"]), []).append(both)
    lines = []
    for (name, minutes), each in scores.items():
        classes, regions = (fmean(column) for column in zip(*each, strict=True))
        both = (classes + regions) / 2
        cells = [name, f"{minutes:g}", f"{len(each)}", *map(number, (classes, regions, both))]
        lines.append((both, cells))
    return [cells for _, cells in sorted(lines, reverse=True)]


def deal_inner(plan: Plan, place: Place) -> Place:
    """Write the inner folds; gives where the fits on them are."""
    splits = deal(plan, place)
    inner = replace(place, work=place.work / "choice")
    inner.work.mkdir(exist_ok=True)
    dealt = inner_folds([splits[fold] for fold in plan.folds])
    inner.splits.write_text(json.dumps(dealt, indent=1), encoding="utf-8")
    return inner


def write(given: dict[str, Any], runs: list[Found], data: Path, results: Path) -> None:
    """Write the table and the numbers."""
    head = ("candidate", "minutes", "inner fold", "steps of", "mean of classes", "mean of regions")
    about = (
        "Cases that every fold of the comparison trains on, dealt into inner folds; volume Dice "
        "over stored planes, no flips. No case of a fold that is scored is among them."
    )
    lines = ["# Choice of settings", "", about, "", *grid(head, [row(one, data) for one in runs])]
    over = ("candidate", "minutes", "inner folds", "classes", "regions", "mean of both")
    lines += ["The first is taken:", "", *grid(over, means(runs, data))]
    lines += [f"- {one['name']}: {json.dumps(one['settings'])}" for one in given["candidates"]]
    facts = {"machine": machine.describe(), "ours": machine.versions(sys.executable, PACKAGES)}
    lines += ["", *(f"- {name}: {machine.markdown(fact)}" for name, fact in facts.items())]
    results.mkdir(parents=True, exist_ok=True)
    (results / "accuracy_choice.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = json.dumps({"facts": facts, "plan": given, "runs": runs}, indent=1) + "\n"
    (results / "accuracy_choice.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Fit every candidate, and write the table after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy_choice")
    add = parser.add_argument
    add("raw", type=Path)
    add("--plan", type=Path, default=PLANS / "processor.toml")
    add("--candidates", type=Path, default=PLANS / "candidates.toml")
    add("--work", type=Path, default=Path("demo/accuracy"))
    add("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    plan = read_plan(options.plan)
    place = deal_inner(plan, Place(options.raw.resolve(), options.work.resolve(), "", ""))
    given = tomllib.loads(options.candidates.read_text(encoding="utf-8"))
    data, runs = place.work / "slices.h5", list[Found]()
    for one in given["candidates"]:
        minutes = one["minutes"]
        side = Side(name=one["name"], minutes=(minutes,), settings=one["settings"],
                    prepare=given["prepare"])  # fmt: skip
        for fold in one["folds"]:
            found = fit_ours(plan, place, Leg(side, fold), minutes, (data, None))
            runs.append({"name": side.name, "fold": fold, "minutes": minutes, **found})
            write(given, runs, data, options.results)
            print(*row(runs[-1], data), flush=True)


if __name__ == "__main__":
    main()
