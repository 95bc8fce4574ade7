"""Grids of voxels along RAS+ axes: that of a source, and the one that its case is resampled to."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box, Geometry
from bratsprep.config import MAX_PLANES
from bratsprep.errors import VolumeError
from bratsprep.volumes.nifti import MAX_VOXELS
from bratsprep.voxel_sizes import Spacing, size_text

SAME: Final = 1e-3
"""Share up to which two sides of a voxel are the same one, written by different programs."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Voxels along RAS+ axes. The middles of the grids of a case lie on one point."""

    shape: tuple[int, int, int]
    """(z, y, x)."""
    spacing: Spacing

    def side(self, axis: int) -> float:
        """Side of a voxel along axis 0 (z), 1 (y) or 2 (x), mm."""
        return self.spacing[2 - axis]

    def places(self, other: "Grid", axis: int) -> NDArray[np.float64]:
        """Where the voxels of another grid of the case lie in this one.

        Args:
            other: whose voxels they are.
            axis: 0 (z), 1 (y) or 2 (x).

        Returns:
            (n,) float64, an index of this grid for each voxel of the other along the axis.
        """
        n, here = other.shape[axis], self.shape[axis]
        from_middle = (np.arange(n) - (n - 1) / 2) * (other.side(axis) / self.side(axis))
        return np.asarray(from_middle + (here - 1) / 2, np.float64)

    def part(self, box: Box, other: "Grid") -> Box:
        """The voxels of another grid of the case whose middles lie in a box of this one."""
        sides = []
        for axis, (low, high) in enumerate(zip(box.start, box.stop, strict=True)):
            edges = np.array([low - 0.5, high - 0.5])
            start, stop = np.searchsorted(self.places(other, axis), edges).tolist()
            sides.append((start, stop))
        z, y, x = sides
        return Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))


def source_grid(geometry: Geometry) -> Grid:
    """Grid of a file, in RAS+ order."""
    x, y, z = geometry.spacing.tolist()
    return Grid(geometry.sides, (x, y, z))


def stored_grid(geometry: Geometry, spacing: Spacing | None, where: str) -> Grid:
    """Grid that a case is brought to: as many voxels as nearest fill the extent of the source.

    A side within `SAME` of the one asked for stays as it is, so that a case that has the spacing
    already is not touched.

    Args:
        geometry: of the file.
        spacing: what is asked for; None for that of the source.
        where: the case, for errors.

    Raises:
        VolumeError: there would be more voxels than a volume may have.
    """
    source = source_grid(geometry)
    if spacing is None:
        return source
    shape, sides = list(source.shape), list(source.spacing)
    for axis, n in enumerate(source.shape):
        now, wanted = source.side(axis), spacing[2 - axis]
        if abs(now / wanted - 1) > SAME:
            shape[axis] = max(1, math.floor(n * now / wanted + 0.5))
            sides[2 - axis] = wanted
    if math.prod(shape) > MAX_VOXELS or max(shape) > MAX_PLANES:
        z, y, x = shape
        raise VolumeError(
            f"{where}: would have {x} x {y} x {z} voxels of {size_text(spacing)} mm; at most "
            f"{MAX_VOXELS:,} are allowed; take larger ones with --spacing"
        )
    return Grid((shape[0], shape[1], shape[2]), (sides[0], sides[1], sides[2]))
