"""Lesion-wise scores of one region, after the evaluation code of BraTS 2023 and 2024.

Nearby pieces of the truth are one lesion; a lesion is found where a predicted component comes
near it; what belongs to no lesion is a false positive, of whatever size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratstrain.surface import check_pair, surface_distances, union_box

DILATIONS: Final = 3
"""Steps of the 18-neighbour element, in which pieces join and predictions count as near."""


@dataclass(frozen=True, slots=True)
class LesionRules:
    """What one year's evaluation counts as a lesion."""

    name: str
    least_voxels: Mapping[str, int]
    """Region name to the size of lesions that leave the score: at most so many voxels."""
    joins_predicted: bool
    """Predicted components are joined by dilation too, and dropped at that size."""


RULES: Final = MappingProxyType(
    {
        rules.name: rules
        for rules in (
            LesionRules(
                "brats2023",
                dict.fromkeys(("NCR", "ED", "ET", "TC", "WT"), 50),
                joins_predicted=False,
            ),
            LesionRules(
                "brats2024",
                {"NCR": 20, "ED": 20, "ET": 10, "TC": 20, "WT": 20},
                joins_predicted=True,
            ),
        )
    }
)
"""Rules by name; `brats2024` is post-treatment glioma, which calls NCR NETC and ED SNFH."""


@dataclass(frozen=True, slots=True)
class LesionScores:
    """The lesions of one region of one case, without a penalty for what is missed or false."""

    overlap: tuple[float, ...]
    """Dice of each kept lesion with the union of its predicted components; 0 where missed."""
    hd95_mm: tuple[float, ...]
    """HD95 of each kept lesion; inf where it is missed."""
    n_false: int
    """Predicted components that belong to no lesion."""
    n_small: int
    """Truth lesions too small to count; they absorb predictions all the same."""

    @property
    def n_found(self) -> int:
        """Kept lesions with a predicted component near them."""
        return sum(distance < math.inf for distance in self.hd95_mm)

    @property
    def n_missed(self) -> int:
        """Kept lesions without."""
        return len(self.hd95_mm) - self.n_found

    @property
    def lesionwise_dice(self) -> float:
        """Sum over kept lesions / (kept + false positives); 1 with nothing on either side."""
        n = len(self.overlap) + self.n_false
        return math.fsum(self.overlap) / n if n else 1.0

    def lesionwise_hd95(self, penalty_mm: float) -> float:
        """Mean over kept lesions and false positives, mm; 0 with nothing on either side.

        Args:
            penalty_mm: what a missed lesion and a false positive count.
        """
        n = len(self.hd95_mm) + self.n_false
        found = math.fsum(distance for distance in self.hd95_mm if distance < math.inf)
        return (found + penalty_mm * (self.n_missed + self.n_false)) / n if n else 0.0

    def of_nothing(self) -> "LesionScores":
        """Give the scores of an empty prediction of the same truth."""
        n = len(self.overlap)
        return LesionScores((0.0,) * n, (math.inf,) * n, 0, self.n_small)


def lesion_scores(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    spacing: Sequence[float],
    least_voxels: int,
    *,
    joins_predicted: bool = False,
) -> LesionScores:
    """Match the lesions of a region with the predicted components, and score each.

    Args:
        truth: (z, y, x) bool or uint8, non-zero inside the region.
        predicted: (z, y, x) bool or uint8, same shape.
        spacing: (3,) mm, voxel size along x, y, z.
        least_voxels: lesions of at most so many voxels leave the score.
        joins_predicted: join predicted components by dilation too, and drop those that small.

    Returns:
        Lesions in the order of their first voxel after dilation.

    Raises:
        ValueError: the masks are not 3D and of one shape, or the spacing is not three sizes > 0.
    """
    check_pair(truth, predicted, spacing)
    part = union_box(truth, predicted, DILATIONS)
    inside, said = truth[part] != 0, predicted[part] != 0
    zone, n_lesions = label_components(dilate(inside, DILATIONS))
    component, n_components = _predicted_components(said, least_voxels, joins_predicted)
    lesion = np.where(inside, zone, 0)
    near = touching(zone, component, n_lesions, n_components)
    boxes = label_boxes(lesion, n_lesions), label_boxes(component, n_components)
    size = np.bincount(lesion.ravel(), minlength=n_lesions + 1)
    pairs: list[tuple[float, float]] = []
    for i in range(1, n_lesions + 1):
        if size[i] > least_voxels:
            members = np.flatnonzero(near[i])
            cut = _cover(boxes[0][i : i + 1], boxes[1][members])
            pairs.append(_score(lesion[cut] == i, near[i][component[cut]], spacing))
    n_false = int(np.count_nonzero(~near[:, 1:].any(axis=0)))
    n_small = n_lesions - len(pairs)
    return LesionScores(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs), n_false, n_small)


def _predicted_components(
    mask: NDArray[np.bool_], least_voxels: int, joins: bool
) -> tuple[NDArray[np.int32], int]:
    """Label what is predicted: by components, or by joined components above a size."""
    if not joins:
        return label_components(mask)
    zone, n = label_components(dilate(mask, DILATIONS))
    joined = np.where(mask, zone, 0)
    kept = np.bincount(joined.ravel(), minlength=n + 1) > least_voxels
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return number[joined], int(kept.sum())


