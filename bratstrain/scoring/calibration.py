"""How well predicted probabilities are calibrated: the expected calibration error.

After Guo et al. 2017 (arXiv:1706.04599, eq. 3), of each class or region against the rest, since a
region is a sum of classes: voxels are put into bins of equal width by the predicted probability of
the class or region, and in each bin the mean probability is held against the share of voxels that
truly belong to it. Only counts and sums are kept, so planes and cases add up without an array of
all probabilities.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

N_BINS: Final = 15
"""As Guo et al. use them."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Voxels of one class or region by the bin of their predicted probability."""

    n: NDArray[np.int64]
    """(bins,) int64, voxels."""
    confidence: NDArray[np.float64]
    """(bins,) float64, sum of their probabilities."""
    hits: NDArray[np.int64]
    """(bins,) int64, those that belong to the class or region."""

    @property
    def error(self) -> float:
        """Expected calibration error: gap of each bin, weighted by its voxels; nan with none."""
        total = int(self.n.sum())
        return float(np.abs(self.confidence - self.hits).sum()) / total if total else math.nan

    def __add__(self, other: "Calibration") -> "Calibration":
        """Put the voxels of two calibrations together."""
        return Calibration(
            self.n + other.n, self.confidence + other.confidence, self.hits + other.hits
        )

    def of_nothing(self) -> "Calibration":
        """Give the calibration of a prediction that is certain of an empty mask."""
        n, hits = np.zeros_like(self.n), np.zeros_like(self.hits)
        n[0], hits[0] = self.n.sum(), self.hits.sum()
        return Calibration(n, np.zeros_like(self.confidence), hits)

    def rows(self) -> list[dict[str, float | int | None]]:
        """Bins for JSON: lower edge, voxels, mean probability and share that belongs to it."""
        size = len(self.n)
        return [
            {
                "from": i / size,
                "voxels": int(n),
                "probability": float(self.confidence[i] / n) if n else None,
                "share": float(self.hits[i] / n) if n else None,
            }
            for i, n in enumerate(self.n.tolist())
        ]


def calibrations(
    probability: NDArray[np.float32],
    truth: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    parts: Sequence[Sequence[int]],
) -> list[Calibration]:
    """Count voxels of every class and region by the bin of their probability.

    Args:
        probability: (planes, c, h, w) float32, of every class, background first; sums to 1 over c.
        truth: (planes, h, w) uint8, stored labels.
        inside: (planes, h, w) bool, which voxels count.
        parts: stored labels of each class or region.

    Returns:
        One calibration for each part.

    Raises:
        ValueError: the shapes do not go together.
    """
    planes, n_classes, *plane = probability.shape
    if truth.shape != (planes, *plane) or inside.shape != truth.shape:
        raise ValueError(
            f"probabilities are {probability.shape}, truth {truth.shape} and mask {inside.shape}; "
            "must be of the same planes"
        )
    members = np.zeros((len(parts), n_classes), np.bool_)
    for row, labels in zip(members, parts, strict=True):
        row[list(labels)] = True
    n = np.zeros((len(parts), N_BINS), np.int64)
    confidence, hits = np.zeros(n.shape), np.zeros_like(n)
    probability, truth, inside = map(np.ascontiguousarray, (probability, truth, inside))
    count_bins_(probability, truth, inside, members, (n, confidence, hits))
    return [Calibration(*rows) for rows in zip(n, confidence, hits, strict=True)]


@njit(cache=True, nogil=True)
def count_bins_(
    probability: NDArray[np.float32],
    truth: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    members: NDArray[np.bool_],
    sums: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]],
) -> None:
    """Add voxels to the bins of every part, in place.

    A probability on an edge belongs to the upper bin, and 1 to the last.

    Args:
        probability: (planes, c, h, w) float32.
        truth: (planes, h, w) uint8.
        inside: (planes, h, w) bool, which voxels count.
        members: (parts, c) bool, the classes of each part.
        sums: (parts, bins) int64 voxels, float64 probabilities and int64 hits; updated.
    """
    n, confidence, hits = sums
    n_bins = n.shape[1]
    for s, y, x in np.ndindex(truth.shape):
        if not inside[s, y, x]:
            continue
        label = truth[s, y, x]
        for part in range(members.shape[0]):
            p = 0.0
            for k in range(members.shape[1]):
                if members[part, k]:
                    p += probability[s, k, y, x]
            place = min(int(p * n_bins), n_bins - 1)
            n[part, place] += 1
            confidence[part, place] += p
            hits[part, place] += members[part, label]
