"""The raw scores of one case, from the labels of truth and predicted.

They hold what was measured; the value of an empty mask is left to a convention, see
`bratstrain.scoring.conventions`. Every Dice has a second word in its name, and the headline
number is the volume Dice over every plane of the case.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.labels import ClassSet, scheme
from bratstrain.scoring.calibration import Calibration
from bratstrain.scoring.lesion_rules import RULES
from bratstrain.scoring.lesion_scores import LesionScores
from bratstrain.scoring.lesions import case_lesions
from bratstrain.scoring.surface import check_pair, surface_distances, union_box
from bratstrain.scoring.surface_scores import SURFACE_TOLERANCES_MM, SurfaceScores, surface_scores


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
    def iou(self) -> float:
        """TP / (TP + FP + FN), the Jaccard index; nan where both sides are empty."""
        return ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); nan where nothing is predicted."""
        return ratio(self.tp, self.n_predicted)

    @property
    def volume_difference(self) -> float:
        """(Predicted - true) / true volume; nan where the truth is empty."""
        return ratio(self.n_predicted - self.n_truth, self.n_truth)

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
    """Planes with a prediction and no truth; their Dice is 0."""
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
    surface: SurfaceScores | None
    """None where distances were not asked for."""
    lesions: Mapping[str, LesionScores]
    """By the name of the rules; empty where they were not asked for."""
    diagonal: float = 0.0
    """Of the whole volume, voxels."""
    calibration: Calibration | None = None
    """Of the predicted probabilities; None where there are none."""

    @property
    def volumes_mm3(self) -> tuple[float, float]:
        """Volume of the truth and of the prediction."""
        return self.counts.n_truth * self.voxel_mm3, self.counts.n_predicted * self.voxel_mm3

    @property
    def volume_error_ml(self) -> float:
        """Predicted minus true volume, ml."""
        true, predicted = self.volumes_mm3
        return (predicted - true) / 1000

    def of_nothing(self) -> "PartScores":
        """Score an empty prediction of the same truth; what was not measured stays None."""
        counts, has_truth = self.counts, self.counts.n_truth > 0
        return replace(
            self,
            counts=Counts(0, 0, counts.n_truth, counts.tn + counts.fp),
            slices=SliceScores(self.slices.n_planes, self.slices.n_truth, 0, 0.0),
            surface=self.surface and self.surface.of_nothing(has_truth=has_truth),
            calibration=self.calibration and self.calibration.of_nothing(),
            lesions={rule: lesions.of_nothing() for rule, lesions in self.lesions.items()},
        )


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Raw scores of one case."""

    case: str
    confusion: NDArray[np.int64]
    """(c, c) int64 voxels, truth by predicted."""
    parts: Mapping[str, PartScores]
    """By the names of the classes and regions."""
    classes: ClassSet
    """Of the labels."""

    @property
    def tolerances(self) -> tuple[float, ...]:
        """Of the surface Dice, mm; empty where distances were not measured."""
        surfaces = [part.surface for part in self.parts.values() if part.surface is not None]
        return tuple(surfaces[0].dice) if surfaces else ()

    def with_calibration(self, calibration: Mapping[str, Calibration]) -> "CaseScores":
        """Add how well the probabilities are calibrated, by class and region."""
        parts = {
            name: replace(part, calibration=calibration.get(name))
            for name, part in self.parts.items()
        }
        return replace(self, parts=parts)

    def of_nothing(self) -> "CaseScores":
        """Score an empty prediction of the same truth, from the scores alone."""
        confusion = np.zeros_like(self.confusion)
        confusion[:, 0] = self.confusion.sum(axis=1)
        parts = {name: part.of_nothing() for name, part in self.parts.items()}
        return CaseScores(self.case, confusion, parts, self.classes)


@dataclass(frozen=True, slots=True)
class Grid:
    """Voxel size of label volumes in RAS+ order, and the order of the files they were read from."""

    spacing: Sequence[float]
    """(3,) mm, voxel size along x, y, z."""
    orientation: str = "RAS"
    """Directions of the axes of the files, such as `LPS`; lesions are numbered in this order."""


def ratio(above: float, below: float) -> float:
    """Divide; nan where there is nothing to divide by."""
    return above / below if below else math.nan


def confusion(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], n_classes: int
) -> NDArray[np.int64]:
    """Count voxels by stored label of truth and predicted; counts of planes add up to the whole.

    Args:
        truth: (..., y, x) uint8, 0 to n_classes - 1.
        predicted: (..., y, x) uint8, same shape.
        n_classes: background included.

    Returns:
        (n_classes, n_classes) int64, truth by predicted.

    Raises:
        ValueError: the shapes differ, or a label is none of the classes.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape} and predicted {predicted.shape}; must agree")
    counts = plane_confusion(truth.reshape(1, 1, -1), predicted.reshape(1, 1, -1), n_classes)
    return np.asarray(counts.sum(axis=0), np.int64)


