"""Agreement of two measurements of the same cases: limits of agreement.

Bland and Altman 1986 (doi:10.1016/S0140-6736(86)90837-8): the mean of the differences is the bias,
and 95 % of the differences are expected within 1.96 standard deviations of it, if they are about
normal. A correlation would say nothing of either.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.intervals import student_quantile

SPREAD: Final = 1.959963984540054
"""Standard deviations on each side of the mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far predictions are from the truth; nan where there are too few cases."""

    n: int
    """Cases."""
    mean: float
    """Of predicted minus true: the bias."""
    deviation: float
    """Standard deviation of the differences, divisor n - 1."""
    mean_reach: float
    """Half of the 95 % interval of the mean."""
    limit_reach: float
    """Half of the 95 % interval of each limit of agreement."""

    @property
    def low(self) -> float:
        """Lower limit of agreement."""
        return self.mean - SPREAD * self.deviation

    @property
    def high(self) -> float:
        """Upper limit of agreement."""
        return self.mean + SPREAD * self.deviation


def agreement(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Agreement:
    """Compare two measurements of each case.

    The standard errors of mean and limits are those of Bland and Altman: s / sqrt(n), and
    s sqrt(3 / n).

    Args:
        truth: (n,) float64, in any unit.
        predicted: (n,) float64, in the same unit.

    Raises:
        ValueError: the lengths differ, or a value is not finite.
    """
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} and predicted {predicted.shape}; must agree")
    difference = np.asarray(predicted - truth, np.float64)
    if not np.isfinite(difference).all():
        raise ValueError("a value is not finite; leave such cases out")
    n = len(difference)
    mean = float(difference.mean()) if n else math.nan
    if n < 2:
        return Agreement(n, mean, math.nan, math.nan, math.nan)
    deviation = float(difference.std(ddof=1))
    reach = student_quantile(n - 1) * deviation / math.sqrt(n)
    return Agreement(n, mean, deviation, reach, math.sqrt(3) * reach)
