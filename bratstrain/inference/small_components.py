# mypy: disallow-untyped-decorators=False
"""Removal of small components of a prediction, and tuning of the minimum size per class.

A component below the minimum size of its class gets the label that it shares most faces with:
background for an island, the surrounding class for one inside the tumour. Sizes are in mm3, since
scans differ in their voxels. They are tuned on the validation cases of a run and never on the cases
that are reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet
from bratstrain.inference.small_totals import (
    TOTALS,
    relabel_little,
    relabelled_matrices,
    smallest_totals,
    surrounding_class,
)
from bratstrain.runs.files import read_json, write_json
from bratstrain.scoring.components import label_components
from bratstrain.scoring.lesion_groups import is_below
from bratstrain.scoring.metrics import confusion
from bratstrain.scoring.surface import union_box

CLEANUP: Final = "cleanup.json"
"""File in the run folder."""
MOST_TRIED: Final = 4
"""Tumour classes up to which every combination of sizes is tried."""
CANDIDATES: Final = (0, 10, 30, 100, 300, 1000)
"""Sizes in mm3 that are tried as the minimum of a class; 0 keeps everything."""


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Minimum sizes of components, and the cases that they were tuned on."""

    least_mm3: dict[str, int]
    """Minimum size of each class by name; smaller components are removed."""
    tuned_on: str
    """Cases and planes."""
    cases: list[str]
    """Ids of those cases."""
    before: float
    """Case-average volume Dice on those cases, mean of classes, with nothing removed."""
    after: float
    """The same with the sizes above and below applied."""
    least_total_mm3: dict[str, int] = field(default_factory=dict)
    """Minimum in a whole case of a class by name; where there is less, all of it becomes the class
    around. Empty where no such size is better on those cases."""


@dataclass(frozen=True, slots=True)
class LeastSizes:
    """Minimum sizes by which predictions are cleaned; without any they stay as they are."""

    least_mm3: Mapping[str, int] = field(default_factory=dict)
    """Of the components of each class, as in `Cleanup`."""
    least_total_mm3: Mapping[str, int] = field(default_factory=dict)
    """Of a class in a whole case, as in `Cleanup`."""

    def clean(
        self, predicted: NDArray[np.uint8], spacing: NDArray[np.floating[Any]], classes: ClassSet
    ) -> NDArray[np.uint8]:
        """Clean the prediction of a case.

        Args:
            predicted: (z, y, x) uint8, stored labels.
            spacing: (3,) float32 or float64, mm.
            classes: of the labels.

        Returns:
            (z, y, x) uint8, a new volume, or the given one where there is no size.
        """
        if not self.least_mm3 and not self.least_total_mm3:
            return predicted
        voxel_mm3 = float(spacing.prod())
        return drop_small(predicted, self.least_mm3, classes, voxel_mm3, self.least_total_mm3)


@dataclass(frozen=True, slots=True)
class Components:
    """The components of every class of a prediction, within their bounding box."""

    part: tuple[slice, slice, slice]
    """The box in the volume."""
    number: NDArray[np.int32]
    """(z, y, x) component of each voxel of the box, from 1; 0 in the background."""
    label: NDArray[np.uint8]
    """(n + 1,) uint8 class of each."""
    size: NDArray[np.int64]
    """(n + 1,) int64 voxels of each."""
    instead: NDArray[np.uint8]
    """(n + 1,) uint8 label of each where it is removed."""


def find_components(predicted: NDArray[np.uint8], n_classes: int) -> Components:
    """Number the 26-connected components of each class.

    Args:
        predicted: (z, y, x) uint8, stored labels.
        n_classes: background included.
    """
    part = union_box(predicted, predicted, 1)
    inside = np.ascontiguousarray(predicted[part])
    number = np.zeros(inside.shape, np.int32)
    labels = [0]
    for label in range(1, n_classes):
        numbered, count = label_components(inside == label)
        number[numbered > 0] = numbered[numbered > 0] + len(labels) - 1
        labels += [label] * count
    size = np.bincount(number.ravel(), minlength=len(labels))
    faces = count_faces(number, inside, len(labels), n_classes)
    return Components(
        part, number, np.array(labels, np.uint8), size, faces.argmax(axis=1).astype(np.uint8)
    )


@njit(cache=True, nogil=True)
def count_faces(
    number: NDArray[np.int32], label: NDArray[np.uint8], n: int, n_classes: int
) -> NDArray[np.int64]:
    """Count the faces that each component shares with voxels of another label.

    Args:
        number: (z, y, x) int32, 0 to n - 1.
        label: (z, y, x) uint8, stored labels.
        n: number of components, that of the background included.
        n_classes: background included.

    Returns:
        (n, n_classes) int64, by component and label beyond the face.
    """
    faces = np.zeros((n, n_classes), np.int64)
    n_z, n_y, n_x = number.shape
    for z, y, x in np.ndindex(n_z, n_y, n_x):
        here = label[z, y, x]
        if here == 0:
            continue
        component = number[z, y, x]
        for step in range(6):
            move = 1 if step % 2 else -1
            k, j, i = z, y, x
            if step < 2:
                k += move
            elif step < 4:
                j += move
            else:
                i += move
            if 0 <= k < n_z and 0 <= j < n_y and 0 <= i < n_x and label[k, j, i] != here:
                faces[component, label[k, j, i]] += 1
    return faces


