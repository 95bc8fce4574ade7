"""Resampling the slow and plain way, for `recompute`: a whole matrix an axis, no kernel.

SciPy gives what each voxel alone becomes along an axis, which is a column of the matrix.
"""

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.volumes.resample_label import TIE

SAME: Final = 1e-3
"""Share up to which two sides of a voxel are the same one."""
THICK: Final = 3
"""How many times longer than the shortest a side has to be to be treated apart."""
ROUNDING: Final = 1e-6
"""Share by which two float32 ways to one resampled intensity may differ."""


class Resampling:
    """The way of one case from its own grid to another.

    Args:
        shape: (z, y, x) of the source, RAS+.
        source_mm: (3,) float64, sides of its voxels along x, y and z.
        wanted_mm: (3,) float64, sides that are wanted, along x, y and z.
    """

    def __init__(
        self,
        shape: Sequence[int],
        source_mm: NDArray[np.float64],
        wanted_mm: Sequence[float] | NDArray[np.float64],
    ) -> None:
        self.kept = np.abs(source_mm / wanted_mm - 1) <= SAME
        self.spacing = np.where(self.kept, source_mm, np.asarray(wanted_mm))
        sizes = np.floor(np.array(shape)[::-1] * source_mm / self.spacing + 0.5).astype(int)
        self.shape = tuple(np.maximum(sizes, 1)[::-1].tolist())
        thick = thick_side(source_mm)
        self.thick = thick_side(self.spacing) if thick is None else thick
        self._source_mm = source_mm

    @property
    def changes(self) -> bool:
        """Whether the grids differ."""
        return not self.kept.all()

    def moved(self, volume: NDArray[Any], order: int) -> NDArray[np.float64]:
        """Interpolate a volume.

        Args:
            volume: (z, y, x) of any real dtype.
            order: of the splines, 3 or 1; 0 across a thick side in its place.

        Returns:
            (z, y, x) float64 on the new grid.
        """
        moved = volume.astype(np.float64)
        for axis, side in enumerate((2, 1, 0)):
            if not self.kept[side]:
                n, size = self.shape[axis], moved.shape[axis]
                step = self.spacing[side] / self._source_mm[side]
                places = np.clip((np.arange(n) - (n - 1) / 2) * step + (size - 1) / 2, 0, size - 1)
                columns = matrix(places, size, 0 if side == self.thick else order)
                moved = np.moveaxis(np.tensordot(columns, moved, (1, axis)), 0, axis)
        return moved

    def mask(self, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Resample a (z, y, x) bool mask."""
        return self.moved(inside, 1) > 0.5 - TIE

    def image(
        self, volume: NDArray[Any], brain: NDArray[np.bool_], inside: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Resample an image as float32, 0 outside the brain.

        Args:
            volume: (z, y, x) of any real dtype, source units.
            brain: (z, y, x) bool, on the grid of the source.
            inside: (z, y, x) bool, the brain on the new grid.
        """
        if not volume.any():
            return np.zeros(self.shape, np.float32)
        mean = volume[brain].astype(np.float64).mean()
        moved = self.moved(np.where(brain, volume - mean, 0), 3)
        return np.where(inside, moved + mean, 0).astype(np.float32)

    def label(self, label: NDArray[np.uint8], n_classes: int) -> NDArray[np.uint8]:
        """Resample a (z, y, x) uint8 label of stored classes by the largest share."""
        chosen = np.zeros(self.shape, np.uint8)
        best = self.moved(label == 0, 1)
        for k in range(1, n_classes):
            share = self.moved(label == k, 1)
            wins = share > best + TIE
            chosen[wins], best = k, np.where(wins, share, best)
        return chosen


def thick_side(spacing_mm: NDArray[np.float64]) -> int | None:
    """The one side, 0 for x, that is much longer than the shortest of (3,) float64; or None."""
    longest = spacing_mm.max()
    sides = np.flatnonzero(spacing_mm >= longest * (1 - SAME))
    return int(sides[0]) if longest > THICK * spacing_mm.min() and sides.size == 1 else None


def matrix(places: NDArray[np.float64], size: int, order: int) -> NDArray[np.float64]:
    """What each voxel along an axis contributes to values between them.

    Args:
        places: (n,) float64, 0 to size - 1.
        size: voxels along the axis.
        order: 0, 1 or 3.

    Returns:
        (n, size) float64.
    """
    if order == 0:
        nearest = np.array([math.floor(place + 0.5 + 1e-9) for place in places])
        return np.asarray(np.eye(size)[nearest], np.float64)
    interpolate = import_module("scipy.ndimage").map_coordinates
    columns = [interpolate(alone, [places], order=order, mode="mirror") for alone in np.eye(size)]
    return np.stack(columns, axis=1)
