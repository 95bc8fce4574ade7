"""Byte planes of voxels: HDF5's shuffle filter, and the checksum of a zlib stream."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def shuffle_(values: NDArray[Any], lanes: NDArray[np.uint8]) -> None:
    """Put the lowest bytes of all values into the first row, the next into the next.

    That is HDF5's shuffle filter.

    Args:
        values: (n,) uint8, uint16 or uint32, the bits of the voxels.
        lanes: (itemsize, n or more) uint8, written.
    """
    if values.itemsize == 2:  # nearly all there is: both rows in one sweep
        low, high = lanes[0], lanes[1]
        for i in range(values.size):
            low[i] = values[i] & 0xFF
            high[i] = values[i] >> 8
        return
    for byte in range(values.itemsize):
        row = lanes[byte]
        for i in range(values.size):
            row[i] = (values[i] >> (8 * byte)) & 0xFF


@njit(cache=True, nogil=True)
def adler32(lanes: NDArray[np.uint8], n: int) -> int:
    """Adler-32 (RFC 1950 §8.2) of the rows, one after the other.

    Args:
        lanes: (k, n or more) uint8.
        n: bytes of each row.
    """
    total = 1
    left = lanes.shape[0] * n
    weighted = left
    for lane in range(lanes.shape[0]):
        for start in range(0, n, 256):
            row = lanes[lane, start : min(start + 256, n)]
            plain = np.uint32(0)
            rising = np.uint32(0)
            for i in range(row.size):
                plain += np.uint32(row[i])
                rising += np.uint32(i) * np.uint32(row[i])
            total += int(plain)
            weighted = (weighted + left * int(plain) - int(rising)) % 65521
            left -= row.size
    return int(weighted * 65536 + total % 65521)
