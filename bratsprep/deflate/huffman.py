"""Huffman codes for deflate, made from counts; section numbers are those of RFC 1951.

Only whole numbers are computed, so the same counts give the same codes on every machine.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

END: Final = 256
"""Symbol of a block's end; those below are bytes, those above match lengths."""
SYMBOLS: Final = 286
MOST: Final = 258
"""Bytes of the longest match."""
EXTRA: Final = np.array([0] * 8 + [bits for bits in range(1, 6) for _ in range(4)] + [0])
"""(29,) int64: extra bits of each symbol from 257 on (§3.2.5)."""
FIRST: Final = np.append(3 + np.concatenate([[0], np.cumsum(1 << EXTRA[:-2])]), MOST)
"""(29,) int64: first length of each symbol from 257 on."""
HEAD: Final = 4 + (29 << 3) + (1 << 8) + (15 << 13)
"""The first 26 bits of a block (§3.2.7) but the lowest, which marks the last block: codes of its
own, 286 and 2 of them, lengths of 19 codes, and three of these without bits."""
LONGEST: Final = 14
"""Bits of the longest code, so that four fit a word; a lower limit would leave a larger share of
the codes to bytes that were not counted."""
HEADER: Final = SYMBOLS + 2
"""Code lengths in a block's header: of all symbols, and of distances 1 and 2."""
_WEIGHT: Final = 64
"""Of a symbol that was counted, against 1 for one that was not."""
_RANK: Final = np.maximum(np.searchsorted(FIRST, np.arange(MOST + 1), side="right") - 1, 0)
LENGTH_SYMBOL: Final = END + 1 + _RANK
"""(259,) int64 symbol of each match length, 3 and up."""
_BASE, _EXTRA = FIRST[_RANK], EXTRA[_RANK]


@njit(cache=True, nogil=True)
def sort_(counts: NDArray[np.int64], order: NDArray[np.int64]) -> None:
    """Order symbols by count, equal ones by number: insertion, for few and compiled in no time.

    Args:
        counts: (n,) int64.
        order: (n,) int64, written.
    """
    for k in range(order.size):
        place = k
        while place > 0 and counts[order[place - 1]] > counts[k]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = k


@njit(cache=True, nogil=True)
def depths_(weight: NDArray[np.int64], depth: NDArray[np.int64]) -> None:
    """Find the depth of each leaf of Huffman's tree (1952).

    Args:
        weight: (n,) int64, rising; n at least 2.
        depth: (n,) int64, written.
    """
    n = weight.size
    sums = np.zeros(n, np.int64)
    parent = np.zeros(2 * n, np.int64)
    leaf = 0
    inner = 0
    for node in range(n - 1):
        for _ in range(2):  # the two lightest of the leaves and of the nodes made so far
            if leaf < n and (inner >= node or weight[leaf] <= sums[inner]):
                sums[node] += weight[leaf]
                parent[leaf] = n + node
                leaf += 1
            else:
                sums[node] += sums[inner]
                parent[n + inner] = n + node
                inner += 1
    below = np.zeros(2 * n, np.int64)
    for child in range(2 * n - 3, -1, -1):
        below[child] = below[parent[child]] + 1
    for k in range(n):
        depth[k] = below[k]


@njit(cache=True, nogil=True)
def limit_(depth: NDArray[np.int64]) -> None:
    """Shorten codes to LONGEST bits and make the code complete again.

    Args:
        depth: (n,) int64, of symbols from the rarest on; n up to 2**LONGEST; written.
    """
    room = 1 << LONGEST
    used = 0
    for k in range(depth.size):
        depth[k] = min(depth[k], LONGEST)
        used += room >> depth[k]
    k = 0
    while used > room:  # the rarest symbols that can have a longer code get it
        while depth[k] == LONGEST:
            k += 1
        depth[k] += 1
        used -= room >> depth[k]
    for k in range(depth.size - 1, -1, -1):  # what is left over goes to the most frequent
        while depth[k] > 1 and used + (room >> depth[k]) <= room:
            used += room >> depth[k]
            depth[k] -= 1


@njit(cache=True, nogil=True)
def code_lengths_(counts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
    """Choose the bits of each symbol's code.

    Args:
        counts: (n,) int64, above 0; n from 2 to 2**LONGEST.
        lengths: (n,) int64, written; a complete code of at most LONGEST bits.
    """
    order = np.empty(counts.size, np.int64)
    weight = np.empty(counts.size, np.int64)
    depth = np.empty(counts.size, np.int64)
    sort_(counts, order)
    for k in range(counts.size):
        weight[k] = counts[order[k]]
    depths_(weight, depth)
    limit_(depth)
    for k in range(counts.size):
        lengths[order[k]] = depth[k]


@njit(cache=True, nogil=True)
def codes_(lengths: NDArray[np.int64], codes: NDArray[np.uint64]) -> None:
    """Give each symbol its canonical code (§3.2.2), first bit lowest.

    Args:
        lengths: (n,) int64 bits.
        codes: (n,) uint64, written: code in the low 32 bits, its length in the high ones.
    """
    counts = np.zeros(LONGEST + 1, np.int64)
    for bits in lengths:
        counts[bits] += 1
    fresh = np.zeros(LONGEST + 1, np.int64)
    for bits in range(2, LONGEST + 1):
        fresh[bits] = (fresh[bits - 1] + counts[bits - 1]) * 2
    for symbol in range(lengths.size):
        bits = lengths[symbol]
        code = fresh[bits]
        fresh[bits] += 1
        codes[symbol] = np.uint64(_reversed(code, bits)) | (np.uint64(bits) << np.uint64(32))


@njit(cache=True, nogil=True)
def _reversed(code: int, bits: int) -> int:
    """Reverse the order of the bits."""
    reverse = 0
    for _ in range(bits):
        reverse = reverse * 2 + code % 2
        code //= 2
    return reverse


@njit(cache=True, nogil=True)
def tables_(
    counts: NDArray[np.int64],
    literals: NDArray[np.uint64],
    matches: NDArray[np.uint64],
    header: NDArray[np.uint64],
) -> None:
    """Make the tables of an encoder.

    Args:
        counts: (SYMBOLS,) int64.
        literals: (257,) uint64, written: code of each byte and of the end, length in the high half.
        matches: (259,) uint64, written: all bits of a match of that length at distance 1.
        header: (HEADER,) uint64, written: code lengths, first bit lowest in four.
    """
    likely = np.empty(SYMBOLS, np.int64)
    lengths = np.empty(SYMBOLS, np.int64)
    codes = np.empty(SYMBOLS, np.uint64)
    for symbol in range(SYMBOLS):
        likely[symbol] = counts[symbol] * _WEIGHT + 1
    code_lengths_(likely, lengths)
    codes_(lengths, codes)
    for symbol in range(END + 1):
        literals[symbol] = codes[symbol]
    for length in range(3, MOST + 1):
        code = codes[LENGTH_SYMBOL[length]]
        # Then the extra bits, and distance 1: code 0 of one bit.
        extra = np.uint64(length - _BASE[length]) << (code >> np.uint64(32))
        matches[length] = code + extra + (np.uint64(_EXTRA[length] + 1) << np.uint64(32))
    for k in range(HEADER):
        header[k] = np.uint64(_reversed(lengths[k] if k < SYMBOLS else 1, 4))
