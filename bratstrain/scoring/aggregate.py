"""Tables over many cases: one convention, one metric and one class or region to a row.

Each row says how many cases have the class, how many have not, in how many of those it was
predicted all the same, and what an empty prediction would have scored.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.lesions import LesionScores
from bratstrain.scoring.metrics import MEANS, PARTS, CaseScores, Counts, PartScores, SliceScores

RESAMPLES: Final = 2000
"""Of the cases, for the bootstrap."""


@dataclass(frozen=True, slots=True)
class Convention:
    """What empty masks are worth; nan leaves the case out of the mean.

    A Dice is 0 wherever the truth is there and nothing is predicted.
    """

    name: str
    both_empty: float
    """Dice or surface Dice where neither side has a voxel."""
    truth_empty: float
    """The same where only the prediction has."""
    both_empty_mm: float
    """HD95 where neither side has a voxel."""
    penalty_mm: float
    """HD95 where one side is empty; of a missed or false lesion too."""
    rules: str
    """Name of the lesion rules, empty where the convention knows no lesions."""

    def overlap(self, value: float | None, counts: Counts) -> float:
        """Give a Dice or surface Dice its worth where a mask is empty; nan for None."""
        if value is None:
            return math.nan
        if counts.n_truth:
            return value if counts.n_predicted else 0.0
        return self.truth_empty if counts.n_predicted else self.both_empty

    def distance(self, value_mm: float | None, counts: Counts) -> float:
        """Give an HD95 its worth where a mask is empty, mm; nan for None."""
        if value_mm is None:
            return math.nan
        if counts.n_truth and counts.n_predicted:
            return value_mm
        return self.penalty_mm if counts.n_truth or counts.n_predicted else self.both_empty_mm


_OUT: Final = math.nan
CONVENTIONS: Final = MappingProxyType(
    {
        convention.name: convention
        for convention in (
            Convention("brats", 1.0, 0.0, 0.0, 373.13, "brats2023"),
            Convention("brats2023", 1.0, 0.0, 0.0, 374.0, "brats2023"),
            Convention("brats2024", 1.0, 0.0, 0.0, 337.0, "brats2024"),
            Convention("nnunet", _OUT, 0.0, _OUT, _OUT, ""),
            Convention("present", _OUT, _OUT, _OUT, _OUT, ""),
        )
    }
)
"""By name. `brats`, the default, has the published penalty, the diagonal of 240 x 240 x 155 in
mm; `brats2023` the one that year's code prints. `present` hides false positives."""

Measure = Callable[[PartScores, Convention], float]


def _lesions(score: Callable[[LesionScores, float], float]) -> Measure:
    """Make a measure of the lesions under the convention's rules; nan without them."""
    return lambda part, rule: (
        score(part.lesions[rule.rules], rule.penalty_mm) if rule.rules in part.lesions else math.nan
    )


