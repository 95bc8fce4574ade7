"""Relabelling of a whole class of which a case has too little: little ET becomes NCR.

Where a case has no enhancing tumour, a few voxels of it cost the whole score of the class, so the
entries of BraTS relabel them as necrosis below a total size (Isensee et al. 2021, "nnU-Net for
brain tumor segmentation"). The region around, TC, stays as it is. The size is tuned on the
validation cases of a run and never on the cases that are reported.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import ClassSet
from bratstrain.scoring.lesion_groups import is_below

TOTALS: Final = (0, 10, 30, 100, 200, 500, 1000)
"""In mm3, tried as the minimum of the class in a case; 0 keeps everything."""


def surrounding_class(classes: ClassSet) -> tuple[int, int] | None:
    """The class that can become another one without a change of the regions around it.

    It is a region by itself, and the smallest region around it has one more class: ET and NCR of
    gliomas, whose TC is both.

    Args:
        classes: of the labels.

    Returns:
        Stored label of the class, and of that which takes its place; None where there is none.
    """
    regions = [set(labels) for _, labels in classes.regions]
    for inner in regions:
        around = [outer for outer in regions if inner < outer]
        smallest = min(around, key=len, default=set())
        if len(inner) == 1 and len(smallest) == 2:
            return min(inner), min(smallest - inner)
    return None


def relabel_little(
    predicted: NDArray[np.uint8],
    least_total_mm3: Mapping[str, int],
    classes: ClassSet,
    voxel_mm3: float,
) -> NDArray[np.uint8]:
    """Relabel a class of which a case has less than a minimum.

    Args:
        predicted: (z, y, x) uint8, stored labels.
        least_total_mm3: minimum of the class by name; empty changes nothing.
        classes: of the labels.
        voxel_mm3: volume of a voxel.

    Returns:
        (z, y, x) uint8, a new volume, or the given one where nothing changes.
    """
    pair = surrounding_class(classes)
    if pair is None:
        return predicted
    inner, instead = pair
    found = predicted == inner
    count = np.count_nonzero(found)
    least = least_total_mm3.get(classes.classes[inner], 0)
    if count == 0 or not is_below(count, voxel_mm3, least):
        return predicted
    return np.where(found, np.uint8(instead), predicted)


def relabelled_matrices(
    matrices: NDArray[np.int64],
    pair: tuple[int, int],
    least_mm3: int,
    voxel_mm3: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Confusion matrices of cases after `relabel_little`.

    Args:
        matrices: (cases, classes, classes) int64, truth by predicted.
        pair: as `surrounding_class` gives it.
        least_mm3: minimum of the class in a case.
        voxel_mm3: (cases,) float64, volume of a voxel.

    Returns:
        (cases, classes, classes) int64.
    """
    inner, instead = pair
    after = matrices.copy()
    is_little = is_below(matrices[:, :, inner].sum(axis=1), voxel_mm3, least_mm3)
    after[is_little, :, instead] += after[is_little, :, inner]
    after[is_little, :, inner] = 0
    return after


def smallest_totals(tuned: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Minimum totals of an ensemble: of each class the smallest of its runs, if all have one."""
    shared = set.intersection(*(set(each) for each in tuned)) if tuned else set()
    return {name: min(each[name] for each in tuned) for name in sorted(shared)}
