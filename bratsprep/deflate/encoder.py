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
"""(END + 1,) literals, (MOST + 1,) matches and (HEADER,) header of `huffman.tables_`, uint64."""


def bound(n_slices: int, n_bytes: int, lanes: int) -> int:
    """Largest size of the packed slices in bytes, a multiple of 8.

    Args:
        n_slices: number of slices.
        n_bytes: bytes of one slice.
        lanes: bytes of one voxel.
    """
    block = n_bytes // lanes * LONGEST // 8 + HEADER
    return (n_slices * (lanes * block + 16) + 64) // 8 * 8


@njit(nogil=True, inline="always")
def _has_run(words: NDArray[np.uint64], i: int, last: int) -> bool:
    """Whether zeros that begin in word i of the (n,) uint64 words fill the next word."""
    return words[i] >> np.uint64(56) == 0 and i + 1 < last and words[i + 1] == 0


@njit(cache=True, nogil=True)
def run(words: NDArray[np.uint64], i: int, last: int) -> tuple[int, int]:
    """Measure zeros that begin in a word and fill the next.

    Args:
        words: (n,) uint64, eight bytes each, the first one lowest.
        i: word in which the zeros begin.
        last: number of words.

    Returns:
        The byte at which the zeros begin, and the byte after them.
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
        n: bytes of the plane.
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
    """Add the bytes from `start` to before `stop` of an (n,) uint8 plane to (256,) int32 counts."""
    for k in range(start, stop):
        way[lane[k]] += 1


@njit(nogil=True, inline="always")
def _put(out: NDArray[np.uint64], state: State, bits: np.uint64, count: np.uint64) -> State:
    """Append up to 57 bits to the (w,) uint64 words of a stream."""
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
    """Append an entry of a table to (w,) uint64 words: bits in its low half, their number above."""
    return _put(out, state, code & np.uint64(0xFFFFFFFF), code >> np.uint64(32))


@njit(nogil=True, inline="always")
def _put_four(
    out: NDArray[np.uint64], state: State, literals: NDArray[np.uint64], four: np.uint64
) -> State:
    """Append the codes of four bytes at once: at most 56 bits.

    Args:
        out: (w,) uint64, words of the stream; written.
        state: position in the stream.
        literals: (END + 1,) uint64, code of every byte.
        four: the bytes, the first one lowest.
    """
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
    """Append single bytes of a plane, each with its code.

    Args:
        lane: (n rounded up to 8,) uint8, the plane.
        start: first byte.
        stop: byte after the last.
        literals: (END + 1,) uint64, code of every byte.
        out: (w,) uint64, words of the stream; written.
        state: position in the stream.

    Returns:
        The position after the bytes.
    """
    for k in range(start, stop):
        state = _put_code(out, state, literals[lane[k]])
    return state


@njit(cache=True, nogil=True)
def put_zeros_(n: int, tables: Tables, out: NDArray[np.uint64], state: State) -> State:
    """Append n zeros, at least one: a literal, and matches at distance 1.

    Args:
        n: zeros.
        tables: codes of the plane.
        out: (w,) uint64, words of the stream; written.
        state: position in the stream.

    Returns:
        The position after the zeros.
    """
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
    header: NDArray[np.uint64], is_last: bool, out: NDArray[np.uint64], at: np.uint64
) -> State:
    """Begin a block with codes of its own (§3.2.7).

    Of the 19 codes for code lengths those of 0 to 15 have four bits each, so that a code length
    is written as it is; the other three do not occur.

    Args:
        header: (HEADER,) uint64, code lengths of the block.
        is_last: whether the stream ends with the block.
        out: (w,) uint64, words of the stream; written.
        at: bit to start at, uint64; those before it in its word are kept.

    Returns:
        The position after the header.
    """
    word, used = at >> np.uint64(6), at & np.uint64(63)
    state = word, out[word] & ((np.uint64(1) << used) - np.uint64(1)), used
    start = np.uint64(HEAD) | np.uint64(is_last)
    state = _put(out, state, start, np.uint64(26))  # 17 bits, and three codes without any
    for _ in range(16):
        state = _put(out, state, np.uint64(4), np.uint64(3))
    for bits in header:
        state = _put(out, state, bits, np.uint64(4))
    return state


@njit(cache=True, nogil=True)
def flush_(out: NDArray[np.uint64], state: State) -> np.uint64:
    """Write the word that is being filled to (w,) uint64 words; gives the bit after it, uint64."""
    word, held, used = state
    out[word] = held
    return (word << np.uint64(6)) + used


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
        n: bytes of the plane.
        tables: codes made from its counts, or from those of similar planes.
        is_last: whether the stream ends with the block.
        out: (w,) uint64, words of the stream with room for the block; written.
        at: bit to start at, uint64.

    Returns:
        The bit after the block, uint64.
    """
    literals, _, header = tables
    state = put_header_(header, is_last, out, at)
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
    return flush_(out, state)


