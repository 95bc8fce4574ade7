"""The raw scores of one case, from the labels of truth and predicted.

They say what was measured; what an empty mask is worth is left to a convention, see
`bratstrain.scoring.aggregate`. Every Dice has a second word in its name, and the headline number
is the volume Dice over every plane of the case.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.labels import CLASSES, REGIONS
from bratstrain.scoring.lesions import DILATIONS, RULES, LesionScores, lesion_scores
from bratstrain.scoring.surface import SurfaceDistances, check_pair, surface_distances, union_box

PARTS: Final = MappingProxyType(
    {name: (label,) for label, name in enumerate(CLASSES) if label} | dict(REGIONS)
)
"""Stored labels of each class and region; ET is both."""
MEANS: Final = MappingProxyType({"mean of classes": CLASSES[1:], "mean of regions": tuple(REGIONS)})
"""Names of the parts that a mean is over; never the background."""
TOLERANCE_MM: Final = 1.0
"""Of the surface Dice."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Voxels of one class or region."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n_truth(self) -> int:
        """Voxels in the truth."""
        return self.tp + self.fn

    @property
    def n_predicted(self) -> int:
        """Voxels in the prediction."""
        return self.tp + self.fp

    @property
    def volume_dice(self) -> float:
        """2 TP / (2 TP + FP + FN); nan where both sides are empty."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def two_sided_dice(self) -> float:
        """Mean of the Dice of foreground and of background; nan where either is nowhere."""
        background = ratio(2 * self.tn, 2 * self.tn + self.fp + self.fn)
        return (self.volume_dice + background) / 2

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN); nan where the truth is empty."""
        return ratio(self.tp, self.n_truth)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP); nan where the truth is everywhere."""
        return ratio(self.tn, self.tn + self.fp)


@dataclass(frozen=True, slots=True)
class SliceScores:
    """Dice of one class or region plane by plane, for comparison with slice-wise protocols."""

    n_planes: int
    n_truth: int
    """Planes that hold truth."""
    n_false: int
    """Planes that hold a prediction and no truth; their Dice is 0."""
    total: float
    """Sum of the Dice of the planes that hold truth."""

    @property
    def tumour_mean(self) -> float:
        """Slice mean over the planes that hold truth; nan with none."""
        return ratio(self.total, self.n_truth)

    @property
    def all_mean(self) -> float:
        """Slice mean over every plane, an empty one that is left empty counting 1."""
        return ratio(self.total + self.n_planes - self.n_truth - self.n_false, self.n_planes)

    @property
    def filled_mean(self) -> float:
        """Slice mean over the planes where either side has a voxel; nan with none."""
        return ratio(self.total, self.n_truth + self.n_false)


@dataclass(frozen=True, slots=True)
class PartScores:
    """Raw scores of one class or region of one case."""

    name: str
    counts: Counts
    voxel_mm3: float
    slices: SliceScores
    hd95_mm: float | None
    """inf where one side is empty, nan where both are; None where it was not asked for."""
    surface_dice: float | None
    """At TOLERANCE_MM; 0 where one side is empty, nan where both are; None as before."""
    lesions: Mapping[str, LesionScores]
    """By the name of the rules; empty where they were not asked for."""

    @property
    def volumes_mm3(self) -> tuple[float, float]:
        """Volume of the truth and of the prediction."""
        return self.counts.n_truth * self.voxel_mm3, self.counts.n_predicted * self.voxel_mm3


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Raw scores of one case."""

    case: str
    confusion: NDArray[np.int64]
    """(4, 4) int64 voxels, truth by predicted."""
    parts: Mapping[str, PartScores]
    """By the names of PARTS."""


def ratio(above: float, below: float) -> float:
    """Divide; nan where there is nothing to divide by."""
    return above / below if below else math.nan


def confusion(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count voxels by stored label of truth and predicted; counts of planes add up to the whole.

    Args:
        truth: (..., y, x) uint8, 0 to 3.
        predicted: (..., y, x) uint8, 0 to 3, same shape.

    Returns:
        (4, 4) int64, truth by predicted.

    Raises:
        ValueError: the shapes differ, or a label is above 3.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} and predicted {predicted.shape}; must agree")
    counts = plane_confusion(truth.reshape(1, 1, -1), predicted.reshape(1, 1, -1))
    return np.asarray(counts.sum(axis=0), np.int64)


