"""Fingerprints of images as they would be of a head that is turned or scaled a little.

Editions of one scan may be registered anew or stripped anew. A turn by 10 degrees moves the rim of
the brain by more than a cell of the fingerprint, so that two editions agree no better than two
people do, unless the turn is undone.
"""

import math
from functools import cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

TURNS: Final = (-10.0, -5.0, 5.0, 10.0)
"""Degrees about each of the axes z, y and x."""
SCALES: Final = (0.93, 1.07)
"""Of all axes: what erosion by 6 mm does to the frame of the brain."""
LENGTHS: Final = (1.0, 1.27, 1.0)
"""Side of a cell along z, y and x against that along x, as in a head of usual shape."""
COUNT: Final = 3 * len(TURNS) + len(SCALES)
"""Poses."""


def posed(fingerprint: NDArray[np.int8]) -> NDArray[np.float32]:
    """Resample a fingerprint for each pose, linearly, cells weighted by their share of brain.

    Args:
        fingerprint: (5, z, y, x) int8 as `bratsprep.volumes.fingerprint` makes it.

    Returns:
        (COUNT, 5, z, y, x) float32 in the same units; 0 where a cell would come from outside.
    """
    index, weight = _corners(fingerprint.shape[1:])
    share = fingerprint[:1].astype(np.float32)
    parts = np.concatenate([share, fingerprint[1:] * share]).reshape(len(fingerprint), -1)
    made = np.zeros((len(fingerprint), *index[0].shape), np.float32)
    for row, part in enumerate(parts):  # each fits into the first cache
        for place, amount in zip(index, weight, strict=True):
            made[row] += part.take(place) * amount
    made[1:] /= np.maximum(made[:1], 1)
    return made.swapaxes(0, 1).reshape(COUNT, *fingerprint.shape)


@cache
def _corners(
    shape: tuple[int, int, int],
) -> tuple[tuple[NDArray[np.intp], ...], tuple[NDArray[np.float32], ...]]:
    """Cells that each cell of each pose is made of, and their weights.

    Args:
        shape: cells along z, y and x.

    Returns:
        Of each of the 8 corners (COUNT, cells) intp places in the flat array, and (COUNT, cells)
        float32 weights, 0 outside of it.
    """
    sides = np.array(shape).reshape(3, 1)
    centre = (sides - 1) / 2
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).reshape(3, -1)
    places = np.stack([matrix @ (grid - centre) + centre for matrix in _matrices()])
    low = np.floor(places).astype(np.intp)
    part = places - low
    # Of the lower and the upper neighbour along each axis: its place, and its share of the cell.
    ends = [
        (np.clip(at, 0, sides - 1), share * ((at >= 0) & (at < sides)))
        for at, share in ((low, 1 - part), (low + 1, part))
    ]
    index, weight = [], []
    for corner in product((0, 1), repeat=3):
        (z, deep), (y, high), (x, wide) = (
            (ends[step][0][:, axis], ends[step][1][:, axis]) for axis, step in enumerate(corner)
        )
        index.append((z * shape[1] + y) * shape[2] + x)
        weight.append((deep * high * wide).astype(np.float32))
    return tuple(index), tuple(weight)


def _matrices() -> list[NDArray[np.float64]]:
    """(3, 3) float64 of each pose, in cells along z, y and x."""
    length = np.diag(LENGTHS)
    made = []
    for (i, j), degrees in product(((1, 2), (0, 2), (0, 1)), TURNS):
        turn = np.eye(3)
        angle = math.radians(degrees)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        made.append(np.linalg.inv(length) @ turn @ length)
    return made + [np.eye(3) * scale for scale in SCALES]
