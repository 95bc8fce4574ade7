"""The planes around each slice, for networks that are given several of them.

A neighbour may be missing: it lies beyond the brain, or the slice file does not hold it. In its
place stands the nearest stored plane of the case on the same side, no further from the slice than
the outermost neighbour; where there is none, the slice itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.reading import Reading, united
from bratstrain.ranks.group import ALONE, Group


def places_around(
    case: NDArray[np.integer[Any]], z: NDArray[np.integer[Any]], context: int
) -> NDArray[np.int64]:
    """Find the planes around each of some slices among those slices.

    Args:
        case: (s,) int, case of each slice; slices of a case lie together.
        z: (s,) int, its plane, rising within a case.
        context: planes of a sample, odd.

    Returns:
        (s, context) int64, place in `z` of each plane of the sample, lowest first.
    """
    n_slices, reach = len(z), context // 2
    own = np.arange(n_slices)
    places = np.repeat(own[:, None], context, axis=1)
    for side in (-1, 1):
        # (reach, s): how far the next slices on this side are, where they are within reach.
        steps = own + side * np.arange(1, reach + 1)[:, None]
        inside = np.clip(steps, 0, n_slices - 1)
        gap = side * (z[inside].astype(np.int64) - z)
        is_near = (steps == inside) & (case[inside] == case) & (gap <= reach)
        for offset in range(1, reach + 1):
            distance = np.where(is_near, np.abs(gap - offset), context)
            nearest = distance.argmin(axis=0)
            is_found = is_near[nearest, own]
            places[is_found, reach + side * offset] = inside[nearest, own][is_found]
    return places


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The planes around every slice of a slice file."""

    places: NDArray[np.int64]
    """(s, context) int64, rows under /slice, lowest first."""
    is_lost: NDArray[np.bool_]
    """(s, context) bool, whether the plane has brain but is not in the file."""
    is_wanted: NDArray[np.bool_]
    """(s, context) bool, whether it is a neighbour that has brain."""

    @property
    def context(self) -> int:
        """Planes of a sample."""
        return int(self.places.shape[1])

    def reading(self, rows: NDArray[np.int64]) -> Reading:
        """Read the samples of (b,) int64 rows under /slice."""
        return united(self.places[rows])

    def lost_share(self, rows: NDArray[np.int64]) -> float:
        """Share of the neighbours with brain of (n,) int64 rows that the file does not hold."""
        return float(self.is_lost[rows].sum() / max(self.is_wanted[rows].sum(), 1))


class Stacked:
    """Planes of one case, each with the planes around it.

    Args:
        image: (s, m, h, w) of any dtype.
        z: (s,) int, plane of each, rising.
        context: planes of a sample, odd.
    """

    def __init__(self, image: NDArray[Any], z: NDArray[np.integer[Any]], context: int) -> None:
        self._image = image
        self._places = places_around(np.zeros_like(z), z, context) if context > 1 else None

    def __getitem__(self, part: slice) -> NDArray[Any]:
        """Take some samples: (b, m, h, w), or (b, m, context, h, w) where a sample is several."""
        if self._places is None:
            return self._image[part]
        samples: NDArray[Any] = self._image[self._places[part]].swapaxes(1, 2)
        return samples


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Slices, each alone or with the planes around it."""

    rows: NDArray[np.int64]
    """(n,) int64, rows under /slice."""
    neighbours: Neighbours | None = None
    """The planes around each slice of the file; None where a sample is one plane."""
    group: Group = ALONE
    """The ranks that batches of them are dealt to."""

    def reading(self, rows: NDArray[np.int64]) -> Reading:
        """Read the samples of (b,) int64 rows under /slice."""
        return Reading(rows) if self.neighbours is None else self.neighbours.reading(rows)


def neighbours_of(file: SliceFile, context: int) -> Neighbours:
    """Find the planes around every slice of a slice file.

    Args:
        file: open slice file.
        context: planes of a sample, odd.
    """
    case, z = file.slices["case"], file.slices["z"].astype(np.int64)
    places = places_around(case, z, context)
    wanted = z[:, None] + np.arange(context) - context // 2
    depth = file.cases["shape"][case, 0][:, None]
    first = np.searchsorted(file.planes["case"], case)[:, None]  # of the planes of the case
    plane = first + np.clip(wanted, 0, depth - 1)
    has_brain = (wanted >= 0) & (wanted < depth) & (file.planes["brain"][plane] > 0)
    has_brain[:, context // 2] = False
    return Neighbours(places, has_brain & (z[places] != wanted), has_brain)


def check_stored(file: SliceFile, lost: float, most: float, reach: int) -> None:
    """Refuse a slice file that lacks too many of the neighbours of the training slices.

    Args:
        file: open slice file.
        lost: share of the neighbours that it lacks.
        most: largest share that is allowed.
        reach: neighbours on each side of a slice.

    Raises:
        BratsError: it lacks more.
    """
    if lost > most:
        raise BratsError(
            f"{file.path}: lacks {lost:.1%} of the neighbours of the training slices, at most "
            f"{most:.1%} is allowed; a prediction is given all of them. Build with --margin "
            f"{reach} or --slices brain, or accept it with --missing-neighbours {lost + 0.01:.2f}"
        )
