"""What the kernels and wrappers should give, in plain NumPy and as slowly as may be."""

import numpy as np
import pytest

MSD = {0: 0, 1: 2, 2: 1, 3: 3}
"""Decathlon: 1 oedema, 2 non-enhancing core, 3 enhancing."""
TABLES = {
    "msd": MSD,
    "brats2017": {0: 0, 1: 1, 2: 2, 4: 3},
    "brats2023": {0: 0, 1: 1, 2: 2, 3: 3},
    "brats2024": {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
    "brats2015": {0: 0, 1: 1, 2: 2, 3: 1, 4: 3},
    "brats-men": {0: 0, 1: 1, 2: 2, 3: 3},
    "brats-met": {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
    "brats-ped": {0: 0, 1: 4, 2: 1, 3: 2, 4: 3},
    "brats-men-rt": {0: 0, 1: 1},
    "whole-tumour": {0: 0, 1: 1, 255: 1},
}
"""Raw value -> stored label of each scheme."""


def brain(images):
    """(z, y, x) bool: not 0 in any of the (4, z, y, x) images."""
    return np.any(np.asarray(images) != 0, axis=0)


def moments(images):
    """Means and sums of squared deviations over the brain, (4,) float64 each."""
    inside = brain(images)
    values = np.asarray(images)[:, inside].astype(np.float64)
    mean = values.mean(axis=1)
    return mean, ((values - mean[:, None]) ** 2).sum(axis=1)


def box(mask):
    """Start and stop of the smallest box around a mask."""
    places = np.argwhere(mask)
    return tuple(places.min(axis=0).tolist()), tuple((places.max(axis=0) + 1).tolist())


def zscore(plane, inside, mean, std):
    """z-scores in float64, 0 outside."""
    return np.where(inside, (plane.astype(np.float64) - mean) / std, 0.0)


def half_bits(plane, inside, mean, std):
    """z-scores rounded once to float16, as uint16 bits; +0 outside."""
    with np.errstate(all="ignore"):
        return zscore(plane, inside, mean, std).astype(np.float16).view(np.uint16)


def recode(label, scheme):
    """Stored labels and (z, c) counts of a raw (z, n) label; values without a class stay out."""
    table = TABLES[scheme]
    stored = np.vectorize(lambda raw: table.get(raw, 255))(label).astype(np.uint8)
    voxels = np.stack([(stored == k).sum(axis=1) for k in range(1 + max(table.values()))], axis=1)
    return stored, voxels


def shuffled(values):
    """All lowest bytes first, then the next ones; values are little-endian."""
    return values.reshape(-1, 1).view(np.uint8).T.reshape(-1)


def resampled(volume, affine, codes):
    """Turn a RAS+ (x, y, z) volume and its affine into other axes, by looking at each axis.

    `codes` such as `PIR`: the first axis of the result runs to the back, and so on.
    """
    axes = ["LR", "PA", "IS"]
    order = [next(i for i, pair in enumerate(axes) if code in pair) for code in codes]
    falls = [code in "LPI" for code in codes]
    turned = volume.transpose([*order, *range(3, volume.ndim)])
    turned = turned[tuple(slice(None, None, -1 if fall else 1) for fall in falls)]
    out = np.eye(4)
    out[:3, 3] = affine[:3, 3]
    for new, (old, fall) in enumerate(zip(order, falls, strict=True)):
        out[:3, new] = -affine[:3, old] if fall else affine[:3, old]
        if fall:
            out[:3, 3] += affine[:3, old] * (volume.shape[old] - 1)
    return np.ascontiguousarray(turned), out


def both(name, kernel):
    """Run a test with the compiled kernel and with its Python source."""
    return pytest.mark.parametrize(name, [kernel, kernel.py_func], ids=["compiled", "plain"])
