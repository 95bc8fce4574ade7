"""Scores and paired differences of `benchmarks.accuracy`, the same call for every side."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bratstrain
from benchmarks.accuracy_plan import Plan, Side
from benchmarks.accuracy_run import Found, Place
from bratstrain.evaluation.comparison import Difference, differences
from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.tables import EVERYTHING
from bratstrain.scoring.metric_registry import HEADLINE, compared_metrics


@dataclass(frozen=True, slots=True)
class Scored:
    """One side at one number of minutes, over the validation cases of the folds that it has."""

    side: Side
    seed: int
    minutes: float
    folds: tuple[int, ...]
    evaluation: Evaluation

    @property
    def name(self) -> str:
        """What to call it in a table."""
        return f"{self.side.name}, {self.minutes:g} min"

    def to_json(self) -> dict[str, Any]:
        """Means, intervals, and the values of each case."""
        parts = {}
        for part, row in self.evaluation.rows().items():
            values = self.evaluation.values(HEADLINE, part)
            parts[part] = {key: row[key] for key in ("mean", "low", "high", "n_cases")}
            parts[part]["cases"] = dict(zip(self.evaluation.cases, values.tolist(), strict=True))
        about = {"side": self.side.name, "seed": self.seed, "minutes": self.minutes}
        return {**about, "folds": list(self.folds), "volume_dice": parts}


def validation_cases(place: Place, folds: Iterable[int]) -> tuple[str, ...]:
    """Ids of the cases that some folds are scored on, sorted."""
    splits = json.loads(place.splits.read_text(encoding="utf-8"))
    return tuple(sorted(case for fold in folds for case in splits[fold]["val"]))


def evaluated(plan: Plan, place: Place, folder: Path, folds: Sequence[int]) -> Evaluation:
    """Score the labels in a folder, every plane in original space; kept while they are the same."""
    cases = validation_cases(place, folds)
    out = folder.parent / f"evaluation-{'-'.join(map(str, folds))}"
    everything = out / EVERYTHING
    files = [folder / f"{case}.nii.gz" for case in cases]
    latest = max(file.stat().st_mtime_ns for file in files)
    if not everything.exists() or everything.stat().st_mtime_ns < latest:
        bratstrain.score_folders(folder, place.raw, out=out, labels=plan.labels, cases=cases)
    return Evaluation(folder, json.loads(everything.read_text(encoding="utf-8")))


def scored(plan: Plan, place: Place, runs: Sequence[Found]) -> list[Scored]:
    """Score everything that has labels, in the order of the plan."""
    done = []
    for side in plan.sides:
        for seed in plan.seeds:
            for minutes in side.minutes:
                here = (side.name, seed, minutes)
                folds = tuple(
                    run["fold"]
                    for run in runs
                    if "fault" not in run and (run["side"], run["seed"], run["minutes"]) == here
                )
                if folds:
                    predicted = place.predicted(side, seed, minutes)
                    found = evaluated(plan, place, predicted, folds)
                    done.append(Scored(side, seed, minutes, folds, found))
    return done


def compared(plan: Plan, place: Place, done: Sequence[Scored]) -> list[dict[str, Any]]:
    """Compare the lead with every other side, case by case, each at its last minutes.

    Only the folds that both have count. Seeds are compared with the same seed.
    """
    last = [one for one in done if one.minutes == one.side.minutes[-1]]
    rows = []
    for lead in (one for one in last if one.side.name == plan.lead):
        for other in (one for one in last if one.side != lead.side and one.seed == lead.seed):
            folds = tuple(fold for fold in lead.folds if fold in other.folds)
            if not folds:
                continue
            pair = [
                evaluated(plan, place, place.predicted(one.side, one.seed, one.minutes), folds)
                for one in (lead, other)
            ]
            against = [other.side.name, other.minutes]
            about = {"seed": lead.seed, "folds": list(folds), "against": against}
            found = of_pair(pair, [lead.name, other.name])
            rows += [about | asdict(difference) for difference in found]
    return rows


def of_pair(pair: Sequence[Evaluation], names: Sequence[str]) -> list[Difference]:
    """Differences of two evaluations of the same cases in the headline, part by part."""
    headline = next(metric for metric in compared_metrics() if metric.name == HEADLINE)
    return [
        difference
        for part in pair[0].order
        for difference in differences(pair, names, headline, part)
    ]