def plane_confusion(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], n_classes: int
) -> NDArray[np.int64]:
    """Count voxels by stored label, each plane for itself.

    Args:
        truth: (z, y, x) uint8, 0 to n_classes - 1.
        predicted: (z, y, x) uint8, same shape.
        n_classes: background included.

    Returns:
        (z, n_classes, n_classes) int64, truth by predicted.

    Raises:
        ValueError: a label is none of the classes.
    """
    counts, highest = count_pairs(truth, predicted, n_classes)
    if highest >= n_classes:
        raise ValueError(f"a label is {highest}; stored labels are 0 to {n_classes - 1}")
    return np.asarray(counts)


@njit(cache=True, nogil=True)
def count_pairs(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], n_classes: int
) -> tuple[NDArray[np.int64], int]:
    """Count pairs of labels in each plane, and find the highest label.

    Args:
        truth: (z, y, x) uint8.
        predicted: (z, y, x) uint8, same shape.
        n_classes: labels from 0; a voxel with a higher label on either side is not counted.

    Returns:
        (z, n_classes, n_classes) int64, truth by predicted; and the highest label.
    """
    n_z, n_y, n_x = truth.shape
    counts = np.zeros((n_z, n_classes, n_classes), np.int64)
    highest = 0
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                one, other = truth[z, y, x], predicted[z, y, x]
                if one | other:
                    highest = max(highest, one, other)
                    if one < n_classes and other < n_classes:
                        counts[z, one, other] += 1
        counts[z, 0, 0] += n_y * n_x - counts[z].sum()
    return counts, highest


def counts_from_confusion(matrix: NDArray[np.int64], labels: Sequence[int]) -> Counts:
    """Count the voxels of a class or region in a (c, c) int64 confusion of labels."""
    inside = np.isin(np.arange(len(matrix)), labels)
    tp, fn = int(matrix[inside][:, inside].sum()), int(matrix[inside][:, ~inside].sum())
    fp, tn = int(matrix[~inside][:, inside].sum()), int(matrix[~inside][:, ~inside].sum())
    return Counts(tp, fp, fn, tn)


def slices_from_confusion(planes: NDArray[np.int64], labels: Sequence[int]) -> SliceScores:
    """Slice-wise Dice of a class or region from the (z, c, c) int64 confusions of the planes."""
    inside = np.isin(np.arange(planes.shape[1]), labels)
    truth = planes[:, inside].sum(axis=(1, 2))
    predicted = planes[:, :, inside].sum(axis=(1, 2))
    shared = planes[:, inside][:, :, inside].sum(axis=(1, 2))
    has_truth = truth > 0
    dice = 2 * shared[has_truth] / (truth + predicted)[has_truth]
    n_false = int(np.count_nonzero(predicted[~has_truth]))
    return SliceScores(len(planes), int(has_truth.sum()), n_false, float(dice.sum()))


