"""Chunks read and inflated by two lanes, without the interpreter's lock.

The kernels call the C library's pread and libdeflate by address.

Streams of our own form go through `bratsprep.deflate.decoder`, two at a time; what that cannot
read or gets wrong goes to libdeflate, which has the last word on what is damaged.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate import decoder
from bratsprep.deflate.c_call import call

READ_SHORT: Final = 1
BAD_STREAM: Final = 2
WRONG_LENGTH: Final = 3
# Places in the `setup` array of the kernels.
FD, PREAD, INFLATE, INFLATER, CHECK, SHUFFLED, BYTES, WIDEN, READ, WRITE, TASKS, DONE = range(12)
PREADV2, ADVISE = 12, 13
SETUP: Final = 14
"""Length of `setup`."""
WORK, SIZE, LENGTH, IS_LAST = range(4)
"""Columns of `Lanes.items`: what is worked on or `IDLE`, bytes of the chunk and of what is in it,
and whether the block is the last."""
IDLE: Final = -1
FRONT: Final = 64
"""Bytes in front of what is inflated: a damaged stream may begin by repeating what was before."""
ZLIB: Final = (0x78, 0x01)
"""A stream's first bytes, as `bratsprep.deflate.encoder` writes them."""


class Lanes(NamedTuple):
    """What two streams at once need."""

    packed: NDArray[np.uint8]
    """(2, largest chunk + SLACK), the chunks."""
    plain: NDArray[np.uint8]
    """(2, FRONT + image + SLACK), what is in them."""
    tables: NDArray[np.uint32]
    """(2, TABLE)."""
    lengths: NDArray[np.int64]
    """(300,), scratch."""
    state: NDArray[np.uint64]
    """(2, 5), see `bratsprep.deflate.decoder`."""
    limits: NDArray[np.uint64]
    """(2, 2), see `bratsprep.deflate.decoder.race_`."""
    items: NDArray[np.int64]
    """(2, 4), see WORK to IS_LAST."""


@njit(cache=True, nogil=True)
def pull(setup: NDArray[np.int64], offset: int, size: int, target: NDArray[np.uint8]) -> int:
    """Read bytes of the file into the front of a buffer; gives 0 or READ_SHORT.

    A call broken off by a signal is made again, three times at most.
    """
    done = 0
    failed = 0
    while done < size:
        begin = target[done:].ctypes.data
        got = call(setup[PREAD], (setup[FD], begin, size - done, offset + done))
        if got > 0:
            done += got
        elif got == 0 or failed == 3:
            return READ_SHORT
        else:
            failed += 1
    return 0


@njit(cache=True, nogil=True)
def unpack(
    setup: NDArray[np.int64], size: int, packed: NDArray[np.uint8], plain: NDArray[np.uint8]
) -> int:
    """Inflate a chunk by libdeflate, where it is deflated.

    Args:
        setup: see the places FD to DONE.
        size: bytes of the chunk.
        packed: uint8, the chunk and more.
        plain: (n,) uint8; the inflated bytes are written here, exactly n.

    Returns:
        0, BAD_STREAM or WRONG_LENGTH.
    """
    if setup[INFLATE] == 0:
        if size != plain.size:
            return WRONG_LENGTH
        plain[:] = packed[:size]
        return 0
    source, target = packed.ctypes.data, plain.ctypes.data
    result = call(setup[INFLATE], (setup[INFLATER], source, size, target, plain.size, 0))
    # The result is a C enum: the upper half of the word is not defined.
    kind = result & 0xFFFFFFFF
    if kind == 0:
        return 0
    return BAD_STREAM if kind == 1 else WRONG_LENGTH


@njit(cache=True, nogil=True)
def begin(setup: NDArray[np.int64], desk: Lanes, lane: int) -> bool:
    """Begin the stream that a lane has read; False where it is not of the form of `inflate`."""
    packed, plain = desk.packed[lane], desk.plain[lane]
    if setup[INFLATE] == 0 or packed[0] != ZLIB[0] or packed[1] != ZLIB[1]:
        return False
    source, target = np.uint64(packed.ctypes.data), np.uint64(plain.ctypes.data)
    state, limits = desk.state[lane], desk.limits[lane]
    state[decoder.BUF] = 0
    state[decoder.BITS] = 0
    state[decoder.IN] = source + np.uint64(2)
    state[decoder.OUT] = target + np.uint64(FRONT)
    state[decoder.LOOK] = np.uint64(desk.tables[lane].ctypes.data)
    limits[0] = source + np.uint64(desk.items[lane, SIZE] + 8)  # read ahead
    limits[1] = state[decoder.OUT] + np.uint64(desk.items[lane, LENGTH])
    return next_block(desk, lane)


@njit(cache=True, nogil=True)
def next_block(desk: Lanes, lane: int) -> bool:
    """Begin a block; False where it is not of the form of `inflate`."""
    kind = decoder.begin_(desk.state[lane], desk.tables[lane], desk.lengths)
    desk.items[lane, IS_LAST] = kind == 1
    return bool(kind != decoder.FOREIGN)


@njit(cache=True, nogil=True)
def is_right(setup: NDArray[np.int64], desk: Lanes, lane: int) -> bool:
    """Hold what a lane has inflated against the stream's length and checksum (RFC 1950)."""
    state, packed = desk.state[lane], desk.packed[lane]
    length = desk.items[lane, LENGTH]
    base = np.uint64(packed.ctypes.data)
    end = int(state[decoder.IN] - (state[decoder.BITS] >> np.uint64(3)) - base)
    if state[decoder.OUT] != desk.limits[lane, 1] or end + 4 > desk.items[lane, SIZE]:
        return False
    wanted = 0
    for k in range(4):
        wanted = (wanted << 8) | int(packed[end + k])
    begin = desk.plain[lane, FRONT:].ctypes.data
    return bool((call(setup[CHECK], (1, begin, length)) & 0xFFFFFFFF) == wanted)


@njit(cache=True, nogil=True)
def run(setup: NDArray[np.int64], desk: Lanes) -> tuple[int, bool]:
    """Inflate until a lane has its chunk, or cannot have it.

    A lane without a chunk does what the other does: that costs nothing.

    Returns:
        The lane, and whether its chunk is right.
    """
    while True:
        for lane in range(2):
            if desk.items[lane, WORK] == IDLE:
                other = 1 - lane
                start = np.uint64(desk.plain[lane, FRONT:].ctypes.data)
                desk.state[lane] = desk.state[other]
                desk.state[lane, decoder.OUT] = start
                desk.limits[lane, 0] = desk.limits[other, 0]
                desk.limits[lane, 1] = start + np.uint64(desk.items[other, LENGTH])
        stopped = decoder.race_(desk.state, desk.limits)
        lane = stopped % 2
        if desk.items[lane, WORK] == IDLE:
            lane = 1 - lane
            desk.state[lane, : decoder.OUT] = desk.state[1 - lane, : decoder.OUT]
        if stopped > 1:
            return lane, False
        if desk.items[lane, IS_LAST]:
            return lane, is_right(setup, desk, lane)
        if not next_block(desk, lane):
            return lane, False
