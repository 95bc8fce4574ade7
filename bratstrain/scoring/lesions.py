"""Lesion-wise scores, after the evaluation code of BraTS 2023 and 2024.

Nearby pieces of the truth are one lesion; a lesion is found where a predicted component comes
near it; a component that belongs to no lesion is a false positive, of whatever size. Since 2026
lesions and components are paired one to one instead.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.borders import border_dice, border_hd95
from bratstrain.scoring.components import label_boxes, touching
from bratstrain.scoring.lesion_groups import (
    Lesions,
    is_small,
    predicted_lesions,
    truth_lesions,
)
from bratstrain.scoring.lesion_pairs import best_pairs, component_dice
from bratstrain.scoring.lesion_rules import LesionRules
from bratstrain.scoring.lesion_scores import KeptScores, LesionScores
from bratstrain.scoring.surface import check_pair, surface_distances, union_box
from bratstrain.scoring.surface_scores import SURFACE_TOLERANCES_MM

Crop = tuple[slice, slice, slice]


def case_lesions(
    truth: Mapping[str, NDArray[np.bool_]],
    predicted: Mapping[str, NDArray[np.bool_]],
    spacing: Sequence[float],
    rules: LesionRules,
    *,
    orientation: str = "RAS",
    tolerances: Sequence[float] = SURFACE_TOLERANCES_MM,
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
        tolerances: of the surface Dice, mm.

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
        name: score_lesions(
            lesions, found_lesions[name], spacing, rules, rules.least(name), tolerances
        )
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
    tolerances: Sequence[float] = SURFACE_TOLERANCES_MM,
) -> LesionScores:
    """Score numbered lesions of one class or region.

    Args:
        truth: with zones.
        predicted: numbered components.
        spacing: (3,) mm, voxel size along x, y, z.
        rules: of the edition.
        least_mm3: lesions of at most this volume leave the score, mm3.
        tolerances: of the surface Dice, mm.
    """
    near, dice = _matches(truth, predicted, rules)
    counted, small = _by_size(truth, math.prod(spacing), least_mm3, keeps_least=rules.pairs)
    boxes, _ = label_boxes(truth.labels, truth.n)
    predicted_boxes, predicted_sizes = label_boxes(predicted.labels, predicted.n)
    overlap, hd95_mm, surfaces, borders = [], [], [], []
    for i in counted:
        cut = _cover(boxes[i : i + 1], predicted_boxes[np.flatnonzero(near[i])])
        lesion, union = truth.labels[cut] == i, near[i][predicted.labels[cut]]
        overlap.append(_dice(lesion, union))
        apart = surface_distances(lesion, union, spacing)
        hd95_mm.append(border_hd95(lesion, union, spacing) if rules.pairs else apart.hausdorff())
        surfaces.append(tuple(apart.surface_dice(limit) for limit in tolerances))
        if rules.with_borders:
            borders.append(border_dice(lesion, union, spacing))
    exists = predicted_sizes > 0
    return LesionScores(
        overlap=tuple(overlap),
        hd95_mm=tuple(hd95_mm),
        n_false=int(np.count_nonzero(exists & ~near.any(axis=0))),
        n_small=len(small),
        border_dice=tuple(borders),
        surface_dice=tuple(surfaces),
        tolerances=tuple(tolerances),
        kept=_kept(truth, predicted, spacing, rules, bool(near.any()))
        if rules.with_borders
        else None,
        mean_over=rules.mean_over,
        pairs=rules.pairs,
        small_overlap=tuple(float(dice[i, near[i]].sum()) for i in small) if rules.pairs else (),
        least_dice=rules.least_dice,
    )


def _matches(
    truth: Lesions, predicted: Lesions, rules: LesionRules
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Find the predicted components of each lesion.

    Returns:
        (n + 1, m + 1) bool, which component belongs to which lesion; and under rules of pairs the
        float64 Dice of every lesion and component of the same shape, otherwise zeros.
    """
    if rules.pairs:
        dice = component_dice(truth.labels, predicted.labels, truth.n, predicted.n)
        return best_pairs(dice), dice
    zones = truth.labels if truth.zones is None else truth.zones
    near = touching(zones, predicted.labels, truth.n, predicted.n)
    return near, np.zeros(near.shape)


def _by_size(
    lesions: Lesions, voxel_mm3: float, least_mm3: float, *, keeps_least: bool
) -> tuple[list[int], list[int]]:
    """Numbers of the lesions that are large enough to count, and of the others."""
    _, sizes = label_boxes(lesions.labels, lesions.n)
    counted: list[int] = []
    small: list[int] = []
    for i, size in enumerate(sizes[1:].tolist(), start=1):
        is_out = is_small(size, voxel_mm3, least_mm3, keeps_least=keeps_least)
        (small if is_out else counted).append(i)
    return counted, small


def _kept(
    truth: Lesions,
    predicted: Lesions,
    spacing: Sequence[float],
    rules: LesionRules,
    has_match: bool,
) -> KeptScores:
    """Score the whole case after small lesions were dropped.

    The HD95 is that of the official code, which measures lesion numbers as if they were a mask
    wherever it numbers both sides, and border voxels where it pairs lesions; there a case without a
    pair counts as one with an empty side.

    Args:
        truth: numbered lesions.
        predicted: numbered components that are left.
        spacing: (3,) mm, voxel size along x, y, z.
        rules: of the edition.
        has_match: whether any lesion is found.
    """
    masks = truth.labels > 0, predicted.labels > 0
    n_truth, n_predicted = (int(np.count_nonzero(mask)) for mask in masks)
    borders = border_dice(*masks, spacing)
    if not (n_truth or n_predicted):
        hd95_mm = math.nan
    elif not rules.pairs:
        one, other = (truth.labels, predicted.labels) if rules.groups_predicted else masks
        surfaces = surface_distances(one, other, spacing, are_numbers=rules.groups_predicted)
        hd95_mm = surfaces.hausdorff()
    elif has_match:
        hd95_mm = border_hd95(*masks, spacing)
    else:
        hd95_mm, borders = math.inf, (0.0,) * len(borders)
    n_shared = int(np.count_nonzero(masks[0] & masks[1]))
    return KeptScores(n_truth, n_predicted, n_shared, hd95_mm, borders)


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
