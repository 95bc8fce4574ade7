"""Persons with two cases: split between folds against both within one fold.

The folds were dealt without regard to persons, so that chance decided which pairs were split. The
two groups of pairs are a natural experiment on what a twin in training does to a score.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratstrain.evaluation.formatting import none_for_nan
from bratstrain.leakage.estimates import NOTHING, Estimate, Term, mean_term, total
from bratstrain.leakage.exposure import Exposure
from bratstrain.scoring.permutation import PermutationTest, permutation_test


@dataclass(frozen=True, slots=True)
class PairComparison:
    """Score of split pairs and of pairs within one fold; a pair has the mean of its two cases."""

    is_copy: bool
    """Copies of one scan with the same reference, or other pairs of one person."""
    score: str
    """A part, `mean`, or `mean, adjusted for size`."""
    n_split: int
    n_within: int
    split: float
    """Mean of the split pairs; nan where there is none."""
    within: float
    term: Term | None
    """Difference of the means, split less within; None where a side has no pair."""
    test: PermutationTest | None
    """One-sided: split pairs score higher; None where a side has no pair."""

    @property
    def difference(self) -> Estimate:
        """Difference of the means, with Welch's interval."""
        return NOTHING if self.term is None else self.term.estimate()

    def to_json(self) -> dict[str, Any]:
        """Convert to plain values; nan becomes None."""
        test = self.test
        return {
            "pairs": kind_of_pairs(self.is_copy),
            "score": self.score,
            "n_split": self.n_split,
            "n_within": self.n_within,
            "split": none_for_nan(self.split),
            "within": none_for_nan(self.within),
            "difference": self.difference.to_json(),
            "p_one_sided": None if test is None else test.p,
            "allocations": None if test is None else test.n_allocations,
            "method": None if test is None else test.method,
        }


def kind_of_pairs(is_copy: bool) -> str:
    """Name a kind of pairs."""
    return "same reference" if is_copy else "other reference"


def compare_pairs(
    exposure: Exposure, values: Mapping[str, NDArray[np.float64]]
) -> list[PairComparison]:
    """Compare split pairs with pairs within one fold, for each kind of pairs and each score.

    Args:
        exposure: of the cases.
        values: by name of the score, (n,) float64 of the cases; nan where a case has none.
    """
    kinds = [is_copy for is_copy in (True, False)
             if any(pair.is_copy == is_copy for pair in exposure.pairs)]  # fmt: skip
    return [
        compare_kind(exposure, is_copy, name, scores)
        for is_copy in kinds
        for name, scores in values.items()
    ]


def compare_kind(
    exposure: Exposure, is_copy: bool, name: str, scores: NDArray[np.float64]
) -> PairComparison:
    """Compare one score over one kind of pairs.

    Args:
        exposure: of the cases.
        is_copy: kind of the pairs.
        name: of the score.
        scores: (n,) float64 of the cases; a pair of which no case has one is left out.
    """
    pairs = [pair for pair in exposure.pairs if pair.is_copy == is_copy]
    both = np.array([[scores[pair.first], scores[pair.second]] for pair in pairs])
    scored = ~np.isnan(both)
    counts = scored.sum(axis=1)
    kept = counts > 0
    pair_scores = np.where(scored, both, 0.0).sum(axis=1)[kept] / counts[kept]
    is_within = np.array([not pair.is_split for pair in pairs], bool)[kept]
    split, within = pair_scores[~is_within], pair_scores[is_within]
    term = test = None
    if len(split) and len(within):
        term = total([mean_term(split), mean_term(within).scaled(-1)])
        test = permutation_test(pair_scores, is_within)
    return PairComparison(
        is_copy,
        name,
        len(split),
        len(within),
        float(split.mean()) if len(split) else math.nan,
        float(within.mean()) if len(within) else math.nan,
        term,
        test,
    )
