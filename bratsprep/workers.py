"""A few threads, each with its own memory, that work through many cases in order."""

import os
import queue
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from bratsprep import nifti
from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError, BuildError
from bratsprep.nifti import Buffers
from bratsprep.source import Source

Made = TypeVar("Made")
LOOK_AHEAD: Final = 2
"""Finished cases that may wait for an earlier one, above one a worker."""
BASE_BYTES: Final = 240 << 20
"""Program and libraries (measured: 180 MB) and the finished cases that wait to be written."""


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Buffers that workers take turns with.

    Args:
        count: how many there are, at least 1.
        limit_bytes: most that each may take.
    """

    def __init__(self, count: int, limit_bytes: int) -> None:
        self._free: queue.SimpleQueue[Buffers] = queue.SimpleQueue()
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


def in_order(
    cases: Iterable[CaseFiles],
    work: Callable[[CaseFiles, Buffers], Made],
    workers: int,
    limit_bytes: int,
) -> Generator[tuple[CaseFiles, Made | BratsError], None, None]:
    """Do the work for each case on threads; results come in the order of the cases.

    Threads suffice: unpacking, kernels and packing all let go of the interpreter's lock. At most
    `workers + LOOK_AHEAD` results are held, whatever the number of cases.

    Args:
        cases: what to work on.
        work: called with a case and a worker's memory.
        workers: threads, at least 1.
        limit_bytes: most that one worker's buffers may take.

    Yields:
        Case and result; a BratsError is a result too, any other exception is raised here.
    """
    pool = Pool(workers, limit_bytes)

    def one(files: CaseFiles) -> Made | BratsError:
        try:
            with pool.borrow() as buffers:
                return work(files, buffers)
        except BratsError as error:
            return error

    waiting: deque[tuple[CaseFiles, Future[Made | BratsError]]] = deque()
    threads = ThreadPoolExecutor(workers, "case")
    try:
        for files in cases:
            waiting.append((files, threads.submit(one, files)))
            if len(waiting) >= workers + LOOK_AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        threads.shutdown(cancel_futures=True)


def case_bytes(source: Source, files: CaseFiles) -> int:
    """Memory that a worker needs for one case, from its headers alone.

    Raises:
        BratsError: a header cannot be read.
    """
    members = dict.fromkeys([channel.member for channel in files.images])
    if files.label is not None:
        members[files.label] = None
    total = max(source.members[member] for member in members)
    for member in members:
        header = nifti.read_header(source, member)
        voxels = header.size_bytes // header.dtype.itemsize
        widened = 0 if header.dtype.str in ("<i2", "<f4", "|u1") and not header.is_scaled else 8
        total += header.size_bytes + voxels * widened
        if member == files.images[0].member:
            total += voxels  # the brain mask; for a 4D file a fourth of this, within the slack
    return total


def share(
    source: Source, cases: tuple[CaseFiles, ...], workers: int, max_ram: int
) -> tuple[int, int]:
    """How many workers fit a memory limit, and what each may take.

    Args:
        source: what the cases lie in.
        cases: at least one.
        workers: threads wanted.
        max_ram: bytes for the whole program; 0 for no limit.

    Returns:
        Workers, and bytes for each.

    Raises:
        BuildError: not even one case at a time fits.
        BratsError: the largest case's headers cannot be read.
    """
    if not max_ram:
        return workers, 2**62
    largest = max(cases, key=lambda f: sum(source.members[c.member] for c in f.images))
    need = case_bytes(source, largest)
    fit = (max_ram - BASE_BYTES) // need
    if fit < 1:
        raise BuildError(
            f"{source.path}: --max-ram {max_ram >> 20} MB is too little; the program takes "
            f"{BASE_BYTES >> 20} MB and one case {need >> 20} MB"
        )
    fit = min(workers, fit)
    return fit, (max_ram - BASE_BYTES) // fit
