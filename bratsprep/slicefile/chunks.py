"""Slices -> the chunks that HDF5's own shuffle and deflate filters would have written.

So any reader undoes them. All chunks of a case lie side by side in memory, as they will on disk.
"""

import math
import mmap
import queue
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from bratsprep.deflate import encoder
from bratsprep.deflate.libdeflate import adler_address
from bratsprep.deflate.shuffle import shuffle_
from bratsprep.volumes.gunzip import crc32

_BITS: Final = {1: np.uint8, 2: np.uint16, 4: np.uint32}
_SMALL_LEVEL: Final = 6
"""libdeflate's level for `--compression small`."""
_SPARE_BYTES: Final = 1024
"""More than deflate adds to a chunk that it cannot make smaller."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The chunks of a case, each image's first, then each label's."""

    data: memoryview
    """All of them, without gaps."""
    sizes: NDArray[np.int64]
    """(2, s) bytes of each image's chunk and of each label's."""
    crc: int
    """CRC-32 of `data`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _packed, (bytes(self.data), self.sizes, self.crc)

    def copied(self) -> "Packed":
        """The same chunks in memory of their own, which no other case will use."""
        return _packed(bytes(self.data), self.sizes, self.crc)

    def images(self) -> Iterator[memoryview]:
        """Give the chunk of each image."""
        return self._chunks(0, self.sizes[0])

    def labels(self) -> Iterator[memoryview]:
        """Give the chunk of each label."""
        return self._chunks(int(self.sizes[0].sum()), self.sizes[1])

    def _chunks(self, start: int, sizes: NDArray[np.int64]) -> Iterator[memoryview]:
        """Give chunks of (s,) int64 sizes in bytes, one after the other from `start` on."""
        for size in sizes.tolist():
            yield self.data[start : start + size]
            start += size


def _packed(data: bytes, sizes: NDArray[np.int64], crc: int) -> Packed:
    """Chunks of (2, s) int64 sizes in bytes, as `Packed` holds them."""
    return Packed(memoryview(data), sizes, crc)


class Pages:
    """Memory that is used by one packed case after another.

    Memory that one thread allocates and another frees leaves holes in the allocator, so that the
    program grows with the number of cases; and fresh pages for every case have to be cleared.
    """

    def __init__(self) -> None:
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        self._largest = 1

    def take(self, size: int) -> mmap.mmap:
        """Ensure a capacity of at least `size` bytes; the content is undefined."""
        self._largest = max(self._largest, size)
        with suppress(queue.Empty):
            pages = self._free.get_nowait()
            if len(pages) >= size:
                return pages
        # Not `fresh_pages`: most of them are never touched, and so should not count as taken.
        return mmap.mmap(-1, self._largest)

    def give_back(self, packed: Packed) -> None:
        """Let another case use them; the chunks must not be read from here on."""
        if isinstance(packed.data.obj, mmap.mmap):
            self._free.put(packed.data.obj)


def pack_chunks(
    images: NDArray[Any], labels: NDArray[np.uint8], compression: str, pages: Pages
) -> Packed:
    """Make the chunks of a case.

    Args:
        images: (s, m, h, w) of the stored dtype, float16, float32 or int16, C order.
        labels: (s, h, w) uint8, C order.
        compression: `fast`, `small` or `none`.
        pages: where the chunks are put.
    """
    n = len(images)
    flat = tuple(values.reshape(n, math.prod(values.shape[1:])) for values in (images, labels))
    sizes = np.zeros((2, n), np.int64)
    room = sum(_room(values, compression) for values in flat)
    taken = pages.take(room)
    out = np.frombuffer(taken, np.uint8)
    used = 0
    for values, lengths in zip(flat, sizes, strict=True):
        if compression == "fast":
            bits = values.view(_BITS[values.itemsize])
            used = encoder.deflate_(bits, out, used, lengths, adler_address())
            continue
        for s, row in enumerate(values):
            chunk = _small(row) if compression == "small" else row.view(np.uint8)
            out[used : used + len(chunk)] = np.frombuffer(chunk, np.uint8)
            used, lengths[s] = used + len(chunk), len(chunk)
    data = memoryview(taken)[:used]
    return Packed(data, sizes, crc32(data))


def _room(values: NDArray[Any], compression: str) -> int:
    """Most bytes that the chunks of (s, n) values of any stored dtype take."""
    if compression == "fast":
        return encoder.bound(len(values), values.nbytes // max(len(values), 1), values.itemsize)
    return values.nbytes + _SPARE_BYTES * len(values)


def _small(row: NDArray[Any]) -> bytes:
    """Shuffle and pack one (n,) slice of any stored dtype as tightly as time allows."""
    lanes = np.empty((row.itemsize, row.size), np.uint8)
    shuffle_(row.view(_BITS[row.itemsize]), lanes)
    return bytes(imagecodecs.deflate_encode(lanes, level=_SMALL_LEVEL))
