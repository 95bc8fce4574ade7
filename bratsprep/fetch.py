"""Slices out of a slice file's chunks, many in one call without the interpreter's lock.

Beside a busy main thread, a Python call for each slice waits for the lock once a slice and falls
to a fiftieth of its speed. The kernels here read, inflate, unshuffle and widen a whole batch in
one call: they call the C library's pread and libdeflate by address. The addresses are arguments,
since a ctypes pointer as a global would keep Numba from caching the code.

The kernels assume checked arguments; `bratsprep.backend` makes them.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.base import BaseContext
from numba.core.typing.context import Context
from numba.core.typing.templates import Signature, signature
from numba.extending import intrinsic
from numpy.typing import NDArray

READ_SHORT: Final = 1
BAD_STREAM: Final = 2
WRONG_LENGTH: Final = 3
IN_LABEL: Final = 10
"""Added to a code where the label's chunk is at fault, not the image's."""
FAULTS: Final = {
    READ_SHORT: "chunk cannot be read in full",
    BAD_STREAM: "chunk cannot be inflated",
    WRONG_LENGTH: "chunk has the wrong length",
}
# Places in the `setup` array of the kernels.
FD, PREAD, INFLATE, INFLATER, SHUFFLED, ITEM, WIDEN, READ, WRITE, TASKS, DONE = range(11)
AS_STORED, HALF_TO_FLOAT, SHORT_TO_FLOAT = range(3)
BLOCK: Final = 2048
"""Pixels widened at a time, so that the second pass finds the first one's in the cache."""
REBIAS: Final = np.float32(2.0**112)
"""Brings a float16 exponent read as a float32 one to its value; 112 = 127 - 15."""


def typed_call(
    typing: Context, address: types.Type, arguments: Sequence[types.Type]
) -> tuple[Signature, Callable[..., ir.Value]] | None:
    """What Numba puts in place of `call`: the arguments, as they are, to the function there."""
    if not all(kind in (types.int64, types.uint64) for kind in arguments):
        return None  # Numba says that there is no such call

    def emit(
        context: BaseContext, builder: ir.IRBuilder, _: Signature, values: list[ir.Value]
    ) -> ir.Value:
        word = ir.IntType(64)
        given = [builder.extract_value(values[1], i) for i in range(len(arguments))]
        pointer = ir.FunctionType(word, [word] * len(given)).as_pointer()
        return builder.call(builder.inttoptr(values[0], pointer), given)

    typed = signature(types.int64, types.int64, arguments)  # type: ignore[no-untyped-call]  # Numba
    return typed, emit


call: Any = intrinsic(typed_call)
"""`call(address, (argument, ...))` calls a C function with 64-bit integers; gives int64."""


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
    setup: NDArray[np.int64],
    chunk: NDArray[np.int64],
    packed: NDArray[np.uint8],
    plain: NDArray[np.uint8],
) -> int:
    """Read one chunk and inflate it where it is deflated.

    Args:
        setup: see the places FD to DONE.
        chunk: (2,) int64, bytes: offset and size.
        packed: uint8, at least `chunk[1]` long; scratch.
        plain: (n,) uint8; the inflated bytes are written here, exactly n.

    Returns:
        0, READ_SHORT, BAD_STREAM or WRONG_LENGTH.
    """
    if setup[INFLATE] == 0:
        return WRONG_LENGTH if chunk[1] != plain.size else pull(setup, chunk[0], chunk[1], plain)
    code = pull(setup, chunk[0], chunk[1], packed)
    if code != 0:
        return code
    source, target = packed.ctypes.data, plain.ctypes.data
    result = call(setup[INFLATE], (setup[INFLATER], source, chunk[1], target, plain.size, 0))
    # The result is a C enum: the upper half of the word is not defined.
    kind = result & 0xFFFFFFFF
    if kind == 0:
        return 0
    return BAD_STREAM if kind == 1 else WRONG_LENGTH


