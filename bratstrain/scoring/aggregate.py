"""Tables over many cases: one row per convention, metric and class or region.

Each row counts the cases that have the class, those that do not, and those of the latter in which
it was predicted; and it gives the score of an empty prediction.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.conventions import CONVENTIONS, Convention, convention_named
from bratstrain.scoring.intervals import interval_of
from bratstrain.scoring.metric import Measure
from bratstrain.scoring.metric_registry import METRICS, POOLED, every_metric
from bratstrain.scoring.metrics import CaseScores


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one class or region, or of the mean of several, over the cases."""

    convention: str
    metric: str
    part: str
    n_cases: int
    n_present: int
    """Cases whose truth has the class or region; summed over the parts of a mean."""
    n_absent: int
    """Cases whose truth has it not."""
    n_false: int
    """Those of the absent in which it was predicted."""
    n_scored: int
    """Cases that the convention does not leave out."""
    mean: float
    """Mean over the scored cases, and for several parts the mean of their means."""
    median: float
    """Of the scored cases; for several parts, of the means that cases have over those scored."""
    low: float
    """Lower end of the 95 % interval of the mean, over cases; nan where there is none."""
    high: float
    """Upper end of that interval."""
    n_interval: int
    """Cases that the interval is from: for several parts, those scored in any of them."""
    no_interval: str
    """Why there is none; empty where there is one."""
    nothing: float
    """The mean that an empty prediction has."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, and what they were made from."""

    cases: str
    """Which cases, such as `fold 0 validation`."""
    planes: str
    """Which planes of them, such as `every plane`."""
    rows: tuple[Row, ...]

    def to_rows(self) -> list[dict[str, Any]]:
        """Give each row as a flat dict for CSV or JSON, with cases and planes; nan as None."""
        made_of = {"cases": self.cases, "planes": self.planes}
        names = [field.name for field in fields(Row)]  # asdict copies every value: 5 times as long
        return [made_of | _plain({key: getattr(row, key) for key in names}) for row in self.rows]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Turn nan, which JSON has no word for, into None."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in row.items()
    }


def case_rows(scores: CaseScores, convention: str = "brats") -> list[dict[str, Any]]:
    """Give every metric of every part of one case as flat dicts for CSV or JSON; nan as None.

    Raises:
        ValueError: the convention is unknown.
    """
    rule, metrics = convention_named(convention), every_metric(scores.tolerances)
    rows = []
    for name, part in scores.parts.items():
        row: dict[str, Any] = {"case": scores.case, "convention": convention, "part": name}
        row |= asdict(part.counts)
        row |= zip(("truth_mm3", "predicted_mm3"), part.volumes_mm3, strict=True)
        values = {key: metric.measure(part, rule) for key, metric in metrics.items()}
        rows.append(_plain(row | values))
    return rows


