"""Volumes from one grid to another, axis by axis.

Splines are separable: a volume is filtered and weighed along each axis in turn, four numbers a
voxel and axis, where the three-dimensional way takes 64. SciPy's filter finds the coefficients of
the cubic splines; it is loaded at first use, since most builds do not resample. Sums run in a
fixed order in float64, so that a digest does not depend on the processor.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.system.memory import Buffers
from bratsprep.volumes.grids import SAME, Grid

CUBIC: Final = 3
LINEAR: Final = 1
NEAREST: Final = 0
THICK: Final = 3
"""How many times longer than the shortest a side of a voxel has to be to be treated apart."""
_TIE: Final = 1e-9
"""Places that are nearer than this to the middle of two voxels belong to the upper one."""
_SLOTS: Final = ("resample from", "resample to")
_BYTES: Final = 8
"""Of a float64."""


def thick_axis(source: Grid, target: Grid) -> int | None:
    """The axis across which nothing is interpolated: 0 (z), 1 (y), 2 (x), or None for no axis.

    nnU-Net's rule (Isensee et al. 2021; `determine_do_sep_z_and_axis`, threshold 3): the one side
    that is more than three times as long as the shortest, in the source or else in the target.
    """
    for grid in (source, target):
        longest = max(grid.spacing)
        if longest > THICK * min(grid.spacing):
            axes = [axis for axis in range(3) if grid.side(axis) >= longest * (1 - SAME)]
            return axes[0] if len(axes) == 1 else None
    return None


@dataclass(frozen=True, slots=True)
class Pass:
    """How the voxels along one axis are made of those of the source."""

    axis: int
    """0 (z), 1 (y) or 2 (x)."""
    is_cubic: bool
    """Whether the coefficients of a spline are weighed, and not the voxels themselves."""
    index: NDArray[np.int64]
    """(n, k) places in the source of what a voxel is made of."""
    weights: NDArray[np.float64]
    """(n, k) with which each counts."""


@dataclass(frozen=True, slots=True)
class Move:
    """A way from one grid to another."""

    shape: tuple[int, int, int]
    """(z, y, x) of the source."""
    target: tuple[int, int, int]
    """(z, y, x)."""
    passes: tuple[Pass, ...]
    """One for each axis along which the grids differ, z first."""

    @classmethod
    def between(cls, source: Grid, target: Grid, order: int) -> "Move":
        """The way from one grid of a case to another.

        Args:
            source: where the voxels are.
            target: where they are wanted.
            order: of the splines, `CUBIC` for images and `LINEAR` for shares; across a thick axis
                it is the nearest voxel.
        """
        thick = thick_axis(source, target)
        passes = []
        for axis in range(3):
            if source.shape[axis] != target.shape[axis] or source.side(axis) != target.side(axis):
                along = NEAREST if axis == thick else order
                places = source.places(target, axis)
                passes.append(Pass(axis, along == CUBIC, *taps(places, source.shape[axis], along)))
        return cls(source.shape, target.shape, tuple(passes))

    def shapes(self) -> list[tuple[int, int, int]]:
        """(z, y, x) before the first pass and after each."""
        shapes = [self.shape]
        for each in self.passes:
            sides = list(shapes[-1])
            sides[each.axis] = len(each.index)
            shapes.append((sides[0], sides[1], sides[2]))
        return shapes

    @property
    def scratch_bytes(self) -> int:
        """Memory that `resample` works in."""
        return len(_SLOTS) * _BYTES * max(map(math.prod, self.shapes()))


def taps(
    places: NDArray[np.float64], size: int, order: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which voxels along an axis make up a value between them, and how.

    Args:
        places: (n,) float64 of the values; those beyond the ends count as at the ends.
        size: voxels along the axis.
        order: of the splines; a cubic one weighs coefficients.

    Returns:
        (n, k) int64 indices and (n, k) float64 weights.
    """
    inside = np.clip(places, 0, size - 1)
    if order == NEAREST:
        nearest = np.floor(inside + 0.5 + _TIE).astype(np.int64)
        return np.minimum(nearest, size - 1)[:, None], np.ones((inside.size, 1))
    first = np.floor(inside)
    t = inside - first
    if order == LINEAR:
        index = np.stack([first, first + 1], axis=1).astype(np.int64)
        return np.minimum(index, size - 1), np.stack([1 - t, t], axis=1)
    period = max(2 * (size - 1), 1)  # coefficients are mirrored at both ends
    turned = (first.astype(np.int64)[:, None] + np.arange(-1, 3)) % period
    return np.where(turned < size, turned, period - turned), _cubic(t)


def _cubic(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4) float64 weights of the cubic B-splines around (n,) float64 places from 0 to 1."""
    parts = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3]
    return np.stack(parts, axis=1) / 6


@cache
def _spline_filter() -> Any:  # noqa: ANN401  SciPy has no types
    """SciPy's filter, loaded at first use: a third of a second that most commands do not need."""
    return import_module("scipy.ndimage").spline_filter1d


def resample(
    move: Move, fill: Callable[[NDArray[np.float64]], object], buffers: Buffers, where: str
) -> NDArray[np.float64]:
    """Bring a volume to another grid.

    Voxels beyond the middle of the source's outermost ones have the value at its edge.

    Args:
        move: from which grid to which.
        fill: writes the volume into a (z, y, x) float64 array of the source's shape.
        buffers: overwritten.
        where: the case, for errors.

    Returns:
        (z, y, x) float64 of the target's shape; a view into the buffers.

    Raises:
        NiftiError: the buffers may not be as large.
    """
    shapes = move.shapes()
    size = move.scratch_bytes // len(_SLOTS)
    here, there = (buffers.reserve(slot, size, where).view(np.float64) for slot in _SLOTS)
    volume = here[: math.prod(move.shape)].reshape(move.shape)
    fill(volume)
    for each, shape in zip(move.passes, shapes[1:], strict=True):
        if each.is_cubic:
            _spline_filter()(volume, CUBIC, each.axis, output=volume, mode="mirror")
        result = there[: math.prod(shape)].reshape(shape)
        sides = math.prod(shape[: each.axis]), -1, math.prod(shape[each.axis + 1 :])
        weigh_(volume.reshape(sides), each.index, each.weights, result.reshape(sides))
        volume, here, there = result, there, here
    return volume


@njit(cache=True, nogil=True)
def weigh_(
    volume: NDArray[np.float64],
    index: NDArray[np.int64],
    weights: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Sum weighted layers of a volume.

    Args:
        volume: (o, s, i) float64, C order.
        index: (n, k) int64 layers of `volume` along its second axis.
        weights: (n, k) float64.
        out: (o, n, i) float64, C order, written.
    """
    for o in range(volume.shape[0]):
        for j in range(index.shape[0]):
            row = out[o, j]
            for k in range(index.shape[1]):
                layer, weight = volume[o, index[j, k]], weights[j, k]
                for i in range(row.size):
                    row[i] = layer[i] * weight if k == 0 else row[i] + layer[i] * weight
