"""The SciPy way: its erosion and distance transform over the whole volume, as scripts have it.

The surface is what an erosion takes away, every voxel of it counts the same, and HD95 is the
percentile over both directions together. Lesions as the evaluation code of BraTS 2023 steps
through them, with SciPy, cc3d and the surface-distance package.
"""

import math
import warnings

import cc3d
import numpy as np
from scipy import ndimage
from surface_distance import metrics

from benchmarks.peers.score_runner import SPACING, each_region, run

PENALTY_MM = 374.0
EMPTY_MM = math.inf
LEAST = 50
DILATIONS = 3
EIGHTEEN = ndimage.generate_binary_structure(3, 2)
FACES = ndimage.generate_binary_structure(3, 1)


def dice(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Volume Dice of a region."""
    both = np.count_nonzero(truth & predicted)
    total = np.count_nonzero(truth) + np.count_nonzero(predicted)
    return [2 * both / total if total else float("nan")]


def hd95(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """HD95 of a region, mm."""
    if not (truth.any() and predicted.any()):
        return [EMPTY_MM]
    surfaces = [one ^ ndimage.binary_erosion(one, FACES) for one in (truth, predicted)]
    apart = [
        ndimage.distance_transform_edt(~other, sampling=SPACING)[one]
        for one, other in (surfaces, surfaces[::-1])
    ]
    return [float(np.percentile(np.concatenate(apart), 95))]


def published_hd95(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """HD95 of a region by the surface-distance package, mm."""
    if not (truth.any() and predicted.any()):
        return [EMPTY_MM]  # the package fails there beside NumPy 2
    surfaces = metrics.compute_surface_distances(truth, predicted, SPACING)
    return [float(metrics.compute_robust_hausdorff(surfaces, 95))]


def published_dice(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Volume Dice of a region by the surface-distance package."""
    return [float(metrics.compute_dice_coefficient(truth, predicted))]


def lesions(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Lesion-wise Dice and HD95 of a region, over whole volumes."""
    said = cc3d.connected_components(predicted, connectivity=26)
    grown = ndimage.binary_dilation(truth, EIGHTEEN, iterations=DILATIONS)
    zones = cc3d.connected_components(grown, connectivity=26) * truth
    dices, distances, claimed = [], [], set()
    for number in range(1, int(zones.max()) + 1):
        lesion = zones == number
        near = ndimage.binary_dilation(lesion, EIGHTEEN, iterations=DILATIONS)
        members = set(np.unique(said[near]).tolist()) - {0}
        claimed |= members
        if np.count_nonzero(lesion) > LEAST:
            union = np.isin(said, list(members))
            dices += dice(lesion, union)
            distances += published_hd95(lesion, union) if members else [PENALTY_MM]
    n_false = len(set(np.unique(said).tolist()) - {0} - claimed)
    n = len(dices) + n_false
    return [sum(dices) / n, (sum(distances) + PENALTY_MM * n_false) / n] if n else [1.0, 0.0]


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # raised inside surface_distance
    run(
        {
            "dice": each_region(dice),
            "dice-published": each_region(published_dice),
            "hd95": each_region(hd95),
            "hd95-published": each_region(published_hd95),
            "lesions": each_region(lesions),
        }
    )
