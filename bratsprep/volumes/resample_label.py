"""Labels from one grid to another: the share of each class is interpolated, the largest wins."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratsprep.system.memory import Buffers
from bratsprep.volumes.resample import Move, resample

TIE: Final = 1e-6
"""Shares that are nearer than this are equal: the class with the lower number wins."""


def resample_mask(
    mask: NDArray[np.uint8], move: Move, buffers: Buffers, where: str
) -> NDArray[np.bool_]:
    """Bring a mask to another grid: what is half inside is inside.

    Args:
        mask: (z, y, x) uint8 of 0 and 1, any strides.
        move: from which grid to which, linear.
        buffers: overwritten.
        where: the case, for errors.

    Returns:
        (z, y, x) bool of the target's shape.
    """
    return resample(move, lambda out: np.copyto(out, mask), buffers, where) >= 0.5 - TIE


def resample_label(
    label: NDArray[np.uint8], move: Move, n_classes: int, buffers: Buffers, where: str
) -> NDArray[np.uint8]:
    """Bring a label to another grid.

    Only the part around the tumour is interpolated; elsewhere everything is background.

    Args:
        label: (z, y, x) uint8 stored classes, any strides.
        move: from which grid to which, linear.
        n_classes: background included.
        buffers: overwritten.
        where: the case, for errors.

    Returns:
        (z, y, x) uint8 of the target's shape, C order.
    """
    out = np.zeros(move.target, np.uint8)
    near = tumour_box(label)
    if near is None:
        return out
    part, (around, there) = near.cut(label), cropped(move, near)
    shares = (
        resample(around, partial(_fill_share, part, k), buffers, where) for k in range(n_classes)
    )
    _, outside = there.overlap(move.target)
    out[outside] = largest(shares, there.shape)
    return out


def _fill_share(label: NDArray[np.uint8], k: int, out: NDArray[np.float64]) -> None:
    """Write 1 where a (z, y, x) uint8 label is class k, and 0 elsewhere, into float64 `out`."""
    np.equal(label, k, out=out, casting="unsafe")


def tumour_box(label: NDArray[np.uint8]) -> Box | None:
    """Box of all tumour and one voxel around it, inside the volume; None where there is none.

    Args:
        label: (z, y, x) uint8 stored classes, any strides.
    """
    used = np.flatnonzero(label.any(axis=(1, 2)))
    if not used.size:
        return None
    columns: NDArray[np.bool_] = np.any(label[used[0] : used[-1] + 1], axis=0)
    ends = [used, np.flatnonzero(columns.any(axis=1)), np.flatnonzero(columns.any(axis=0))]
    z, y, x = (
        (max(int(along[0]) - 1, 0), min(int(along[-1]) + 2, size))
        for along, size in zip(ends, label.shape, strict=True)
    )
    return Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))


def cropped(move: Move, near: Box) -> tuple[Move, Box]:
    """The same way for a box of the source, and the box of the target that follows from it alone.

    Args:
        move: linear, for the whole source.
        near: box of the source, inside of it.
    """
    start, stop, passes = list(near.start), list(near.stop), []
    for each in move.passes:
        low, high = near.start[each.axis], near.stop[each.axis]
        counts = each.weights > 0
        first = np.where(counts, each.index, high).min(axis=1)
        last = np.where(counts, each.index, low).max(axis=1)
        own = np.flatnonzero((first >= low) & (last < high))
        begin, end = (int(own[0]), int(own[-1]) + 1) if own.size else (0, 0)
        start[each.axis], stop[each.axis] = begin, end
        index = np.clip(each.index[begin:end] - low, 0, high - low - 1)
        passes.append(replace(each, index=index, weights=each.weights[begin:end]))
    there = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
    return Move(near.shape, there.shape, tuple(passes)), there


def largest(
    shares: Iterable[NDArray[np.floating[Any]]], shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Class with the largest share of each voxel.

    Args:
        shares: (z, y, x) float64 or float32 of each class, background first; each is used before
            the next one is asked for.
        shape: of them.

    Returns:
        (z, y, x) uint8.
    """
    best = np.full(shape, -np.inf)
    label = np.zeros(shape, np.uint8)
    for k, share in enumerate(shares):
        is_larger = share > best + TIE
        np.copyto(best, share, where=is_larger)
        label[is_larger] = k
    return label
