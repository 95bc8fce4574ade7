"""One chunk of a slice file: read by pread and inflated by libdeflate, both called by address.

The kernels run without the interpreter's lock and assume checked arguments.
"""

from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.deflate.c_call import call
from bratsprep.slicefile.to_float32 import copy_

READ_SHORT: Final = 1
BAD_STREAM: Final = 2
WRONG_LENGTH: Final = 3


class Setup(NamedTuple):
    """What the kernels read from and with; plain integers, so that Numba passes it by value."""

    fd: int
    """Descriptor of the open slice file."""
    pread: int
    """Addresses of functions of the C library, as are the next two."""
    read: int = 0
    write: int = 0
    preadv2: int = 0
    """Address, or 0 where the system lacks it or posix_fadvise."""
    advise: int = 0
    """Address of posix_fadvise, or 0."""
    inflate: int = 0
    """Address of libdeflate's zlib decompressor; 0 where chunks are plain bytes."""
    inflater: int = 0
    """Address of the decompressor's memory; one thread at a time may use it."""
    itemsize: int = 2
    """Bytes of a stored value of an image."""
    widen: int = 0
    """Conversion of the image, see `bratsprep.slicefile.to_float32`."""
    tasks: int = -1
    """Descriptor of the pipe that tasks come from."""
    done: int = -1
    """Descriptor of the pipe that answers go to."""


class Scratch(NamedTuple):
    """Memory for one chunk."""

    packed: NDArray[np.uint8]
    """(largest chunk of the file,) uint8."""
    plain: NDArray[np.uint8]
    """(bytes of an image,) uint8."""


@njit(cache=True, nogil=True)
def pull(setup: Setup, offset: int, size: int, target: NDArray[np.uint8]) -> int:
    """Read bytes of the file into the front of a buffer.

    A call interrupted by a signal is repeated, three times at most.

    Args:
        setup: descriptor and address of pread.
        offset: first byte in the file.
        size: bytes to read.
        target: (size or more,) uint8, written.

    Returns:
        0 or READ_SHORT.
    """
    done = 0
    failed = 0
    while done < size:
        begin = target[done:].ctypes.data
        got = call(setup.pread, (setup.fd, begin, size - done, offset + done))
        if got > 0:
            done += got
        elif got == 0 or failed == 3:
            return READ_SHORT
        else:
            failed += 1
    return 0


@njit(cache=True, nogil=True)
def unpack(setup: Setup, packed: NDArray[np.uint8], plain: NDArray[np.uint8]) -> int:
    """Inflate a chunk, or copy it where chunks are plain bytes.

    Args:
        setup: addresses of the decompressor.
        packed: (size of the chunk,) uint8.
        plain: (n,) uint8; written, exactly n bytes.

    Returns:
        0, BAD_STREAM or WRONG_LENGTH.
    """
    if setup.inflate == 0:
        if packed.size != plain.size:
            return WRONG_LENGTH
        copy_(packed, plain)
        return 0
    source, target = packed.ctypes.data, plain.ctypes.data
    result = call(setup.inflate, (setup.inflater, source, packed.size, target, plain.size, 0))
    # The result is a C enum: the upper half of the word is undefined.
    kind = result & 0xFFFFFFFF
    if kind == 0:
        return 0
    return BAD_STREAM if kind == 1 else WRONG_LENGTH


@njit(cache=True, nogil=True)
def read_chunk(
    setup: Setup, offset: int, size: int, packed: NDArray[np.uint8], plain: NDArray[np.uint8]
) -> int:
    """Read and inflate a chunk.

    Args:
        setup: what to read from and with.
        offset: of the chunk in the file, bytes.
        size: of the chunk, bytes.
        packed: (size or more,) uint8, scratch.
        plain: (n,) uint8; written, exactly n bytes.

    Returns:
        0, READ_SHORT, BAD_STREAM or WRONG_LENGTH.
    """
    code = pull(setup, offset, size, packed)
    return code if code else unpack(setup, packed[:size], plain)
