"""The Numba loops of the data path.

Kernels assume what their wrappers checked. Those that measure a case are in
`bratsprep.volumes.moments`.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def recode_(
    label: NDArray[np.uint8], table: NDArray[np.uint8], voxels: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Turn raw label values into stored classes in place, and count them by plane.

    Most of a label is 0 and stays 0: eight such voxels are passed over at a time.

    Args:
        label: (z, n) uint8, C order, raw values; written.
        table: (256,) uint8: class of each raw value, 255 where the scheme has none; table[0]
            is 0.
        voxels: (z, c) int32 of zeros, written: voxels of each class.

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
                    if stored < voxels.shape[1]:
                        voxels[z, stored] += 1
        voxels[z, 0] = n - voxels[z, 1:].sum()
    return seen


@njit(cache=True, nogil=True)
def zscore_half_(
    volume: NDArray[Any],
    brain: NDArray[np.uint8],
    planes: NDArray[np.int64],
    moments: tuple[float, float],
    bits: NDArray[np.uint16],
) -> None:
    """Write (volume - mean) / std of some planes as float16 bits, and 0 outside the brain.

    Computed in float64 and rounded once, to nearest even: a float32 on the way would round
    twice. Below 2**-14 the spacing of float16 is fixed (2**-24); from 65,520 on it is infinite.

    Args:
        volume: (z, h, w) any real dtype and strides, source units.
        brain: (z, h, w) uint8, 1 inside.
        planes: (s,) int64 indices along z.
        moments: mean and standard deviation, source units; the latter above 0.
        bits: (s, h, w) uint16, written.
    """
    mean, std = moments
    width = volume.shape[2]
    row = np.empty(width, np.float64)
    raw = row.view(np.int64)
    for s in range(planes.size):
        plane, inside = volume[planes[s]], brain[planes[s]]
        for y in range(plane.shape[0]):
            for x in range(width):
                row[x] = (np.float64(plane[y, x]) - mean) / std
            for x in range(width):
                size = raw[x] & 0x7FFFFFFFFFFFFFFF
                sign = (raw[x] >> 48) & 0x8000
                normal = ((size + 0x1FFFFFFFFFF + ((size >> 42) & 1)) >> 42) - (1008 << 10)
                small = np.int64(np.rint(min(abs(row[x]), 1.0) * 16777216.0))
                half = small if size < 0x3F10000000000000 else min(normal, 0x7C00)
                bits[s, y, x] = (sign | half) if inside[y, x] else 0


@njit(cache=True, nogil=True)
def spans_(brain: NDArray[np.uint8], spans: NDArray[np.uint64]) -> None:
    """Find where the brain begins and ends in each row, and whether it has no hole between.

    Args:
        brain: (h, w) uint8, any strides, 1 inside.
        spans: (h, 3) uint64, written: first brain pixel, the one after the last, 1 where all
            between are brain; the first two are both 0 for a row without any.
    """
    for y in range(brain.shape[0]):
        count = 0
        for x in range(brain.shape[1]):
            count += brain[y, x]
        first, last = 0, brain.shape[1] if count else 0
        while last > 0 and brain[y, last - 1] == 0:
            last -= 1
        while first < last and brain[y, first] == 0:
            first += 1
        spans[y, 0] = first
        spans[y, 1] = last
        spans[y, 2] = last - first == count


@njit(cache=True, nogil=True)
def lookup_plane_(
    plane: NDArray[Any],
    brain: NDArray[np.uint8],
    spans: NDArray[np.uint64],
    table: NDArray[np.uint16],
    bits: NDArray[np.uint16],
) -> bool:
    """Write float16 bits of one plane of one modality, as `lookup_half_` does for all of them.

    Indices are unsigned, since Numba checks every signed index for a negative value.

    Args:
        plane: (h, w) int16 or float32, any strides, source units.
        brain: (h, w) uint8, 1 inside.
        spans: (h, 3) uint64 of this plane, as `spans_` writes them.
        table: (65536,) uint16.
        bits: (h, w) uint16, written.
    """
    for y in range(np.uint64(plane.shape[0])):
        first, last, is_full = spans[y, 0], spans[y, 1], spans[y, 2]
        for x in range(first):
            bits[y, x] = 0
        for x in range(last, np.uint64(plane.shape[1])):
            bits[y, x] = 0
        unfit = 0
        for x in range(first, last):
            whole = np.int32(plane[y, x])
            unfit |= (whole != plane[y, x]) | (whole > 32767) | (whole < -32768)
            bits[y, x] = table[np.uint16(whole)]
        if unfit:
            return False
        for x in range(last if is_full else first, last):
            bits[y, x] = bits[y, x] if brain[y, x] else 0
    return True


@njit(cache=True, nogil=True)
def lookup_half_(
    images: tuple[NDArray[Any], ...],
    brain: NDArray[np.uint8],
    planes: NDArray[np.int64],
    tables: NDArray[np.uint16],
    bits: NDArray[np.uint16],
) -> bool:
    """Write float16 bits from tables, and 0 outside the brain; a tenth of `zscore_half_`'s time.

    A plane's modalities in turn, so that its brain is read from memory once.

    Args:
        images: (z, h, w) int16 or float32 volumes, any strides, source units.
        brain: (z, h, w) uint8, 1 inside.
        planes: (s,) int64 indices along z.
        tables: (m, 65536) uint16: bits for each int16, in the order of its own bits.
        bits: (s, m, h, w) uint16, written.

    Returns:
        False where a number is not whole or does not fit int16; `bits` is then unfinished.
    """
    spans = np.zeros((brain.shape[1], 3), np.uint64)
    for s in range(planes.size):
        z = planes[s]
        spans_(brain[z], spans)
        for m in range(len(images)):
            if not lookup_plane_(images[m][z], brain[z], spans, tables[m], bits[s, m]):
                return False
    return True


@njit(cache=True, nogil=True)
def take_classes_(
    label: NDArray[np.uint8],
    planes: NDArray[np.int64],
    taken: NDArray[np.uint8],
    voxels: NDArray[np.int32],
) -> None:
    """Copy some planes of a label and count the pixels of each class.

    Args:
        label: (z, h, w) uint8, any strides, 0 to c - 1.
        planes: (s,) int64 indices along z.
        taken: (s, h, w) uint8, written.
        voxels: (s, c) int32 of zeros, written.
    """
    for s in range(planes.size):
        for y in range(label.shape[1]):
            row, out = label[planes[s], y], taken[s, y]
            found = 0
            for x in range(row.size):
                out[x] = row[x]
                found |= row[x]
            if found == 0:
                continue
            for k in range(1, voxels.shape[1]):
                count = 0
                for x in range(row.size):
                    count += row[x] == k
                voxels[s, k] += count
        voxels[s, 0] = label.shape[1] * label.shape[2] - voxels[s, 1:].sum()
