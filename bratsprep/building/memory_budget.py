"""How much memory a case needs, and how many workers fit into a limit."""

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError, BuildError
from bratsprep.sources.source import Source
from bratsprep.system.memory import Pool
from bratsprep.volumes import nifti
from bratsprep.volumes.grids import stored_grid
from bratsprep.volumes.nifti import Header
from bratsprep.volumes.resample_case import resampled_bytes
from bratsprep.voxel_sizes import Spacing

BASE_BYTES: Final = 200 << 20
"""Program, libraries, compiled kernels, and the finished cases that wait to be written."""


_PACKED: Final = {"fast": 0.4, "small": 0.4, "none": 1.0}
"""Most bytes of a packed plane for each byte of the cut one, by compression: deflate packs a brain
to a third, since what surrounds it is 0."""


LIGHT: Final = 100 << 20
"""A case that takes no more, as those of int16 do, is read by every worker at once."""


_LARGEST: Final = 3
"""Cases, by their packed size, whose headers say how much memory one takes."""


def pools(
    source: Source,
    cases: tuple[CaseFiles, ...],
    workers: int,
    limit_bytes: int,
    spacing: Spacing | None = None,
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
        spacing: that cases are resampled to; None for their own.
    """
    fewer = workers - workers // 4
    try:
        is_light = case_bytes(source, cases[0], spacing) <= LIGHT
    except BratsError:  # the case's reader says what is wrong
        is_light = False
    return Pool(workers if is_light else fewer, limit_bytes), Pool(fewer, limit_bytes)


def case_bytes(source: Source, files: CaseFiles, spacing: Spacing | None = None) -> int:
    """Memory that a worker needs at most to read one case, from its headers alone.

    Counted are the files as they are unpacked, and every copy: voxels of a type that the kernels
    do not take, modalities of different types, axes in another order, labels and brain masks that
    are no bytes, and the case on the grid that it is resampled to.

    Args:
        source: what the case lies in.
        files: the case.
        spacing: that it is resampled to; None for its own.

    Raises:
        BratsError: a header cannot be read.
    """
    images = {
        channel.member: nifti.read_header(source, channel.member) for channel in files.channels
    }
    largest = max(source.members[member] for member in images)
    n_voxels = math.prod(next(iter(images.values())).geometry.shape)
    total = sum(header.size_bytes + converted_bytes(header) for header in images.values())
    types = [nifti.held_type(images[channel.member]) for channel in files.channels]
    common = np.result_type(*types)
    total += n_voxels * common.itemsize * sum(kind != common for kind in types)
    if any(header.geometry.orientation.is_permuted for header in images.values()):
        total += n_voxels * common.itemsize * len(files.images)
    scaled = [math.prod(header.shape) for header in images.values() if header.is_scaled]
    label = 0
    for member in (files.label, files.brain_mask):
        if member is None:
            continue
        header = nifti.read_header(source, member)
        largest = max(largest, source.members[member])
        total += header.size_bytes + n_voxels * header.geometry.orientation.is_permuted
        if header.dtype != np.uint8 or header.is_scaled:
            total += n_voxels
            label = 4 * n_voxels * 8  # numbers, rounded numbers, and their distance, once
    if None in files.images:
        total += n_voxels * common.itemsize
    first = images[files.first].geometry
    moved = resampled_bytes(first, spacing, len(files.images))
    return total + moved + max(largest, n_voxels) + max(label, 8 * max(scaled, default=0))


def converted_bytes(header: Header) -> int:
    """Memory of the voxels as the kernels take them; 0 where they are on disk like that."""
    held = nifti.held_type(header)
    is_aligned = header.offset % held.itemsize == 0
    if not header.is_scaled and header.dtype == held and is_aligned:
        return 0
    return math.prod(header.shape) * held.itemsize


def cut_bytes(source: Source, files: CaseFiles, config: PrepConfig) -> int:
    """Memory that a worker needs for the planes of one case, which are there cut and packed.

    How many planes have tumour is not known before the label is read, so it is all of them.

    Args:
        source: what the case lies in.
        files: the case.
        config: settings of the planes.

    Raises:
        BratsError: a header cannot be read.
    """
    geometry = nifti.read_header(source, files.first).geometry
    z, y, x = stored_grid(geometry, config.voxel_mm, files.id).shape
    height, width = config.window or (y, x)
    slice_bytes = height * width * (len(config.channels) * np.dtype(config.stored).itemsize + 1)
    return math.ceil(z * slice_bytes * (1 + _PACKED[config.compression]))


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
            case = case_bytes(source, files, config.voxel_mm)
            needs.append(case + cut_bytes(source, files, config))
        except BratsError as error:
            faults.append(error)
        if len(needs) == _LARGEST:
            break
    if not needs:
        raise faults[0]
    return max(needs)


def packed_bytes(source: Source, files: CaseFiles) -> int:
    """Bytes of the images of a case as they lie on disk."""
    return sum(source.members[member] for member in {channel.member for channel in files.channels})
