"""Which cases of a cross-validation have a twin in the training of the network that scored them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.discovery.subject_tables import SubjectTable
from bratsprep.discovery.subjects import subject as subject_by_name
from bratstrain.leakage.summaries import CrossValidation

COPY: Final = "copy in another fold"
OTHER: Final = "other case of the person in another fold"
OWN_FOLD: Final = "other case of the person in the same fold only"
ALONE: Final = "person occurs once"
EXPOSURES: Final = (COPY, OTHER, OWN_FOLD, ALONE)
COPY_TOLERANCE: Final = 0.001
"""Largest difference of the reference voxels of two copies, as a share of all of them. Copies of a
scan differ by a few voxels where one was resampled; two segmentations by far more."""


@dataclass(frozen=True, slots=True)
class PersonPair:
    """A person with exactly two cases."""

    first: int
    """Row of the case."""
    second: int
    is_copy: bool
    """Whether both references are the same, so that one scan stands under two ids."""
    is_split: bool
    """Whether the two cases are in different folds: each was scored by a network that was fitted
    on the other."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """Persons of a cross-validation, and the twins of each case."""

    subjects: tuple[str, ...]
    """Person of each case."""
    kinds: tuple[str, ...]
    """One of EXPOSURES for each case."""
    pairs: tuple[PersonPair, ...]
    """Persons with exactly two cases, in the order of the first."""
    n_larger: int
    """Persons with more than two cases, which no comparison of pairs can use."""
    n_from_table: int
    """Cases whose person a table gives; those of the others follow from their ids."""

    @property
    def n_subjects(self) -> int:
        """Number of persons."""
        return len(set(self.subjects))

    def mask(self, kind: str) -> NDArray[np.bool_]:
        """(n,) bool: cases of one of EXPOSURES."""
        return np.array([own == kind for own in self.kinds], bool)


def find_exposure(scores: CrossValidation, people: SubjectTable) -> Exposure:
    """Find for each case whether its person is also in another fold.

    Args:
        scores: of the cases.
        people: table of subjects; a case that it does not hold has the subject that its id names.
    """
    counts = class_voxels(scores.parts, scores.voxels)
    known = [
        known_subject(people, case, row) for case, row in zip(scores.cases, counts, strict=True)
    ]
    subjects = tuple(
        subject_by_name(case) if subject is None else subject
        for case, subject in zip(scores.cases, known, strict=True)
    )
    groups: dict[str, list[int]] = defaultdict(list)
    for row, subject in enumerate(subjects):
        groups[subject].append(row)
    kinds = [kind_of(row, groups[subject], scores) for row, subject in enumerate(subjects)]
    pairs = [pair_of(rows, scores) for rows in groups.values() if len(rows) == 2]
    n_larger = sum(len(rows) > 2 for rows in groups.values())
    n_from_table = sum(subject is not None for subject in known)
    return Exposure(subjects, tuple(kinds), tuple(pairs), n_larger, n_from_table)


def pair_of(rows: Sequence[int], scores: CrossValidation) -> PersonPair:
    """Describe the pair of a person with two cases.

    Args:
        rows: of the two cases.
        scores: of all cases.
    """
    first, second = rows
    copied = is_copy(scores.voxels[first], scores.voxels[second])
    return PersonPair(first, second, copied, bool(scores.fold[first] != scores.fold[second]))


def kind_of(row: int, person: Sequence[int], scores: CrossValidation) -> str:
    """Exposure of a case.

    Args:
        row: of the case.
        person: rows of all cases of its person.
        scores: of the cases.
    """
    if len(person) == 1:
        return ALONE
    elsewhere = [other for other in person if scores.fold[other] != scores.fold[row]]
    if any(is_copy(scores.voxels[row], scores.voxels[other]) for other in elsewhere):
        return COPY
    return OTHER if elsewhere else OWN_FOLD


def is_copy(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Whether two cases of a person have the same reference.

    Args:
        first: (parts,) int64 voxels of the reference.
        second: (parts,) int64 of the other case.
    """
    largest = max(int(first.sum()), int(second.sum()))
    return largest > 0 and int(np.abs(first - second).sum()) <= COPY_TOLERANCE * largest


def known_subject(people: SubjectTable, case: str, counts: Sequence[int]) -> str | None:
    """Subject of a case in a table; None where the table does not hold that very case.

    The labels of a data set may be in any order, so the voxels are compared sorted.

    Args:
        people: the table.
        case: id.
        counts: voxels of each class in the reference.
    """
    expected = people.voxels.get(case)
    if expected is not None and sorted(expected) != sorted(counts):
        return None
    return people.subjects.get(case)


def class_voxels(parts: Sequence[str], voxels: NDArray[np.int64]) -> list[list[int]]:
    """Voxels of the single classes: differences of nested regions, labels as they are.

    Args:
        parts: labels and regions by nnU-Net's keys.
        voxels: (n, parts) int64 voxels of the reference.
    """
    labels = [labels_of(part) for part in parts]
    order = sorted(range(len(parts)), key=lambda i: len(labels[i]))
    nested = len(parts) > 1 and all(labels[a] < labels[b] for a, b in pairwise(order))
    counts = np.diff(voxels[:, order], axis=1, prepend=0) if nested else voxels
    return [[int(count) for count in row] for row in counts]


def labels_of(part: str) -> frozenset[str]:
    """Labels of a part: `1` has one, `(1, 2, 3)` three."""
    return frozenset(part.strip("()").replace(",", " ").split())


def twin_counts(exposure: Exposure) -> Mapping[str, int]:
    """Number of cases of each kind of exposure."""
    return {kind: exposure.kinds.count(kind) for kind in EXPOSURES}
