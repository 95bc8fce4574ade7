"""Byte planes of voxels put together again, and 16 bits widened to float32."""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

AS_STORED, HALF_TO_FLOAT, SHORT_TO_FLOAT = range(3)
BLOCK: Final = 2048
"""Pixels widened at a time, so that the second pass finds the first one's in the cache."""
REBIAS: Final = np.float32(2.0**112)
"""Brings a float16 exponent read as a float32 one to its value; 112 = 127 - 15."""


@njit(cache=True, nogil=True)
def copy_(plain: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Copy bytes; Numba takes seconds to compile `out[:] = plain`, which can say that sizes differ.

    Args:
        plain: (n,) uint8.
        out: (n,) uint8, written.
    """
    for i in range(plain.size):
        out[i] = plain[i]


@njit(cache=True, nogil=True)
def unshuffle(plain: NDArray[np.uint8], out: NDArray[Any]) -> None:
    """Put the bytes of each value together again.

    Args:
        plain: (k * n,) uint8: the lowest byte of every value, then the next of every value.
        out: (n,) unsigned integer of k bytes, little-endian.
    """
    size = out.size
    for i in range(size):
        out[i] = plain[i]
    for k in range(1, plain.size // size):
        high = plain[k * size : (k + 1) * size]
        for i in range(size):
            out[i] |= np.uint32(high[i]) << np.uint32(8 * k)


@njit(cache=True, nogil=True)
def widen_halves(low: NDArray[np.uint8], high: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Turn float16 into float32, exactly, infinities and NaN included.

    The bits are shifted into a float32 whose exponent is 112 too small, and multiplied right:
    that holds for subnormal values too, and unlike a table it runs in vector registers.

    Args:
        low: (n,) uint8, lower byte of each float16.
        high: (n,) uint8, upper byte.
        out: (n,) float32.
    """
    for start in range(0, out.size, BLOCK):
        # Slices counted from 0: an index that starts elsewhere is not put into vector registers.
        lower = low[start : start + BLOCK]
        upper = high[start : start + BLOCK]
        values = out[start : start + BLOCK]
        bits = values.view(np.uint32)
        largest = np.uint8(0)
        for i in range(bits.size):
            half = (np.int32(upper[i]) << 8) | np.int32(lower[i])
            bits[i] = ((half & 0x8000) << 16) | ((half & 0x7FFF) << 13)
            largest = max(largest, upper[i] & 0x7F)
        for i in range(bits.size):
            values[i] *= REBIAS
        if largest >= 0x7C:
            for i in range(bits.size):
                if (upper[i] & 0x7C) == 0x7C:
                    bits[i] |= np.uint32(0x7F800000)


@njit(cache=True, nogil=True)
def widen_shorts(low: NDArray[np.uint8], high: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Turn int16, given as its (n,) lower and upper bytes, into (n,) float32."""
    for i in range(out.size):
        value = (np.int32(high[i]) << 8) | np.int32(low[i])
        out[i] = np.float32(value - ((value & 0x8000) << 1))


@njit(cache=True, nogil=True)
def widen(
    kind: int, low: NDArray[np.uint8], high: NDArray[np.uint8], out: NDArray[np.float32]
) -> None:
    """Turn stored values, given as their (n,) lower and upper bytes, into (n,) float32."""
    if kind == HALF_TO_FLOAT:
        widen_halves(low, high, out)
    else:
        widen_shorts(low, high, out)
