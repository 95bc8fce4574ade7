"""Bytes of a file by place, from any number of threads: as they are, or as gzip unpacks them."""

import io
import os
from pathlib import Path
from typing import Final

from indexed_gzip import IndexedGzipFile

from bratsprep.system.unix import READ, read_into

CHANGED: Final = "it was replaced or written to while it was read"
_SEEK_POINT_BYTES: Final = 8 << 20


def stamp(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file does: which it is, its bytes, and when it was written."""
    return status.st_ino, status.st_size, status.st_mtime_ns


class PlainBytes:
    """The bytes of a file, read without a lock or a position."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, READ)
        self._stamp = stamp(os.fstat(self._file))
        self.size = self._stamp[1]

    def fill(self, view: memoryview, start: int) -> int:
        """Fill a view with the bytes from `start` on; fewer where the file ends."""
        count = 0
        while count < len(view):  # one call gives 2 GB at most
            got = read_into(self._file, view[count:], start + count)
            if not got:
                break
            count += got
        if count == len(view) and stamp(os.fstat(self._file)) != self._stamp:
            raise ValueError(CHANGED)
        return count

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


class GzipBytes:
    """What a gzip file holds; each thread inflates from the nearest seek point."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = stamp(path.stat())
        self._free = [self._handle()]
        self._free[0].build_full_index()
        index = io.BytesIO()
        self._free[0].export_index(fileobj=index)
        self._index = index.getvalue()

    def _handle(self) -> IndexedGzipFile:
        return IndexedGzipFile(str(self._path), spacing=_SEEK_POINT_BYTES, buffer_size=1 << 20)

    def fill(self, view: memoryview, start: int) -> int:
        """Fill a view with the bytes from `start` on; fewer where the content ends."""
        try:
            handle = self._free.pop()  # atomic, so that no two threads share a handle
        except IndexError:
            handle = self._handle()
            handle.import_index(fileobj=io.BytesIO(self._index))
        handle.seek(start)
        count = 0
        while count < len(view):
            got = handle.readinto(view[count:])
            if not got:
                break
            count += got
        self._free.append(handle)
        if stamp(self._path.stat()) != self._stamp:
            raise ValueError(CHANGED)
        return count

    def close(self) -> None:
        """Close every handle."""
        while self._free:
            self._free.pop().close()