def drop_small(
    predicted: NDArray[np.uint8],
    least_mm3: Mapping[str, int],
    classes: ClassSet,
    voxel_mm3: float,
    least_total_mm3: Mapping[str, int] = MappingProxyType({}),
) -> NDArray[np.uint8]:
    """Relabel every component that is smaller than the minimum size of its class.

    All sizes are measured before any component is relabelled, so the order of the classes does not
    matter. A class of which too little is left is relabelled afterwards.

    Args:
        predicted: (z, y, x) uint8, stored labels.
        least_mm3: minimum sizes of some classes by name; the others keep everything.
        classes: of the labels.
        voxel_mm3: volume of a voxel.
        least_total_mm3: as in `bratstrain.inference.small_totals.relabel_little`.

    Returns:
        (z, y, x) uint8, a new volume.
    """
    least = np.array([least_mm3.get(name, 0) for name in classes.classes])
    components = find_components(predicted, len(classes))
    is_small = is_below(components.size, voxel_mm3, least[components.label])
    becomes = np.where(is_small, components.instead, components.label)
    becomes[0] = 0
    cleaned = predicted.copy()
    cleaned[components.part] = becomes[components.number]
    return relabel_little(cleaned, least_total_mm3, classes, voxel_mm3)


@dataclass(slots=True)
class Tuning:
    """Effect of every choice of sizes on the confusion matrices of a set of cases.

    Components are removed independently, so the effect of a choice is the sum of its effects on
    the classes, and no volume has to be kept.
    """

    classes: ClassSet | None = None
    """Of the cases; None before the first."""
    names: list[str] = field(default_factory=list)
    voxel_mm3: list[float] = field(default_factory=list)
    """Volume of a voxel of each case."""
    base: list[NDArray[np.int64]] = field(default_factory=list)
    """(classes, classes) int64 confusion matrix of each case, truth by predicted."""
    change: list[NDArray[np.int64]] = field(default_factory=list)
    """(classes - 1, candidates, classes, classes) int64 of each case: change of the matrix when
    components of a class below a size are removed."""

    def add(
        self,
        case: str,
        truth: NDArray[np.uint8],
        predicted: NDArray[np.uint8],
        classes: ClassSet,
        voxel_mm3: float,
    ) -> None:
        """Measure one case.

        Args:
            case: its id.
            truth: (z, y, x) uint8, stored labels.
            predicted: (z, y, x) uint8, same shape.
            classes: of both; the same for all cases.
            voxel_mm3: volume of a voxel.
        """
        self.classes = classes
        k = len(classes)
        components = find_components(predicted, k)
        n = len(components.label)
        pairs = components.number.astype(np.int64) * k + truth[components.part]
        held = np.bincount(pairs.ravel(), minlength=n * k).reshape(n, k)
        change = np.zeros((k - 1, len(CANDIDATES), k, k), np.int64)
        is_small = is_below(components.size[:, None], voxel_mm3, np.array(CANDIDATES))
        for i in range(1, n):
            label, moved = int(components.label[i]), held[i]
            for c in range(len(CANDIDATES)):
                if is_small[i, c]:
                    change[label - 1, c, :, label] -= moved
                    change[label - 1, c, :, components.instead[i]] += moved
        self.names.append(case)
        self.voxel_mm3.append(voxel_mm3)
        self.base.append(confusion(truth, predicted, k))
        self.change.append(change)

    def best(self, tuned_on: str) -> Cleanup:
        """Choose the sizes with the best mean over the classes; the smallest among equals.

        Args:
            tuned_on: name of cases and planes.

        Raises:
            ValueError: no case was added.
        """
        if self.classes is None:
            raise ValueError("tuning needs at least one case")
        base, change = np.stack(self.base), np.stack(self.change)
        before = mean_dice(base)
        n_tumour = len(self.classes.tumour)
        search = every_choice if n_tumour <= MOST_TRIED else class_by_class
        chosen, best = search(base, change)
        least = {name: CANDIDATES[c] for name, c in zip(self.classes.tumour, chosen, strict=True)}
        cleaned = base + sum(change[:, k, c] for k, c in enumerate(chosen))
        totals, best = best_total(cleaned, np.array(self.voxel_mm3), best, self.classes)
        return Cleanup(least, tuned_on, list(self.names), before, best, totals)


