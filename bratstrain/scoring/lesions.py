"""Lesion-wise scores, after the evaluation code of BraTS 2023 and 2024.

Nearby pieces of the truth are one lesion; a lesion is found where a predicted component comes
near it; a component that belongs to no lesion is a false positive, of whatever size.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.borders import TOLERANCES_MM, border_dice
from bratstrain.scoring.components import label_boxes, touching
from bratstrain.scoring.lesion_groups import (
    Lesions,
    is_small,
    predicted_lesions,
    truth_lesions,
)
from bratstrain.scoring.lesion_rules import LesionRules
from bratstrain.scoring.surface import check_pair, surface_distances, union_box

Crop = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class KeptScores:
    """Scores of the whole case after small predicted lesions were dropped, without a penalty."""

    n_truth: int
    """Voxels of the truth."""
    n_predicted: int
    """Predicted voxels that are left."""
    n_shared: int
    """Voxels of both."""
    hd95_mm: float
    """inf where one side is empty, nan where both are."""
    border_dice: tuple[float, ...]
    """At each of `TOLERANCES_MM`; 0 where one side is empty, 1 where both are."""

    @property
    def volume_dice(self) -> float:
        """Dice of the voxels; nan where both sides are empty."""
        total = self.n_truth + self.n_predicted
        return 2 * self.n_shared / total if total else math.nan

    def of_nothing(self) -> "KeptScores":
        """Give the scores of an empty prediction of the same truth."""
        value, hd95_mm = (0.0, math.inf) if self.n_truth else (1.0, math.nan)
        return KeptScores(self.n_truth, 0, 0, hd95_mm, (value,) * len(self.border_dice))


@dataclass(frozen=True, slots=True)
class LesionScores:
    """The lesions of one region of one case, without a penalty for missed or false ones."""

    overlap: tuple[float, ...]
    """Dice of each kept lesion with the union of its predicted components; 0 where missed."""
    hd95_mm: tuple[float, ...]
    """HD95 of each kept lesion; inf where it is missed."""
    n_false: int
    """Predicted components that belong to no lesion."""
    n_small: int
    """Truth lesions too small to count; they absorb predictions all the same."""
    border_dice: tuple[tuple[float, ...], ...] = ()
    """Of each kept lesion at each of `TOLERANCES_MM`; empty where it was not measured."""
    kept: KeptScores | None = None
    """Of the whole case; None where the rules drop nothing."""
    counts_false: bool = True
    """False lesions enter the means."""

    @property
    def n_found(self) -> int:
        """Kept lesions with a predicted component near them."""
        return sum(distance < math.inf for distance in self.hd95_mm)

    @property
    def n_missed(self) -> int:
        """Kept lesions without one."""
        return len(self.hd95_mm) - self.n_found

    @property
    def n_scored(self) -> int:
        """Lesions that a mean is over: kept ones, and false ones where they count."""
        return len(self.overlap) + (self.n_false if self.counts_false else 0)

    @property
    def lesionwise_dice(self) -> float:
        """Mean over kept lesions and false positives; 1 with nothing on either side."""
        return math.fsum(self.overlap) / self.n_scored if self.n_scored else 1.0

    def lesionwise_hd95(self, penalty_mm: float) -> float:
        """Mean over kept lesions and false positives, mm; 0 with nothing on either side.

        Args:
            penalty_mm: what a missed lesion and a false positive count.
        """
        if not self.n_scored:
            return 0.0
        measured = math.fsum(distance for distance in self.hd95_mm if distance < math.inf)
        n_penalties = self.n_missed + self.n_scored - len(self.overlap)
        return (measured + penalty_mm * n_penalties) / self.n_scored

    def lesionwise_border_dice(self, tolerance_mm: float) -> float:
        """Mean over kept lesions and false positives; nan where it was not measured.

        Args:
            tolerance_mm: one of `TOLERANCES_MM`.
        """
        if len(self.border_dice) < len(self.overlap) or self.kept is None:
            return math.nan
        place = TOLERANCES_MM.index(tolerance_mm)
        total = math.fsum(values[place] for values in self.border_dice)
        return total / self.n_scored if self.n_scored else 1.0

    def of_nothing(self) -> "LesionScores":
        """Give the scores of an empty prediction of the same truth."""
        n = len(self.overlap)
        return replace(
            self,
            overlap=(0.0,) * n,
            hd95_mm=(math.inf,) * n,
            n_false=0,
            border_dice=((0.0,) * len(TOLERANCES_MM),) * len(self.border_dice),
            kept=None if self.kept is None else self.kept.of_nothing(),
        )


def case_lesions(
    truth: Mapping[str, NDArray[np.bool_]],
    predicted: Mapping[str, NDArray[np.bool_]],
    spacing: Sequence[float],
    rules: LesionRules,
    *,
    orientation: str = "RAS",
) -> dict[str, LesionScores]:
    """Match the lesions of every class and region with predicted components, and score each.

    Args:
        truth: (z, y, x) bool each, of one shape, by the names of classes and regions.
            The labels are surrounded by `rules.margin` voxels, or fewer at the volume's border.
        predicted: the same of the prediction.
        spacing: (3,) mm, voxel size along x, y, z.
        rules: of the edition.
        orientation: directions of the axes of the label files, such as `LPS`; the official code
            numbers lesions in the order of a file, its first axis slowest, and the numbers decide
            through which lesion another is joined.

    Returns:
        Scores by name; lesions in the order of their numbers.
    """
    truth, predicted = (
        {name: in_file_order(mask, orientation) for name, mask in side.items()}
        for side in (truth, predicted)
    )
    spacing = [spacing[2 - axis] for axis in reversed(file_axes(orientation))]
    true_lesions = truth_lesions(truth, rules)
    found_lesions = predicted_lesions(predicted, rules, math.prod(spacing))
    return {
        name: score_lesions(lesions, found_lesions[name], spacing, rules, rules.least(name))
        for name, lesions in true_lesions.items()
    }


def file_axes(orientation: str) -> list[int]:
    """Axis of a (z, y, x) volume along each axis of a file, such as [2, 1, 0] for `LPS`."""
    return ["ISPALR".index(code) // 2 for code in orientation]


def in_file_order(mask: NDArray[np.bool_], orientation: str) -> NDArray[np.bool_]:
    """Turn a (z, y, x) bool mask in RAS+ order into the axes and directions of a file, C order."""
    turn = tuple(slice(None, None, -1 if code in orientation else 1) for code in ("I", "P", "L"))
    return np.ascontiguousarray(mask[turn].transpose(file_axes(orientation)))


def lesion_scores(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    spacing: Sequence[float],
    rules: LesionRules,
    part: str = "WT",
) -> LesionScores:
    """Score the lesions of a single region, with no other tissue beside it.

    Args:
        truth: (z, y, x) bool or uint8, non-zero inside the region.
        predicted: (z, y, x) bool or uint8, same shape.
        spacing: (3,) mm, voxel size along x, y, z.
        rules: of the edition.
        part: name of the region, for its limits.

    Raises:
        ValueError: the masks are not 3D and of one shape, or the spacing is not three sizes > 0.
    """
    check_pair(truth, predicted, spacing)
    box = union_box(truth, predicted, rules.margin)
    true_mask, predicted_mask = (np.asarray(side[box] != 0) for side in (truth, predicted))
    return case_lesions({part: true_mask}, {part: predicted_mask}, spacing, rules)[part]


def score_lesions(
    truth: Lesions,
    predicted: Lesions,
    spacing: Sequence[float],
    rules: LesionRules,
    least_mm3: float,
) -> LesionScores:
    """Score numbered lesions of one class or region.

    Args:
        truth: with zones.
        predicted: numbered components.
        spacing: (3,) mm, voxel size along x, y, z.
        rules: of the edition.
        least_mm3: lesions of at most this volume leave the score, mm3.
    """
    zones = truth.labels if truth.zones is None else truth.zones
    near = touching(zones, predicted.labels, truth.n, predicted.n)
    predicted_boxes, predicted_sizes = label_boxes(predicted.labels, predicted.n)
    with_borders = bool(rules.drops_predicted)
    overlap, hd95_mm, borders = [], [], []
    for i, box in _counted_boxes(truth, math.prod(spacing), least_mm3):
        cut = _cover(box, predicted_boxes[np.flatnonzero(near[i])])
        lesion, union = truth.labels[cut] == i, near[i][predicted.labels[cut]]
        overlap.append(_dice(lesion, union))
        hd95_mm.append(surface_distances(lesion, union, spacing).hausdorff())
        if with_borders:
            borders.append(border_dice(lesion, union, spacing))
    exists = predicted_sizes > 0
    return LesionScores(
        overlap=tuple(overlap),
        hd95_mm=tuple(hd95_mm),
        n_false=int(np.count_nonzero(exists & ~near.any(axis=0))),
        n_small=truth.n - len(overlap),
        border_dice=tuple(borders),
        kept=_kept(truth.labels, predicted.labels, spacing) if with_borders else None,
        counts_false=rules.counts_false,
    )


def _counted_boxes(
    lesions: Lesions, voxel_mm3: float, least_mm3: float
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Number of each lesion that is large enough to count, and its box, (1, 2, 3) int64."""
    boxes, sizes = label_boxes(lesions.labels, lesions.n)
    for i in range(1, lesions.n + 1):
        if not is_small(int(sizes[i]), voxel_mm3, least_mm3):
            yield i, boxes[i : i + 1]