@njit(cache=True, nogil=True)
def checksum(lanes: NDArray[np.uint8], n: int, adler: int) -> int:
    """Adler-32 of the first n bytes of each row, one row after the other.

    Args:
        lanes: (k, n or more) uint8, C order.
        n: bytes of a row.
        adler: address of libdeflate's Adler-32, which is faster than ours; 0 uses ours.
    """
    if adler == 0:
        return adler32(lanes, n)
    total = np.int64(1)
    for k in range(lanes.shape[0]):
        total = call(adler, (total, lanes[k].ctypes.data, n)) & 0xFFFFFFFF
    return int(total)


@njit(cache=True, nogil=True)
def codes_of(
    values: NDArray[Any], lanes: NDArray[np.uint8]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]:
    """Make one code for each byte plane from the counts of a few slices.

    Args:
        values: (s, n) uint8, uint16 or uint32, the bits of the voxels.
        lanes: (bytes of a voxel, n rounded up to 8) uint8, zeros from n on; overwritten up to n.

    Returns:
        Literals, matches and headers of `Tables`, with the planes as an additional first axis.
    """
    planes = len(lanes)
    counts = np.zeros((planes, SYMBOLS), np.int64)
    literals = np.zeros((planes, END + 1), np.uint64)
    matches = np.zeros((planes, MOST + 1), np.uint64)
    headers = np.zeros((planes, HEADER), np.uint64)
    for s in range(0, len(values), max(len(values) // SAMPLED, 1)):
        shuffle_(values[s], lanes)
        for k in range(planes):
            count_(lanes[k], values.shape[1], counts[k])
    for k in range(planes):
        tables_(counts[k], literals[k], matches[k], headers[k])
    return literals, matches, headers


def warm() -> None:
    """Compile the kernels for labels and images, or load them from the cache."""
    for dtype in (np.uint8, np.uint16):
        values = np.zeros((1, 16), dtype)
        out = np.zeros(bound(1, values.nbytes, values.itemsize), np.uint8)
        deflate_(values, out, 0, np.zeros(1, np.int64), 0)


@njit(cache=True, nogil=True)
def deflate_(
    values: NDArray[Any], out: NDArray[np.uint8], at: int, sizes: NDArray[np.int64], adler: int
) -> int:
    """Shuffle and pack slices, each as a zlib stream, without gaps between them.

    Args:
        values: (s, n) uint8, uint16 or uint32, the bits of the voxels.
        out: (m,) uint8 with `bound` bytes after `at`; written.
        at: byte to start at.
        sizes: (s,) int64, written: bytes of each stream.
        adler: as for `checksum`.

    Returns:
        The byte after the last stream.
    """
    n = values.shape[1]
    lanes = np.zeros((values.itemsize, (n + 7) // 8 * 8), np.uint8)
    literals, matches, headers = codes_of(values, lanes)
    words = out[: out.size // 8 * 8].view(np.uint64)
    for s in range(len(values)):
        shuffle_(values[s], lanes)
        out[at] = 0x78
        out[at + 1] = 0x01
        bit = np.uint64(8 * (at + 2))
        for k in range(len(lanes)):
            tables = literals[k], matches[k], headers[k]
            bit = encode_(lanes[k], n, tables, k == len(lanes) - 1, words, bit)
        end = int((bit + np.uint64(7)) >> np.uint64(3))
        check = checksum(lanes, n, adler)
        for k in range(4):
            out[end + k] = (check >> (24 - 8 * k)) & 0xFF
        sizes[s] = end + 4 - at
        at = end + 4
    return at
