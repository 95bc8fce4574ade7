"""Statistics of pairs: is one run better than another on the same cases, or is it chance?

Written here and not taken from SciPy, which would be a dependency for three short functions, and
whose exact test does not know ties; the tests hold ours against SciPy's where both apply.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO: Final = 200
"""Cases; beyond, the normal approximation is as good and takes no time."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A signed-rank test."""

    p: float
    """Two-sided; 1 where no case differs."""
    n: int
    """Cases that differ; the others carry no information."""
    method: str
    """`exact` or `normal`."""


def average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank (n,) float64 values from 1, smallest first; equal ones share the mean of their ranks."""
    order = np.sort(values)
    first = np.searchsorted(order, values, side="left")
    last = np.searchsorted(order, values, side="right")
    return (first + last + 1) / 2


def signed_rank(differences: NDArray[np.float64]) -> PairedTest:
    """Test whether differences lie evenly on both sides of 0 (Wilcoxon 1945), two-sided.

    Differences of 0 are left out. Up to `EXACT_UP_TO` cases the distribution is exact, ties and
    all: every sign is as likely as the other, and the sums that they can give are counted.
    Beyond, it is the normal approximation with the correction for ties (Lehmann 1975, eq. 3.9),
    without one for continuity.

    Args:
        differences: (n,) float64; none is nan.
    """
    kept = differences[differences != 0]
    n = len(kept)
    if n == 0:
        return PairedTest(1.0, 0, "exact")
    ranks = average_ranks(np.abs(kept))
    above = float(ranks[kept > 0].sum())
    if n <= EXACT_UP_TO:
        return PairedTest(_exact(ranks, above), n, "exact")
    variance = float((ranks**2).sum()) / 4
    z = abs(above - float(ranks.sum()) / 2) / math.sqrt(variance)
    return PairedTest(math.erfc(z / math.sqrt(2)), n, "normal")


def _exact(ranks: NDArray[np.float64], above: float) -> float:
    """Two-sided p: the share of all choices of signs whose sum is as far from the middle.

    Ranks are multiples of one half, so twice their sum is a whole number.

    Args:
        ranks: (n,) float64, as `average_ranks` returns them.
        above: sum of the ranks of the positive differences.
    """
    doubled = np.rint(2 * ranks).astype(np.int64)
    chance = np.zeros(int(doubled.sum()) + 1)
    chance[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: chance.size - rank]
        chance = (chance + moved) / 2
    middle = (chance.size - 1) / 2
    away = np.abs(np.arange(chance.size) - middle)
    return min(1.0, float(chance[away >= abs(2 * above - middle)].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for the number of tests made (Holm 1979); in their order, at most 1."""
    order = np.argsort(p_values, kind="stable")
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[int(i)]))
        corrected[int(i)] = highest
    return corrected
