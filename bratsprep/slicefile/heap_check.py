"""The heaps of an HDF5 file that hold its words, looked through before HDF5 does.

HDF5 walks such a heap from object to object by sizes that it believes: one wrong bit, and it never
comes back. Heaps lie between the chunks of the slices, so only that little is searched.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import h5py

from bratsprep.errors import SchemaError

MARK: Final = b"GCOL\x01\0\0\0"
"""How a heap begins: signature, version 1, three bytes of 0."""
_HEAD: Final = 16
"""Bytes of the heap's header, and of each object's."""
_ALIGNED: Final = 8
_PIECE: Final = 1 << 24


def check_heaps(file: h5py.File, chunked: tuple[str, ...]) -> None:
    """Refuse a file with a heap that HDF5 would not come to the end of.

    Args:
        file: open; none of its words have been read.
        chunked: datasets whose chunks are passed over.

    Raises:
        SchemaError: such a heap is there.
    """
    with Path(file.filename).open("rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        for start, stop in gaps(file, chunked, size):
            for place in marks(raw.fileno(), start, stop):
                whole = int.from_bytes(os.pread(raw.fileno(), 8, place + 8), "little")
                if place + whole <= size and not is_sound(os.pread(raw.fileno(), whole, place)):
                    raise SchemaError(
                        f"{file.filename}: heap at byte {place} is damaged; build the file again"
                    )


def gaps(file: h5py.File, chunked: tuple[str, ...], size: int) -> Iterator[tuple[int, int]]:
    """Stretches of a file, first byte and last but one, without chunks of some datasets."""
    places = [(size, 0)]
    for name in chunked:
        dataset = file.get(name)
        if isinstance(dataset, h5py.Dataset) and dataset.chunks:
            dataset.id.chunk_iter(lambda chunk: places.append((chunk.byte_offset, chunk.size)))
    end = 0
    for start, length in sorted(places):
        if start > end:
            yield end, min(start, size)
        end = max(end, start + length)


def marks(handle: int, start: int, stop: int) -> Iterator[int]:
    """Places in a stretch of a file where a heap begins."""
    for first in range(start, stop, _PIECE):
        piece = os.pread(handle, min(_PIECE + len(MARK) - 1, stop - first), first)
        at = piece.find(MARK)
        while at >= 0:
            yield first + at
            at = piece.find(MARK, at + 1)


def is_sound(heap: bytes) -> bool:
    """Whether a walk from object to object ends at the end of a heap.

    Args:
        heap: all of it, header included.
    """
    at = _HEAD
    while at + _HEAD <= len(heap):
        number = int.from_bytes(heap[at : at + 2], "little")
        size = int.from_bytes(heap[at + 8 : at + 16], "little")
        step = _HEAD + -(-size // _ALIGNED) * _ALIGNED if number else size
        if step < _HEAD:
            return False
        at += step
    return at <= len(heap)
