"""One-to-one matching of lesions, as BraTS has used it since 2026.

The challenge's scoring (Sage-Bionetworks-Challenges/brats-infra, commit 4d6b4b8) runs the package
BraTS_evaluation 0.0.8 on panoptica: 26-connected components of each class or region, paired so that
the Dice of the pairs add up to the most, whatever small overlap they have.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAST_OVERLAP: Final = 1e-6
"""Dice below which two components are no pair."""


def best_pairs(dice: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pair each lesion with at most one predicted component, for the largest sum of Dice.

    Args:
        dice: (n + 1, m + 1) float64, Dice of lesion and component; row and column 0 are 0.

    Returns:
        (n + 1, m + 1) bool, at most one True in each row and column; row and column 0 are False.
    """
    overlap = np.where(dice >= LEAST_OVERLAP, dice, 0.0)
    rows, columns = _assignment()(overlap, maximize=True)
    paired = np.zeros(dice.shape, np.bool_)
    paired[rows, columns] = overlap[rows, columns] > 0
    return paired


@cache
def _assignment() -> Callable[..., Any]:
    """SciPy's solver, loaded at first use: no other convention needs it."""
    solver: Callable[..., Any] = import_module("scipy.optimize").linear_sum_assignment
    return solver


def component_dice(
    truth: NDArray[np.int32], predicted: NDArray[np.int32], n_truth: int, n_predicted: int
) -> NDArray[np.float64]:
    """Dice of every lesion with every predicted component.

    Args:
        truth: (z, y, x) int32 lesion numbers, 0 to n_truth.
        predicted: (z, y, x) int32, 0 to n_predicted, same shape.
        n_truth: the highest number.
        n_predicted: the highest number.

    Returns:
        (n_truth + 1, n_predicted + 1) float64; row and column 0, the outside, are 0.
    """
    counts = count_overlaps(truth, predicted, n_truth, n_predicted)
    sizes = counts.sum(axis=1)[:, None] + counts.sum(axis=0)[None, :]
    counts[0] = counts[:, 0] = 0
    return np.asarray(2 * counts / np.maximum(sizes, 1), np.float64)


@njit(cache=True, nogil=True)
def count_overlaps(
    truth: NDArray[np.int32], predicted: NDArray[np.int32], n_truth: int, n_predicted: int
) -> NDArray[np.int64]:
    """Count voxels by lesion and component.

    Args:
        truth: (z, y, x) int32, 0 to n_truth.
        predicted: (z, y, x) int32, 0 to n_predicted, same shape.
        n_truth: the highest number.
        n_predicted: the highest number.

    Returns:
        (n_truth + 1, n_predicted + 1) int64 voxels, the outside included.
    """
    counts = np.zeros((n_truth + 1, n_predicted + 1), np.int64)
    one, other = truth.ravel(), predicted.ravel()
    for i in range(one.size):
        counts[one[i], other[i]] += 1
    return counts
