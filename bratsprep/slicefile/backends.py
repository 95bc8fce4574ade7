"""The two ways to read slices from a slice file's chunks.

`Fused` reads a batch in one call without the interpreter's lock; it needs libdeflate's shared
library, which the imagecodecs wheel carries. `Plain` does the same slice by slice in NumPy and
isal, and runs wherever they do. Both give the same bytes and the same fault codes.
"""

import ctypes
import math
import os
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from bratsprep.deflate.libdeflate import address, libdeflate
from bratsprep.slicefile import read_batch, to_float32
from bratsprep.slicefile.chunk_index import Storage
from bratsprep.slicefile.read_batch import IN_LABEL
from bratsprep.slicefile.read_chunk import BAD_STREAM, READ_SHORT, WRONG_LENGTH, Scratch, Setup
from bratsprep.system.unix import read_at

BACKENDS: Final = ("libdeflate", "isal")


@dataclass(frozen=True, slots=True)
class Target:
    """Arrays that slices are read into."""

    image: NDArray[Any]
    """(..., b, m, h, w) of the stored dtype or float32, C order."""
    label: NDArray[np.uint8]
    """(..., b, h, w) uint8, C order."""

    def as_bytes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Views of image and label as uint8, one axis for all that belongs to a slice."""
        image = self.image.view(np.uint8)
        return (
            image.reshape(*image.shape[:-3], math.prod(image.shape[-3:])),
            self.label.reshape(*self.label.shape[:-2], math.prod(self.label.shape[-2:])),
        )

    def check(self, rows: tuple[int, ...], storage: Storage) -> None:
        """Refuse arrays that do not fit rows of a shape: the kernels would write beyond their ends.

        Raises:
            ValueError: shape, dtype or order of an array is another.
        """
        image = (*rows, storage.n_modalities, *storage.shape)
        _check_array("image", self.image, image, (storage.dtype, np.dtype(np.float32)))
        _check_array("label", self.label, (*rows, *storage.shape), (np.dtype(np.uint8),))


def _check_array(
    name: str, array: NDArray[Any], shape: tuple[int, ...], dtypes: tuple[np.dtype[Any], ...]
) -> None:
    """Refuse an array of any dtype that has another shape, dtype or order than expected."""
    if array.shape != shape or array.dtype not in dtypes or not array.flags.c_contiguous:
        raise ValueError(
            f"{name} must be {shape} {' or '.join(map(str, dtypes))} in C order, "
            f"got {array.shape} {array.dtype}"
        )


class Backend(Protocol):
    """A way to read slices."""

    def fetch(self, rows: NDArray[np.int64], target: Target) -> tuple[int, int]:
        """Read slices.

        Args:
            rows: (b,) int64, rows under /slice, C order.
            target: arrays of b slices; written.

        Returns:
            A fault code, 0 for success, and the place in `rows` where reading stopped.
        """

    def serve(
        self,
        pipes: tuple[int, int],
        rows: NDArray[np.int64],
        later: NDArray[np.int64],
        target: Target,
    ) -> None:
        """Fill slots of a ring of batches until a task below 0 comes or the pipe is closed.

        Args:
            pipes: descriptors for tasks and for answers, see `SliceFile.serve`.
            rows: (n, b) int64, rows under /slice of each slot, C order.
            later: (n, c) int64, rows to request from the disk before a slot is filled.
            target: arrays of n slots of b slices; written.
        """

    def close(self) -> None:
        """Free the memory of the backend."""


def advisers(libc: ctypes.CDLL) -> tuple[int, int]:
    """Addresses of preadv2 and posix_fadvise; 0 and 0 where the system lacks one of them."""
    names = ("preadv2", "posix_fadvise")
    if not all(hasattr(libc, name) for name in names):
        return 0, 0
    return address(libc, names[0]), address(libc, names[1])


class Desk:
    """Scratch and a decompressor for one thread at a time."""

    def __init__(self, fd: int, storage: Storage, library: ctypes.CDLL) -> None:
        self._free = library.libdeflate_free_decompressor
        self.inflater: int = library.libdeflate_alloc_decompressor()
        libc = ctypes.CDLL(None)
        largest = int(storage.chunks[:, 1::2].max(initial=0))
        self.scratch = Scratch(
            packed=np.zeros(largest, np.uint8), plain=np.zeros(storage.image_bytes, np.uint8)
        )
        preadv2, advise = advisers(libc)
        self.setup = Setup(
            fd=fd,
            pread=address(libc, "pread"),
            read=address(libc, "read"),
            write=address(libc, "write"),
            preadv2=preadv2,
            advise=advise,
            inflate=address(library, "libdeflate_zlib_decompress") if storage.deflated else 0,
            inflater=self.inflater,
            itemsize=storage.dtype.itemsize,
        )

    def __del__(self) -> None:
        self._free(self.inflater)


class Fused:
    """Batches by the kernels of `bratsprep.slicefile.read_batch`."""

    def __init__(self, fd: int, storage: Storage, library: ctypes.CDLL) -> None:
        self._fd = fd
        self._storage = storage
        self._library = library
        self._idle: list[Desk] = []
        if all(advisers(ctypes.CDLL(None))):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)

    def fetch(self, rows: NDArray[np.int64], target: Target) -> tuple[int, int]:
        """Read slices, (b,) int64 rows, in one call without the interpreter's lock."""
        desk = self._desk()
        setup = desk.setup._replace(widen=self._widening(target))
        code, place = read_batch.fetch_rows(
            setup, self._storage.chunks, rows, rows[:0], desk.scratch, *target.as_bytes()
        )
        self._idle.append(desk)
        return int(code), int(place)

    def serve(
        self,
        pipes: tuple[int, int],
        rows: NDArray[np.int64],
        later: NDArray[np.int64],
        target: Target,
    ) -> None:
        """Fill slots in one call that lasts until a task below 0 comes or the pipe is closed.

        Args:
            pipes: descriptors for tasks and for answers.
            rows: (n, b) int64, rows under /slice of each slot.
            later: (n, c) int64, rows to request from the disk before a slot is filled.
            target: arrays of n slots of b slices; written.
        """
        desk = self._desk()
        widen = self._widening(target)
        setup = desk.setup._replace(widen=widen, tasks=pipes[0], done=pipes[1])
        read_batch.serve_slots(
            setup, self._storage.chunks, rows, later, desk.scratch, *target.as_bytes()
        )
        self._idle.append(desk)

    def close(self) -> None:
        """Free the scratch of every thread."""
        self._idle.clear()

    def _desk(self) -> Desk:
        """Take an idle desk, or make one; list.pop is atomic."""
        try:
            return self._idle.pop()
        except IndexError:
            return Desk(self._fd, self._storage, self._library)

    def _widening(self, target: Target) -> int:
        """Conversion from the stored dtype to the target's."""
        if target.image.dtype == self._storage.dtype:
            return to_float32.AS_STORED
        is_half = self._storage.dtype.kind == "f"
        return to_float32.HALF_TO_FLOAT if is_half else to_float32.SHORT_TO_FLOAT


