"""The exact distance to the nearest element of a surface, for the requested elements.

After Felzenszwalb and Huttenlocher 2012, one axis after another: steps along y by two scans, the
least of all parabolas along x, a search along z that ends where no plane can be nearer. Only rows
that a search visits are computed, and none for elements whose nearest element is close, so two
surfaces that lie close to each other cost little.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

FAR: Final = 1 << 30
"""Steps where a column has no element; further ones can be added without running over."""
NEAR: Final = 6
"""Voxels along x and z that are searched one by one before rows are computed."""
PLANES: Final = 40
"""Cost of a search along z in computed voxels: about the number of planes that it visits."""
FEW: Final = 256
"""Elements that are searched for nearby, whatever the distances of the others."""


@njit(cache=True, nogil=True)
def squared_distances(
    surface: NDArray[np.bool_], wanted: NDArray[np.bool_], step: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Square the distance from each wanted element to the nearest of a surface.

    Args:
        surface: (z, y, x) bool, C order, the elements to measure to.
        wanted: (z, y, x) bool, C order, the elements to measure from.
        step: (3,) float64, mm, spacing along z, y, x.

    Returns:
        (n,) float64, mm2, of the wanted elements in C order; inf where `surface` is empty.
    """
    steps = steps_along_y(surface)
    squares = np.empty(np.count_nonzero(wanted))
    reach = (NEAR * min(step[0], step[2])) ** 2
    n = n_far = 0
    for z, y in np.ndindex(surface.shape[:2]):
        row = wanted[z, y]
        for x in range(row.size):
            if row[x]:
                is_worth_it = 2 * n_far <= n + FEW
                squares[n] = least_nearby(steps, step, (z, y, x)) if is_worth_it else np.inf
                n_far += squares[n] > reach
                n += 1
    if n_far:
        search_further_(squares, reach, n_far, steps, wanted, step)
    return squares


@njit(cache=True, nogil=True)
def search_further_(
    squares: NDArray[np.float64],
    reach: float,
    n_far: int,
    steps: NDArray[np.int32],
    wanted: NDArray[np.bool_],
    step: NDArray[np.float64],
) -> None:
    """Replace distances beyond a reach by the exact ones, in place.

    Few elements search the planes one by one; for many, every column is computed once.

    Args:
        squares: (n,) float64, mm2, of the wanted elements in C order.
        reach: mm2, up to which they are exact.
        n_far: how many are beyond.
        steps: (z, y, x) int32, as `steps_along_y` returns them.
        wanted: (z, y, x) bool.
        step: (3,) float64, mm, spacing along z, y, x.
    """
    square = np.empty(steps.shape)  # mm2 within the plane; a row holds once it is filled
    is_filled = np.zeros(steps.shape[:2], np.bool_)
    are_many = n_far * PLANES > steps.size
    if are_many:
        fill_columns_(steps, square, wanted, step)
    n = 0
    for z, y in np.ndindex(steps.shape[:2]):
        row = wanted[z, y]
        for x in range(row.size):
            if row[x]:
                if squares[n] > reach and are_many:
                    squares[n] = square[z, y, x]
                elif squares[n] > reach:
                    squares[n] = least_along_z(steps, square, is_filled, step, (z, y, x))
                n += 1


@njit(cache=True, nogil=True)
def fill_columns_(
    steps: NDArray[np.int32],
    square: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    step: NDArray[np.float64],
) -> None:
    """Write the squared distances of every column with a wanted element, in place.

    Args:
        steps: (z, y, x) int32, as `steps_along_y` returns them.
        square: (z, y, x) float64, mm2; overwritten.
        wanted: (z, y, x) bool, the elements to measure from.
        step: (3,) float64, mm, spacing along z, y, x.
    """
    n_z, n_y, n_x = steps.shape
    for z, y in np.ndindex(n_z, n_y):
        fill_row_(steps[z, y], square[z, y], step)
    for y, x in np.ndindex(n_y, n_x):
        if wanted[:, y, x].any():
            lower_envelope_(square[:, y, x], step[0] ** 2)


@njit(cache=True, nogil=True)
def least_nearby(
    steps: NDArray[np.int32], step: NDArray[np.float64], place: tuple[int, int, int]
) -> float:
    """Search the columns within NEAR voxels of an element along x and z for the least distance.

    Any other column is further away than NEAR voxels.

    Args:
        steps: (z, y, x) int32, as `steps_along_y` returns them.
        step: (3,) float64, mm, spacing along z, y, x.
        place: (z, y, x) of the element.

    Returns:
        Squared distance, mm2; inf where these columns have no element.
    """
    z, y, x = place
    least = np.inf
    for across in range(2 * NEAR + 1):
        k = outward(z, across)
        if not 0 <= k < steps.shape[0]:
            continue
        beside = ((k - z) * step[0]) ** 2
        if beside >= least:
            break
        row = steps[k, y]
        for along in range(2 * NEAR + 1):
            i = outward(x, along)
            if not 0 <= i < row.size:
                continue
            apart = beside + ((i - x) * step[2]) ** 2
            if apart >= least:
                break
            if row[i] < FAR:
                least = min(least, apart + (row[i] * step[1]) ** 2)
    return least


