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
from numpy.typing import NDArray

from bratstrain.scoring.components import dilate, label_boxes, label_components, touching
from bratstrain.scoring.surface import check_pair, surface_distances, union_box

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
    boxes, size = label_boxes(lesion, n_lesions)
    component_boxes, _ = label_boxes(component, n_components)
    pairs: list[tuple[float, float]] = []
    for i in range(1, n_lesions + 1):
        if size[i] > least_voxels:
            members = np.flatnonzero(near[i])
            cut = _cover(boxes[i : i + 1], component_boxes[members])
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
