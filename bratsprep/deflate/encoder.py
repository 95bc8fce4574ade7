"""zlib streams written by our own kernels: runs of zeros and Huffman codes, many slices a call.

A slice is noise inside the head and zeros outside, so a search for repeated strings costs much
time and saves little. What remains is the entropy of single bytes: one code for each byte plane,
made once a case from a few slices. Only whole numbers are computed, so the same voxels give the
same bytes on every machine.

The format is RFC 1950 and RFC 1951; section numbers are those of the latter.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.c_call import call
from bratsprep.deflate.huffman import (
    END,
    HEAD,
    HEADER,
    LENGTH_SYMBOL,
    LONGEST,
    MOST,
    SYMBOLS,
    tables_,
)
from bratsprep.deflate.shuffle import adler32, shuffle_

SAMPLED: Final = 8
"""Slices that are counted, evenly spaced; more would hardly change the codes."""
State = tuple[np.uint64, np.uint64, np.uint64]
"""Word that is being filled, its bits so far, and how many these are; all uint64."""
Tables = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]
"""Literals, matches and header of `huffman.tables_`."""


def bound(n_slices: int, n_bytes: int, lanes: int) -> int:
    """Bytes that the packed slices take at most, a multiple of 8.

    Args:
        n_slices: how many.
        n_bytes: of one slice.
        lanes: bytes of a voxel.
    """
    block = n_bytes // lanes * LONGEST // 8 + HEADER
    return (n_slices * (lanes * block + 16) + 64) // 8 * 8


@njit(nogil=True, inline="always")
def _has_run(words: NDArray[np.uint64], i: int, last: int) -> bool:
    """Say whether zeros begin in this word that fill the next."""
    return words[i] >> np.uint64(56) == 0 and i + 1 < last and words[i + 1] == 0


@njit(cache=True, nogil=True)
def run(words: NDArray[np.uint64], i: int, last: int) -> tuple[int, int]:
    """Measure zeros that begin in a word and fill the next.

    Args:
        words: (n,) uint64, eight bytes each, the first one lowest.
        i: word they begin in.
        last: words there are.

    Returns:
        Byte they begin at, and byte after them.
    """
    start = 8 * i + 8
    while start > 8 * i and (words[i] >> np.uint64(8 * (start - 8 * i) - 8)) & np.uint64(255) == 0:
        start -= 1
    end = i + 1
    while end < last and words[end] == 0:
        end += 1
    stop = 8 * end
    while end < last and (words[end] >> np.uint64(8 * (stop - 8 * end))) & np.uint64(255) == 0:
        stop += 1
    return start, stop


@njit(cache=True, nogil=True)
def count_(lane: NDArray[np.uint8], n: int, counts: NDArray[np.int64]) -> None:
    """Count the symbols that `encode_` will write for a byte plane.

    Args:
        lane: (n rounded up to 8,) uint8.
        n: bytes.
        counts: (SYMBOLS,) int64, added to.
    """
    words = lane.view(np.uint64)
    ways = np.zeros((8, 256), np.int32)  # so that no count waits for the one before
    last = n // 8
    i = 0
    while i < last:
        if not _has_run(words, i, last):
            for k in range(8):
                ways[k, (words[i] >> np.uint64(8 * k)) & np.uint64(255)] += 1
            i += 1
            continue
        start, stop = run(words, i, last)
        _count_bytes(lane, 8 * i, start, ways[0])
        ways[0, 0] += 1
        counts[LENGTH_SYMBOL[MOST]] += (stop - start - 1) // MOST
        counts[LENGTH_SYMBOL[max((stop - start - 1) % MOST, 3)]] += 1
        i = (stop + 7) // 8
        _count_bytes(lane, stop, 8 * i, ways[0])
    _count_bytes(lane, 8 * last, n, ways[0])
    for byte in range(256):
        for k in range(8):
            counts[byte] += ways[k, byte]
    counts[END] += 1


@njit(cache=True, nogil=True)
def _count_bytes(lane: NDArray[np.uint8], start: int, stop: int, way: NDArray[np.int32]) -> None:
    """Count single bytes."""
    for k in range(start, stop):
        way[lane[k]] += 1


@njit(nogil=True, inline="always")
def _put(out: NDArray[np.uint64], state: State, bits: np.uint64, count: np.uint64) -> State:
    """Append up to 57 bits."""
    word, held, used = state
    held |= bits << used
    out[word] = held
    # Two shifts, as one of 64 bits is not defined.
    carry = (bits >> np.uint64(1)) >> (np.uint64(63) - used)
    used += count
    full = used >> np.uint64(6)
    return word + full, carry if full else held, used & np.uint64(63)


@njit(nogil=True, inline="always")
def _put_code(out: NDArray[np.uint64], state: State, code: np.uint64) -> State:
    """Append what a table holds: bits in the low half, their number in the high one."""
    return _put(out, state, code & np.uint64(0xFFFFFFFF), code >> np.uint64(32))


@njit(nogil=True, inline="always")
def _put_four(
    out: NDArray[np.uint64], state: State, literals: NDArray[np.uint64], four: np.uint64
) -> State:
    """Append the codes of four bytes at once: at most 56 bits."""
    low, half, byte = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(255)
    a = literals[four & byte]
    b = literals[(four >> np.uint64(8)) & byte]
    c = literals[(four >> np.uint64(16)) & byte]
    d = literals[(four >> np.uint64(24)) & byte]
    two = (a & low) | ((b & low) << (a >> half))
    more = (c & low) | ((d & low) << (c >> half))
    count = (a >> half) + (b >> half)
    return _put(out, state, two | (more << count), count + (c >> half) + (d >> half))


@njit(cache=True, nogil=True)
def put_bytes_(
    lane: NDArray[np.uint8],
    start: int,
    stop: int,
    literals: NDArray[np.uint64],
    out: NDArray[np.uint64],
    state: State,
) -> State:
    """Append single bytes of a plane, each with its code."""
    for k in range(start, stop):
        state = _put_code(out, state, literals[lane[k]])
    return state


@njit(cache=True, nogil=True)
def put_zeros_(n: int, tables: Tables, out: NDArray[np.uint64], state: State) -> State:
    """Append n zeros, at least one: a literal, and matches at distance 1."""
    literals, matches, _ = tables
    state = _put_code(out, state, literals[0])
    n -= 1
    while n >= 3:
        state = _put_code(out, state, matches[min(n, MOST)])
        n -= min(n, MOST)
    for _ in range(n):
        state = _put_code(out, state, literals[0])
    return state


@njit(cache=True, nogil=True)
def put_header_(
    header: NDArray[np.uint64], is_last: bool, out: NDArray[np.uint64], state: State
) -> State:
    """Begin a block with codes of its own (§3.2.7).

    Of the 19 codes for code lengths those of 0 to 15 have four bits each, so that a code length
    is written as it is; the other three do not occur.
    """
    start = np.uint64(HEAD) | np.uint64(is_last)
    state = _put(out, state, start, np.uint64(26))  # 17 bits, and three codes without any
    for _ in range(16):
        state = _put(out, state, np.uint64(4), np.uint64(3))
    for bits in header:
        state = _put(out, state, bits, np.uint64(4))
    return state


@njit(cache=True, nogil=True)
def encode_(
    lane: NDArray[np.uint8],
    n: int,
    tables: Tables,
    is_last: bool,
    out: NDArray[np.uint64],
    at: np.uint64,
) -> np.uint64:
    """Write one byte plane as one block.

    Args:
        lane: (n rounded up to 8,) uint8.
        n: bytes.
        tables: made of its counts, or of those of planes like it.
        is_last: whether the stream ends with it.
        out: bits so far and room for more; written.
        at: bit to start at, uint64.

    Returns:
        The bit after the block, uint64.
    """
    literals, _, header = tables
    word, used = at >> np.uint64(6), at & np.uint64(63)
    held = out[word] & ((np.uint64(1) << used) - np.uint64(1))
    state = put_header_(header, is_last, out, (word, held, used))
    words = lane.view(np.uint64)
    last = n // 8
    i = 0
    while i < last:
        if not _has_run(words, i, last):
            state = _put_four(out, state, literals, words[i])
            state = _put_four(out, state, literals, words[i] >> np.uint64(32))
            i += 1
            continue
        start, stop = run(words, i, last)
        state = put_bytes_(lane, 8 * i, start, literals, out, state)
        state = put_zeros_(stop - start, tables, out, state)
        i = (stop + 7) // 8
        state = put_bytes_(lane, stop, 8 * i, literals, out, state)
    state = put_bytes_(lane, 8 * last, n, literals, out, state)
    state = _put_code(out, state, literals[END])
    out[state[0]] = state[1]
    return (state[0] << np.uint64(6)) + state[2]


@njit(cache=True, nogil=True)
def checksum(lanes: NDArray[np.uint8], n: int, adler: int) -> int:
    """Adler-32 of the first n bytes of each row, one row after the other.

    Args:
        lanes: (k, n or more) uint8, C order.
        n: bytes.
        adler: address of libdeflate's, which is faster than ours; 0 takes ours.
    """
    if adler == 0:
        return adler32(lanes, n)
    total = np.int64(1)
    for k in range(lanes.shape[0]):
        total = call(adler, (total, lanes[k].ctypes.data, n)) & 0xFFFFFFFF
    return int(total)


@njit(cache=True, nogil=True)
def deflate_(
    values: NDArray[Any], out: NDArray[np.uint8], at: int, sizes: NDArray[np.int64], adler: int
) -> int:
    """Shuffle and pack slices, each as a zlib stream, without gaps between them.

    Args:
        values: (s, n) uint8, uint16 or uint32, the bits of the voxels.
        out: uint8 with `bound` bytes after `at`; written.
        at: byte to start at.
        sizes: (s,) int64, written: bytes of each stream.
        adler: as for `checksum`.

    Returns:
        The byte after the last stream.
    """
    n = values.shape[1]
    lanes = np.zeros((values.itemsize, (n + 7) // 8 * 8), np.uint8)
    counts = np.zeros((values.itemsize, SYMBOLS), np.int64)
    literals = np.zeros((values.itemsize, END + 1), np.uint64)
    matches = np.zeros((values.itemsize, MOST + 1), np.uint64)
    header = np.zeros((values.itemsize, HEADER), np.uint64)
    for s in range(0, len(values), max(len(values) // SAMPLED, 1)):
        shuffle_(values[s], lanes)
        for k in range(len(lanes)):
            count_(lanes[k], n, counts[k])
    for k in range(len(lanes)):
        tables_(counts[k], literals[k], matches[k], header[k])
    words = out[: out.size // 8 * 8].view(np.uint64)
    for s in range(len(values)):
        shuffle_(values[s], lanes)
        out[at] = 0x78
        out[at + 1] = 0x01
        bit = np.uint64(8 * (at + 2))
        for k in range(len(lanes)):
            tables = literals[k], matches[k], header[k]
            bit = encode_(lanes[k], n, tables, k == len(lanes) - 1, words, bit)
        end = int((bit + np.uint64(7)) >> np.uint64(3))
        check = checksum(lanes, n, adler)
        for k in range(4):
            out[end + k] = (check >> (24 - 8 * k)) & 0xFF
        sizes[s] = end + 4 - at
        at = end + 4
    return at
