"""Border Dice: the surface Dice of nnU-Net's first version, which BraTS 2024 uses.

It counts border voxels, not areas: a voxel of the mask with a face neighbour outside. Its values
are not comparable to the surface Dice of `bratstrain.scoring.surface`.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.distances import squared_distances
from bratstrain.scoring.surface import union_box

BORDER_TOLERANCES_MM: Final = (0.5, 1.0)
"""At which BraTS 2024 gives it."""
REFERENCE_EPSILON: Final = 1e-8
"""What the reference adds to the denominator, so that a perfect border scores 1 - 5e-9."""


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the voxels of a (z, y, x) bool mask with a face neighbour outside of it."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(mask.ndim):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    core = (slice(1, -1),) * mask.ndim
    edge: NDArray[np.bool_] = mask & ~inner[core]
    return edge


def border_dice(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[float, ...]:
    """Share of both borders within a tolerance of the other, each border of equal weight.

    Args:
        truth: (z, y, x) bool.
        predicted: (z, y, x) bool, same shape.
        spacing: (3,) mm, voxel size along x, y, z.

    Returns:
        One value for each of `BORDER_TOLERANCES_MM`; 0 where one mask is empty, 1 where both are.
    """
    sides = bool(truth.any()), bool(predicted.any())
    if not all(sides):
        return (0.0 if any(sides) else 1.0,) * len(BORDER_TOLERANCES_MM)
    to_predicted, to_truth = _border_distances(truth, predicted, spacing)
    return tuple(
        (float(np.mean(to_predicted <= limit)) + float(np.mean(to_truth <= limit)))
        / (2 + REFERENCE_EPSILON)
        for limit in BORDER_TOLERANCES_MM
    )


def border_hd95(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]
) -> float:
    """95th percentile of the distances between border voxels, those of both directions together.

    The HD95 of panoptica, which BraTS 2026 uses.

    Args:
        truth: (z, y, x) bool.
        predicted: (z, y, x) bool, same shape.
        spacing: (3,) mm, voxel size along x, y, z.

    Returns:
        Distance, mm; inf where one mask is empty, nan where both are.
    """
    sides = bool(truth.any()), bool(predicted.any())
    if not all(sides):
        return math.inf if any(sides) else math.nan
    return float(np.percentile(np.concatenate(_border_distances(truth, predicted, spacing)), 95))


def _border_distances(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances from each border voxel of two (z, y, x) bool masks to the other border.

    Returns:
        (n,) float64 mm from the truth and (m,) float64 mm from the prediction.
    """
    part = union_box(truth, predicted, 0)
    step = np.array(tuple(spacing)[::-1], np.float64)
    borders = [np.ascontiguousarray(border(mask[part])) for mask in (truth, predicted)]
    return (
        np.sqrt(squared_distances(borders[1], borders[0], step)),
        np.sqrt(squared_distances(borders[0], borders[1], step)),
    )