METRICS: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "volume Dice": lambda part, rule: rule.overlap(part.counts.volume_dice, part.counts),
        "HD95 (mm)": lambda part, rule: rule.distance(part.hd95_mm, part.counts),
        "surface Dice at 1 mm": lambda part, rule: rule.overlap(part.surface_dice, part.counts),
        "sensitivity": lambda part, _: part.counts.sensitivity,
        "specificity": lambda part, _: part.counts.specificity,
        "lesion-wise Dice": _lesions(lambda found, _: found.lesionwise_dice),
        "lesion-wise HD95 (mm)": _lesions(LesionScores.lesionwise_hd95),
        "lesions TP": _lesions(lambda found, _: found.n_found),
        "lesions FP": _lesions(lambda found, _: found.n_false),
        "lesions FN": _lesions(lambda found, _: found.n_missed),
        "slice-mean Dice, tumour slices": lambda part, _: part.slices.tumour_mean,
        "slice-mean Dice, all slices, 0/0 = 1": lambda part, _: part.slices.all_mean,
        "slice-mean Dice, all slices, empty ignored": lambda part, _: part.slices.filled_mean,
        "(foreground + background) Dice / 2": lambda part, _: part.counts.two_sided_dice,
    }
)
"""Value of one case by the name of the metric; nan where the case is left out."""
POOLED: Final = "pooled Dice"
"""Voxels of all cases thrown together; large tumours decide it."""


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
    """Of the scored cases, and for several parts the mean of their medians."""
    low: float
    """Lower end of the bootstrap's 95 % interval of the mean, over cases."""
    high: float
    """Upper end of that interval."""
    nothing: float
    """The mean that an empty prediction has."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, and what they were made from."""

    cases: str
    """Which cases, such as `fold 0 validation`."""
    planes: str
    """Which planes of them, such as `every plane`."""
    resamples: int
    seed: int
    rows: tuple[Row, ...]

    def to_rows(self) -> list[dict[str, Any]]:
        """Give each row as a flat dict for CSV or JSON, with cases and planes; nan as None."""
        made_of = {"cases": self.cases, "planes": self.planes}
        return [made_of | _plain(asdict(row)) for row in self.rows]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Turn nan, which JSON has no word for, into None."""
    return {key: None if value != value else value for key, value in row.items()}  # noqa: PLR0124 (nan)


def nothing_case(scores: CaseScores) -> CaseScores:
    """Score an empty prediction of the same truth, from the scores alone."""
    confusion = np.zeros_like(scores.confusion)
    confusion[:, 0] = scores.confusion.sum(axis=1)
    parts = {name: _nothing_part(part) for name, part in scores.parts.items()}
    return CaseScores(scores.case, confusion, parts)


def _nothing_part(part: PartScores) -> PartScores:
    """Score an empty prediction of one part; what was not asked for stays None."""
    counts, slices = part.counts, part.slices
    return replace(
        part,
        counts=Counts(0, 0, counts.n_truth, counts.tn + counts.fp),
        slices=SliceScores(slices.n_planes, slices.n_truth, 0, 0.0),
        hd95_mm=None if part.hd95_mm is None else math.inf if counts.n_truth else math.nan,
        surface_dice=None if part.surface_dice is None else 0.0 if counts.n_truth else math.nan,
        lesions={rule: found.of_nothing() for rule, found in part.lesions.items()},
    )


def case_rows(scores: CaseScores, convention: str = "brats") -> list[dict[str, Any]]:
    """Give every metric of every part of one case as flat dicts for CSV or JSON; nan as None.

    Raises:
        ValueError: the convention is unknown.
    """
    rule = _convention(convention)
    rows = []
    for name, part in scores.parts.items():
        row: dict[str, Any] = {"case": scores.case, "convention": convention, "part": name}
        row |= asdict(part.counts)
        row |= zip(("truth_mm3", "predicted_mm3"), part.volumes_mm3, strict=True)
        rows.append(_plain(row | {key: measure(part, rule) for key, measure in METRICS.items()}))
    return rows


def summarise(
    scores: Sequence[CaseScores],
    *,
    cases: str,
    planes: str = "every plane",
    conventions: Sequence[str] = ("brats", "nnunet"),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Table:
    """Average every metric of every part over the cases, under each convention.

    Metrics that nothing was measured for have no row. Intervals are those of the percentile
    bootstrap (Efron 1979); every row draws the same cases.

    Args:
        scores: of the cases, at least one.
        cases: what to call the set of cases.
        planes: what to call the set of planes.
        conventions: names of CONVENTIONS.
        seed: of the draws.
        resamples: how often the cases are drawn anew.

    Raises:
        ValueError: there is no case, or a convention is unknown.
    """
    if not scores:
        raise ValueError("scores holds 0 cases; a table needs at least one")
    n = len(scores)
    draws = np.random.default_rng(seed).multinomial(n, [1 / n] * n, resamples).astype(np.float64)
    empty = [nothing_case(case) for case in scores]
    rows = _rows(("pooled", POOLED), scores, _pooled(scores), _pooled(empty), draws)
    for rule in map(_convention, conventions):
        for metric, measure in METRICS.items():
            shares, nothing = (_shares(some, measure, rule) for some in (scores, empty))
            if shares[1].any():
                rows += _rows((rule.name, metric), scores, shares, nothing, draws)
    return Table(cases, planes, resamples, seed, tuple(rows))


def _convention(name: str) -> Convention:
    """Look a convention up."""
    if name not in CONVENTIONS:
        raise ValueError(f"convention {name!r} is unknown; one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


Shares = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Two (cases, parts) arrays; a mean is the sum of the first over the sum of the second."""


def _shares(scores: Sequence[CaseScores], measure: Measure, rule: Convention) -> Shares:
    """Value of each case and part, 0 where left out; and 1 for each that is not left out."""
    value = np.array([[measure(case.parts[name], rule) for name in PARTS] for case in scores])
    scored = np.isfinite(value)
    return np.where(scored, value, 0.0), scored.astype(np.float64)


def _pooled(scores: Sequence[CaseScores]) -> Shares:
    """Voxels above and below the line of the Dice, of each case and part."""
    counts = [[case.parts[name].counts for name in PARTS] for case in scores]
    above = np.array([[2.0 * part.tp for part in row] for row in counts])
    return above, above + np.array([[float(part.fp + part.fn) for part in row] for row in counts])


def _rows(
    names: tuple[str, str],
    scores: Sequence[CaseScores],
    shares: Shares,
    nothing: Shares,
    draws: NDArray[np.float64],
) -> list[Row]:
    """Make the rows of one metric: each part, then the means of several."""
    above, below = shares
    truth = np.array([[case.parts[name].counts.n_truth for name in PARTS] for case in scores]) > 0
    false = np.array([[case.parts[name].counts.fp for name in PARTS] for case in scores]) > 0
    drawn = np.ma.masked_invalid(_divide(draws @ above, draws @ below))
    means = _divide(above.sum(axis=0), below.sum(axis=0))
    empty = _divide(nothing[0].sum(axis=0), nothing[1].sum(axis=0))
    middle = np.array([_known(np.median, column) for column in _divide(above, below).T])
    rows = []
    for part, members in ({name: (name,) for name in PARTS} | dict(MEANS)).items():
        some = [list(PARTS).index(name) for name in members]
        n_present, n_all = int(truth[:, some].sum()), truth[:, some].size
        n_false, n_scored = (int(a[:, some].sum()) for a in (false & ~truth, below > 0))
        counts = len(scores), n_present, n_all - n_present, n_false, n_scored
        spread = drawn[:, some].mean(axis=1).compressed()
        low, high = (_known(partial(np.percentile, q=q), spread) for q in (2.5, 97.5))
        centre = _known(np.mean, means[some]), _known(np.mean, middle[some])
        rows.append(Row(*names, part, *counts, *centre, low, high, _known(np.mean, empty[some])))
    return rows


def _divide(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; nan where there is nothing to divide by."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), math.nan)


def _known(statistic: Callable[..., Any], values: NDArray[np.float64]) -> float:
    """Give a statistic of the values that are not nan; nan with none."""
    known = values[~np.isnan(values)]
    return float(statistic(known)) if known.size else math.nan
