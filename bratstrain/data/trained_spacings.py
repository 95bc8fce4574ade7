"""Voxel sizes of the cases that a network was fitted on, kept with the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.slicefile.chunk_index import read_contents
from bratsprep.voxel_sizes import size_text

SPACING_TOLERANCE: Final = 0.1
"""Share by which the sides of a voxel may be longer or shorter than those of a trained size."""
SAME: Final = 1e-3
"""Share up to which two sizes are the same one, written by different programs."""
DIGITS: Final = 4
"""Decimals of a millimetre that are kept."""


@dataclass(frozen=True, slots=True)
class TrainedSpacings:
    """Voxel sizes of the training cases of one run, the most common first."""

    sizes: tuple[tuple[float, ...], ...] = ()
    """(3,) mm along RAS+ (x, y, z) each; empty where the run does not record them."""
    cases: tuple[int, ...] = ()
    """Number of training cases of each size."""

    def distances(self, spacing: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
        """Compare a voxel size with all trained ones.

        Args:
            spacing: (3,) float, mm, along RAS+ (x, y, z).

        Returns:
            (n,) float64: largest share by which a side differs from that of each trained size.
        """
        sizes = np.asarray(self.sizes, np.float64).reshape(-1, 3)
        sides: NDArray[np.float64] = np.abs(np.asarray(spacing, np.float64) / sizes - 1)
        largest: NDArray[np.float64] = sides.max(axis=1)
        return largest

    def holds(self, spacing: Sequence[float] | NDArray[Any]) -> bool:
        """Whether a (3,) float size in mm is within `SPACING_TOLERANCE` of a trained one."""
        return bool((self.distances(spacing) <= SPACING_TOLERANCE).any())

    def shares_any(self, other: "TrainedSpacings") -> bool:
        """Whether two runs have a voxel size in common, or neither records any."""
        if not self.sizes or not other.sizes:
            return self.sizes == other.sizes
        return any((self.distances(size) <= SAME).any() for size in other.sizes)

    def nearest_line(self, spacing: Sequence[float] | NDArray[Any]) -> str:
        """Name the trained size nearest to a (3,) float size in mm, and its number of cases."""
        nearest = int(self.distances(spacing).argmin())
        return (
            f"{size_text(self.sizes[nearest])} mm, that of {self.cases[nearest]} of its "
            f"{sum(self.cases)} training cases"
        )

    def to_json(self) -> list[dict[str, Any]]:
        """Give the sizes and their numbers of cases as what `json.dumps` takes."""
        return [
            {"mm": list(size), "cases": count}
            for size, count in zip(self.sizes, self.cases, strict=True)
        ]


def trained_spacings(path: Path, trained: Sequence[str]) -> TrainedSpacings:
    """Take the voxel sizes of the training cases from a slice file.

    Args:
        path: slice file.
        trained: ids of the cases that are trained on.
    """
    cases = read_contents(path).cases
    return count_spacings(cases["spacing"][np.isin(cases["id"].astype(str), list(trained))])


def count_spacings(spacings: NDArray[Any]) -> TrainedSpacings:
    """Count the different voxel sizes of (n, 3) float32 or float64 sizes in mm."""
    rounded = np.round(spacings.astype(np.float64), DIGITS)
    sizes, counts = np.unique(rounded, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return TrainedSpacings(
        tuple(tuple(size) for size in sizes[order].tolist()), tuple(counts[order].tolist())
    )


def read_spacings(record: object, where: object) -> TrainedSpacings:
    """Read what `TrainedSpacings.to_json` gave; none are recorded where it is None.

    Args:
        record: from JSON.
        where: file, for errors.

    Raises:
        BratsError: it is something else.
    """
    if record is None:
        return TrainedSpacings()
    sizes = [_size(entry) for entry in record] if isinstance(record, list) else []
    found = [size for size in sizes if size is not None]
    if not sizes or len(found) < len(sizes):
        raise BratsError(
            f"{where}: 'spacings' is {record!r}; expected three sides in mm and a number of cases "
            "for each voxel size; put the run's own file back"
        )
    return TrainedSpacings(tuple(size for size, _ in found), tuple(count for _, count in found))


def _size(entry: object) -> tuple[tuple[float, ...], int] | None:
    """One voxel size with its number of cases; None where it is something else."""
    if not isinstance(entry, dict):
        return None
    sides, count = entry.get("mm"), entry.get("cases")
    if not isinstance(sides, list) or len(sides) != 3 or type(count) is not int or count < 1:
        return None
    if not all(isinstance(side, int | float) and 0 < side < np.inf for side in sides):
        return None
    return tuple(map(float, sides)), count
