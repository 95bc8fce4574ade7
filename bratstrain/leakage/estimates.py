"""Means over cases and differences of groups, with intervals over persons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratstrain.evaluation.formatting import none_for_nan
from bratstrain.scoring.intervals import interval_of, student_quantile


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    """nan where there is no interval."""
    high: float

    def scaled(self, factor: float) -> "Estimate":
        """Multiply by a factor of at least 0."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values; nan becomes None."""
        names = ("value", "low", "high")
        return {name: none_for_nan(getattr(self, name)) for name in names}


NOTHING = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Term:
    """An estimate with its variance and the degrees of freedom of that variance."""

    value: float
    variance: float
    n_free: float

    def scaled(self, factor: float) -> "Term":
        """Multiply by a factor."""
        return Term(self.value * factor, self.variance * factor**2, self.n_free)

    def estimate(self) -> Estimate:
        """Give Student's interval; degrees of freedom are rounded down."""
        if not (math.isfinite(self.variance) and self.variance > 0 and self.n_free >= 1):
            return Estimate(self.value, math.nan, math.nan)
        reach = student_quantile(int(self.n_free)) * math.sqrt(self.variance)
        return Estimate(self.value, self.value - reach, self.value + reach)


def total(terms: Sequence[Term]) -> Term:
    """Add independent terms (Welch 1947, Satterthwaite 1946).

    Args:
        terms: at least one.
    """
    variance = sum(term.variance for term in terms)
    weights = sum(term.variance**2 / term.n_free for term in terms if term.variance > 0)
    n_free = variance**2 / weights if weights > 0 else 0.0
    return Term(sum(term.value for term in terms), variance, n_free)


def mean_term(values: NDArray[np.float64]) -> Term:
    """Mean of independent values; its variance is nan for fewer than two.

    Args:
        values: (n,) float64, at least one; none is nan.
    """
    n = len(values)
    variance = float(values.var(ddof=1)) / n if n > 1 else math.nan
    return Term(float(values.mean()), variance, n - 1)


def part_means(
    dice: NDArray[np.float64], subjects: Sequence[str]
) -> tuple[list[Estimate], Estimate]:
    """Average each part over the cases, and the parts; persons are independent, cases are not.

    Args:
        dice: (n, parts) float64; nan for a part that is left out.
        subjects: person of each case.

    Returns:
        Mean of each part over the cases that have it, and the mean of these means.
    """
    scored = ~np.isnan(dice)
    share = np.maximum(scored.mean(axis=0), np.finfo(np.float64).tiny)
    sums = np.where(scored, dice, 0.0).sum(axis=0)
    counts = scored.sum(axis=0)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)
    errors = np.where(scored, dice - means, 0.0) / share
    known = ~np.isnan(means)
    each = [person_mean(float(mean), errors[:, i], subjects) for i, mean in enumerate(means)]
    if not known.any():
        return each, NOTHING
    return each, person_mean(float(means[known].mean()), errors[:, known].mean(axis=1), subjects)


def person_mean(mean: float, influence: NDArray[np.float64], subjects: Sequence[str]) -> Estimate:
    """Give a mean over cases an interval over persons.

    Args:
        mean: the estimate.
        influence: (n,) float64, contribution of each case to the error of the mean, times n.
        subjects: person of each case.
    """
    _, rows = np.unique(np.array([*subjects], str), return_inverse=True)
    n_persons = int(rows.max()) + 1
    by_person = np.bincount(rows, influence, n_persons) * n_persons / len(influence)
    return Estimate(mean, *interval_of(mean, by_person, n_persons, "share"))


def case_means(dice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each case of (n, parts) float64 Dice over its scored parts; nan where none is."""
    scored = ~np.isnan(dice)
    counts = scored.sum(axis=1)
    sums = np.where(scored, dice, 0.0).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)
