"""Memory: the buffers that workers take turns with, fresh pages, and the peak so far."""

import mmap
import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import NiftiError
from bratsprep.system.unix import peak_resident_bytes, private_pages

_STATUS: Final = Path("/proc/self/status")


def peak_bytes() -> int:
    """Most memory that this process has held so far (resident set).

    Linux's own count where there is one: `getrusage` hands a parent's peak on to its children.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        if found:
            return int(found[0]) * 1024
    return peak_resident_bytes()


_HUGE: Final = getattr(mmap, "MADV_HUGEPAGE", None)
"""Linux alone knows it."""


def fresh_pages(size: int) -> mmap.mmap:
    """Take memory that is given back when nothing looks into it; untouched pages cost none.

    Pages of 2 MB, where the system grants them: to clear the 160,000 small ones that a build
    touches takes a second of system time.

    Args:
        size: bytes; 0 counts as 1.

    Raises:
        OSError: the system has no more.
    """
    # Private: what could be shared with a child process is granted small pages only.
    pages = private_pages(max(size, 1))
    if _HUGE is not None:
        with suppress(OSError):
            pages.madvise(_HUGE)
    return pages


class Buffers:
    """The memory of one worker, used again for case after case.

    A fresh buffer costs as much as unpacking into it: the system has to clear every page.

    Args:
        limit_bytes: most that all buffers together may take.
    """

    def __init__(self, limit_bytes: int = 2**62) -> None:
        self.limit_bytes = limit_bytes
        self._named: dict[str, NDArray[np.uint8]] = {}

    def reserve(self, name: str, size: int, where: str) -> NDArray[np.uint8]:
        """Give (size,) uint8 under a name, with whatever it held before.

        Raises:
            NiftiError: it would go beyond the limit, or the system has no more.
        """
        held = self._named.get(name)
        if held is None or held.size < size:
            others = sum(part.size for key, part in self._named.items() if key != name)
            if others + size > self.limit_bytes:
                raise NiftiError(
                    f"{where}: needs {(others + size) >> 20} MB, a worker has "
                    f"{self.limit_bytes >> 20} MB; raise --max-ram or lower --workers"
                )
            self._named.pop(name, None)
            del held
            # Pages of its own: the allocator would keep the smaller one that was there.
            held = self._named[name] = np.frombuffer(_pages(size, where), np.uint8)
        return held[:size]


def _pages(size: int, where: str) -> mmap.mmap:
    """Take memory straight from the system."""
    try:
        return fresh_pages(size)
    except OSError as error:
        raise NiftiError(
            f"{where}: {size >> 20} MB of memory are not to be had; lower --workers"
        ) from error


class Pool:
    """Buffers that workers take turns with, those last used first.

    Args:
        count: how many there are, at least 1.
        limit_bytes: most that each may take.
    """

    def __init__(self, count: int, limit_bytes: int) -> None:
        self._free: queue.LifoQueue[Buffers] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(Buffers(limit_bytes))

    @contextmanager
    def borrow(self) -> Iterator[Buffers]:
        """Wait for a free one and have it for the length of a `with` block."""
        buffers = self._free.get()
        try:
            yield buffers
        finally:
            self._free.put(buffers)
