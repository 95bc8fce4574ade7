"""Distances between the surfaces of two masks, in mm: Hausdorff, mean distances, surface Dice.

The surface-distance measures of Nikolov et al. 2018 (arXiv:1809.04430), which BraTS uses. A
boundary element stands at each voxel corner whose 2 x 2 x 2 neighbours are neither all inside nor
all outside; its weight is the area of the surface through that cube.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratstrain.scoring.distances import squared_distances

FULL: Final = 255
"""Neighbour code of a corner whose eight voxels are all inside."""
Corner = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SurfaceDistances:
    """Distance and area of every boundary element of two masks, sorted by distance."""

    truth_mm: NDArray[np.float64]
    """(t,) float64, mm, rising: from the truth's elements to the predicted surface."""
    truth_area: NDArray[np.float64]
    """(t,) float64, mm2: the areas of those elements."""
    predicted_mm: NDArray[np.float64]
    """(p,) float64, mm, rising: from the predicted elements to the truth's surface."""
    predicted_area: NDArray[np.float64]
    """(p,) float64, mm2: the areas of those elements."""

    def hausdorff(self, percent: float = 95.0) -> float:
        """Percentile over the area of each direction, the larger, mm; inf with an empty mask."""
        if not self.truth_mm.size or not self.predicted_mm.size:
            return math.inf
        return max(
            _percentile(self.truth_mm, self.truth_area, percent),
            _percentile(self.predicted_mm, self.predicted_area, percent),
        )

    def largest(self) -> float:
        """Hausdorff distance, the largest of either direction, mm; inf with an empty mask."""
        if not self.truth_mm.size or not self.predicted_mm.size:
            return math.inf
        return float(max(self.truth_mm[-1], self.predicted_mm[-1]))

    def mean(self) -> float:
        """Average symmetric surface distance (ASSD), mm; inf with an empty mask.

        The mean over the area of both surfaces together, so that the larger one counts more.
        """
        if not self.truth_mm.size or not self.predicted_mm.size:
            return math.inf
        return sum(self._totals()) / float(self.truth_area.sum() + self.predicted_area.sum())

    def mean_of_directions(self) -> float:
        """Mean average surface distance (MASD), mm; inf with an empty mask.

        The mean of the means of the two directions, each over the area of its surface (Reinke et
        al. 2024, doi:10.1038/s41592-023-02150-0).
        """
        if not self.truth_mm.size or not self.predicted_mm.size:
            return math.inf
        from_truth, from_predicted = self._totals()
        truth_area, predicted_area = float(self.truth_area.sum()), float(self.predicted_area.sum())
        return (from_truth / truth_area + from_predicted / predicted_area) / 2

    def _totals(self) -> tuple[float, float]:
        """Distance times area, summed over each direction, mm3."""
        return (
            float(np.sum(self.truth_mm * self.truth_area)),
            float(np.sum(self.predicted_mm * self.predicted_area)),
        )

    def surface_dice(self, tolerance_mm: float) -> float:
        """Share of both surfaces within the tolerance of the other; nan with both masks empty."""
        total = float(self.truth_area.sum() + self.predicted_area.sum())
        if total == 0.0:
            return math.nan
        near = float(self.truth_area[self.truth_mm <= tolerance_mm].sum())
        near += float(self.predicted_area[self.predicted_mm <= tolerance_mm].sum())
        return near / total