@njit(cache=True, nogil=True)
def unshuffle(plain: NDArray[np.uint8], out: NDArray[Any]) -> None:
    """Put the bytes of each value together again.

    Args:
        plain: (k * n,) uint8: the lowest byte of every value, then the next of every value.
        out: (n,) unsigned integer of k bytes, little-endian.
    """
    size = out.size
    for i in range(size):
        out[i] = plain[i]
    for k in range(1, plain.size // size):
        high = plain[k * size : (k + 1) * size]
        for i in range(size):
            out[i] |= np.uint32(high[i]) << np.uint32(8 * k)


@njit(cache=True, nogil=True)
def widen_halves(low: NDArray[np.uint8], high: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Turn float16 into float32, exactly, infinities and NaN included.

    The bits are shifted into a float32 whose exponent is 112 too small, and multiplied right:
    that holds for subnormal values too, and unlike a table it runs in vector registers.

    Args:
        low: (n,) uint8, lower byte of each float16.
        high: (n,) uint8, upper byte.
        out: (n,) float32.
    """
    for start in range(0, out.size, BLOCK):
        # Slices counted from 0: an index that starts elsewhere is not put into vector registers.
        lower = low[start : start + BLOCK]
        upper = high[start : start + BLOCK]
        values = out[start : start + BLOCK]
        bits = values.view(np.uint32)
        largest = np.uint8(0)
        for i in range(bits.size):
            half = (np.int32(upper[i]) << 8) | np.int32(lower[i])
            bits[i] = ((half & 0x8000) << 16) | ((half & 0x7FFF) << 13)
            largest = max(largest, upper[i] & 0x7F)
        for i in range(bits.size):
            values[i] *= REBIAS
        if largest >= 0x7C:
            for i in range(bits.size):
                if (upper[i] & 0x7C) == 0x7C:
                    bits[i] |= np.uint32(0x7F800000)


@njit(cache=True, nogil=True)
def widen_shorts(low: NDArray[np.uint8], high: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    """Turn int16, given as its (n,) lower and upper bytes, into (n,) float32."""
    for i in range(out.size):
        value = (np.int32(high[i]) << 8) | np.int32(low[i])
        out[i] = np.float32(value - ((value & 0x8000) << 1))


@njit(cache=True, nogil=True)
def widen(
    kind: int, low: NDArray[np.uint8], high: NDArray[np.uint8], out: NDArray[np.float32]
) -> None:
    """Turn stored values, given as their (n,) lower and upper bytes, into (n,) float32."""
    if kind == HALF_TO_FLOAT:
        widen_halves(low, high, out)
    else:
        widen_shorts(low, high, out)


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
    elif setup[ITEM] == 2:
        unshuffle(plain, out.view(np.uint16))
    else:
        unshuffle(plain, out.view(np.uint32))


@njit(cache=True, nogil=True)
def fetch_rows(
    setup: NDArray[np.int64],
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    packed: NDArray[np.uint8],
    plain: NDArray[np.uint8],
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> tuple[int, int]:
    """Read slices in the order that they are asked for.

    Args:
        setup: see the places FD to DONE.
        chunks: (s, 4) int64, bytes: offset and size of the image's chunk, then of the label's.
        rows: (b,) int64, each 0 to s - 1.
        packed: uint8, as long as the largest chunk; scratch.
        plain: uint8, as long as one inflated image; scratch.
        image: (b, bytes of an image) uint8, written.
        label: (b, bytes of a label) uint8, written.

    Returns:
        A code, 0 when all is well, and the place in `rows` where it stopped.
    """
    for i in range(rows.size):
        chunk = chunks[rows[i]]
        code = unpack(setup, chunk[:2], packed, plain)
        if code != 0:
            return code, i
        decode(setup, plain, image[i])
        code = unpack(setup, chunk[2:], packed, label[i])
        if code != 0:
            return code + IN_LABEL, i
    return 0, rows.size


@njit(cache=True, nogil=True)
def serve_slots(
    setup: NDArray[np.int64],
    chunks: NDArray[np.int64],
    rows: NDArray[np.int64],
    packed: NDArray[np.uint8],
    plain: NDArray[np.uint8],
    image: NDArray[np.uint8],
    label: NDArray[np.uint8],
) -> None:
    """Fill slots of a ring of batches until a task below 0 comes or the pipe is closed.

    One call lasts for a whole run, so a loader thread never waits for the interpreter's lock.
    A task is an int64, the slot; the answer is three: slot, code, place. Arrays as in
    `fetch_rows` with the slot as an axis more in front of `rows`, `image` and `label`.
    """
    record = np.empty(3, np.int64)
    while True:
        got = call(setup[READ], (setup[TASKS], record.ctypes.data, 8))
        slot = record[0]
        if got == 0 or (got == 8 and slot < 0):
            return
        if got == 8:
            record[1], record[2] = fetch_rows(
                setup, chunks, rows[slot], packed, plain, image[slot], label[slot]
            )
            while call(setup[WRITE], (setup[DONE], record.ctypes.data, 24)) != 24:
                pass