def best_total(
    cleaned: NDArray[np.int64], voxel_mm3: NDArray[np.float64], score: float, classes: ClassSet
) -> tuple[dict[str, int], float]:
    """Choose the minimum total of the class that can be relabelled; none unless it is better.

    Args:
        cleaned: (cases, classes, classes) int64, truth by predicted, small components removed.
        voxel_mm3: (cases,) float64, volume of a voxel.
        score: of them.
        classes: of the labels.

    Returns:
        As `Cleanup.least_total_mm3`, and the score.
    """
    pair, chosen = surrounding_class(classes), 0
    for least in TOTALS if pair else ():
        after = mean_dice(relabelled_matrices(cleaned, pair or (0, 0), least, voxel_mm3))
        if after > score:
            score, chosen = after, least
    return ({classes.classes[pair[0]]: chosen} if pair and chosen else {}), score


def every_choice(base: NDArray[np.int64], change: NDArray[np.int64]) -> tuple[Sequence[int], float]:
    """Try every combination of sizes; among equals the smallest is taken.

    Args:
        base: (cases, classes, classes) int64, as `Tuning.base`.
        change: (cases, classes - 1, candidates, classes, classes) int64, as `Tuning.change`.

    Returns:
        Place of each tumour class's size in `CANDIDATES`, and the score.
    """
    choices = sorted(product(range(len(CANDIDATES)), repeat=change.shape[1]), key=sum)
    chosen: Sequence[int] = choices[0]
    best = mean_dice(base)
    for choice in choices:
        score = mean_dice(base + sum(change[:, k, c] for k, c in enumerate(choice)))
        if score > best:
            best, chosen = score, choice
    return chosen, best


def class_by_class(
    base: NDArray[np.int64], change: NDArray[np.int64]
) -> tuple[Sequence[int], float]:
    """Choose the size of one class after another, the sizes of the others fixed.

    With many classes there are too many combinations.

    Args:
        base: (cases, classes, classes) int64, as in `every_choice`.
        change: int64 of the shape that `every_choice` takes.

    Returns:
        As `every_choice`.
    """
    chosen = [0] * change.shape[1]
    best = mean_dice(base)
    for k in range(change.shape[1]):
        for c in range(len(CANDIDATES)):
            choice = [*chosen[:k], c, *chosen[k + 1 :]]
            score = mean_dice(base + sum(change[:, i, size] for i, size in enumerate(choice)))
            if score > best:
                best, chosen = score, choice
    return chosen, best


def mean_dice(matrices: NDArray[np.int64]) -> float:
    """Case-average volume Dice, mean of classes; 1 where both are empty (convention brats).

    Args:
        matrices: (cases, classes, classes) int64, truth by predicted.
    """
    shared = np.diagonal(matrices, axis1=1, axis2=2)[:, 1:].astype(np.float64)
    total = (matrices.sum(axis=1) + matrices.sum(axis=2))[:, 1:]
    dice = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)
    return float(dice.mean())


def write_cleanup(run: Path, cleanup: Cleanup) -> None:
    """Write the sizes into a run folder."""
    write_json(run / CLEANUP, asdict(cleanup))


def read_cleanup(run: Path) -> Cleanup:
    """Read the sizes of a run.

    Raises:
        BratsError: they have not been tuned, or the file is damaged.
    """
    path = run / CLEANUP
    if not path.is_file():
        raise BratsError(
            f"{run}: sizes of small components are not tuned yet; "
            f"run 'bratstrain evaluate {run} --tune-cleanup' first"
        )
    content = read_json(path)
    try:
        least = {str(name): int(size) for name, size in content["least_mm3"].items()}
        cases = [str(name) for name in content["cases"]]
        scores = float(content["before"]), float(content["after"])
        totals = {str(name): int(size) for name, size in content["least_total_mm3"].items()}
        return Cleanup(least, str(content["tuned_on"]), cases, *scores, totals)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BratsError(f"{path}: cannot be read: {error}; tune it again") from error


def cleanup_of(run: Path, classes: ClassSet) -> Cleanup:
    """Read the sizes of a run, one for each class that it gives.

    Raises:
        BratsError: they have not been tuned, the file is damaged, or a class is missing.
    """
    cleanup = read_cleanup(run)
    lacking = [name for name in classes.tumour if name not in cleanup.least_mm3]
    if lacking:
        raise BratsError(
            f"{run / CLEANUP}: has no size for {', '.join(lacking)}, of which nothing would be "
            "dropped; tune it again with 'bratstrain evaluate --tune-cleanup'"
        )
    return cleanup


def shared_sizes(runs: Sequence[Path], classes: ClassSet) -> LeastSizes:
    """Minimum sizes for an ensemble: for each class the smallest of its runs.

    Raises:
        BratsError: a run's sizes are not tuned, or lack a class.
    """
    tuned = [cleanup_of(run, classes) for run in runs]
    return LeastSizes(
        {name: min(each.least_mm3[name] for each in tuned) for name in classes.tumour},
        smallest_totals([each.least_total_mm3 for each in tuned]),
    )
