"""Chunks asked for before they are read, so that a disk has many requests at once.

A thread that reads waits until its chunk has come, so threads alone keep as many requests in
flight as there are threads, less than a disk can serve. Here the chunks of a group of slices are
asked for together, those of a batch that comes later too, and the threads inflate meanwhile.

What lies in the page cache is not asked for: a few of the chunks are looked for there, which
costs a thousandth of reading them. The system has to offer preadv2 and posix_fadvise, as Linux
does; where it does not, nothing is asked for and nothing else changes.
"""

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.c_call import call
from bratsprep.slicefile.inflate_pair import ADVISE, FD, PREADV2

GROUP: Final = 32
"""Slices asked for together; of so many slices is asked for at most twice as many."""
EACH: Final = 8
"""One slice of so many is looked for in the page cache."""
PIECE: Final = 1 << 17
"""Bytes asked for at a time: Linux leaves out what goes beyond its read-ahead, often 128 KB."""
NOWAIT: Final = 8
"""RWF_NOWAIT of Linux: read what is in memory or nothing."""
WILLNEED: Final = 3
"""POSIX_FADV_WILLNEED of Linux: begin to read into the page cache, and do not wait."""


@njit(cache=True, nogil=True)
def is_cold(setup: NDArray[np.int64], chunks: NDArray[np.int64], rows: NDArray[np.int64]) -> bool:
    """Look for some slices' images in the page cache; True where one's first byte is missing.

    Where the file system cannot answer, it counts as missing.
    """
    vector = np.zeros(3, np.int64)  # an iovec of one byte, and the byte
    vector[0] = vector[2:].ctypes.data
    vector[1] = 1
    for i in range(0, rows.size, EACH):
        arguments = (setup[FD], vector.ctypes.data, 1, chunks[rows[i], 0], NOWAIT)
        if call(setup[PREADV2], arguments) != 1:
            return True
    return False


@njit(cache=True, nogil=True)
def ask_for(setup: NDArray[np.int64], chunks: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Have the chunks of slices read into the page cache, unless they seem to be there."""
    if setup[ADVISE] == 0 or not is_cold(setup, chunks, rows):
        return
    for row in rows:
        for column in (0, 2):
            stop = chunks[row, column] + chunks[row, column + 1]
            for begin in range(chunks[row, column], stop, PIECE):
                call(setup[ADVISE], (setup[FD], begin, min(PIECE, stop - begin), WILLNEED))


@njit(cache=True, nogil=True)
def look_ahead(
    setup: NDArray[np.int64],
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    later: NDArray[np.int64],
    item: int,
) -> None:
    """Ask for the next group where one begins; where the batch begins for the first one too.

    Args:
        setup: see `bratsprep.slicefile.inflate_pair`.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64, slices that are being read.
        later: (c,) int64, slices that will be read after them; asked for in the beginning.
        item: what is read next, image 0, label 0, image 1 and so on.
    """
    if item % (2 * GROUP) != 0:
        return
    place = item // 2
    if place == 0:
        ask_for(setup, chunks, rows[:GROUP])
    ask_for(setup, chunks, rows[place + GROUP : place + 2 * GROUP])
    if place == 0:
        ask_for(setup, chunks, later)
