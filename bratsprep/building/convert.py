"""One case -> its planes: the order of the steps and nothing else."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box, CaseRow, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.labels import MODALITIES
from bratsprep.slicefile.chunks import Packed, Pages, pack_chunks
from bratsprep.slicefile.digest import case_digest
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import CaseVolumes
from bratsprep.volumes.crop import crop_window
from bratsprep.volumes.fingerprint import fingerprints
from bratsprep.volumes.gunzip import crc32
from bratsprep.volumes.planes import image_planes_, label_planes_, stored_planes


@dataclass(frozen=True, slots=True)
class Cut:
    """The prepared planes of one case, good until their buffers are used again."""

    tables: CaseTables
    """Rows, but for checksums and digest."""
    images: NDArray[Any]
    """(s, 4, h, w) as stored."""
    labels: NDArray[np.uint8]
    """(s, h, w) stored classes."""


@dataclass(frozen=True, slots=True)
class Converted:
    """All that one case adds to a slice file."""

    tables: CaseTables
    chunks: Packed


def cut(
    scan: CaseVolumes, config: PrepConfig, window: tuple[int, int] | None, buffers: Buffers
) -> Cut:
    """Cut and normalise the chosen planes of a case.

    Args:
        scan: the case; its own buffers are free afterwards.
        config: settings.
        window: crop (y, x), or None for whole planes.
        buffers: memory for the result.
    """
    planes = stored_planes(scan, config)
    box = crop_window(scan.brain_box, scan.shape, window)
    _, height, width = box.shape
    shape = (planes.size, len(MODALITIES), height, width)
    dtype = np.dtype(config.stored)
    size = planes.size * height * width
    name = scan.files.id
    images = buffers.reserve("cut images", size * len(MODALITIES) * dtype.itemsize, name)
    images = images.view(dtype).reshape(shape)
    labels = buffers.reserve("cut labels", size, name).reshape(planes.size, height, width)
    image_planes_(scan, planes, box, config.normalise, images)
    voxels = label_planes_(scan, planes, box, labels)
    return Cut(_tables(scan, box, planes, voxels), images, labels)


def renamed(part: Cut, subject: str) -> Cut:
    """The same planes, of that subject."""
    row = replace(part.tables.case, subject=subject)
    return replace(part, tables=replace(part.tables, case=row))


def pack(part: Cut, compression: str, pages: Pages) -> Converted:
    """Make the chunks of a case, the checksums of its slices, and its digest.

    Returns:
        The case's rows and chunks, the latter in those pages.
    """
    pairs = zip(part.images, part.labels, strict=True)
    crc = [(crc32(image), crc32(label)) for image, label in pairs]
    tables = replace(part.tables, crc=np.array(crc, np.uint32).reshape(-1, 2))
    row = replace(tables.case, digest=case_digest(tables))
    chunks = pack_chunks(part.images, part.labels, compression, pages)
    return Converted(replace(tables, case=row), chunks)


def _tables(
    scan: CaseVolumes, box: Box, planes: NDArray[np.int16], voxels: NDArray[np.int32]
) -> CaseTables:
    """Rows of a case, but for checksums and digest."""
    count = scan.measured.count
    _, outside = box.overlap(scan.shape)
    whole = scan.plane_voxels.sum(axis=0, dtype=np.int64)
    lost = whole - voxels.sum(axis=0)
    lost[0] = count - int(scan.columns[outside[2:]].sum())
    fingerprint, mask = fingerprints(scan)
    row = CaseRow(
        id=scan.files.id,
        subject=scan.files.subject,
        release=scan.files.release,
        scheme=scan.scheme,
        labelled=scan.label is not None,
        affine=scan.geometry.affine,
        spacing=scan.geometry.spacing.astype(np.float32),
        shape=np.array(scan.shape, np.int32),
        orientation=scan.geometry.orientation.codes,
        box=np.array([box.start, box.stop], np.int32),
        brain_box=np.array([scan.brain_box.start, scan.brain_box.stop], np.int32),
        mean=scan.measured.mean,
        std=scan.measured.std,
        brain_voxels=count,
        voxels=whole,
        lost_voxels=lost,
        fingerprint=fingerprint,
        mask_fingerprint=mask,
        source=json.dumps([asdict(record) for record in scan.records]),
        digest="",
    )
    return CaseTables(
        case=row,
        z=planes,
        slice_voxels=voxels,
        crc=np.zeros((planes.size, 2), np.uint32),
        plane_brain=np.ascontiguousarray(scan.plane_brain),
        plane_voxels=np.ascontiguousarray(scan.plane_voxels),
    )
