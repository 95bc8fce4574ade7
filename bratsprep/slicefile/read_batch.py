"""Many slices out of a slice file's chunks in one call without the interpreter's lock.

A Python call for each slice would wait for the interpreter's lock once a slice while the main
thread is busy. The kernels here read, inflate, unshuffle and widen a whole batch in one call.

The kernels assume checked arguments; `bratsprep.slicefile.backends` checks them.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.c_call import call
from bratsprep.slicefile.read_chunk import (
    BAD_STREAM,
    READ_SHORT,
    WRONG_LENGTH,
    Scratch,
    Setup,
    read_chunk,
)
from bratsprep.slicefile.readahead import look_ahead
from bratsprep.slicefile.to_float32 import AS_STORED, copy_, unshuffle, widen

IN_LABEL: Final = 10
"""Added to a code where the label's chunk is at fault, not the image's."""
FAULTS: Final = {
    READ_SHORT: "chunk cannot be read in full",
    BAD_STREAM: "chunk cannot be inflated",
    WRONG_LENGTH: "chunk has the wrong length",
}


@njit(cache=True, nogil=True)
def decode(setup: Setup, plain: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Turn the inflated bytes of an image into values.

    Args:
        setup: how they are stored and what they become.
        plain: (n,) uint8; byte-shuffled where chunks are deflated.
        out: (n,) uint8 where values stay as stored, twice that where they become float32; written.
    """
    is_shuffled = setup.inflate != 0
    if setup.widen != AS_STORED:
        if is_shuffled:
            size = plain.size // 2
            widen(setup.widen, plain[:size], plain[size:], out.view(np.float32))
        else:
            widen(setup.widen, plain[0::2], plain[1::2], out.view(np.float32))
    elif not is_shuffled:
        copy_(plain, out)
    elif setup.itemsize == 2:
        unshuffle(plain, out.view(np.uint16))
    else:
        unshuffle(plain, out.view(np.uint32))


@njit(cache=True, nogil=True)
def read_slice(
    setup: Setup,
    chunk: NDArray[np.int64],
    scratch: Scratch,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> int:
    """Read image and label of one slice.

    Args:
        setup: what to read from and with.
        chunk: (4,) int64, bytes: offset and size of the image's chunk, then of the label's.
        scratch: overwritten.
        image: (bytes of an image,) uint8, written.
        label: (bytes of a label,) uint8, written.

    Returns:
        A code; 0 for success, above IN_LABEL where the label is at fault.
    """
    code = read_chunk(setup, chunk[0], chunk[1], scratch.packed, scratch.plain)
    if code != 0:
        return code
    decode(setup, scratch.plain, image)
    code = read_chunk(setup, chunk[2], chunk[3], scratch.packed, label)
    return code + IN_LABEL if code != 0 else 0


@njit(cache=True, nogil=True)
def fetch_rows(
    setup: Setup,
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    later: NDArray[np.int64],
    scratch: Scratch,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> tuple[int, int]:
    """Read slices.

    Args:
        setup: what to read from and with.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64, 0 to s - 1, from the first one below 0 on ignored.
        later: (c,) int64, slices that will be read later and are requested from the disk now; may
            be empty; likewise.
        scratch: overwritten.
        image: (b, bytes of an image) uint8, written.
        label: (b, bytes of a label) uint8, written.

    Returns:
        A code, 0 for success, and the place in `rows` where reading stopped.
    """
    for place in range(rows.size):
        if rows[place] < 0:
            break
        look_ahead(setup, chunks, rows, later, place)
        code = read_slice(setup, chunks[rows[place]], scratch, image[place], label[place])
        if code != 0:
            return code, place
    return 0, rows.size


@njit(cache=True, nogil=True)
def serve_slots(
    setup: Setup,
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    later: NDArray[np.int64],
    scratch: Scratch,
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> None:
    """Fill slots of a ring of batches until a task below 0 comes or the pipe is closed.

    One call lasts for a whole run, so a loader thread never waits for the interpreter's lock.
    A task is an int64, the slot; the answer is three: slot, code, place.

    Args:
        setup: what to read from and with.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (n, b) int64, rows of each slot, 0 to s - 1, those below 0 at the end.
        later: (n, c) int64, slices to request from the disk before a slot is filled; likewise.
        scratch: overwritten.
        image: (n, b, bytes of an image) uint8, written.
        label: (n, b, bytes of a label) uint8, written.
    """
    record = np.empty(3, np.int64)
    while True:
        got = call(setup.read, (setup.tasks, record.ctypes.data, 8))
        slot = record[0]
        if got == 0 or (got == 8 and slot < 0):
            return
        if got == 8:
            record[1], record[2] = fetch_rows(
                setup, chunks, rows[slot], later[slot], scratch, image[slot], label[slot]
            )
            while call(setup.write, (setup.done, record.ctypes.data, 24)) != 24:
                pass
