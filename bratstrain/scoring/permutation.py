"""Exact permutation test of two groups: is one mean higher, or is it the allocation by chance?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO: Final = 200_000
"""Allocations that are all counted; of more, DRAWS are drawn."""
DRAWS: Final = 100_000
_BLOCK: Final = 20_000
"""Allocations that are summed together."""


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """One-sided test that unmarked values are higher on average than marked ones."""

    p: float
    """Share of the allocations of the marks whose difference is at least as large."""
    n_allocations: int
    """Allocations that were counted, or drawn."""
    method: str
    """`exact` or `drawn`."""


def permutation_test(values: NDArray[np.float64], marked: NDArray[np.bool_]) -> PermutationTest:
    """Test whether the mean of the unmarked values exceeds that of the marked ones by chance.

    The null hypothesis is that the marks were allocated without regard to the values (Fisher
    1935). Nothing is assumed of the distribution. Beyond `EXACT_UP_TO` allocations some are drawn
    with a fixed seed, and p is (1 + as extreme) / (1 + draws) (Phipson and Smyth 2010).

    Args:
        values: (n,) float64; none is nan.
        marked: (n,) bool, with at least one value on either side.

    Raises:
        ValueError: a side is empty.
    """
    n, n_marked = len(values), int(marked.sum())
    if not 0 < n_marked < n:
        raise ValueError(f"marked must leave values on both sides, got {n_marked} of {n}")
    # The means depend on the marked sum alone: the lower it is, the larger the difference.
    limit = float(values[marked].sum()) + 1e-12 * float(np.abs(values).sum())
    n_all = math.comb(n, n_marked)
    if n_all <= EXACT_UP_TO:
        n_extreme = sum(int((values[rows].sum(axis=1) <= limit).sum())
                        for rows in allocations(n, n_marked))  # fmt: skip
        return PermutationTest(n_extreme / n_all, n_all, "exact")
    generator = np.random.default_rng(0)
    n_extreme = 0
    for _ in range(DRAWS // _BLOCK):
        shuffled = generator.permuted(np.tile(values, (_BLOCK, 1)), axis=1)
        n_extreme += int((shuffled[:, :n_marked].sum(axis=1) <= limit).sum())
    return PermutationTest((1 + n_extreme) / (1 + DRAWS), DRAWS, "drawn")


def allocations(n: int, n_marked: int) -> Iterator[NDArray[np.int64]]:
    """Yield blocks of (k, n_marked) int64 rows: every way to mark so many of n values."""
    every = combinations(range(n), n_marked)
    while block := list(islice(every, _BLOCK)):
        flat = np.fromiter(chain.from_iterable(block), np.int64, len(block) * n_marked)
        yield flat.reshape(len(block), n_marked)