def score_case(
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    grid: Grid,
    classes: ClassSet,
    *,
    case: str = "",
    tolerances: Sequence[float] | None = SURFACE_TOLERANCES_MM,
    lesions: Sequence[str] = ("brats2023", "brats2024"),
) -> CaseScores:
    """Score every class and region of a case, over every voxel of it.

    Args:
        truth: (z, y, x) uint8, stored labels of the whole volume.
        predicted: (z, y, x) uint8, same shape.
        grid: of both.
        classes: of the labels.
        case: its id.
        tolerances: of the surface Dice, mm; None leaves the distances of surfaces out.
        lesions: names of the lesion rules to score by; none leaves the lesions out.

    Raises:
        ValueError: shapes, labels, spacing or names of lesion rules are not as described above.
    """
    spacing = grid.spacing
    check_pair(truth, predicted, spacing)
    _check_rules(lesions)
    truth, predicted = np.ascontiguousarray(truth), np.ascontiguousarray(predicted)
    planes = plane_confusion(truth, predicted, len(classes))
    masks = _cropped_masks(truth, predicted, classes, max(rules.margin for rules in RULES.values()))
    lesions_of = {
        rule: case_lesions(
            *masks, spacing, RULES[rule], orientation=grid.orientation, tolerances=tolerances or ()
        )
        for rule in lesions
    }
    parts = {}
    for name, labels in classes.parts.items():
        surface = None
        if tolerances is not None:
            apart = surface_distances(masks[0][name], masks[1][name], spacing)
            surface = surface_scores(apart, tolerances)
        by_rule = {rule: by_part[name] for rule, by_part in lesions_of.items()}
        part = _part_scores((name, labels), planes, truth.shape, spacing, surface)
        parts[name] = replace(part, lesions=by_rule)
    return CaseScores(case, planes.sum(axis=0), parts, classes)


def _check_rules(names: Sequence[str]) -> None:
    """Refuse names of lesion rules that do not exist.

    Raises:
        ValueError: a name is unknown.
    """
    unknown = sorted(set(names) - set(RULES))
    if unknown:
        raise ValueError(
            f"lesion rules {', '.join(unknown)} are unknown; known: {', '.join(RULES)}"
        )


def _cropped_masks(
    truth: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: ClassSet, margin: int
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.bool_]]]:
    """Cut both (z, y, x) uint8 volumes to their labels and a margin, as masks of each part.

    Returns:
        (z, y, x) bool of truth and of predicted by the names of classes and regions.
    """
    box = union_box(truth, predicted, margin)
    true_masks, predicted_masks = (
        {name: _mask(side[box], labels) for name, labels in classes.parts.items()}
        for side in (truth, predicted)
    )
    return true_masks, predicted_masks


def warm() -> None:
    """Compile every kernel, once, before threads score cases side by side."""
    label = np.eye(3, dtype=np.uint8)[None]
    score_case(label, label, Grid((1.0, 1.0, 1.0)), scheme("whole-tumour").classes)


def _mask(volume: NDArray[np.uint8], labels: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask of a class or region, of the shape of the (z, y, x) uint8 stored labels, bool."""
    first, *others = labels
    inside: NDArray[np.bool_] = volume == first
    for label in others:
        inside |= volume == label
    return inside


def _part_scores(
    part: tuple[str, tuple[int, ...]],
    planes: NDArray[np.int64],
    shape: Sequence[int],
    spacing: Sequence[float],
    surface: SurfaceScores | None,
) -> PartScores:
    """Collect the scores of a class or region, its lesions aside.

    Args:
        part: name and stored labels of the class or region.
        planes: (z, c, c) int64, confusion of each plane, truth by predicted.
        shape: (z, y, x) of the whole volume.
        spacing: (3,) mm, voxel size along x, y, z.
        surface: of its surfaces; None where they were not measured.
    """
    name, labels = part
    counts = counts_from_confusion(planes.sum(axis=0), labels)
    slices = slices_from_confusion(planes, labels)
    return PartScores(
        name=name,
        counts=counts,
        voxel_mm3=math.prod(spacing),
        slices=slices,
        surface=surface,
        lesions={},
        diagonal=math.sqrt(sum(side**2 for side in shape)),
    )
