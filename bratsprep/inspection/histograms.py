"""Histograms of brain voxels that can be added up in any order, whatever the cases' units.

Widths of bins are powers of two and 0 always lies on an edge, so two bins of a fine histogram are
exactly one of a coarser: histograms of cases that reach to 131 and to 32,767 add up exactly.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

BINS: Final = 2048
"""A quarter of them lies below 0."""
Z_WIDTH: Final = 1 / 64
"""Of a bin of z-scores: from -8 to 24 standard deviations."""
_REACH: Final = 6
"""Standard deviations above the mean that a histogram reaches to."""


@njit(cache=True, nogil=True)
def count_(
    plane: NDArray[np.float32],
    brain: NDArray[np.uint8],
    label: NDArray[np.uint8],
    scale: tuple[float, float],
    counts: NDArray[np.int64],
) -> None:
    """Count the brain pixels of a plane into bins, each class apart.

    Values beyond the ends, and NaN, are counted in the end bins, and a label above the highest
    class in that one: nothing is written beyond `counts`.

    Args:
        plane: (h, w) float32, C order, any unit.
        brain: (h, w) uint8, C order, 1 inside.
        label: (h, w) uint8, C order, stored classes.
        scale: slope and start; pixel * slope + start is the bin, its fraction cut off.
        counts: (c, n) int64, added to.
    """
    slope, start = scale
    last = counts.shape[1] - 1
    most = np.uint8(counts.shape[0] - 1)
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            if brain[y, x]:
                place = np.float64(plane[y, x]) * slope + start
                bin_ = 0
                if place >= last:
                    bin_ = last
                elif place > 0:
                    bin_ = int(place)
                counts[min(label[y, x], most), bin_] += 1


@dataclass(frozen=True, slots=True)
class Histogram:
    """Brain voxels by intensity, each class apart."""

    counts: NDArray[np.int64]
    """(c, BINS) int64; voxels beyond the ends are in the end bins."""
    width: float
    """Of a bin, a power of two, any unit; bin BINS / 4 begins at 0."""

    @property
    def edges(self) -> NDArray[np.float64]:
        """(BINS + 1,) float64: where the bins begin, and where the last one ends."""
        return np.arange(-(BINS // 4), BINS * 3 // 4 + 1, dtype=np.float64) * self.width

    def plus(self, other: "Histogram") -> "Histogram":
        """Both together, with the wider bins of the two."""
        width = max(self.width, other.width)
        return Histogram(self.widened(width).counts + other.widened(width).counts, width)

    def widened(self, width: float) -> "Histogram":
        """The same voxels in wider bins.

        Args:
            width: this histogram's, or a power of two times it.
        """
        times = round(width / self.width)
        counts = np.zeros_like(self.counts)
        if times > BINS // 4:  # all within one bin on either side of 0
            middle = BINS // 4
            counts[:, middle - 1] = self.counts[:, :middle].sum(axis=1)
            counts[:, middle] = self.counts[:, middle:].sum(axis=1)
            return Histogram(counts, width)
        joined = self.counts.reshape(len(self.counts), -1, times).sum(axis=2)
        start = BINS // 4 - BINS // 4 // times
        counts[:, start : start + joined.shape[1]] = joined
        return Histogram(counts, width)

    def quantile(self, share: float) -> float:
        """Intensity below which a share of all voxels lies, linear within a bin; 0 of no voxels."""
        return self._quantile(self.counts.sum(axis=0), share)

    def _quantile(self, counts: NDArray[np.int64], share: float) -> float:
        """Quantile of voxels in bins, (BINS,) int64; 0 where there are none."""
        below = np.cumsum(counts)
        if not below[-1]:
            return 0.0
        wanted = share * below[-1]
        place = min(int(np.searchsorted(below, wanted)), BINS - 1)
        before = int(below[place - 1]) if place else 0
        inside = (wanted - before) / max(int(below[place]) - before, 1)
        return float((place - BINS // 4 + inside) * self.width)

    def shown(self, most: int = 96) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the range that holds nearly all voxels, in a limited number of bins.

        Args:
            most: largest number of bins, at least 4.

        Returns:
            (n + 1,) float64 edges, and (1 + c, n) float64 shares of all voxels and of those of
            each class; a class without voxels has zeros.
        """
        low, high = self.quantile(0.0005), self.quantile(0.9985)
        high = max(high, *(self._quantile(counts, 0.995) for counts in self.counts))
        wide = self
        while (high - low) / wide.width > most - 2:
            wide = wide.widened(wide.width * 2)
        first = max(math.floor(low / wide.width) + BINS // 4, 0)
        stop = min(max(math.ceil(high / wide.width) + BINS // 4, first + 1), BINS)
        counts = np.vstack([wide.counts.sum(axis=0), wide.counts]).astype(np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        return wide.edges[first : stop + 1], shares[:, first:stop]


def empty(width: float, n_classes: int) -> Histogram:
    """A histogram to count into."""
    return Histogram(np.zeros((n_classes, BINS), np.int64), width)


def width_for(mean: float, std: float) -> float:
    """Width of bins that hold a modality of a case.

    Args:
        mean: source units.
        std: source units, above 0.
    """
    above = (mean + _REACH * std) / (BINS * 3 // 4)
    below = (_REACH * std / 2 - mean) / (BINS // 4)
    return 2.0 ** math.ceil(math.log2(max(above, below)))


def into(width: float, slope: float = 1.0, shift: float = 0.0) -> tuple[float, float]:
    """What `count_` scales with.

    Args:
        width: of a bin.
        slope: of the pixels: pixel * slope + shift is in the unit of the bins.
        shift: unit of the bins.
    """
    return slope / width, shift / width + BINS // 4


def warm() -> None:
    """Compile the kernel, or load it from the cache, before any thread starts."""
    plane, ones = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.uint8)
    count_(plane, ones, ones, (1.0, 0.0), np.zeros((2, BINS), np.int64))
