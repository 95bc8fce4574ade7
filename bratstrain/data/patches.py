"""Patches of volumes, and how they are cut from the planes that a step reads.

A patch is placed in two parts. Case and planes are chosen before anything is read. Where the patch
lies in the plane is chosen once its planes are there, since a patch around a voxel of a class needs
the label, and no index of voxels is kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bratstrain.data.reading import Reading

ANYWHERE: Final = 0
"""Class of a patch that is not around a voxel of a class; the background is no class to aim at."""


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """Where a patch lies, as far as it is chosen before its planes are read."""

    rows: NDArray[np.int64]
    """(d,) int64, rows under /slice of its planes, lowest first; below 0 where none is stored."""
    label: int
    """Class of the voxel in its middle, or `ANYWHERE`."""
    plane: int
    """Place in `rows` of the plane with that voxel."""
    draws: tuple[float, float]
    """Two numbers from 0 to below 1 that decide the place in the plane."""

    def corner(self, label: NDArray[np.uint8], sides: Sequence[int]) -> tuple[int, ...]:
        """Choose the first row and column of the patch.

        Args:
            label: (h, w) uint8 of its plane `plane`.
            sides: rows and columns of the patch.

        Returns:
            Row and column; below 0 where the patch is larger than the plane, which then lies in
            its middle.
        """
        free = [have - want for have, want in zip(label.shape, sides, strict=True)]
        if self.label == ANYWHERE:
            starts = [int(draw * (room + 1)) for draw, room in zip(self.draws, free, strict=True)]
        else:
            voxels = np.flatnonzero(label == self.label)
            middle = divmod(int(voxels[int(self.draws[0] * len(voxels))]), label.shape[1])
            starts = [at - side // 2 for at, side in zip(middle, sides, strict=True)]
        return tuple(
            min(max(start, 0), room) if room >= 0 else room // 2
            for start, room in zip(starts, free, strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class PatchReading(Reading):
    """The planes that a step reads, and the patches that are cut from them."""

    aims: tuple[Aim, ...] = ()
    """One a patch."""
    sides: tuple[int, ...] = (1, 1)
    """Rows and columns of a patch."""
    corners: tuple[tuple[int, ...], ...] = ()
    """First row and column of each patch, once settled."""

    def settled(self, label: NDArray[np.uint8]) -> Self:
        """Choose where each patch lies in its planes.

        Args:
            label: (u, h, w) uint8 of the planes that were read.
        """
        planes = [int(at[aim.plane]) for at, aim in zip(self.held, self.aims, strict=True)]
        corners = tuple(
            aim.corner(label[plane], self.sides)
            for plane, aim in zip(planes, self.aims, strict=True)
        )
        return replace(self, corners=corners)

    @property
    def held(self) -> NDArray[np.int64]:
        """(b, d) int64, places in `rows` of the planes of each patch, below 0 where none is."""
        return np.zeros((0, 0), np.int64) if self.places is None else self.places

    def gather(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Cut the patches; what is beyond the stored planes is 0.

        Args:
            image: (u, m, h, w) of any dtype, the planes that were read.
            label: (u, h, w) uint8.

        Returns:
            (b, m, d, *sides) image and (b, d, *sides) label.
        """
        n, depth = self.held.shape
        patches = image.new_zeros((n, image.shape[1], depth, *self.sides))
        truth = label.new_zeros((n, depth, *self.sides))
        for i, corner in enumerate(self.corners):
            (y, to_y), (x, to_x) = (
                overlap(start, have, want)
                for start, have, want in zip(corner, image.shape[2:], self.sides, strict=True)
            )
            for z, to_z in runs(self.held[i]):
                patches[i, :, to_z, to_y, to_x] = image[z, :, y, x].transpose(0, 1)
                truth[i, to_z, to_y, to_x] = label[z, y, x]
        return patches, truth


def overlap(start: int, have: int, want: int) -> tuple[slice, slice]:
    """Where a window lies on an axis, and what of the window that is.

    Args:
        start: of the window on the axis; may be below 0.
        have: length of the axis.
        want: length of the window.
    """
    low, high = max(start, 0), min(start + want, have)
    return slice(low, high), slice(low - start, high - start)


def runs(places: NDArray[np.int64]) -> Iterator[tuple[slice, slice]]:
    """Consecutive planes of a patch: where they are, and where they go.

    Args:
        places: (d,) int64, rising by 1 where planes are next to each other, below 0 for none.
    """
    targets = np.flatnonzero(places >= 0)
    for run in np.split(targets, np.flatnonzero(np.diff(targets) > 1) + 1):
        if len(run):
            first = int(places[run[0]])
            yield slice(first, first + len(run)), slice(int(run[0]), int(run[-1]) + 1)
