"""A few threads that work through many cases in order, and the memory that they take turns with."""

import math
import os
import queue
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError, BuildError
from bratsprep.labels import MODALITIES
from bratsprep.sources.source import Source
from bratsprep.volumes import nifti
from bratsprep.volumes.nifti import Buffers, Header

Made = TypeVar("Made")
LOOK_AHEAD: Final = 2
"""Finished cases that may wait for an earlier one, above one a worker."""
BASE_BYTES: Final = 240 << 20
"""Program and libraries (measured: 180 MB) and the finished cases that wait to be written."""
LIGHT: Final = 100 << 20
"""A case that takes no more, as those of int16 do, is read by every worker at once."""
_LARGEST: Final = 3
"""Cases, by their packed size, whose headers say how much memory one takes."""


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
    work: Callable[[CaseFiles], Made],
    workers: int,
) -> Generator[tuple[CaseFiles, Made | BratsError], None, None]:
    """Do the work for each case on threads; results come in the order of the cases.

    Threads suffice: unpacking, kernels and packing all let go of the interpreter's lock. At most
    `workers + LOOK_AHEAD` results are held, whatever the number of cases.

    Args:
        cases: what to work on.
        work: called with a case.
        workers: threads, at least 1.

    Yields:
        Case and result; a BratsError is a result too, any other exception is raised here.
    """

    def one(files: CaseFiles) -> Made | BratsError:
        try:
            return work(files)
        except BratsError as error:
            return error
        except MemoryError as error:
            return BuildError(f"{files.id}: does not fit into memory ({error}); lower --workers")

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


def pools(
    source: Source, cases: tuple[CaseFiles, ...], workers: int, limit_bytes: int
) -> tuple[Pool, Pool]:
    """Memory for whole cases, and for their cut planes.

    For each there is a time when a worker needs none of it: a case's voxels are done with before
    its planes are packed, and its planes are there after it was read. So three for four workers
    do, at the cost of a tenth of the speed where they wait for voxels.

    Args:
        source: what the cases lie in.
        cases: at least one.
        workers: threads.
        limit_bytes: most that each buffer may take.
    """
    fewer = workers - workers // 4
    try:
        is_light = case_bytes(source, cases[0]) <= LIGHT
    except BratsError:  # the case's reader says what is wrong
        is_light = False
    return Pool(workers if is_light else fewer, limit_bytes), Pool(fewer, limit_bytes)


def case_bytes(source: Source, files: CaseFiles) -> int:
    """Memory that a worker needs at most to read one case, from its headers alone.

    Counted are the files as they are unpacked, and every copy: voxels of a type that the kernels
    do not take, modalities of different types, axes in another order, labels that are no bytes.

    Raises:
        BratsError: a header cannot be read.
    """
    images = {channel.member: nifti.read_header(source, channel.member) for channel in files.images}
    largest = max(source.members[member] for member in images)
    n_voxels = math.prod(next(iter(images.values())).geometry.shape)
    total = sum(header.size_bytes + converted_bytes(header) for header in images.values())
    types = [nifti.held_type(images[channel.member]) for channel in files.images]
    common = np.result_type(*types)
    total += n_voxels * common.itemsize * sum(kind != common for kind in types)
    if any(is_turned(header) for header in images.values()):
        total += n_voxels * common.itemsize * len(files.images)
    scaled = [math.prod(header.shape) for header in images.values() if header.is_scaled]
    label = 0
    if files.label is not None:
        header = nifti.read_header(source, files.label)
        largest = max(largest, source.members[files.label])
        total += header.size_bytes + n_voxels * is_turned(header)
        if header.dtype != np.uint8 or header.is_scaled:
            total += n_voxels
            label = 4 * n_voxels * 8  # numbers, rounded numbers, and their distance, once
    return total + max(largest, n_voxels) + max(label, 8 * max(scaled, default=0))


def converted_bytes(header: Header) -> int:
    """Memory of the voxels as the kernels take them; 0 where they are on disk like that."""
    held = nifti.held_type(header)
    is_aligned = header.offset % held.itemsize == 0
    if not header.is_scaled and header.dtype == held and is_aligned:
        return 0
    return math.prod(header.shape) * held.itemsize


def is_turned(header: Header) -> bool:
    """Whether a file's axes are in another order than left-right, front-back, up-down."""
    pairs = ("LR", "PA", "IS")
    return any(
        code not in pair for code, pair in zip(header.geometry.orientation, pairs, strict=True)
    )


def cut_bytes(source: Source, files: CaseFiles, config: PrepConfig) -> int:
    """Memory that a worker needs at most for the planes of one case, cut and then packed.

    How many planes have tumour is not known before the label is read, so it is all of them.

    Raises:
        BratsError: a header cannot be read.
    """
    geometry = nifti.read_header(source, files.images[0].member).geometry
    sides = dict(zip(geometry.orientation, geometry.shape, strict=True))
    x, y, z = (next(sides[code] for code in pair if code in sides) for pair in ("LR", "PA", "IS"))
    height, width = config.window or (y, x)
    slice_bytes = height * width * (len(MODALITIES) * np.dtype(config.stored).itemsize + 1)
    return 2 * z * slice_bytes


def share(
    source: Source,
    cases: tuple[CaseFiles, ...],
    workers: int,
    max_ram: int,
    config: PrepConfig | None = None,
) -> tuple[int, int]:
    """How many workers fit a memory limit, and what each may take.

    Args:
        source: what the cases lie in.
        cases: at least one.
        workers: threads wanted.
        max_ram: bytes for the whole program; 0 for no limit.
        config: settings of the planes that are cut; the usual ones by default.

    Returns:
        Workers, and bytes for each.

    Raises:
        BuildError: not even one case at a time fits.
        BratsError: no header of the largest cases can be read.
    """
    if not max_ram:
        return workers, 2**62
    need = largest_need(source, cases, config or PrepConfig())
    fit = (max_ram - BASE_BYTES) // need
    if fit < 1:
        raise BuildError(
            f"{source.path}: --max-ram {max_ram >> 20} MB is too little; the program takes "
            f"{BASE_BYTES >> 20} MB and one case {need >> 20} MB"
        )
    fit = min(workers, fit)
    return fit, (max_ram - BASE_BYTES) // fit


def largest_need(source: Source, cases: Iterable[CaseFiles], config: PrepConfig) -> int:
    """Memory for one of the largest cases; those that cannot be read are left to their reader.

    Raises:
        BratsError: none of them can be read.
    """
    needs: list[int] = []
    faults: list[BratsError] = []
    for files in sorted(cases, key=lambda each: -packed_bytes(source, each)):
        try:
            needs.append(case_bytes(source, files) + cut_bytes(source, files, config))
        except BratsError as error:
            faults.append(error)
        if len(needs) == _LARGEST:
            break
    if not needs:
        raise faults[0]
    return max(needs)


def packed_bytes(source: Source, files: CaseFiles) -> int:
    """Bytes of the images of a case as they lie on disk."""
    return sum(source.members[member] for member in {channel.member for channel in files.images})
