"""Pieces of a mask numbered as lesions: grouped by dilation, small ones dropped, some joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bratstrain.scoring.components import beside, dilate, label_components
from bratstrain.scoring.lesion_rules import LesionRules

RELATIVE_ROUNDING: Final = 1e-6
"""Of a voxel's volume, which a header holds in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """Numbered lesions of one class or region on one side."""

    labels: NDArray[np.int32]
    """(z, y, x) int32: number of the lesion, 0 outside."""
    n: int
    """The highest number."""
    zones: NDArray[np.int32] | None = None
    """(z, y, x) int32: number of the lesion whose dilation a voxel is in, 0 outside; None where
    pieces are not grouped by dilation."""


def is_below(
    n_voxels: ArrayLike, voxel_mm3: NDArray[np.float64] | float, least_mm3: ArrayLike
) -> NDArray[np.bool_]:
    """Whether volumes are below a minimum, up to the rounding of the voxel sizes.

    Args:
        n_voxels: whole numbers of any shape.
        voxel_mm3: float64, volume of a voxel, for all or by case.
        least_mm3: numbers of a shape that goes with the others.

    Returns:
        bool, of the shape that they have together.
    """
    volume = np.asarray(n_voxels, np.float64) * voxel_mm3
    return np.asarray(volume < np.asarray(least_mm3, np.float64) * (1 - RELATIVE_ROUNDING))


def is_small(
    n_voxels: int, voxel_mm3: float, least_mm3: float, *, keeps_least: bool = False
) -> bool:
    """Whether a lesion is of at most a volume, up to the rounding of the voxel sizes.

    Args:
        n_voxels: of the lesion.
        voxel_mm3: volume of a voxel.
        least_mm3: the volume.
        keeps_least: a lesion of exactly this volume is not small.
    """
    if keeps_least:
        return bool(is_below(n_voxels, voxel_mm3, least_mm3))
    return n_voxels * voxel_mm3 <= least_mm3 * (1 + RELATIVE_ROUNDING)


def truth_lesions(masks: Mapping[str, NDArray[np.bool_]], rules: LesionRules) -> dict[str, Lesions]:
    """Number the lesions of the truth.

    Args:
        masks: (z, y, x) bool each, of one shape, by the names of classes and regions; lesions
            are numbered in the order of the voxels.
        rules: of the edition.

    Returns:
        Lesions by the same names, numbered without a gap.
    """
    grouped = {name: _grouped(mask, rules.reach(name)) for name, mask in masks.items()}
    return {name: _joined(name, grouped, rules) for name in grouped}


def predicted_lesions(
    masks: Mapping[str, NDArray[np.bool_]], rules: LesionRules, voxel_mm3: float
) -> dict[str, Lesions]:
    """Number the predicted lesions; small ones are dropped where the rules say so.

    Args:
        masks: (z, y, x) bool each, as of `truth_lesions`.
        rules: of the edition.
        voxel_mm3: volume of a voxel, mm3.

    Returns:
        Lesions by the same names; lesions of a class that is joined through another are numbered
        without a gap, others keep the gaps of those that were dropped.
    """
    if not rules.groups_predicted:
        return {name: Lesions(*label_components(mask)) for name, mask in masks.items()}
    unit = {"voxels": 1.0, "mm3": voxel_mm3, "": 0.0}[rules.drops_predicted]
    grouped = {}
    for name, mask in masks.items():
        lesions = _grouped(mask, rules.reach(name))
        grouped[name] = _without_small(lesions, unit, rules.least(name)) if unit else lesions
    return {name: _joined(name, grouped, rules) for name in grouped}


def _grouped(mask: NDArray[np.bool_], dilations: int) -> Lesions:
    """Number the pieces of a (z, y, x) bool mask; pieces whose dilations touch share a number."""
    zones, n = label_components(dilate(mask, dilations))
    return Lesions(np.where(mask, zones, np.int32(0)), n, zones)


def _without_small(lesions: Lesions, unit: float, least: float) -> Lesions:
    """Drop lesions whose size in some unit is at most `least`; others keep their number."""
    sizes = np.bincount(lesions.labels.ravel(), minlength=lesions.n + 1)
    kept = np.array([not is_small(int(size), unit, least) for size in sizes])
    number = np.where(kept, np.arange(lesions.n + 1), 0).astype(np.int32)
    number[0] = 0
    return Lesions(number[lesions.labels], lesions.n)


def _joined(name: str, grouped: Mapping[str, Lesions], rules: LesionRules) -> Lesions:
    """Join the lesions of a class through the tissues beside it, and number them anew.

    A tissue that is no class of the labels joins nothing.
    """
    lesions = grouped[name]
    if name not in rules.joins:
        return lesions
    touches = [
        beside(lesions.labels, grouped[other].labels, lesions.n, grouped[other].n)
        for other in rules.joins[name]
        if other in grouped
    ]
    number = joined_numbers(np.unique(lesions.labels), lesions.n, touches)
    zones = None if lesions.zones is None else number[lesions.zones]
    return Lesions(number[lesions.labels], int(number.max()), zones)


def joined_numbers(
    present: NDArray[np.int32], n: int, touches: Sequence[NDArray[np.bool_]]
) -> NDArray[np.int32]:
    """Give lesions that touch the same lesion of another tissue one number.

    One tissue after another, and only where there is more than one touching pair. A lesion that
    touches several lesions of the other tissue goes by the first of them. Joined lesions come
    after those that touch nothing.

    Args:
        present: (k,) int32, the numbers that occur, rising; 0 may be among them.
        n: the highest number.
        touches: (n + 1, m + 1) bool of each tissue: which lesions touch which of its lesions.

    Returns:
        (n + 1,) int32: new number of each lesion, from 1 without a gap; 0 where it is not present.
    """
    number = np.zeros(n + 1, np.int64)
    number[present] = present
    for touch in touches:
        pairs = sorted({(int(number[own]), int(other)) for own, other in np.argwhere(touch)})
        if len(pairs) < 2:
            continue
        highest = int(number.max())
        order = list(dict.fromkeys(other for _, other in pairs))
        first: dict[int, int] = {}
        for own, other in pairs:
            first.setdefault(own, other)
        for own, other in first.items():
            number[number == own] = highest + 1 + order.index(other)
    used = np.unique(number[number > 0])
    return np.where(number > 0, np.searchsorted(used, number) + 1, 0).astype(np.int32)
