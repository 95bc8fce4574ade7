"""Tables from which Huffman codes of deflate are looked up; section numbers are RFC 1951's."""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.symbols import END, EXTRA, FIRST, SYMBOLS

FAST: Final = 11
"""Bits that are looked up at once; longer codes take another look."""
REST: Final = 4
"""Bits of that other look: 15, the longest code of deflate, less `FAST`."""
TABLE: Final = (1 << FAST) + (SYMBOLS << REST)
"""Entries of a table, uint32: from the lowest bit on 6 of a code's length, 2 of its kind, and 24
more."""
LITERAL, LONGER, MATCH, STOP = 0, 64, 128, 192
"""Kinds. One or two bytes, and how many; where to look next; a match's first length in 16 bits,
and how many bits more; the end, or no code at all."""
KIND: Final = 192


_MATCHES: Final = (MATCH | FIRST << 8 | EXTRA << 24).astype(np.uint32)
"""Entry of each symbol from 257 on, but the bits of its code."""


@njit(cache=True, nogil=True)
def turned(code: int, bits: int) -> int:
    """Give the bits of a code, the last one first."""
    code <<= 16 - bits
    code = ((code & 0x5555) << 1) | ((code >> 1) & 0x5555)
    code = ((code & 0x3333) << 2) | ((code >> 2) & 0x3333)
    code = ((code & 0x0F0F) << 4) | ((code >> 4) & 0x0F0F)
    return ((code & 0xFF) << 8) | ((code >> 8) & 0xFF)


@njit(cache=True, nogil=True)
def entry_of(symbol: int, bits: int) -> int:
    """Entry of a symbol whose code has so many bits."""
    if symbol < END:
        return bits | LITERAL | symbol << 8 | 1 << 24
    if symbol == END:
        return bits | STOP
    return bits | int(_MATCHES[symbol - END - 1])


@njit(cache=True, nogil=True)
def fill_(lengths: NDArray[np.int64], table: NDArray[np.uint32]) -> bool:
    """Make the table of canonical codes (§3.2.2).

    Args:
        lengths: (SYMBOLS or more,) int64, 0 to 15: bits of each symbol's code, 0 for none.
        table: (TABLE,) uint32, written.

    Returns:
        False where the lengths are not those of a code that is complete.
    """
    counts, fresh = np.zeros(17, np.int64), np.zeros(17, np.int64)
    for symbol in range(SYMBOLS):
        counts[lengths[symbol]] += lengths[symbol] > 0
    for bits in range(1, 16):
        fresh[bits + 1] = (fresh[bits] + counts[bits]) * 2
    if fresh[16] != 1 << 16:
        return False
    table[: 1 << FAST] = STOP
    spare = 1 << FAST
    for symbol in range(SYMBOLS):
        bits = lengths[symbol]
        if bits == 0:
            continue
        code, entry = turned(fresh[bits], bits), entry_of(symbol, bits)
        fresh[bits] += 1
        if bits <= FAST:
            table[code : 1 << FAST : 1 << bits] = entry
            continue
        head = code & ((1 << FAST) - 1)
        if table[head] & KIND != LONGER:
            table[head] = LONGER | spare << 8
            table[spare : spare + (1 << REST)] = STOP
            spare += 1 << REST
        start = int(table[head] >> 8)
        table[start + (code >> FAST) : start + (1 << REST) : 1 << (bits - FAST)] = entry
    pair_(table)
    return True


@njit(cache=True, nogil=True)
def pair_(table: NDArray[np.uint32]) -> None:
    """Have an entry give two bytes where the codes of both are looked up at once.

    From the last entry on: what follows a code lies before it in the table, or is itself.
    """
    for place in range((1 << FAST) - 1, -1, -1):
        first = table[place]
        second = table[place >> (first & 63)]
        bits = (first & 63) + (second & 63)
        if (first | second) & KIND == LITERAL and second >> 24 == 1 and bits <= FAST:
            table[place] = bits | (first & 0xFF00) | (second & 0xFF00) << 8 | 2 << 24
