# mypy: disallow-untyped-decorators=False
"""Small components of a prediction, and from which size on they stay.

A component below the size of its class gets the label that it shares most faces with: an island
becomes background, a speck inside the tumour what surrounds it. Sizes are tuned on the validation
cases of a run and never on the cases that are reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.labels import CLASSES
from bratstrain.runs.files import read_json, write_json
from bratstrain.scoring.components import label_components
from bratstrain.scoring.metrics import confusion
from bratstrain.scoring.surface import union_box

CLEANUP: Final = "cleanup.json"
"""In the run folder."""
CANDIDATES: Final = (0, 10, 30, 100, 300, 1000)
"""Voxels that are tried as the smallest size of a class; 0 drops nothing."""


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Smallest components that stay, and where that was found out."""

    least_voxels: dict[str, int]
    """Of each class by name; smaller components go."""
    tuned_on: str
    """Cases and planes."""
    cases: list[str]
    """Ids of those cases."""
    before: float
    """Case-average volume Dice on those cases, mean of classes, with nothing dropped."""
    after: float
    """The same with the sizes above."""


@dataclass(frozen=True, slots=True)
class Components:
    """The components of every class of a prediction, over the box that holds them."""

    part: tuple[slice, slice, slice]
    """The box, of the volume."""
    number: NDArray[np.int32]
    """(z, y, x) component of each voxel of the box, from 1; 0 in the background."""
    label: NDArray[np.uint8]
    """(n + 1,) class of each."""
    size: NDArray[np.int64]
    """(n + 1,) voxels of each."""
    instead: NDArray[np.uint8]
    """(n + 1,) label that it gets where it is dropped."""


def find_components(predicted: NDArray[np.uint8]) -> Components:
    """Number the 26-connected components of each class.

    Args:
        predicted: (z, y, x) uint8, stored labels.
    """
    part = union_box(predicted, predicted, 1)
    inside = np.ascontiguousarray(predicted[part])
    number = np.zeros(inside.shape, np.int32)
    labels = [0]
    for label in range(1, len(CLASSES)):
        found, count = label_components(inside == label)
        number[found > 0] = found[found > 0] + len(labels) - 1
        labels += [label] * count
    size = np.bincount(number.ravel(), minlength=len(labels))
    faces = count_faces(number, inside, len(labels))
    return Components(
        part, number, np.array(labels, np.uint8), size, faces.argmax(axis=1).astype(np.uint8)
    )


@njit(cache=True, nogil=True)
def count_faces(number: NDArray[np.int32], label: NDArray[np.uint8], n: int) -> NDArray[np.int64]:
    """Count the faces that each component shares with voxels of another label.

    Args:
        number: (z, y, x) int32, 0 to n - 1.
        label: (z, y, x) uint8, 0 to 3.
        n: numbers.

    Returns:
        (n, 4) int64, by component and label beyond the face.
    """
    faces = np.zeros((n, 4), np.int64)
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


def drop_small(predicted: NDArray[np.uint8], least_voxels: Mapping[str, int]) -> NDArray[np.uint8]:
    """Relabel every component that is smaller than the least size of its class.

    All are judged by the prediction as it came, so the order of the classes does not matter.

    Args:
        predicted: (z, y, x) uint8, stored labels.
        least_voxels: by the name of the class; a class that is missing keeps everything.

    Returns:
        (z, y, x) uint8, a new volume.
    """
    least = np.array([least_voxels.get(name, 0) for name in CLASSES])
    found = find_components(predicted)
    becomes = np.where(found.size < least[found.label], found.instead, found.label)
    becomes[0] = 0
    cleaned = predicted.copy()
    cleaned[found.part] = becomes[found.number]
    return cleaned


@dataclass(slots=True)
class Tuning:
    """What every choice of sizes would do to the confusions of some cases.

    Components are judged each by itself, so what a choice does is the sum of what it does to
    each class: no volume has to be kept.
    """

    names: list[str] = field(default_factory=list)
    base: list[NDArray[np.int64]] = field(default_factory=list)
    """(4, 4) confusion of each case, truth by predicted."""
    change: list[NDArray[np.int64]] = field(default_factory=list)
    """(3, candidates, 4, 4): what dropping a class below a size adds to it."""

    def add(self, case: str, truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Measure one case.

        Args:
            case: its id.
            truth: (z, y, x) uint8, stored labels.
            predicted: (z, y, x) uint8, same shape.
        """
        found = find_components(predicted)
        n = len(found.label)
        pairs = found.number.astype(np.int64) * len(CLASSES) + truth[found.part]
        held = np.bincount(pairs.ravel(), minlength=n * len(CLASSES)).reshape(n, len(CLASSES))
        change = np.zeros((len(CLASSES) - 1, len(CANDIDATES), 4, 4), np.int64)
        for i in range(1, n):
            label, moved = int(found.label[i]), held[i]
            for c, least in enumerate(CANDIDATES):
                if found.size[i] < least:
                    change[label - 1, c, :, label] -= moved
                    change[label - 1, c, :, found.instead[i]] += moved
        self.names.append(case)
        self.base.append(confusion(truth, predicted))
        self.change.append(change)

    def best(self, tuned_on: str) -> Cleanup:
        """Find the sizes with the best mean over the classes; the smallest among equals.

        Args:
            tuned_on: what to call cases and planes.

        Raises:
            ValueError: there is no case.
        """
        if not self.names:
            raise ValueError("tuning needs at least one case")
        base, change = np.stack(self.base), np.stack(self.change)
        n_classes = len(CLASSES) - 1
        choices = sorted(product(range(len(CANDIDATES)), repeat=n_classes), key=sum)
        before = best = mean_dice(base)
        chosen: Sequence[int] = choices[0]
        for choice in choices:
            score = mean_dice(base + sum(change[:, k, c] for k, c in enumerate(choice)))
            if score > best:
                best, chosen = score, choice
        least = {CLASSES[k + 1]: CANDIDATES[c] for k, c in enumerate(chosen)}
        return Cleanup(least, tuned_on, list(self.names), before, best)


def mean_dice(matrices: NDArray[np.int64]) -> float:
    """Case-average volume Dice, mean of classes, both empty counting 1 (convention brats).

    Args:
        matrices: (cases, 4, 4) int64, truth by predicted.
    """
    shared = np.diagonal(matrices, axis1=1, axis2=2)[:, 1:].astype(np.float64)
    total = (matrices.sum(axis=1) + matrices.sum(axis=2))[:, 1:]
    dice = np.where(total > 0, 2 * shared / np.maximum(total, 1), 1.0)
    return float(dice.mean())


def write_cleanup(run: Path, cleanup: Cleanup) -> None:
    """Put the sizes into a run folder."""
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
    found = read_json(path)
    try:
        least = {name: int(found["least_voxels"][name]) for name in CLASSES[1:]}
        named = [str(name) for name in found["cases"]]
        scores = float(found["before"]), float(found["after"])
        return Cleanup(least, str(found["tuned_on"]), named, *scores)
    except (KeyError, TypeError, ValueError) as error:
        raise BratsError(f"{path}: cannot be read: {error}; tune it again") from error


def shared_sizes(runs: Sequence[Path]) -> dict[str, int]:
    """Sizes for an ensemble: of each class the smallest that any of its runs has.

    Raises:
        BratsError: a run's sizes are not tuned.
    """
    each = [read_cleanup(run).least_voxels for run in runs]
    return {name: min(sizes[name] for sizes in each) for name in CLASSES[1:]}
