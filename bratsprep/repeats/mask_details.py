"""The fine structure of a label, and how far two of them agree.

Dice cannot tell: large tumours of two people in one lobe overlap by up to .87, two drawings of one
tumour by .65 and more. Their edges can. So each region is brought into cells of 3 mm, the mean
over 15 mm is taken off, and what is left is correlated.
"""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.labels import ClassSet
from bratsprep.repeats.high_pass import high_pass
from bratsprep.volumes.fingerprint import region_shares

CELL_MM: Final = 3.0
RADIUS: Final = 2
"""Cells on each side that the mean is taken over."""
FRAME: Final = (80, 100, 100)
"""Cells along z, y and x around the middle of the volume: 240 x 300 x 300 mm."""
WORTH_SHIFTING: Final = (0.05, 0.6)
"""Agreement in place from which, and up to which, shifts by a cell are tried too."""


@dataclass(frozen=True, slots=True)
class Details:
    """The fine structure of one label."""

    start: tuple[int, int, int]
    """First cell (z, y, x), counted from the middle of the volume."""
    cells: NDArray[np.int8]
    """(r, z, y, x) int8: share of each cell in a region less the mean around it; 127 is 1."""
    regions: tuple[str, ...]
    """Names of the regions, the largest first: WT, TC and ET of a glioma."""

    def only(self, names: tuple[str, ...]) -> "Details":
        """The same label with some of its regions."""
        if names == self.regions:
            return self
        places = [self.regions.index(name) for name in names]
        return Details(self.start, np.ascontiguousarray(self.cells[places]), names)

    def mirrored(self, flips: tuple[bool, bool, bool]) -> "Details":
        """The same label with some of the axes (z, y, x) turned around."""
        turn = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
        z, y, x = (
            -(start + size) if flip else start
            for start, size, flip in zip(self.start, self.cells.shape[1:], flips, strict=True)
        )
        return replace(
            self, start=(z, y, x), cells=np.ascontiguousarray(self.cells[(slice(None), *turn)])
        )


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two labels agree."""

    score: float
    """Half the correlation of the largest region, half the mean of the others that either has."""
    regions: dict[str, float]
    """Correlation of each of them; 0 where only one label has the region."""
    is_whole_tumour_only: bool = False
    """Only one label has a core, or ET: drawings of other conventions, of which WT alone tells."""


def details_of(
    label: NDArray[np.uint8],
    spacing_mm: NDArray[np.floating[Any]],
    has_tumour: NDArray[np.bool_],
    classes: ClassSet,
) -> Details:
    """Find the fine structure of a label.

    Args:
        label: (z, y, x) uint8 in RAS+ order, stored classes.
        spacing_mm: (3,) along x, y and z.
        has_tumour: (z,) whether a plane is worth looking at.
        classes: of the label.

    Returns:
        No cells for a label without tumour.
    """
    names, labels = zip(*classes.nested, strict=True)
    inside = classes.masks(labels)
    shares = region_shares(label, spacing_mm, has_tumour, inside, (CELL_MM, FRAME))
    used = [np.flatnonzero(shares[0].any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if not used[0].size:
        return Details((0, 0, 0), np.zeros((len(names), 0, 0, 0), np.int8), names)
    low = [int(places[0]) for places in used]
    part = shares[(slice(None), *(slice(places[0], places[-1] + 1) for places in used))]
    wide = np.pad(part, [(0, 0), *[(RADIUS, RADIUS)] * 3])
    z, y, x = (first - RADIUS - size // 2 for first, size in zip(low, FRAME, strict=True))
    return Details((z, y, x), np.rint(127 * high_pass(wide, RADIUS)).astype(np.int8), names)


@njit(cache=True, nogil=True)
def products(
    first: NDArray[np.int8], second: NDArray[np.int8], offset: tuple[int, int, int]
) -> NDArray[np.int64]:
    """Sum of the products of cells that lie in one place, for each region.

    Args:
        first: (r, z, y, x) int8, C order.
        second: (r, z, y, x) int8, C order, of another size.
        offset: place (z, y, x) of the second's first cell in the first.

    Returns:
        (r,) int64.
    """
    total = np.zeros(first.shape[0], np.int64)
    low_x = max(0, offset[2])
    high_x = min(first.shape[3], offset[2] + second.shape[3])
    for region in range(first.shape[0]):
        for z in range(max(0, offset[0]), min(first.shape[1], offset[0] + second.shape[1])):
            for y in range(max(0, offset[1]), min(first.shape[2], offset[1] + second.shape[2])):
                row = np.int32(0)
                one = first[region, z, y]
                two = second[region, z - offset[0], y - offset[1]]
                for x in range(low_x, high_x):
                    row += np.int32(one[x]) * np.int32(two[x - offset[2]])
                total[region] += row
    return total


def agreement(first: Details, second: Details) -> Agreement:
    """Correlate two labels, also where one is shifted by up to a cell along each axis.

    Args:
        first: fine structure of the one.
        second: of the other; only regions that both have by name are compared.
    """
    names = tuple(name for name in first.regions if name in second.regions)
    if not names:
        return Agreement(-1.0, {})
    first, second = first.only(names), second.only(names)
    norms = np.maximum(np.sqrt(squares(first) * squares(second)), 1.0)
    present = squares(first) + squares(second) > 0
    is_one_sided = bool(np.any((squares(first) > 0) != (squares(second) > 0)))
    best = Agreement(-1.0, {})
    for shift in product((0, -1, 1), repeat=3):
        z, y, x = (
            b + step - a for a, b, step in zip(first.start, second.start, shift, strict=True)
        )
        found = _judged(names, products(first.cells, second.cells, (z, y, x)) / norms, present)
        if found.score > best.score:
            best = found
        if not any(shift) and not WORTH_SHIFTING[0] <= found.score <= WORTH_SHIFTING[1]:
            break
    return replace(best, is_whole_tumour_only=is_one_sided)


def _judged(
    names: tuple[str, ...], values: NDArray[np.float64], present: NDArray[np.bool_]
) -> Agreement:
    """Score the correlations of some regions, of which some may be in neither label.

    Args:
        names: of the regions, the largest first.
        values: (r,) float64 correlations.
        present: (r,) bool, whether a label holds the region.
    """
    regions = {
        name: float(value)
        for name, value, is_there in zip(names, values, present, strict=True)
        if is_there
    }
    core = [regions[name] for name in names[1:] if name in regions]
    whole = regions.get(names[0], 0.0)
    return Agreement((whole + sum(core) / len(core)) / 2 if core else whole, regions)


def squares(details: Details) -> NDArray[np.float64]:
    """Sum of squares of each region's cells, (r,) float64."""
    return np.asarray(np.square(details.cells.astype(np.float64)).sum(axis=(1, 2, 3)))


def warm() -> None:
    """Compile the kernel, or load it from the cache, before any thread starts."""
    cells = np.zeros((1, 1, 1, 1), np.int8)
    products(cells, cells, (0, 0, 0))