@njit(cache=True, nogil=True)
def outward(middle: int, turn: int) -> int:
    """Place of a turn: the middle, then one before it, one after it, two before it and so on.

    Not a generator: Numba cannot compile the callers of a generator that it loads from its cache.
    """
    away = (turn + 1) // 2
    return middle - away if turn % 2 else middle + away


@njit(cache=True, nogil=True)
def least_along_z(
    steps: NDArray[np.int32],
    square: NDArray[np.float64],
    is_filled: NDArray[np.bool_],
    step: NDArray[np.float64],
    place: tuple[int, int, int],
) -> float:
    """Search the planes around an element, the nearest first, for the least distance.

    Args:
        steps: (z, y, x) int32, as `steps_along_y` returns them.
        square: (z, y, x) float64, mm2 within the plane; valid in filled rows, of which more are
            filled in place.
        is_filled: (z, y) bool, which rows of `square` are filled; updated in place.
        step: (3,) float64, mm, spacing along z, y, x.
        place: (z, y, x) of the element.

    Returns:
        Squared distance, mm2; inf where no plane has an element.
    """
    z, y, x = place
    least = np.inf
    for turn in range(2 * steps.shape[0] + 1):
        k = outward(z, turn)
        if not 0 <= k < steps.shape[0]:
            continue
        apart = ((k - z) * step[0]) ** 2
        if apart >= least:
            break
        if not is_filled[k, y]:
            fill_row_(steps[k, y], square[k, y], step)
            is_filled[k, y] = True
        least = min(least, apart + square[k, y, x])
    return least


@njit(cache=True, nogil=True)
def fill_row_(
    steps: NDArray[np.int32], square: NDArray[np.float64], step: NDArray[np.float64]
) -> None:
    """Write the squared distances within the plane of one row, in place.

    Args:
        steps: (x,) int32, as `steps_along_y` returns them.
        square: (x,) float64, mm2; overwritten.
        step: (3,) float64, mm, spacing along z, y, x.
    """
    for x in range(steps.size):
        square[x] = np.inf if steps[x] >= FAR else (steps[x] * step[1]) ** 2
    lower_envelope_(square, step[2] ** 2)


@njit(cache=True, nogil=True)
def steps_along_y(surface: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Count the steps along y to the nearest element of the same column.

    Args:
        surface: (z, y, x) bool, C order.

    Returns:
        (z, y, x) int32; FAR or more where the column has no element.
    """
    n_z, n_y, n_x = surface.shape
    steps = np.empty(surface.shape, np.int32)
    for z in range(n_z):
        for y in range(n_y):
            here, inside = steps[z, y], surface[z, y]
            for x in range(n_x):
                here[x] = 0 if inside[x] else FAR
            if y:
                before = steps[z, y - 1]
                for x in range(n_x):
                    here[x] = min(here[x], before[x] + 1)
        for y in range(n_y - 2, -1, -1):
            here, after = steps[z, y], steps[z, y + 1]
            for x in range(n_x):
                here[x] = min(here[x], after[x] + 1)
    return steps


@njit(cache=True, nogil=True)
def lower_envelope_(line: NDArray[np.float64], scale: float) -> None:
    """Replace `line[i]` by the least `line[j] + scale * (i - j) ** 2` over all j, in place.

    Args:
        line: (n,) float64, mm2, heights of the parabolas; inf where there is none.
        scale: mm2, square of the step from one place to the next.
    """
    foot = np.empty(line.size, np.int64)  # of each parabola in the envelope
    height = np.empty(line.size)
    start = np.empty(line.size)  # where it begins to be the lowest
    n = 0
    for j in range(line.size):
        if line[j] == np.inf:
            continue
        begin = -np.inf
        while n:
            apart = j - foot[n - 1]
            begin = foot[n - 1] + (apart + (line[j] - height[n - 1]) / (scale * apart)) / 2
            if begin > start[n - 1]:
                break
            n, begin = n - 1, -np.inf
        foot[n], height[n], start[n] = j, line[j], begin
        n += 1
    k = 0
    for i in range(line.size if n else 0):
        while k + 1 < n and start[k + 1] < i:
            k += 1
        line[i] = height[k] + scale * (i - foot[k]) ** 2