def _cover(one: NDArray[np.int64], more: NDArray[np.int64]) -> tuple[slice, slice, slice]:
    """Cover (n, 2, 3) boxes by one."""
    both = np.concatenate((one, more))
    start, stop = both[:, 0].min(axis=0), both[:, 1].max(axis=0)
    z, y, x = (slice(int(low), int(high)) for low, high in zip(start, stop, strict=True))
    return z, y, x


def _score(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[float, float]:
    """Dice and HD95 of one lesion."""
    shared = int(np.count_nonzero(truth & predicted))
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(predicted))
    return 2 * shared / total, surface_distances(truth, predicted, spacing).hausdorff()


@njit(cache=True, nogil=True)
def dilate(mask: NDArray[np.bool_], times: int) -> NDArray[np.bool_]:
    """Grow a mask by the 18 neighbours that share a face or an edge, inside the volume.

    Each round grows only what the round before has added.

    Args:
        mask: (z, y, x) bool.
        times: rounds, at most 250.

    Returns:
        (z, y, x) bool.
    """
    n_z, n_y, n_x = mask.shape
    age = mask.astype(np.uint8)
    for now in range(1, times + 1):
        for z, y, x in np.ndindex(n_z, n_y, n_x):
            if age[z, y, x] != now:
                continue
            for k in range(max(z - 1, 0), min(z + 2, n_z)):
                for j in range(max(y - 1, 0), min(y + 2, n_y)):
                    for i in range(max(x - 1, 0), min(x + 2, n_x)):
                        if age[k, j, i] == 0 and (k == z or j == y or i == x):
                            age[k, j, i] = now + 1
    return age > 0


@njit(cache=True, nogil=True)
def label_components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Number the 26-connected components of a mask from 1, in the order of their first voxel.

    Args:
        mask: (z, y, x) bool.

    Returns:
        (z, y, x) int32, 0 outside, and how many there are.
    """
    labels = np.zeros(mask.shape, np.int32)
    parent = np.zeros(mask.size // 2 + 2, np.int32)
    n = 0
    for z, y, x in np.ndindex(mask.shape):
        if mask[z, y, x]:
            found = join_(labels, parent, z, y, x)
            if found == 0:
                n += 1
                parent[n] = found = n
            labels[z, y, x] = found
    number = np.zeros(n + 1, np.int32)
    count = 0
    for i in range(1, n + 1):
        if parent[i] == i:
            count += 1
            number[i] = count
        else:
            number[i] = number[root(parent, i)]
    flat = labels.ravel()
    for i in range(flat.size):
        flat[i] = number[flat[i]]
    return labels, count


@njit(cache=True, nogil=True)
def root(parent: NDArray[np.int32], i: int) -> int:
    """Follow a label to the smallest of its component."""
    while parent[i] != i:
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def join_(labels: NDArray[np.int32], parent: NDArray[np.int32], z: int, y: int, x: int) -> int:
    """Join, in `parent`, the labels of the 13 neighbours before a voxel; 0 where none has one.

    Each of the 13 touches the one below the voxel: where that has a label, all are joined already.
    """
    if z > 0 and labels[z - 1, y, x]:
        return int(labels[z - 1, y, x])
    least = 0
    for k in range(max(z - 1, 0), z + 1):
        for j in range(max(y - 1, 0), min(y + 2, labels.shape[1]) if k < z else y + 1):
            for i in range(max(x - 1, 0), min(x + 2, labels.shape[2])):
                if labels[k, j, i] == 0:
                    continue
                other = root(parent, labels[k, j, i])
                if least == 0:
                    least = other
                elif other != least:
                    parent[max(other, least)] = min(other, least)
                    least = min(other, least)
    return least


@njit(cache=True, nogil=True)
def touching(
    zone: NDArray[np.int32], component: NDArray[np.int32], n_zones: int, n_components: int
) -> NDArray[np.bool_]:
    """Tell which components share a voxel with which zones.

    Returns:
        (n_zones + 1, n_components + 1) bool; row 0 and column 0, the outside, are False.
    """
    near = np.zeros((n_zones + 1, n_components + 1), np.bool_)
    one, other = zone.ravel(), component.ravel()
    for i in range(one.size):
        if one[i] and other[i]:
            near[one[i], other[i]] = True
    return near


@njit(cache=True, nogil=True)
def label_boxes(labels: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Find the box of each label.

    Returns:
        (n + 1, 2, 3) int64, start and stop (z, y, x); row 0 means nothing.
    """
    boxes = np.zeros((n + 1, 2, 3), np.int64)
    boxes[:, 0] = np.array(labels.shape)
    for place in np.ndindex(labels.shape):
        label = labels[place]
        if label:
            for axis in range(3):
                boxes[label, 0, axis] = min(boxes[label, 0, axis], place[axis])
                boxes[label, 1, axis] = max(boxes[label, 1, axis], place[axis] + 1)
    return boxes
