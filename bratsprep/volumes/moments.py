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
"""Voxels of a plane that are looked at together: all modalities of them stay in the nearest
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
def mark_brain_(values: NDArray[Any], brain: NDArray[np.uint8]) -> None:
    """Write 1 where a value is not 0, and leave what is there elsewhere.

    Args:
        values: (n,) any real dtype.
        brain: (n,) uint8, written.
    """
    for i in range(brain.size):
        brain[i] |= values[i] != 0


@njit(cache=True, nogil=True)
def count_ones(brain: NDArray[np.uint8]) -> int:
    """Count the ones of (n,) uint8, n at most 2**31."""
    count = np.int32(0)
    for i in range(brain.size):
        count += np.int32(brain[i])
    return int(count)


@njit(cache=True, nogil=True)
def measure_(
    images: tuple[NDArray[Any], ...],
    brain: NDArray[np.uint8],
    plane_brain: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the brain and its moments in one sweep over the volumes.

    Plane by plane, so that each voxel is read from memory once; planes are joined after Chan,
    Golub and LeVeque 1979. The spread of equal int16 or float32 voxels is exactly 0, that of
    equal float64 voxels is 0 up to rounding. A NaN or an infinity gives a mean or spread that is
    not finite.

    Args:
        images: volumes of one dtype, each (z, y * x), C order, source units.
        brain: (z, y * x) uint8, written: 1 where any modality is not 0.
        plane_brain: (z,) int32, written: brain voxels of each plane.
        columns: (y * x,) int32 of zeros, written: brain voxels above each pixel.

    Returns:
        (m,) float64 means and (m,) float64 sums of squared deviations over the brain; zeros
        for an empty brain.
    """
    mean = np.zeros(len(images), np.float64)
    squares = np.zeros(len(images), np.float64)
    total = 0
    for z in range(brain.shape[0]):
        inside = brain[z]
        inside[:] = 0
        for image in images:
            mark_brain_(image[z], inside)
        count = count_ones(inside)
        plane_brain[z] = count
        if count == 0:
            continue
        add_(inside, columns)
        for m in range(len(images)):
            join_(mean, squares, m, plane_moments(images[m][z], inside, count), (count, total))
        total += count
    return mean, squares


@njit(cache=True, nogil=True)
def join_(
    mean: NDArray[np.float64],
    squares: NDArray[np.float64],
    m: int,
    plane: tuple[float, float],
    counts: tuple[int, int],
) -> None:
    """Join the moments of a plane with those of the planes before it.

    Args:
        mean: (m,) float64 of each modality over the planes before; updated.
        squares: (m,) float64 sums of squared deviations over the planes before; updated.
        m: modality.
        plane: its mean and sum of squared deviations in the plane.
        counts: brain voxels of the plane, at least 1, and of the planes before.
    """
    count, total = counts
    step = plane[0] - mean[m]
    squares[m] += plane[1] + step * step * (float(total) * count / (total + count))
    mean[m] += step * (count / (total + count))


@njit(cache=True, nogil=True)
def whole_sums(values: NDArray[Any]) -> tuple[np.int64, np.int64, bool]:
    """Sum and sum of squares of whole numbers, exact; and whether all are whole and fit int16.

    Args:
        values: (n,) int16, float32 or float64, n at most 2**31.
    """
    total = np.int64(0)
    squares = np.int64(0)
    unfit = 0
    for i in range(values.size):
        whole = np.int32(values[i])
        unfit |= (whole != values[i]) | (whole > 32767) | (whole < -32768)
        total += whole
        squares += np.int64(whole) * np.int64(whole)
    return total, squares, unfit == 0


@njit(cache=True, nogil=True)
def measure_whole_(
    images: tuple[NDArray[Any], ...],
    brain: NDArray[np.uint8],
    plane_brain: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Find the brain and its sums where all voxels are whole numbers, as in nearly every scan.

    Sums of whole numbers are exact, so they do not depend on order or voxel type, and are faster
    than those of `measure_`. A voxel outside the brain is 0 in every modality and adds nothing.

    Args:
        images: volumes of one dtype, each (z, y * x), C order, source units.
        brain: (z, y * x) uint8, written: 1 where any modality is not 0.
        plane_brain: (z,) int32, written: brain voxels of each plane.
        columns: (y * x,) int32 of zeros, written: brain voxels above each pixel.

    Returns:
        (m,) int64 sums and (m,) int64 sums of squares over the brain, and True; or False as the
        third, at the first plane with a number that is not whole or does not fit int16.
    """
    totals = np.zeros(len(images), np.int64)
    squares = np.zeros(len(images), np.int64)
    for z in range(brain.shape[0]):
        plane_brain[z] = 0
        for start in range(0, brain.shape[1], _STRIP):
            strip = slice(start, min(start + _STRIP, brain.shape[1]))
            inside = brain[z, strip]
            inside[:] = 0
            for image in images:
                mark_brain_(image[z, strip], inside)
            count = count_ones(inside)
            if count == 0:
                continue
            plane_brain[z] += count
            add_(inside, columns[strip])
            for m in range(len(images)):
                if not add_sums_(totals, squares, m, images[m][z, strip]):
                    return totals, squares, False
    return totals, squares, True


@njit(cache=True, nogil=True)
def add_sums_(
    totals: NDArray[np.int64], squares: NDArray[np.int64], m: int, values: NDArray[Any]
) -> bool:
    """Add what `whole_sums` gives for some voxels of a modality, unless one does not fit.

    Args:
        totals: (m,) int64 sums of each modality; added to.
        squares: (m,) int64 sums of squares; added to.
        m: modality.
        values: (n,) int16, float32 or float64 voxels of it, n at most 2**31.

    Returns:
        Whether all values are whole and fit int16.
    """
    total, square, is_whole = whole_sums(values)
    if is_whole:
        totals[m] += total
        squares[m] += square
    return bool(is_whole)


@njit(cache=True, nogil=True)
def add_(inside: NDArray[np.uint8], sums: NDArray[np.int32]) -> None:
    """Add brain voxels to those above the same pixels.

    Args:
        inside: (n,) uint8, 1 or 0.
        sums: (n,) int32, added to.
    """
    for i in range(inside.size):
        sums[i] += inside[i]