def surface_distances(
    truth: NDArray[Any],
    predicted: NDArray[Any],
    spacing: Sequence[float],
    *,
    are_numbers: bool = False,
) -> SurfaceDistances:
    """Measure every boundary element of each mask against the surface of the other.

    All elements lie in the box of both masks, so only that is processed.

    Args:
        truth: (z, y, x) bool or uint8, non-zero inside.
        predicted: (z, y, x) bool or uint8, same shape.
        spacing: (3,) mm, voxel size along x, y, z.
        are_numbers: take integer lesion numbers as they are, as the evaluation of BraTS 2024 does
            for whole cases: the code of a corner is then the sum of numbers times bits, modulo
            256, so that lesions with a number above 1 get other areas and inner elements.

    Returns:
        Distances of both directions; inf to an empty mask.

    Raises:
        ValueError: the masks are not 3D and of one shape, or the spacing is not three sizes > 0.
    """
    check_pair(truth, predicted, spacing)
    part = union_box(truth, predicted, 0)
    step = np.array(tuple(spacing)[::-1], np.float64)
    areas = surface_areas(spacing)
    truth_code = neighbour_codes(np.ascontiguousarray(truth[part]), are_numbers)
    predicted_code = neighbour_codes(np.ascontiguousarray(predicted[part]), are_numbers)
    truth_on = (truth_code > 0) & (truth_code < FULL)
    predicted_on = (predicted_code > 0) & (predicted_code < FULL)
    to_truth = squared_distances(truth_on, predicted_on, step)
    to_predicted = squared_distances(predicted_on, truth_on, step)
    return SurfaceDistances(
        *_sorted(np.sqrt(to_predicted), areas[truth_code[truth_on]]),
        *_sorted(np.sqrt(to_truth), areas[predicted_code[predicted_on]]),
    )


def check_pair(truth: NDArray[Any], predicted: NDArray[Any], spacing: Sequence[float]) -> None:
    """Check the shapes of two volumes and the voxel size.

    Args:
        truth: (z, y, x) of any dtype.
        predicted: likewise.
        spacing: (3,) mm, voxel size along x, y, z.

    Raises:
        ValueError: the volumes are not 3D and of one shape, or the spacing is not three sizes > 0.
    """
    if truth.ndim != 3 or truth.shape != predicted.shape:
        raise ValueError(
            f"truth is {truth.shape} and predicted {predicted.shape}; "
            "both must be (z, y, x) of one shape"
        )
    if len(spacing) != 3 or not all(0 < size < math.inf for size in spacing):
        raise ValueError(f"spacing is {tuple(spacing)}; must be three sizes above 0 mm")


def union_box(
    truth: NDArray[Any], predicted: NDArray[Any], margin: int
) -> tuple[slice, slice, slice]:
    """Find the smallest box of both masks, wider by a margin inside the volume.

    Args:
        truth: (z, y, x) bool or integer, non-zero inside.
        predicted: likewise, of the same shape.
        margin: voxels, at least 0.

    Returns:
        Slices along z, y, x; of no voxel where both masks are empty.
    """
    z = _span(np.logical_or(truth.any(axis=(1, 2)), predicted.any(axis=(1, 2))), margin)
    both = np.logical_or(truth[z], predicted[z])  # most planes of a case are empty
    return z, _span(both.any(axis=(0, 2)), margin), _span(both.any(axis=(0, 1)), margin)


def _span(inside: NDArray[np.bool_], margin: int) -> slice:
    """Cover the True of an (n,) bool line, wider by a margin inside it; empty where none is."""
    places = np.flatnonzero(inside)
    if not places.size:
        return slice(0, 0)
    return slice(max(int(places[0]) - margin, 0), min(int(places[-1]) + 1 + margin, inside.size))


def surface_areas(spacing: Sequence[float]) -> NDArray[np.float64]:
    """Give the surface area of each neighbour code.

    Args:
        spacing: (3,) mm, voxel size along x, y, z.

    Returns:
        (256,) float64, mm2; 0 for the codes of no and of all voxels.
    """
    x, y, z = spacing
    codes, normals = unit_triangles()
    lengths = np.linalg.norm(normals * (y * x, z * x, z * y), axis=1)
    return np.bincount(codes, lengths, FULL + 1).astype(np.float64)