def _kept(
    truth: NDArray[np.int32], predicted: NDArray[np.int32], spacing: Sequence[float]
) -> KeptScores:
    """Score the whole case after small lesions were dropped.

    The HD95 is that of the official code, which measures lesion numbers as if they were a mask.

    Args:
        truth: (z, y, x) int32 lesion numbers, 0 outside.
        predicted: (z, y, x) int32, same shape.
        spacing: (3,) mm, voxel size along x, y, z.
    """
    masks = truth > 0, predicted > 0
    n_truth, n_predicted = (int(np.count_nonzero(mask)) for mask in masks)
    surfaces = surface_distances(truth, predicted, spacing, are_numbers=True)
    return KeptScores(
        n_truth,
        n_predicted,
        int(np.count_nonzero(masks[0] & masks[1])),
        surfaces.hausdorff() if n_truth or n_predicted else math.nan,
        border_dice(*masks, spacing),
    )


def _cover(one: NDArray[np.int64], more: NDArray[np.int64]) -> Crop:
    """Cover boxes, (n, 2, 3) int64 start and stop (z, y, x), by one."""
    both = np.concatenate((one, more))
    start, stop = both[:, 0].min(axis=0), both[:, 1].max(axis=0)
    z, y, x = (slice(int(low), int(high)) for low, high in zip(start, stop, strict=True))
    return z, y, x


def _dice(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Dice of two (z, y, x) bool masks, of which the truth is not empty."""
    shared = int(np.count_nonzero(truth & predicted))
    total = int(np.count_nonzero(truth)) + int(np.count_nonzero(predicted))
    return 2 * shared / total
