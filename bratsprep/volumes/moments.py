"""Kernels that find the brain of a case and its moments, in one sweep over the volumes.

Sums run in a fixed order or over whole numbers, so that one file gives one digest on any machine,
however wide its vectors are.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LANES = 256
"""Partial sums of a float reduction: a fixed order that the compiler may still vectorise, and so
many that no addition waits for the one before."""


_STRIP = 960
"""Voxels of a plane that are looked at together: four modalities of them stay in the nearest
cache, and strips outside the head are passed over."""


@njit(cache=True, nogil=True)
def plane_moments(
    values: NDArray[Any], inside: NDArray[np.uint8], count: int
) -> tuple[float, float]:
    """Mean, and sum of squared deviations from it, of the values inside one plane.

    Two passes over a plane that lies in the processor's cache. Values outside must be 0, as
    they are where the brain is the union of the non-zero voxels.

    Args:
        values: (n,) any real dtype, 0 wherever `inside` is 0.
        inside: (n,) uint8, 1 or 0.
        count: ones in `inside`, at least 1.
    """
    lanes = np.zeros(_LANES, np.float64)
    whole = values.size // _LANES * _LANES
    for start in range(0, whole, _LANES):
        row = values[start : start + _LANES]
        for lane in range(_LANES):
            lanes[lane] += np.float64(row[lane])
    for i in range(whole, values.size):
        lanes[0] += np.float64(values[i])
    mean = lanes.sum() / count
    lanes[:] = 0.0
    for start in range(0, whole, _LANES):
        row = values[start : start + _LANES]
        mask = inside[start : start + _LANES]
        for lane in range(_LANES):
            apart = (np.float64(row[lane]) - mean) if mask[lane] else 0.0
            lanes[lane] += apart * apart
    for i in range(whole, values.size):
        apart = (np.float64(values[i]) - mean) if inside[i] else 0.0
        lanes[0] += apart * apart
    return mean, lanes.sum()


@njit(cache=True, nogil=True)
def mark_brain_(
    first: NDArray[Any],
    second: NDArray[Any],
    third: NDArray[Any],
    fourth: NDArray[Any],
    brain: NDArray[np.uint8],
) -> int:
    """Write 1 where any of four planes is not 0, else 0, and count the ones.

    Args:
        first: (n,) any real dtype, as are the other three.
        second: (n,).
        third: (n,).
        fourth: (n,).
        brain: (n,) uint8, written.
    """
    count = 0
    for i in range(brain.size):
        here = (first[i] != 0) | (second[i] != 0) | (third[i] != 0) | (fourth[i] != 0)
        brain[i] = here
        count += here
    return count


@njit(cache=True, nogil=True)
def measure_(
    images: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    brain: NDArray[np.uint8],
    plane_brain: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the brain and its moments in one sweep over the four volumes.

    Plane by plane, so that each voxel comes from memory once; planes are joined after Chan,
    Golub and LeVeque 1979. A volume of equal int16 or float32 voxels gives a spread of exactly 0,
    of float64 ones up to rounding; a NaN or an infinity anywhere gives a mean or spread that is
    not finite.

    Args:
        images: four (z, y, x) volumes of one dtype, C order, source units.
        brain: (z, y, x) uint8, written: 1 where any modality is not 0.
        plane_brain: (z,) int32, written: brain voxels of each plane.
        columns: (y, x) int32 of zeros, written: brain voxels above each pixel.

    Returns:
        (4,) float64 means and (4,) float64 sums of squared deviations over the brain; zeros
        for an empty brain.
    """
    mean = np.zeros(4, np.float64)
    squares = np.zeros(4, np.float64)
    flat_columns = columns.ravel()
    total = 0
    for z in range(brain.shape[0]):
        inside = brain[z].ravel()
        count = mark_brain_(
            images[0][z].ravel(),
            images[1][z].ravel(),
            images[2][z].ravel(),
            images[3][z].ravel(),
            inside,
        )
        plane_brain[z] = count
        if count == 0:
            continue
        for i in range(inside.size):
            flat_columns[i] += inside[i]
        for m in range(4):
            here, apart = plane_moments(images[m][z].ravel(), inside, count)
            step = here - mean[m]
            squares[m] += apart + step * step * (float(total) * count / (total + count))
            mean[m] += step * (count / (total + count))
        total += count
    return mean, squares


@njit(cache=True, nogil=True)
def whole_sums(values: NDArray[Any]) -> tuple[np.int64, np.int64, bool]:
    """Sum and sum of squares of whole numbers, exact; and whether all are whole and fit int16.

    Args:
        values: (n,) int16, float32 or float64, n at most 2**31.
    """
    total = np.int64(0)
    squares = np.int64(0)
    odd = 0
    for i in range(values.size):
        whole = np.int32(values[i])
        odd |= (whole != values[i]) | (whole > 32767) | (whole < -32768)
        total += whole
        squares += np.int64(whole) * np.int64(whole)
    return total, squares, odd == 0


@njit(cache=True, nogil=True)
def measure_whole_(
    images: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    brain: NDArray[np.uint8],
    plane_brain: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Do what `measure_` does where all voxels are whole numbers, as in nearly every scan.

    Sums of whole numbers are exact, so they do not depend on order or voxel type, and for int16
    they take half the time. A voxel outside the brain is 0 in every modality and adds nothing.

    Args:
        images: four (z, y, x) volumes of one dtype, C order, source units.
        brain: (z, y, x) uint8, written: 1 where any modality is not 0.
        plane_brain: (z,) int32, written: brain voxels of each plane.
        columns: (y, x) int32 of zeros, written: brain voxels above each pixel.

    Returns:
        (4,) int64 sums and (4,) int64 sums of squares over the brain, and True; or False as the
        third, at the first plane with a number that is not whole or does not fit int16.
    """
    totals = np.zeros(4, np.int64)
    squares = np.zeros(4, np.int64)
    flat_columns = columns.ravel()
    first, second, third, fourth = images
    for z in range(brain.shape[0]):
        inside = brain[z].ravel()
        planes = first[z].ravel(), second[z].ravel(), third[z].ravel(), fourth[z].ravel()
        plane_brain[z] = 0
        for start in range(0, inside.size, _STRIP):
            strip = slice(start, min(start + _STRIP, inside.size))
            one, two, three, four = planes
            count = mark_brain_(one[strip], two[strip], three[strip], four[strip], inside[strip])
            if count == 0:
                continue
            plane_brain[z] += count
            add_(inside[strip], flat_columns[strip])
            for m in range(4):
                total, square, is_whole = whole_sums(planes[m][strip])
                if not is_whole:
                    return totals, squares, False
                totals[m] += total
                squares[m] += square
    return totals, squares, True


@njit(cache=True, nogil=True)
def add_(inside: NDArray[np.uint8], sums: NDArray[np.int32]) -> None:
    """Add brain voxels to those above the same pixels.

    Args:
        inside: (n,) uint8, 1 or 0.
        sums: (n,) int32, added to.
    """
    for i in range(inside.size):
        sums[i] += inside[i]
