"""Runs compared case by case: which is better, by how much, and whether it may be chance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np

from bratsprep.errors import BratsError
from bratstrain.evaluation.formatting import aligned, none_for_nan
from bratstrain.evaluation.ranks import challenge_ranks
from bratstrain.evaluation.stored import Evaluation
from bratstrain.scoring.conventions import convention_named
from bratstrain.scoring.intervals import METHOD, mean_interval
from bratstrain.scoring.metric import Metric
from bratstrain.scoring.metric_registry import HEADLINE, compared_metrics
from bratstrain.scoring.paired_tests import holm, signed_rank

LEAD: Final = "mean of classes"
"""Part that the terminal's table is of."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One run among the others."""

    run: str
    rank: float
    """Mean rank over cases, regions and metrics, 1 is best; nan for a run alone."""
    means: Mapping[str, Mapping[str, float | None]]
    """Mean over the cases by metric and part; None where there is none."""
    low: float | None
    """Lower end of the 95 % interval of the mean of classes' volume Dice."""
    high: float | None
    """Upper end of it."""
    n_interval: int
    """Cases that the interval is from."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One run against another in one metric of one class or region, over the same cases."""

    metric: str
    part: str
    run: str
    other: str
    n_cases: int
    """Cases that both are scored on."""
    n_better: int
    """Of those, cases where `run` is better than `other`."""
    n_worse: int
    mean: float
    """Of `run` minus `other`."""
    median: float
    low: float
    """Lower end of the 95 % interval of the mean difference, over `n_cases`; nan for none, as of
    distances where an empty side costs a penalty."""
    high: float
    """Upper end of that interval."""
    p: float
    """Of the signed-rank test, two-sided."""
    p_holm: float
    """The same, corrected for the pairs of runs that are compared in this metric and part."""
    test: str
    """`exact` or `normal`."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Runs on the same cases."""

    evaluations: tuple[Evaluation, ...]
    names: tuple[str, ...]
    """What to call each run."""
    standings: tuple[Standing, ...]
    """In the order in which the runs were given."""
    table: tuple[Difference, ...]
    """Every metric and part, every pair of runs."""
    pages: tuple[Path, ...] = ()
    """What was written."""

    @property
    def title(self) -> str:
        """Which cases and planes, and in which space."""
        return self.evaluations[0].title

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Why a case could not be scored, by id; of all runs."""
        return {
            case: reason
            for evaluation in self.evaluations
            for case, reason in evaluation.set_aside.items()
        }

    def chosen(self, metric: str = HEADLINE, part: str = LEAD) -> list[Difference]:
        """Differences of one metric and part."""
        return [row for row in self.table if (row.metric, row.part) == (metric, part)]

    def lines(self) -> list[str]:
        """Summary for the terminal."""
        return list(terminal_lines(self))

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain dicts and lists; nan as None."""
        return {
            "cases": self.evaluations[0].record["cases"],
            "planes": self.evaluations[0].record["planes"],
            "ids": list(self.evaluations[0].cases),
            "convention": self.evaluations[0].convention,
            "notes": {
                name: evaluation.notes
                for name, evaluation in zip(self.names, self.evaluations, strict=True)
            },
            "interval": METHOD,
            "runs": [_without_nan(asdict(row)) for row in self.standings],
            "differences": [_without_nan(asdict(row)) for row in self.table],
        }


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """Replace nan by None, since JSON cannot hold nan."""
    return {
        key: none_for_nan(value) if isinstance(value, float) else value
        for key, value in row.items()
    }


def compare_evaluations(evaluations: Sequence[Evaluation]) -> Comparison:
    """Compare evaluations of the same cases.

    Args:
        evaluations: of one run each, at least two.

    Raises:
        BratsError: cases, planes, convention or truth differ.
    """
    check_same(evaluations)
    names = distinct([evaluation.run for evaluation in evaluations])
    ranks = challenge_ranks(evaluations)
    standings = tuple(
        standing(name, evaluation, float(rank))
        for name, evaluation, rank in zip(names, evaluations, ranks, strict=True)
    )
    table = [
        row
        for metric in compared_metrics()
        for part in evaluations[0].order
        for row in differences(evaluations, names, metric, part)
    ]
    return Comparison(tuple(evaluations), names, standings, tuple(table))


