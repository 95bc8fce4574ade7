"""Scores of two masks in plain SciPy and NumPy, over whole volumes: oracles of `scoring`.

Areas of boundary elements are those of the published tables; distances are SciPy's transform of the
whole volume. Nothing is shared with the package.
"""

import math
from itertools import pairwise, product

import numpy as np
from scipy import ndimage, stats
from surface_distance import lookup_tables


def codes(mask):
    """Neighbour code of every corner of the voxels of a (z, y, x) bool mask."""
    padded = np.pad(mask, 1).astype(np.int64)
    code = np.zeros(np.add(mask.shape, 1), np.int64)
    for bit, (z, y, x) in enumerate(product((0, 1), repeat=3)):
        corner = tuple(
            slice(1 - step, 1 - step + size)
            for step, size in zip((z, y, x), code.shape, strict=True)
        )
        code += padded[corner] << bit
    return code


def elements(truth, predicted, spacing):
    """Distances and areas of the boundary elements, from the truth and from the prediction."""
    areas = lookup_tables.create_table_neighbour_code_to_surface_area(spacing[::-1])
    both = [codes(mask) for mask in (truth, predicted)]
    rows = []
    for own, other in (both, both[::-1]):
        here, there = ((code > 0) & (code < 255) for code in (own, other))
        away = ndimage.distance_transform_edt(~there, sampling=spacing[::-1])
        distance = away[here] if there.any() else np.full(here.sum(), math.inf)
        rows.append((distance, areas[own[here]]))
    return rows


def surface_scores(truth, predicted, spacing, tolerances):
    """HD100, ASSD, MASD and surface Dice; inf and 0 with one empty side, nan with two."""
    (d_t, a_t), (d_p, a_p) = elements(truth, predicted, spacing)
    if not truth.any() and not predicted.any():
        return math.nan, math.nan, math.nan, [math.nan] * len(tolerances)
    if not truth.any() or not predicted.any():
        return math.inf, math.inf, math.inf, [0.0] * len(tolerances)
    distance, area = np.concatenate((d_t, d_p)), np.concatenate((a_t, a_p))
    masd = (np.average(d_t, weights=a_t) + np.average(d_p, weights=a_p)) / 2
    dice = [area[distance <= limit].sum() / area.sum() for limit in tolerances]
    return distance.max(), np.average(distance, weights=area), masd, dice


def overlaps(truth, predicted):
    """IoU, precision and relative volume difference, by sets of voxels."""
    one, other = ({*map(tuple, np.argwhere(mask))} for mask in (truth, predicted))
    return (
        len(one & other) / len(one | other) if one | other else math.nan,
        len(one & other) / len(other) if other else math.nan,
        (len(other) - len(one)) / len(one) if one else math.nan,
    )


def calibration_error(probability, belongs, n_bins):
    """Expected calibration error of flat arrays, one bin after another."""
    edges = np.linspace(0, 1, n_bins + 1)
    gaps = []
    for low, high in pairwise(edges):
        here = (probability >= low) & (probability < (high if high < 1 else 2))
        if here.any():
            gaps.append(here.sum() * abs(belongs[here].mean() - probability[here].mean()))
    return sum(gaps) / len(probability)


def limits_of_agreement(truth, predicted):
    """Mean difference, both limits, and half intervals of mean and limits."""
    difference = predicted - truth
    mean, deviation = difference.mean(), np.sqrt(difference.var(ddof=1))
    t = stats.t.ppf(0.975, len(difference) - 1)
    reach = [t * deviation * math.sqrt(k / len(difference)) for k in (1, 3)]
    ends = stats.norm.interval(0.95, mean, deviation) if deviation else (mean, mean)
    return mean, *ends, *reach
