"""Two deflate streams of `bratsprep.deflate.encoder` at once, in little over half the time.

Where a Huffman code begins is known only when the one before it has been looked up, so a
processor waits most of the time. Two streams, a step of each in turn, wait together; and one look
gives two bytes where both codes are short.

Read are streams in the form that `bratsprep.deflate.encoder` gives them, whatever their codes:
blocks with codes of their own whose lengths are written as they are, matches at distance 1. All
else is left to a library, and so is to say what is wrong with a stream. Nothing is written or read
beyond `SLACK` bytes after the end of a buffer, whatever the stream holds; that what came out is
right the caller learns from its checksum. Section numbers are those of RFC 1951.
"""

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.base import BaseContext
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature
from numba.extending import intrinsic
from numpy.typing import NDArray

from bratsprep.deflate.decode_tables import FAST, KIND, LITERAL, LONGER, REST, STOP, fill_
from bratsprep.deflate.symbols import HEAD, SYMBOLS

BUF, BITS, IN, OUT, LOOK = range(5)
"""Places of a stream's state, uint64: bits read ahead, how many these are, and addresses of the
next byte to read, the next to write, and the table."""
SLACK: Final = 512
"""Bytes after a buffer that may be read or written: ends are looked for once in a few codes."""
BEYOND: Final = np.uint64(2**64 - 1)
FOREIGN: Final = -1
"""A block is not of the form that is read here."""
Stream = tuple[np.uint64, np.uint64, np.uint64]
"""Three of a state: `BUF`, `BITS`, and `IN` or `OUT`."""


_TURNED: Final = np.array([int(f"{k:04b}"[::-1], 2) for k in range(16)], np.int64)
"""Four bits, the last one first."""


def _access(size: int, *, is_write: bool) -> Any:  # noqa: ANN401  what Numba makes of it
    """Make a function that reads or writes so many bytes at an address, the first one lowest."""
    kind = ir.IntType(8 * size)

    def emit(
        context: BaseContext, builder: ir.IRBuilder, _: Signature, values: list[ir.Value]
    ) -> ir.Value:
        pointer = builder.inttoptr(values[0], kind.as_pointer())
        if is_write:
            return builder.store(builder.trunc(values[1], kind), pointer, align=1)
        return builder.zext(builder.load(pointer, align=1), ir.IntType(64))

    def read(_: Context, address: types.Type) -> Any:  # noqa: ANN401  for Numba
        return types.uint64(types.uint64), emit

    def write(_: Context, address: types.Type, value: types.Type) -> Any:  # noqa: ANN401  for Numba
        return types.void(types.uint64, types.uint64), emit

    return intrinsic(write if is_write else read)


peek, peek_four, peek_one = (_access(size, is_write=False) for size in (8, 4, 1))
"""`peek(address)` gives the eight bytes there; all uint64."""
poke, poke_two = (_access(size, is_write=True) for size in (8, 2))
"""`poke(address, word)` writes eight bytes."""


@njit(nogil=True, inline="always")
def look(table: np.uint64, place: np.uint64) -> np.uint64:
    """Entry of the table at an address."""
    entry: np.uint64 = peek_four(table + (place << np.uint64(2)))
    return entry


@njit(nogil=True, inline="always")
def refill(buf: np.uint64, bits: np.uint64, at: np.uint64) -> Stream:
    """Read ahead to 56 bits or more."""
    buf |= peek(at) << bits
    at += (np.uint64(63) - bits) >> np.uint64(3)
    return buf, bits | np.uint64(56), at


@njit(cache=True, nogil=True)
def put_match(out: np.uint64, length: np.uint64) -> np.uint64:
    """Repeat the byte before an address; gives the address after."""
    word = peek_one(out - np.uint64(1)) * np.uint64(0x0101010101010101)
    stop = out + length
    while out < stop:
        poke(out, word)
        out += np.uint64(8)
    return stop


@njit(nogil=True, inline="always")
def odd_one(
    table: np.uint64, buf: np.uint64, bits: np.uint64, out: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, bool]:
    """Take a code that may be more than a literal.

    Returns:
        BUF, BITS and OUT after it, and whether it was the end. OUT is beyond every limit after
        a match at distance 2.
    """
    six, low = np.uint64(63), np.uint64((1 << REST) - 1)
    entry = look(table, buf & np.uint64((1 << FAST) - 1))
    if entry & np.uint64(KIND) == np.uint64(LONGER):
        entry = look(table, (entry >> np.uint64(8)) + ((buf >> np.uint64(FAST)) & low))
    kind = entry & np.uint64(KIND)
    buf >>= entry & six
    bits -= entry & six
    if kind == np.uint64(LITERAL):
        poke_two(out, entry >> np.uint64(8))
        return buf, bits, out + (entry >> np.uint64(24)), False
    if kind == np.uint64(STOP):
        return buf, bits, out, True
    extra = entry >> np.uint64(24)
    more = buf & ((np.uint64(1) << extra) - np.uint64(1))
    buf >>= extra
    if buf & np.uint64(1):
        return buf, bits, BEYOND, False
    out = put_match(out, ((entry >> np.uint64(8)) & np.uint64(0xFFFF)) + more)
    return buf >> np.uint64(1), bits - extra - np.uint64(1), out, False