def check_same(evaluations: Sequence[Evaluation]) -> None:
    """Refuse evaluations that are not of the same thing.

    Raises:
        BratsError: they are not.
    """
    first = evaluations[0]
    for other in evaluations[1:]:
        apart = sorted(set(first.cases) ^ set(other.cases))
        if apart:
            raise BratsError(
                f"{other.run}: is scored on other cases than {first.run}, {apart[0]} and "
                f"{len(apart) - 1} more are only on one side; compare runs of one split, or "
                "take --split all"
            )
        for what in ("planes", "convention"):
            expected, actual = (
                {"planes": side.record["planes"], "convention": side.convention}[what]
                for side in (first, other)
            )
            if actual != expected:
                raise BratsError(
                    f"{other.run}: {what} is {actual}, of {first.run} {expected}; "
                    "such scores cannot be compared"
                )
        if not np.array_equal(first.confusion().sum(axis=2), other.confusion().sum(axis=2)):
            raise BratsError(
                f"{other.run}: the true labels are not those that {first.run} was scored on"
            )


def distinct(runs: Sequence[Path]) -> tuple[str, ...]:
    """Name runs by their folders, with as many folders above as it takes to tell them apart."""
    paths = [run.resolve() for run in runs]
    named = (
        tuple("/".join(path.parts[-depth:]) for path in paths)
        for depth in range(1, max(len(path.parts) for path in paths) + 1)
    )
    return next(names for names in named if len(set(names)) == len(set(paths)))


def standing(name: str, evaluation: Evaluation, rank: float) -> Standing:
    """Summarise a run."""
    means = {
        metric.name: {part: row["mean"] for part, row in evaluation.rows(metric.name).items()}
        for metric in compared_metrics()
    }
    lead = evaluation.rows()[LEAD]
    return Standing(name, rank, means, lead["low"], lead["high"], lead["n_interval"])


def differences(
    evaluations: Sequence[Evaluation], names: Sequence[str], metric: Metric, part: str
) -> list[Difference]:
    """Compare every pair of runs in one metric and part; p values are corrected over the pairs."""
    values = [evaluation.values(metric.name, part) for evaluation in evaluations]
    sign = -1.0 if metric.better == "lower" else 1.0
    is_given = metric.has_interval(convention_named(evaluations[0].convention))
    rows = []
    for i, j in combinations(range(len(values)), 2):
        both = values[i] - values[j]
        both = both[~np.isnan(both)]
        if not both.size:
            continue
        test = signed_rank(both)
        counts = both.size, int((sign * both > 0).sum()), int((sign * both < 0).sum())
        centre = float(both.mean()), float(np.median(both))
        spread = mean_interval(both, "difference") if is_given else (math.nan, math.nan)
        rows.append((names[i], names[j], *counts, *centre, *spread, test.p, test.method))
    corrected = holm([row[-2] for row in rows])
    return [
        Difference(metric.name, part, *row[:-1], p_holm, row[-1])
        for row, p_holm in zip(rows, corrected, strict=True)
    ]


def terminal_lines(comparison: Comparison) -> Iterator[str]:
    """Standings, then the differences in the headline."""
    yield comparison.title
    convention = comparison.evaluations[0].convention
    yield f"convention {convention}; rank after BraTS: mean over cases, regions, Dice and HD95"
    metrics = compared_metrics()
    first, *others = (metric.heading for metric in metrics)
    rows = [["run", first, "95 %", *others, "rank"]]
    for row in comparison.standings:
        lead, *beside = (
            short(row.means[metric.name].get(LEAD), metric.decimals) for metric in metrics
        )
        span = f"{span_text(row.low, row.high)} (n {row.n_interval})"
        rows.append([row.run, lead, span, *beside, short(row.rank, 2)])
    yield from aligned(rows)
    pairs = [
        ["difference, mean of classes", "volume Dice", "95 %", "better/worse", "p", "p (Holm)"]
    ]
    pairs += [
        [
            f"{pair.run} - {pair.other}", f"{pair.mean:+.3f}",
            f"{difference_span(pair)} (n {pair.n_cases})",
            f"{pair.n_better}/{pair.n_worse}", chance(pair.p), chance(pair.p_holm),
        ]
        for pair in comparison.chosen()
    ]  # fmt: skip
    yield from aligned(pairs)
    for name, evaluation in zip(comparison.names, comparison.evaluations, strict=True):
        for note in evaluation.notes:
            yield f"note on {name}: {note}"


def short(value: float | None, digits: int = 3) -> str:
    """A number with so many digits; a dash where there is none."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def span_text(low: float | None, high: float | None) -> str:
    """An interval of a mean; a dash where there is none."""
    return f"{short(low)}-{short(high)}" if low is not None and math.isfinite(low) else "-"


def difference_span(row: Difference, places: int = 3) -> str:
    """The interval of a difference; a dash where one case or equal cases give none."""
    if not math.isfinite(row.low):
        return "-"
    return f"{row.low:+.{places}f} to {row.high:+.{places}f}"


def chance(p: float) -> str:
    """Write a p value."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