@lru_cache(maxsize=1)
def unit_triangles() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cut the surface through a cube of eight voxel centres into triangles, for each code.

    As marching cubes (Lorensen and Cline 1987): the rarer side of the cube, inside or outside,
    falls into groups of corners joined along edges; a polygon through the middles of the cut
    edges parts each group from the rest. Bit 7 - (4 z + 2 y + x) of a code is corner (z, y, x).

    Returns:
        (t,) int64 code of each triangle, and (t, 3) float64 normals along z, y, x, as long as
        the triangle's area in a cube of side 1.
    """
    corners = list(product((0, 1), repeat=3))
    codes: list[int] = []
    normals: list[NDArray[np.float64]] = []
    for code in range(1, FULL):
        inside = [corner for bit, corner in enumerate(corners) if code >> (7 - bit) & 1]
        rarer = inside if len(inside) <= 4 else [c for c in corners if c not in inside]
        for group in _groups(rarer):
            for a, b, c in _triangles(_polygon(group)):
                codes.append(code)
                normals.append(np.cross(np.subtract(b, a), np.subtract(c, a)) / 2)
    return np.array(codes), np.array(normals)


def _beside(corner: Corner) -> set[Corner]:
    """Name the three corners that share an edge with a corner."""
    return {tuple(v ^ (axis == k) for k, v in enumerate(corner)) for axis in range(3)}


def _groups(corners: Iterable[Corner]) -> list[set[Corner]]:
    """Part corners into groups joined along edges of the cube."""
    groups: list[set[Corner]] = []
    for corner in corners:
        joined = [group for group in groups if group & _beside(corner)]
        groups = [group for group in groups if group not in joined]
        groups.append({corner}.union(*joined))
    return groups


def _polygon(group: set[Corner]) -> list[tuple[float, ...]]:
    """Walk around a group: middles of its cut edges, each sharing a face with the next.

    The walk begins at the corner with the most neighbours in the group, which decides how a
    pentagon falls into triangles. Up to four joined corners leave two cut edges on a face.
    """
    ranked = sorted(group, key=lambda corner: -len(group & _beside(corner)))
    rest: list[tuple[float, ...]] = [
        tuple((a + b) / 2 for a, b in zip(corner, other, strict=True))
        for corner in ranked
        for other in _beside(corner) - group
    ]
    walk = [rest.pop(0)]
    while rest:
        near = [any(a == b != 0.5 for a, b in zip(p, walk[-1], strict=True)) for p in rest]
        walk.append(rest.pop(near.index(True)))
    return walk


def _triangles(polygon: list[tuple[float, ...]]) -> list[tuple[tuple[float, ...], ...]]:
    """Cut the ears at every second vertex; three vertices that are left are a triangle too.

    Pentagons and the twisted hexagon are not flat, so the rule decides their area. This one
    gives the areas of the published tables.
    """
    n = len(polygon)
    cut = range(0, n - 1, 2)
    ears = [(polygon[i - 1], polygon[i], polygon[(i + 1) % n]) for i in cut]
    rest = tuple(vertex for i, vertex in enumerate(polygon) if i not in cut)
    return [*ears, *([rest] if len(rest) == 3 else [])]


def _sorted(
    distance: NDArray[np.float64], area: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sort (n,) float64 distances and areas by distance, then area, so that sums are the same."""
    order = np.lexsort((area, distance))
    return distance[order], area[order]


def _percentile(distance: NDArray[np.float64], area: NDArray[np.float64], percent: float) -> float:
    """Find the first distance at which `percent` of the area is reached; both (n,) float64."""
    index = int(np.searchsorted(np.cumsum(area) / np.sum(area), percent / 100))
    return float(distance[min(index, distance.size - 1)])


@njit(cache=True, nogil=True)
def neighbour_codes(mask: NDArray[Any], are_numbers: bool = False) -> NDArray[np.uint8]:
    """Code the eight voxels around every voxel corner; voxels outside the volume are 0.

    Args:
        mask: (z, y, x) bool or integer, non-zero inside.
        are_numbers: weigh each bit by the value of the voxel, modulo 256.

    Returns:
        (z + 1, y + 1, x + 1) uint8, bits as in `unit_triangles`.
    """
    n_z, n_y, n_x = mask.shape
    codes = np.zeros((n_z + 1, n_y + 1, n_x + 1), np.uint8)
    row = np.empty(n_x, np.uint8)
    for z in range(n_z):
        for y in range(n_y):
            for x in range(n_x):
                row[x] = mask[z, y, x] if are_numbers else mask[z, y, x] != 0
            for bit in range(8):
                around = codes[z + (bit >> 2), y + (bit >> 1 & 1), (bit & 1) :]
                for x in range(n_x):
                    around[x] += row[x] << bit
    return codes
