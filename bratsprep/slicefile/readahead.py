"""Chunks requested before they are read, so that a disk has many requests at once.

A thread that reads waits until its chunk has arrived, so threads alone keep as many requests in
flight as there are threads, fewer than a disk can serve. Here the chunks of a group of slices are
requested together, those of the next batch too, and the threads inflate meanwhile.

Chunks in the page cache are not requested: a few of them are looked up there, which costs little
against reading them. The system has to offer preadv2 and posix_fadvise, as Linux does; elsewhere
nothing is requested and nothing else changes.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.c_call import call
from bratsprep.slicefile.read_chunk import Setup

GROUP: Final = 32
"""Slices requested together; at most two groups are requested ahead of what is read."""
PROBED: Final = 8
"""One slice of so many is looked up in the page cache."""
PIECE: Final = 1 << 17
"""Bytes of one request: Linux ignores what exceeds its read-ahead, often 128 KB."""
NOWAIT: Final = 8
"""RWF_NOWAIT of Linux: read what is in memory or nothing."""
WILLNEED: Final = 3
"""POSIX_FADV_WILLNEED of Linux: begin to read into the page cache, and do not wait."""


@njit(cache=True, nogil=True)
def is_cold(setup: Setup, chunks: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
    """Look up the images of a few slices in the page cache.

    Args:
        setup: descriptor and address of preadv2.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64.

    Returns:
        True where the first byte of an image is not cached, or the file system cannot answer.
    """
    vector = np.zeros(3, np.int64)  # an iovec of one byte, and the byte
    vector[0] = vector[2:].ctypes.data
    vector[1] = 1
    for i in range(0, rows.size, PROBED):
        arguments = (setup.fd, vector.ctypes.data, 1, chunks[rows[i], 0], NOWAIT)
        if call(setup.preadv2, arguments) != 1:
            return True
    return False


@njit(cache=True, nogil=True)
def ask_for(setup: Setup, chunks: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Request the chunks of slices, unless they seem to be cached.

    Args:
        setup: descriptor and addresses of preadv2 and posix_fadvise.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64, 0 to s - 1, from the first one below 0 on ignored.
    """
    used = 0
    while used < rows.size and rows[used] >= 0:
        used += 1
    rows = rows[:used]
    if setup.advise == 0 or not is_cold(setup, chunks, rows):
        return
    for row in rows:
        for column in (0, 2):
            stop = chunks[row, column] + chunks[row, column + 1]
            for begin in range(chunks[row, column], stop, PIECE):
                call(setup.advise, (setup.fd, begin, min(PIECE, stop - begin), WILLNEED))


@njit(cache=True, nogil=True)
def look_ahead(
    setup: Setup,
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    later: NDArray[np.int64],
    place: int,
) -> None:
    """Request the next group where one begins; at the start of a batch, the first one too.

    Args:
        setup: descriptor and addresses of preadv2 and posix_fadvise.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64, slices that are being read.
        later: (c,) int64, slices that will be read after them; requested at the start.
        place: in `rows`, of the slice that is read next.
    """
    if place % GROUP != 0:
        return
    if place == 0:
        ask_for(setup, chunks, rows[:GROUP])
    ask_for(setup, chunks, rows[place + GROUP : place + 2 * GROUP])
    if place == 0:
        ask_for(setup, chunks, later)