def plane_confusion(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count voxels by stored label, each plane for itself.

    Args:
        truth: (z, y, x) uint8, 0 to 3.
        predicted: (z, y, x) uint8, 0 to 3, same shape.

    Returns:
        (z, 4, 4) int64, truth by predicted.

    Raises:
        ValueError: a label is above 3.
    """
    counts, highest = count_pairs(truth, predicted)
    if highest >= len(CLASSES):
        raise ValueError(f"a label is {highest}; stored labels are 0 to {len(CLASSES) - 1}")
    return np.asarray(counts)


@njit(cache=True, nogil=True)
def count_pairs(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], int]:
    """Count pairs of labels in each plane, labels above 3 wrapped; and find the highest label."""
    n_z, n_y, n_x = truth.shape
    counts = np.zeros((n_z, 4, 4), np.int64)
    highest = 0
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                one, other = truth[z, y, x], predicted[z, y, x]
                if one | other:
                    counts[z, one & 3, other & 3] += 1
                    highest = max(highest, one, other)
        counts[z, 0, 0] += n_y * n_x - counts[z].sum()
    return counts, highest


def counts_from_confusion(matrix: NDArray[np.int64], labels: Sequence[int]) -> Counts:
    """Count the voxels of a class or region in a (4, 4) int64 confusion of labels."""
    inside = np.isin(np.arange(len(CLASSES)), labels)
    tp, fn = int(matrix[inside][:, inside].sum()), int(matrix[inside][:, ~inside].sum())
    fp, tn = int(matrix[~inside][:, inside].sum()), int(matrix[~inside][:, ~inside].sum())
    return Counts(tp, fp, fn, tn)


def slices_from_confusion(planes: NDArray[np.int64], labels: Sequence[int]) -> SliceScores:
    """Slice-wise Dice of a class or region from the (z, 4, 4) int64 confusions of the planes."""
    inside = np.isin(np.arange(len(CLASSES)), labels)
    truth = planes[:, inside].sum(axis=(1, 2))
    predicted = planes[:, :, inside].sum(axis=(1, 2))
    shared = planes[:, inside][:, :, inside].sum(axis=(1, 2))
    there = truth > 0
    dice = 2 * shared[there] / (truth + predicted)[there]
    n_false = int(np.count_nonzero(predicted[~there]))
    return SliceScores(len(planes), int(there.sum()), n_false, float(dice.sum()))


def score_case(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    spacing: Sequence[float],
    *,
    case: str = "",
    distances: bool = True,
    lesions: Sequence[str] = tuple(RULES),
) -> CaseScores:
    """Score every class and region of a case, over every voxel of it.

    Args:
        truth: (z, y, x) uint8, stored labels 0 to 3 of the whole volume.
        predicted: (z, y, x) uint8, same shape.
        spacing: (3,) mm, voxel size along x, y, z.
        case: its id.
        distances: measure HD95 and surface Dice too.
        lesions: names of the lesion rules to score by; none leaves the lesions out.

    Raises:
        ValueError: the volumes are not 3D and of one shape, a label is above 3, the spacing is
            not three sizes above 0, or lesion rules are unknown.
    """
    check_pair(truth, predicted, spacing)
    unknown = sorted(set(lesions) - set(RULES))
    if unknown:
        raise ValueError(
            f"lesion rules {', '.join(unknown)} are unknown; known: {', '.join(RULES)}"
        )
    part = union_box(truth, predicted, DILATIONS)
    truth, predicted = np.ascontiguousarray(truth), np.ascontiguousarray(predicted)
    planes = plane_confusion(truth, predicted)
    labels = truth[part], predicted[part]
    parts = {}
    for name in PARTS:
        masks = _mask(labels[0], name), _mask(labels[1], name)
        whole = surface_distances(*masks, spacing) if distances else None
        found = {
            rule: lesion_scores(
                *masks,
                spacing,
                RULES[rule].least_voxels[name],
                joins_predicted=RULES[rule].joins_predicted,
            )
            for rule in lesions
        }
        parts[name] = _part_scores(name, planes, math.prod(spacing), whole, found)
    return CaseScores(case, planes.sum(axis=0), parts)


def warm() -> None:
    """Compile every kernel, once, before threads score cases side by side."""
    label = np.eye(3, dtype=np.uint8)[None]
    score_case(label, label, (1.0, 1.0, 1.0))


def _mask(labels: NDArray[np.uint8], name: str) -> NDArray[np.bool_]:
    """Mask of a class or region."""
    first, *others = PARTS[name]
    inside: NDArray[np.bool_] = labels == first
    for label in others:
        inside |= labels == label
    return inside


def _part_scores(
    name: str,
    planes: NDArray[np.int64],
    voxel_mm3: float,
    surface: SurfaceDistances | None,
    lesions: Mapping[str, LesionScores],
) -> PartScores:
    """Put the scores of a class or region together."""
    counts = counts_from_confusion(planes.sum(axis=0), PARTS[name])
    slices = slices_from_confusion(planes, PARTS[name])
    hd95_mm = surface_dice = None
    if surface is not None:
        both_empty = not counts.n_truth and not counts.n_predicted
        hd95_mm = math.nan if both_empty else surface.hausdorff()
        surface_dice = surface.surface_dice(TOLERANCE_MM)
    return PartScores(name, counts, voxel_mm3, slices, hd95_mm, surface_dice, lesions)