def summarise(
    scores: Sequence[CaseScores],
    *,
    cases: str,
    planes: str = "every plane",
    conventions: Sequence[str] = ("brats", "nnunet"),
) -> Table:
    """Average every metric of every part over the cases, under each convention.

    Metrics that nothing was measured for have no row. Intervals are those of
    `bratstrain.scoring.intervals`.

    Args:
        scores: of the cases, at least one.
        cases: what to call the set of cases.
        planes: what to call the set of planes.
        conventions: names of CONVENTIONS.

    Raises:
        ValueError: there is no case, or a convention is unknown.
    """
    if not scores:
        raise ValueError("scores holds 0 cases; a table needs at least one")
    classes = scores[0].classes
    if any(case.classes != classes for case in scores):
        raise ValueError("the cases are of different classes; a table is of one set of classes")
    empty = [case.of_nothing() for case in scores]
    parts = _parts(scores)
    columns = [Column("pooled", POOLED, _pooled(scores), _pooled(empty))]
    for rule in map(convention_named, conventions):
        for metric in every_metric(scores[0].tolerances).values():
            values = _values(scores, metric.measure, rule)
            if values.scored.any():
                nothing = _values(empty, metric.measure, rule)
                columns.append(Column(rule.name, metric.name, values, nothing))
    rows = [row for column in columns for row in _rows(column, parts, len(scores))]
    return Table(cases, planes, tuple(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Ratios:
    """Values of every case and part as ratios; a mean is the ratio of the sums."""

    above: NDArray[np.float64]
    """(cases, parts) float64 numerators; 0 where the case is left out."""
    scored: NDArray[np.float64]
    """(cases, parts) float64 denominators; 0 where the case is left out."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One metric under one convention."""

    convention: str
    metric: str
    values: Ratios
    nothing: Ratios
    """The same of an empty prediction."""


@dataclass(frozen=True, slots=True)
class Part:
    """A class or region, or several for their mean: where it is, whatever is measured."""

    name: str
    places: list[int]
    """Of the classes and regions in the arrays."""
    n_present: int
    """Cases whose truth has it, over all of `places`, as in `Row`."""
    n_absent: int
    n_false: int


def _parts(scores: Sequence[CaseScores]) -> list[Part]:
    """Count where each class and region, and each mean of several, is and is not."""
    counts = [[part.counts for part in case.parts.values()] for case in scores]
    truth = np.array([[part.n_truth > 0 for part in row] for row in counts])
    false = np.array([[part.fp > 0 for part in row] for row in counts]) & ~truth
    classes = scores[0].classes
    names, parts = list(classes.parts), []
    for name, members in ({name: (name,) for name in names} | classes.means).items():
        places = [names.index(member) for member in members]
        n_present = int(truth[:, places].sum())
        n_absent = len(scores) * len(places) - n_present
        parts.append(Part(name, places, n_present, n_absent, int(false[:, places].sum())))
    return parts


def _values(scores: Sequence[CaseScores], measure: Measure, rule: Convention) -> Ratios:
    """Measure every case and part; the denominator is 1 where the case is scored."""
    value = np.array([[measure(part, rule) for part in case.parts.values()] for case in scores])
    scored = np.isfinite(value)
    return Ratios(np.where(scored, value, 0.0), scored.astype(np.float64))


def _pooled(scores: Sequence[CaseScores]) -> Ratios:
    """Numerator and denominator of the Dice, voxels, of every case and part."""
    counts = [[part.counts for part in case.parts.values()] for case in scores]
    above = np.array([[2.0 * part.tp for part in row] for row in counts])
    errors = np.array([[float(part.fp + part.fn) for part in row] for row in counts])
    return Ratios(above, above + errors)


def _rows(column: Column, parts: Sequence[Part], n_cases: int) -> list[Row]:
    """Make the rows of one metric: each class and region, then the means of several."""
    above, scored = column.values.above, column.values.scored
    means = _divide(above.sum(axis=0), scored.sum(axis=0))
    empty = _divide(column.nothing.above.sum(axis=0), column.nothing.scored.sum(axis=0))
    case_values = _divide(above, scored)
    influence = _influence(column.values, means)
    has_score = scored > 0
    rows = []
    for part in parts:
        mean = _mean(means[part.places])
        known = [place for place in part.places if not math.isnan(means[place])]
        n_interval = int(np.count_nonzero(has_score[:, known].any(axis=1)))
        errors = influence[:, known].mean(axis=1) if known else influence[:, 0]
        low, high, no_interval = _interval(column, mean, errors, n_interval)
        rows.append(
            Row(
                convention=column.convention,
                metric=column.metric,
                part=part.name,
                n_cases=n_cases,
                n_present=part.n_present,
                n_absent=part.n_absent,
                n_false=part.n_false,
                n_scored=int(np.count_nonzero(has_score[:, part.places])),
                mean=mean,
                median=_median(_case_means(case_values[:, part.places])),
                low=low,
                high=high,
                n_interval=n_interval,
                no_interval=no_interval,
                nothing=_mean(empty[part.places]),
            )
        )
    return rows


def _interval(
    column: Column, mean: float, errors: NDArray[np.float64], n_cases: int
) -> tuple[float, float, str]:
    """Interval of the mean of a metric, and why there is none.

    Args:
        column: metric and convention.
        mean: over the cases.
        errors: (cases,) float64, what each case adds to the error of the mean, times their number.
        n_cases: that the mean is over.
    """
    metric, rule = METRICS.get(column.metric), CONVENTIONS.get(column.convention)
    if n_cases and metric is not None and rule is not None and not metric.has_interval(rule):
        return math.nan, math.nan, "a rare penalty has no interval"
    low, high = interval_of(mean, errors, n_cases, "share" if metric is None else metric.scale)
    reasons = {0: "no case", 1: "1 case"}
    reason = "" if math.isfinite(low) else reasons.get(n_cases, f"{n_cases} equal cases")
    return low, high, reason


def _influence(values: Ratios, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Contribution of every case to the error of each part's mean, times the number of cases.

    Args:
        values: of every case and part.
        means: (parts,) float64 ratios of the sums; nan where nothing is scored.

    Returns:
        (cases, parts) float64; 0 for a case that is left out.
    """
    centre = np.where(np.isnan(means), 0.0, means)
    share = np.maximum(values.scored.mean(axis=0), np.finfo(np.float64).tiny)
    return np.asarray((values.above - centre * values.scored) / share, np.float64)


def _case_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each row of (cases, parts) float64 over what is not nan; nan where all is."""
    if values.shape[1] == 1:
        return values[:, 0]
    is_known = ~np.isnan(values)
    sums = np.where(is_known, values, 0.0).sum(axis=1)
    return _divide(sums, is_known.sum(axis=1).astype(np.float64))


def _divide(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide float64 arrays of one shape; nan where the denominator is 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), math.nan)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of the (n,) float64 values, few, that are not nan; nan with none."""
    kept = [value for value in values.tolist() if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else math.nan


def _median(values: NDArray[np.float64]) -> float:
    """Median of the (cases,) float64 values that are not nan; nan with none."""
    kept = np.sort(values[~np.isnan(values)])
    if not kept.size:
        return math.nan
    low, high = kept[(kept.size - 1) // 2], kept[kept.size // 2]
    return float(low if low == high else (low + high) / 2)
