"""Fingerprints of one case the slow and plain way, for `recompute`: NumPy, no kernel."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import BRAIN_CELLS, MASK_CELLS
from bratsprep.labels import ClassSet
from bratsprep.volumes.fingerprint import MASK_CELL_MM, SPAN, STEPS, sampling, two_largest

CLOSE: Final = 1
"""Steps that a stored cell may be off: it is a mean of rounded numbers."""


def brain_print(
    brain: NDArray[np.bool_],
    volumes: Sequence[NDArray[Any]],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Fingerprint of the images before its rounding, (1 + m, *BRAIN_CELLS) float64.

    Args:
        brain: (z, y, x) RAS+.
        volumes: (z, y, x) RAS+ of each modality, source units, any real dtype.
        mean: (m,) source units, over the brain.
        std: (m,) source units, over the brain.
    """
    cells, chosen = [], []
    for axis, (count, step) in enumerate(zip(BRAIN_CELLS, sampling(brain.shape), strict=True)):
        others = tuple({0, 1, 2} - {axis})
        weights = np.count_nonzero(brain, axis=others)
        places = np.arange(brain.shape[axis])
        mean_place = np.average(places, weights=weights)
        spread = np.average((places - mean_place) ** 2, weights=weights)
        nearest = math.floor(Fraction(int(weights @ places), int(weights.sum())) + Fraction(1, 2))
        chosen.append(slice(nearest % step, None, step))
        along = (places[chosen[-1]] - mean_place) / (SPAN * np.sqrt(spread + 1 / 12))
        cells.append(np.floor((along + 1) / 2 * count).astype(int))
    z, y, x = np.meshgrid(*cells, indexing="ij")
    place = (z * BRAIN_CELLS[1] + y) * BRAIN_CELLS[2] + x
    is_framed = np.logical_and.reduce(
        [(c >= 0) & (c < count) for c, count in zip((z, y, x), BRAIN_CELLS, strict=True)]
    )
    thin = tuple(chosen)
    inside = brain[thin] & is_framed
    total = np.prod(BRAIN_CELLS)
    voxels = np.bincount(place[is_framed], minlength=total)
    within = np.bincount(place[inside], minlength=total)
    maps = [127 * within / np.maximum(voxels, 1)]
    for volume, middle, deviation in zip(volumes, mean, std, strict=True):
        score = (volume[thin][inside].astype(np.float64) - middle) / deviation
        steps = np.clip(STEPS * score, -127, 127)
        maps.append(np.bincount(place[inside], steps, total) / np.maximum(within, 1))
    return np.stack(maps).reshape(-1, *BRAIN_CELLS)


def mask_print(
    label: NDArray[np.uint8], spacing_mm: NDArray[np.floating[Any]], classes: ClassSet
) -> NDArray[np.float64]:
    """Fingerprint of the label before its rounding, (2, *MASK_CELLS) float64.

    Args:
        label: (z, y, x) RAS+, stored classes.
        spacing_mm: (3,) along x, y and z.
        classes: of the label.
    """
    share = np.zeros((2, *MASK_CELLS))
    middle = (np.array(label.shape) - 1) / 2
    tumour = np.argwhere(label > 0)
    codes = label[tuple(tumour.T)]
    for region, labels in enumerate(two_largest(classes)):
        places = tumour[np.isin(codes, labels)]
        places_mm = (places - middle) * spacing_mm[::-1].astype(float)
        cells = np.floor(places_mm / MASK_CELL_MM).astype(int) + np.array(MASK_CELLS) // 2
        is_framed = np.all((cells >= 0) & (cells < MASK_CELLS), axis=1)
        np.add.at(share[region], tuple(cells[is_framed].T), 1)
    return 255 * np.minimum(share * float(np.prod(spacing_mm)) / MASK_CELL_MM**3, 1)


def close(stored: NDArray[Any], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected (..., z, y, x) float64 cells, with the stored ones wherever the two are close."""
    return np.where(np.abs(stored - expected) <= CLOSE, stored, np.rint(expected))