@njit(cache=True, nogil=True)
def race_(  # noqa: C901, PLR0912, PLR0915  what is called from here would not stay in registers
    state: NDArray[np.uint64], limits: NDArray[np.uint64]
) -> int:
    """Inflate two streams until one of them has a block to its end.

    Args:
        state: (2, 5) uint64, written.
        limits: (2, 2) uint64: addresses of the last byte that may be read or written next.

    Returns:
        0 or 1 for the stream whose block has ended; 2 or 3 where that is beyond its limits.
    """
    mask, six, kinds = np.uint64((1 << FAST) - 1), np.uint64(63), np.uint64(KIND)
    abuf, abits, ain, aout = state[0, BUF], state[0, BITS], state[0, IN], state[0, OUT]
    bbuf, bbits, bin_, bout = state[1, BUF], state[1, BITS], state[1, IN], state[1, OUT]
    atable, btable = state[0, LOOK], state[1, LOOK]
    last_ain, last_aout, last_bin, last_bout = (
        limits[0, 0],
        limits[0, 1],
        limits[1, 0],
        limits[1, 1],
    )
    stopped = -1
    while stopped < 0:
        if ain > last_ain or aout > last_aout:
            stopped = 2
            break
        if bin_ > last_bin or bout > last_bout:
            stopped = 3
            break
        abuf, abits, ain = refill(abuf, abits, ain)
        bbuf, bbits, bin_ = refill(bbuf, bbits, bin_)
        for _ in range(4):  # 44 bits: a match, of 15 + 5 + 1 at most, would still have 12
            a = look(atable, abuf & mask)
            b = look(btable, bbuf & mask)
            if (a | b) & kinds:
                break
            poke_two(aout, a >> np.uint64(8))
            poke_two(bout, b >> np.uint64(8))
            aout += a >> np.uint64(24)
            bout += b >> np.uint64(24)
            abuf >>= a & six
            bbuf >>= b & six
            abits -= a & six
            bbits -= b & six
        else:
            continue
        if a & kinds:
            abuf, abits, aout, is_over = odd_one(atable, abuf, abits, aout)
            if is_over:
                stopped = 0
                break
        if b & kinds:
            bbuf, bbits, bout, is_over = odd_one(btable, bbuf, bbits, bout)
            if is_over:
                stopped = 1
    state[0, BUF], state[0, BITS], state[0, IN], state[0, OUT] = abuf, abits, ain, aout
    state[1, BUF], state[1, BITS], state[1, IN], state[1, OUT] = bbuf, bbits, bin_, bout
    return stopped


@njit(cache=True, nogil=True)
def begin_(state: NDArray[np.uint64], table: NDArray[np.uint32], lengths: NDArray[np.int64]) -> int:
    """Read the header of a block and make its table.

    Args:
        state: (5,) uint64, after the block before; written.
        table: (TABLE,) uint32, written.
        lengths: (300,) int64, scratch.

    Returns:
        1 for the last block, 0 for another, FOREIGN for one that is not of our form.
    """
    at = state[IN] - ((state[BITS] + np.uint64(7)) >> np.uint64(3))
    bit = (np.uint64(8) - (state[BITS] & np.uint64(7))) & np.uint64(7)
    first = peek(at) >> bit
    if first & np.uint64((1 << 26) - 2) != np.uint64(HEAD):
        return FOREIGN
    bit += np.uint64(26)
    for _ in range(2):  # sixteen times 4 in three bits: code lengths of four bits
        word = peek(at + (bit >> np.uint64(3))) >> (bit & np.uint64(7))
        if word & np.uint64(0xFFFFFF) != np.uint64(0o44444444):
            return FOREIGN
        bit += np.uint64(24)
    for start in range(0, SYMBOLS + 2, 12):
        word = peek(at + (bit >> np.uint64(3))) >> (bit & np.uint64(7))
        for k in range(12):
            lengths[start + k] = _TURNED[(word >> np.uint64(4 * k)) & np.uint64(15)]
        bit += np.uint64(48)
    if lengths[SYMBOLS] != 1 or lengths[SYMBOLS + 1] != 1 or not fill_(lengths, table):
        return FOREIGN
    at += bit >> np.uint64(3)
    bit &= np.uint64(7)
    state[BUF] = peek(at) >> bit
    state[BITS] = np.uint64(56) - bit  # of 64, so that `refill` finds at most 63
    state[IN] = at + np.uint64(7)
    return int(first & np.uint64(1))
