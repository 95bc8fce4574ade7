"""Spearman's rank correlation with an interval, for the questions that a page answers with it."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.paired_tests import average_ranks

LEAST_CASES: Final = 5
"""Fewer cases say nothing of a correlation: its interval would be nearly all of -1 to 1."""
QUANTILE: Final = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Rank correlation of two numbers over some cases."""

    rho: float
    """-1 to 1; nan where it is not defined."""
    low: float
    """Lower end of the 95 % interval; nan where there is none."""
    high: float
    n: int
    """Cases that have both numbers."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval does not contain 0."""
        return self.low > 0 or self.high < 0

    def text(self) -> str:
        """The correlation, its interval and its cases."""
        if math.isnan(self.rho):
            return f"not defined (n {self.n})"
        return f"{self.rho:+.2f}, 95 % {self.low:+.2f} to {self.high:+.2f} (n {self.n})"


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> Correlation:
    """Correlate the ranks of two numbers (Spearman 1904), equal values sharing their mean rank.

    The interval is Fisher's z with the variance of Bonett and Wright 2000, "Sample size
    requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika 65.

    Args:
        x: (n,) float64; nan where a case has none.
        y: (n,) float64, likewise.

    Returns:
        The correlation over the cases that have both; nan for fewer than `LEAST_CASES` of them, or
        where all are equal.
    """
    known = np.isfinite(x) & np.isfinite(y)
    n = int(known.sum())
    ranks = [average_ranks(values[known]) for values in (x, y)]
    if n < LEAST_CASES or any(np.ptp(each) == 0 for each in ranks):
        return Correlation(math.nan, math.nan, math.nan, n)
    rho = float(np.clip(np.corrcoef(ranks[0], ranks[1])[0, 1], -1, 1))
    if abs(rho) > 1 - 1e-12:
        return Correlation(rho, rho, rho, n)
    reach = QUANTILE * math.sqrt((1 + rho**2 / 2) / (n - 3))
    z = math.atanh(rho)
    return Correlation(rho, math.tanh(z - reach), math.tanh(z + reach), n)
