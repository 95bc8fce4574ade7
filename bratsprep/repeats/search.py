"""Fingerprints -> pairs that are one person -> groups. No file is read.

Where both sides have images these decide: after a high-pass and within the brain, the cells of two
scans of one person correlate at .8 and more, those of two people at .4 and less. Masks only name
candidates here; `bratsprep.repeats.mask_details` confirms them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.repeats.high_pass import high_pass
from bratsprep.system.threads import few_blas_threads

CERTAIN: Final = {"images": 0.75, "masks": 0.40, "whole tumour": 0.60}
"""Score from which a pair is one person beyond doubt, by what was compared."""
LIKELY: Final = {"images": 0.60, "masks": 0.30, "whole tumour": 0.45}
"""Score from which a pair is taken for one person: no two people of Task01 reach it."""
NEIGHBOURS: Final = 8
"""Most candidates of one case; the right one was never beyond the sixth place."""
FLIPS: Final = ((False, False), (False, True), (True, False), (True, True))
"""Turns of (y, x) that are tried, should an affine be wrong."""
_HALF: Final = 64
"""Of 127: a cell with at least half of its voxels in the brain counts."""
_RADIUS: Final = 1
_AT_ONCE: Final = 256
"""Fingerprints that are widened together: 130 MB."""
MANY: Final = 200_000_000_000
"""Products of cells, some seconds of one core, from which they are worth more than one thread;
half of the cells lie outside every brain and are left out."""
_BLOCK: Final = 128
"""Rows of a product that are made together; of one set only those beyond the diagonal are."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Two cases that may be one person, by their rows."""

    first: int
    second: int
    score: float
    flip: tuple[bool, bool]
    """Turn of (y, x) of the second that agrees best."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cases, and how sure it is that they are one person."""

    first: str
    second: str
    score: float
    """Correlation, at most 1; compare with LIKELY and CERTAIN of the same evidence."""
    evidence: str
    """`images`, `masks`, or `whole tumour` where only one of two masks has a core or has ET."""
    reasons: Mapping[str, float] = field(default_factory=dict)
    """Correlation of each modality or region."""
    flip: str = ""
    """Axes along which the second is mirrored, such as `x`; a wrong affine."""

    @property
    def certainty(self) -> str:
        """`certain`, `likely`, or empty where it is no pair."""
        if self.score >= CERTAIN[self.evidence]:
            return "certain"
        return "likely" if self.score >= LIKELY[self.evidence] else ""


def image_features(prints: NDArray[Any]) -> NDArray[np.float32]:
    """Bring fingerprints of images into the form in which their product is their correlation.

    Args:
        prints: (n, 5, z, y, x) int8 as `bratsprep.volumes.fingerprint` makes them, or float32.

    Returns:
        (n, m, z, y, x) float32; each modality has length 1, or 0 where it says nothing.
    """
    made = np.empty((len(prints), prints.shape[1] - 1, *prints.shape[2:]), np.float32)
    for start in range(0, len(prints), _AT_ONCE):
        part = prints[start : start + _AT_ONCE].astype(np.float32)
        made[start : start + _AT_ONCE] = high_pass(part[:, 1:], _RADIUS, part[:, :1] >= _HALF)
    return _of_length_one(made)