class Plain:
    """Slices one by one, by `os.pread`, isal and NumPy."""

    def __init__(self, fd: int, storage: Storage) -> None:
        self._fd = fd
        self._storage = storage

    def fetch(self, rows: NDArray[np.int64], target: Target) -> tuple[int, int]:
        """Read slices in the order of `rows`, (b,) int64 rows under /slice."""
        for place, row in enumerate(rows):
            chunk = self._storage.chunks[row]
            image, code = self._unpack(chunk[:2], self._storage.image_bytes)
            if code:
                return code, place
            values = image.view(self._storage.dtype)
            if self._storage.deflated:
                size = self._storage.dtype.itemsize
                values = image.reshape(size, -1).T.copy().view(self._storage.dtype)
            target.image[place] = values.reshape(target.image.shape[1:])
            label, code = self._unpack(chunk[2:], self._storage.pixels)
            if code:
                return code + IN_LABEL, place
            target.label[place] = label.reshape(target.label.shape[1:])
        return 0, len(rows)

    def serve(
        self,
        pipes: tuple[int, int],
        rows: NDArray[np.int64],
        _: NDArray[np.int64],
        target: Target,
    ) -> None:
        """Fill slots, holding the interpreter's lock between slices; reads nothing ahead.

        Args:
            pipes: descriptors for tasks and for answers.
            rows: (n, b) int64, rows under /slice of each slot.
            _: (n, c) int64, rows that would be requested ahead; ignored.
            target: arrays of n slots of b slices; written.
        """
        tasks, done = pipes
        while task := os.read(tasks, 8):
            slot = int.from_bytes(task, "little", signed=True)
            if slot < 0:
                return
            used = rows[slot][rows[slot] >= 0]
            code, place = self.fetch(used, Target(target.image[slot], target.label[slot]))
            os.write(done, np.array([slot, code, place], "<i8").tobytes())

    def close(self) -> None:
        """Nothing is held."""

    def _unpack(self, chunk: NDArray[np.int64], size: int) -> tuple[NDArray[np.uint8], int]:
        """Read one chunk and inflate it.

        Args:
            chunk: (2,) int64, bytes: offset and size of the chunk.
            size: bytes that it must inflate to.

        Returns:
            (size,) uint8 and code 0; any length with the code of a fault.
        """
        offset, length = chunk.tolist()
        content = read_at(self._fd, length, offset)
        if len(content) != length:
            return np.empty(0, np.uint8), READ_SHORT
        if self._storage.deflated:
            try:
                content = isal_zlib.decompress(content, bufsize=size)
            except isal_zlib.error:
                return np.empty(0, np.uint8), BAD_STREAM
        code = 0 if len(content) == size else WRONG_LENGTH
        return np.frombuffer(content, np.uint8), code


def chosen_backend(name: str | None) -> str:
    """Choose a backend: the named one, or libdeflate where its library is installed.

    Raises:
        ValueError: the name is unknown, or libdeflate is named and not installed.
    """
    if name not in (None, *BACKENDS):
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {name!r}")
    if name == "libdeflate" and libdeflate() is None:
        raise ValueError("backend libdeflate needs the library of the imagecodecs wheel; use isal")
    return name or ("isal" if libdeflate() is None else "libdeflate")


def make_backend(fd: int, storage: Storage, name: str) -> Backend:
    """Make a backend.

    Args:
        fd: descriptor of the open file.
        storage: where its slices lie.
        name: as `chosen_backend` gives it.
    """
    library = libdeflate()
    if name == "isal" or library is None:
        return Plain(fd, storage)
    return Fused(fd, storage, library)
