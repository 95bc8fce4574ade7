"""Which cases show one person, by the fingerprints of their images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.repeats.poses import posed
from bratsprep.repeats.search import (
    CERTAIN,
    Candidate,
    candidates,
    image_features,
    map_scores,
)

LEAST: Final = 0.3
"""Correlation as the cells lie from which two cases are looked at more closely."""
LEAST_VOXELS: Final = 2_000
"""Brain voxels from which a fingerprint tells people apart: one in two cells of the frame."""
POSED: Final = 64
"""Pairs that poses are tried for, best first, where time does not matter."""
_DIGITS: Final = 6
"""Of a score: beyond, the order of sums differs from processor to processor."""


@dataclass(frozen=True, slots=True)
class Match:
    """Two cases, and how far the fingerprints of their images agree."""

    first: int
    second: int
    score: float
    """Mean correlation of the modalities, -1 to 1."""
    maps: tuple[float, ...]
    """Correlation of each modality."""
    flip: tuple[bool, bool]
    """Turn of (y, x) of the second that agrees best."""


def match_images(
    first: NDArray[np.int8],
    second: NDArray[np.int8] | None = None,
    *,
    least: float = LEAST,
    n_posed: int | None = None,
    workers: int = 1,
) -> list[Match]:
    """Find the pairs whose images agree.

    Cells are compared as they lie and mirrored; for the best pairs that are not certain yet,
    small turns and scales are tried too.

    Args:
        first: (n, 5, z, y, x) int8 fingerprints.
        second: those of another set; None looks inside the first.
        least: correlation as the cells lie from which a pair is of interest.
        n_posed: pairs at most that poses are tried for; None for as many as there are cases, and
            POSED at least.
        workers: threads.

    Returns:
        Each pair once, best first. Of one set `first` < `second`.
    """
    others = first if second is None else second
    features = image_features(first)
    other_features = features if second is None else image_features(others)
    found = candidates(features, None if second is None else other_features, least)
    matches = [_judged(each, features[each.first], other_features[each.second]) for each in found]
    matches.sort(key=_best_first)
    most = max(POSED, len(first), len(others)) if n_posed is None else n_posed
    certain = [match for match in matches if match.score >= CERTAIN["images"]]
    doubtful = matches[len(certain) :]
    with ThreadPoolExecutor(workers, "pose") as threads:
        turned = threads.map(lambda match: _turned(match, features, others), doubtful[:most])
        return sorted([*certain, *turned, *doubtful[most:]], key=_best_first)


def comparable(brain_voxels: Sequence[int] | NDArray[Any]) -> NDArray[np.intp]:
    """Rows of the cases whose brains have enough voxels to be told apart.

    Args:
        brain_voxels: (n,) any integer dtype, of each case.

    Returns:
        (m,) intp, rising.
    """
    return np.flatnonzero(np.asarray(brain_voxels) >= LEAST_VOXELS)


def _judged(found: Candidate, first: NDArray[np.float32], second: NDArray[np.float32]) -> Match:
    """Score a candidate by its (maps, z, y, x) float32 features; equal on every machine."""
    maps = np.clip(map_scores(first, second, found.flip), -1.0, 1.0).round(_DIGITS)
    score = round(float(maps.mean()), _DIGITS)
    return Match(found.first, found.second, score, tuple(maps.tolist()), found.flip)


def _turned(match: Match, features: NDArray[np.float32], others: NDArray[np.int8]) -> Match:
    """Turn the second case into the pose that agrees best, where that is better.

    Args:
        match: the pair as the cells lie.
        features: (n, maps, z, y, x) float32 of the first set.
        others: (m, maps, z, y, x) int8 fingerprints of the second set.
    """
    first = features[match.first]
    candidate = Candidate(match.first, match.second, match.score, match.flip)
    poses = image_features(posed(others[match.second]))
    found = [_judged(candidate, first, pose) for pose in poses]
    return max(match, *found, key=lambda each: each.score)


def _best_first(match: Match) -> tuple[float, int, int]:
    """Key to sort by."""
    return -match.score, match.first, match.second