def mask_features(prints: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bring fingerprints of labels into the form in which their product is their correlation.

    Args:
        prints: (n, 2, z, y, x) uint8 as `bratsprep.volumes.fingerprint` makes them.

    Returns:
        (n, 2, z, y, x) float32; each region has length 1, or 0 where it is empty.
    """
    return _of_length_one(high_pass(prints.astype(np.float32), _RADIUS))


def _of_length_one(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each map of (..., z, y, x) float32 cells by its length; empty ones stay 0."""
    length = np.sqrt(np.square(cells).sum(axis=(-3, -2, -1), keepdims=True))
    return np.asarray(cells / np.maximum(length, 1e-6), np.float32)


def candidates(
    first: NDArray[np.float32], second: NDArray[np.float32] | None, least: float
) -> list[Candidate]:
    """Find the nearest neighbours of each case by products of all with all.

    Args:
        first: (n, maps, z, y, x) float32 features.
        second: those of another set; None looks inside the first.
        least: mean correlation of the maps from which a pair is a candidate.

    Returns:
        Each pair once, best first. Of one set `first` < `second`.
    """
    other = first if second is None else second
    if not len(first) or not len(other):
        return []
    with few_blas_threads() if first.size * len(other) < MANY else nullcontext():
        best, turn = _products(first, second)
    if second is None:
        np.fill_diagonal(best, -1.0)
    ranked = [*_top(best), *((i, j) for j, i in _top(best.T))]
    if second is None:
        ranked = [(min(i, j), max(i, j)) for i, j in ranked if i != j]
    found = [Candidate(i, j, float(best[i, j]), FLIPS[turn[i, j]]) for i, j in set(ranked)]
    kept = [each for each in found if each.score >= least]
    return sorted(kept, key=lambda each: (-each.score, each.first, each.second))


def _products(
    first: NDArray[np.float32], second: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Correlate all with all, or the cases of one set with each other.

    Args:
        first: (n, maps, z, y, x) float32 features.
        second: (k, maps, z, y, x) float32 features; None takes the first again.

    Returns:
        (n, k) float32 mean correlation at the best flip, and (n, k) int8 number of it in FLIPS.
    """
    other = first if second is None else second
    rows = first.reshape(len(first), -1) / np.float32(first.shape[1])
    used = np.flatnonzero(rows.any(axis=0))  # half of the cells lie outside every brain
    rows = rows[:, used]
    best = np.full((len(first), len(other)), -1, np.float32)
    turn = np.zeros(best.shape, np.int8)
    for number, flip in enumerate(FLIPS):
        columns = flipped(other, *flip).reshape(len(other), -1)[:, used]
        for start in range(0, len(rows), _BLOCK):
            part = slice(start, start + _BLOCK), slice(start if second is None else 0, None)
            scores = rows[part[0]] @ columns[part[1]].T
            # As the cells lie, where a flip changes nothing.
            is_better = scores > best[part] + np.float32(1e-6 if number else -2)
            best[part][is_better], turn[part][is_better] = scores[is_better], number
    if second is not None:
        return best, turn
    above, turn_above = np.triu(best, 1), np.triu(turn, 1)
    return above + above.T, turn_above + turn_above.T


def flipped(cells: NDArray[Any], y: bool, x: bool) -> NDArray[Any]:
    """Turn one or both of the last axes of a (..., y, x) array of any dtype."""
    return cells[..., :: -1 if y else 1, :: -1 if x else 1]


def _top(scores: NDArray[np.float32]) -> Iterable[tuple[int, int]]:
    """Row and column of the greatest (n, m) float32 scores of each row."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
    return ((i, int(j)) for i, row in enumerate(order) for j in row)


def map_scores(
    first: NDArray[np.float32], second: NDArray[np.float32], flip: tuple[bool, bool]
) -> NDArray[np.float64]:
    """Correlation of each map of two cases.

    Args:
        first: (maps, z, y, x) float32 features of the one.
        second: of the other.
        flip: turn of (y, x) of the second.
    """
    product = first * flipped(second, *flip)
    return np.asarray(product.sum(axis=(1, 2, 3), dtype=np.float64))


class Subjects:
    """Subjects that are joined, pair by pair.

    Args:
        named: subject of each case, as its name says; cases that share one stay together.
        pinned: ids of the cases whose subject must keep its name.
    """

    def __init__(self, named: Mapping[str, str], pinned: Collection[str] = ()) -> None:
        self._named = dict(named)
        self._parent = {subject: subject for subject in named.values()}
        self._pinned = {named[case] for case in pinned if case in named}

    def join(self, pair: Pair) -> bool:
        """Join the subjects of a pair.

        Returns:
            False where both are pinned and differ: they stay apart.
        """
        low, high = sorted(self._root(self._named[case]) for case in (pair.first, pair.second))
        if low == high:
            return True
        if high in self._pinned:
            if low in self._pinned:
                return False
            low, high = high, low
        self._parent[high] = low
        return True

    def of_cases(self) -> dict[str, str]:
        """Subject of each case: of those joined the pinned one, or the first by name."""
        return {case: self._root(subject) for case, subject in self._named.items()}

    def _root(self, subject: str) -> str:
        """The subject that this one was joined to."""
        while self._parent[subject] != subject:
            subject = self._parent[subject]
        return subject


def grouped(subjects: Mapping[str, str], pairs: Iterable[Pair]) -> dict[str, str]:
    """Join the cases of one person.

    Args:
        subjects: subject of each case, as its name says; cases that share one stay together.
        pairs: of these cases, those of no certainty passed over.

    Returns:
        Subject of each case: where cases were joined, the first of their subjects in the order
        of names.
    """
    people = Subjects(subjects)
    for pair in pairs:
        if pair.certainty:
            people.join(pair)
    return people.of_cases()


def known_twins(
    subject_of: Mapping[str, str], train: Sequence[str], validation: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Find the validation cases whose person is trained on.

    Args:
        subject_of: subject of each case.
        train: case ids.
        validation: case ids.

    Returns:
        Training cases of the same person, by validation case; cases without any are left out.
    """
    trained: dict[str, list[str]] = {}
    for case in train:
        trained.setdefault(subject_of[case], []).append(case)
    return {
        case: tuple(trained[subject_of[case]]) for case in validation if subject_of[case] in trained
    }
