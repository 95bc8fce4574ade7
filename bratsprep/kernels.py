"""Every Numba loop of the data path, and `warm`.

Kernels assume what their wrappers checked. None releases results that depend on the width of the
processor's vectors: sums run in a fixed order, so that one file gives one digest on any machine.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LANES = 256
"""Partial sums of a float reduction: a fixed order that the compiler may still vectorise, and so
many that no addition waits for the one before (16 lanes: 63 us a plane, 256: 13 us)."""


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
def recode_(
    label: NDArray[np.uint8], table: NDArray[np.uint8], voxels: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Turn raw label values into stored classes in place, and count them by plane.

    Most of a label is 0 and stays 0: eight such voxels are passed over at a time.

    Args:
        label: (z, n) uint8, C order, raw values; written.
        table: (256,) uint8: class 0 to 3 of each raw value, 255 where the scheme has none;
            table[0] is 0.
        voxels: (z, 4) int32 of zeros, written: voxels of each class.

    Returns:
        (256,) int64: voxels of each raw value but 0. Where a value has no class, the label
        holds 255 and `voxels` leaves it out.
    """
    seen = np.zeros(256, np.int64)
    n = label.shape[1]
    whole = n // 8
    for z in range(label.shape[0]):
        plane = label[z]
        words = plane[: whole * 8].view(np.uint64)
        for block in range(whole + 1):
            if block < whole and words[block] == 0:
                continue
            for i in range(block * 8, min(block * 8 + 8, n)):
                raw = plane[i]
                if raw != 0:
                    seen[raw] += 1
                    stored = table[raw]
                    plane[i] = stored
                    if stored < 4:
                        voxels[z, stored] += 1
        voxels[z, 0] = n - voxels[z, 1] - voxels[z, 2] - voxels[z, 3]
    return seen


@njit(cache=True, nogil=True)
def zscore_half_(
    plane: NDArray[Any],
    brain: NDArray[np.uint8],
    mean: float,
    std: float,
    bits: NDArray[np.uint16],
) -> None:
    """Write (plane - mean) / std as float16 bits, and 0 outside the brain.

    Computed in float64 and rounded once, to nearest even: a float32 on the way would round
    twice. Below 2**-14 the spacing of float16 is fixed (2**-24); from 65,520 on it is infinite.

    Args:
        plane: (h, w) any real dtype and strides, source units.
        brain: (h, w) uint8, 1 inside; same strides' sign.
        mean: source units.
        std: source units, above 0.
        bits: (h, w) uint16, C order, written.
    """
    width = plane.shape[1]
    row = np.empty(width, np.float64)
    raw = row.view(np.int64)
    for y in range(plane.shape[0]):
        for x in range(width):
            row[x] = (np.float64(plane[y, x]) - mean) / std
        for x in range(width):
            size = raw[x] & 0x7FFFFFFFFFFFFFFF
            sign = (raw[x] >> 48) & 0x8000
            normal = ((size + 0x1FFFFFFFFFF + ((size >> 42) & 1)) >> 42) - (1008 << 10)
            small = np.int64(np.rint(min(abs(row[x]), 1.0) * 16777216.0))
            half = small if size < 0x3F10000000000000 else min(normal, 0x7C00)
            bits[y, x] = (sign | half) if brain[y, x] else 0


@njit(cache=True, nogil=True)
def shuffle_(values: NDArray[Any], shuffled: NDArray[np.uint8]) -> None:
    """Put the lowest bytes of all values first, then the next: HDF5's shuffle filter.

    Args:
        values: (n,) uint16 or uint32, the bits of the voxels.
        shuffled: (n * itemsize,) uint8, written.
    """
    n = values.size
    for byte in range(values.itemsize):
        part = shuffled[byte * n : (byte + 1) * n]
        for i in range(n):
            part[i] = (values[i] >> (8 * byte)) & 0xFF


@njit(cache=True, nogil=True)
def unshuffle_(shuffled: NDArray[np.uint8], values: NDArray[Any]) -> None:
    """Undo `shuffle_`.

    Args:
        shuffled: (n * itemsize,) uint8.
        values: (n,) uint16 or uint32, written.
    """
    n = values.size
    values[:] = 0
    for byte in range(values.itemsize):
        part = shuffled[byte * n : (byte + 1) * n]
        for i in range(n):
            values[i] |= values.dtype.type(part[i]) << values.dtype.type(8 * byte)


@njit(cache=True, nogil=True)
def count_classes(label: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Pixels of each stored class in a plane.

    Args:
        label: (n,) uint8, 0 to 3.
    """
    core = 0
    oedema = 0
    enhancing = 0
    for i in range(label.size):
        core += label[i] == 1
        oedema += label[i] == 2
        enhancing += label[i] == 3
    return label.size - core - oedema - enhancing, core, oedema, enhancing


def warm() -> None:
    """Compile, or load from the cache, every kernel for the usual dtypes.

    Before any thread starts: Numba's cache can break when many fill it at once.
    """
    for dtype in (np.int16, np.float32):
        volume = np.ones((1, 2, 16), dtype)
        brain = np.zeros((1, 2, 16), np.uint8)
        measure_(
            (volume, volume, volume, volume),
            brain,
            np.zeros(1, np.int32),
            np.zeros((2, 16), np.int32),
        )
        bits = np.zeros((2, 16), np.uint16)
        for step in (1, -1):
            zscore_half_(volume[0][::step, ::step], brain[0][::step, ::step], 0.0, 1.0, bits)
    flat = np.zeros(16, np.uint8)
    for bits_dtype in (np.uint16, np.uint32):
        shuffle_(flat.view(bits_dtype), flat.copy())
        unshuffle_(flat, flat.copy().view(bits_dtype))
    recode_(flat.reshape(1, 16), np.zeros(256, np.uint8), np.zeros((1, 4), np.int32))
    count_classes(flat)
