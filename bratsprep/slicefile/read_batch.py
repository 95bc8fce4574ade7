"""Slices out of a slice file's chunks, many in one call without the interpreter's lock.

Beside a busy main thread, a Python call for each slice waits for the lock once a slice and falls
to a fiftieth of its speed. The kernels here read, inflate, unshuffle and widen a whole batch in
one call.

The kernels assume checked arguments; `bratsprep.slicefile.backends` makes them.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.c_call import call
from bratsprep.slicefile.inflate_pair import (
    BAD_STREAM,
    BYTES,
    DONE,
    FRONT,
    IDLE,
    LENGTH,
    READ,
    READ_SHORT,
    SHUFFLED,
    SIZE,
    TASKS,
    WIDEN,
    WORK,
    WRITE,
    WRONG_LENGTH,
    Lanes,
    begin,
    pull,
    run,
    unpack,
)
from bratsprep.slicefile.readahead import look_ahead
from bratsprep.slicefile.to_float32 import AS_STORED, unshuffle, widen

IN_LABEL: Final = 10
"""Added to a code where the label's chunk is at fault, not the image's."""
FAULTS: Final = {
    READ_SHORT: "chunk cannot be read in full",
    BAD_STREAM: "chunk cannot be inflated",
    WRONG_LENGTH: "chunk has the wrong length",
}


@njit(cache=True, nogil=True)
def decode(setup: NDArray[np.int64], plain: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Turn the inflated bytes of an image into those of the array that is asked for."""
    if setup[WIDEN] != AS_STORED:
        if setup[SHUFFLED] == 1:
            size = plain.size // 2
            widen(setup[WIDEN], plain[:size], plain[size:], out.view(np.float32))
        else:
            widen(setup[WIDEN], plain[0::2], plain[1::2], out.view(np.float32))
    elif setup[SHUFFLED] == 0:
        out[:] = plain
    elif setup[BYTES] == 2:
        unshuffle(plain, out.view(np.uint16))
    else:
        unshuffle(plain, out.view(np.uint32))


@njit(cache=True, nogil=True)
def read_item(
    setup: NDArray[np.int64], chunk: NDArray[np.int64], desk: Lanes, lane: int, pixels: int
) -> int:
    """Read a chunk, offset and size in bytes, into a lane; gives 0 or READ_SHORT."""
    is_label = desk.items[lane, WORK] % 2
    desk.items[lane, SIZE] = chunk[1]
    desk.items[lane, LENGTH] = pixels if is_label else 4 * pixels * setup[BYTES]
    return pull(setup, chunk[0], chunk[1], desk.packed[lane])


@njit(cache=True, nogil=True)
def end_item(
    setup: NDArray[np.int64],
    desk: Lanes,
    lane: int,
    is_right: bool,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> int:
    """Bring what a lane has inflated to its place; libdeflate inflates it where it is not right.

    Returns:
        0, BAD_STREAM or WRONG_LENGTH.
    """
    item = desk.items[lane, WORK]
    plain = desk.plain[lane, FRONT : FRONT + desk.items[lane, LENGTH]]
    code = 0 if is_right else unpack(setup, desk.items[lane, SIZE], desk.packed[lane], plain)
    if code == 0:
        if item % 2:
            label[item // 2][:] = plain
        else:
            decode(setup, plain, image[item // 2])
    desk.items[lane, WORK] = IDLE
    return code


@njit(cache=True, nogil=True)
def fetch_rows(
    setup: NDArray[np.int64],
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    later: NDArray[np.int64],
    desk: Lanes,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> tuple[int, int]:
    """Read slices, image 0, label 0, image 1 and so on, each by the lane that is idle.

    Args:
        setup: see the places FD to ADVISE.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64, each 0 to s - 1.
        later: (c,) int64, slices that will be read later, to ask the disk for; may be empty.
        desk: scratch.
        image: (b, bytes of an image) uint8, written.
        label: (b, bytes of a label) uint8, written.

    Returns:
        A code, 0 when all is well, and the place in `rows` where it stopped.
    """
    desk.items[:, WORK] = IDLE
    coming = 0
    while True:
        for lane in range(2):
            while desk.items[lane, WORK] == IDLE and coming < 2 * rows.size:
                look_ahead(setup, chunks, rows, later, coming)
                desk.items[lane, WORK] = coming
                chunk = chunks[rows[coming // 2]][2 * (coming % 2) : 2 * (coming % 2) + 2]
                code = read_item(setup, chunk, desk, lane, label.shape[1])
                # A single slice has no other beside it, and alone libdeflate is faster.
                if code == 0 and (rows.size == 1 or not begin(setup, desk, lane)):
                    code = end_item(setup, desk, lane, False, image, label)
                if code != 0:
                    return code + IN_LABEL * (coming % 2), coming // 2
                coming += 1
        if desk.items[0, WORK] == IDLE and desk.items[1, WORK] == IDLE:
            return 0, rows.size
        lane, is_right = run(setup, desk)
        item = desk.items[lane, WORK]
        code = end_item(setup, desk, lane, is_right, image, label)
        if code != 0:
            return code + IN_LABEL * (item % 2), item // 2


@njit(cache=True, nogil=True)
def serve_slots(
    setup: NDArray[np.int64],
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    later: NDArray[np.int64],
    desk: Lanes,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> None:
    """Fill slots of a ring of batches until a task below 0 comes or the pipe is closed.

    One call lasts for a whole run, so a loader thread never waits for the interpreter's lock.
    A task is an int64, the slot; the answer is three: slot, code, place. Arrays as in
    `fetch_rows` with the slot as an axis more in front of `rows`, `later`, `image` and `label`.
    """
    record = np.empty(3, np.int64)
    while True:
        got = call(setup[READ], (setup[TASKS], record.ctypes.data, 8))
        slot = record[0]
        if got == 0 or (got == 8 and slot < 0):
            return
        if got == 8:
            record[1], record[2] = fetch_rows(
                setup, chunks, rows[slot], later[slot], desk, image[slot], label[slot]
            )
            while call(setup[WRITE], (setup[DONE], record.ctypes.data, 24)) != 24:
                pass
