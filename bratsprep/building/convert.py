"""One case -> its planes: the order of the steps and nothing else."""

import json
import math
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import MASK_CELLS, Box, CaseRow, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.labels import CLASSES, MODALITIES
from bratsprep.slicefile.chunks import Packed, Pages, pack_chunks
from bratsprep.slicefile.digest import case_digest
from bratsprep.volumes import kernels
from bratsprep.volumes.case_volumes import Scan
from bratsprep.volumes.crop import crop_window
from bratsprep.volumes.fingerprint import brain_fingerprint, mask_fingerprint
from bratsprep.volumes.gunzip import crc32
from bratsprep.volumes.nifti import Buffers
from bratsprep.volumes.normalise import fill_raw_, fill_zscores_, scales


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


def stored_planes(scan: Scan, config: PrepConfig) -> NDArray[np.int16]:
    """Choose the planes to store.

    An unlabelled case stores its brain planes, since which hold tumour is what is asked. Drawn
    negatives depend on the seed and the case id alone.

    Returns:
        (s,) int16, rising.
    """
    is_brain = scan.plane_brain > 0
    has_tumour = scan.plane_voxels[:, 1:].sum(axis=1) > 0
    if config.slices == "all":
        chosen = np.ones_like(is_brain)
    elif config.slices == "brain" or scan.label is None:
        chosen = is_brain | has_tumour
    else:
        chosen = has_tumour.copy()
        for step in range(1, config.margin + 1):
            chosen[step:] |= has_tumour[:-step]
            chosen[:-step] |= has_tumour[step:]
        others = np.flatnonzero(is_brain & ~chosen)
        generator = np.random.default_rng((config.seed, zlib.crc32(scan.files.id.encode())))
        drawn = generator.permutation(others)[: round(config.negatives * others.size)]
        chosen[drawn] = True
    return np.flatnonzero(chosen).astype(np.int16)


def image_planes_(
    scan: Scan, planes: NDArray[np.integer[Any]], box: Box, normalise: str, out: NDArray[Any]
) -> None:
    """Write prepared planes.

    Args:
        scan: the case.
        planes: (s,) indices in RAS+ order.
        box: crop window.
        normalise: as in `PrepConfig`.
        out: (s, 4, h, w) float16, float32 or int16, C order; written.
    """
    inside, outside = (index[2:] for index in box.overlap(scan.shape))
    images = tuple(image[:, *outside] for image in scan.images)
    part = out[:, :, *inside]
    if part.shape != out.shape:
        out[...] = 0
    wanted = planes.astype(np.int64)
    if normalise == "none":
        for m, modality in enumerate(MODALITIES):
            fill_raw_(images[m], wanted, part[:, m], f"{scan.files.id} {modality}")
    else:
        moments = scales(scan.measured, normalise)
        fill_zscores_(images, scan.brain[:, *outside], wanted, moments, part)


def cut(scan: Scan, config: PrepConfig, window: tuple[int, int] | None, buffers: Buffers) -> Cut:
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


def label_planes_(
    scan: Scan, planes: NDArray[np.int16], box: Box, out: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Write planes of the label; zeros where it is not known.

    Args:
        scan: the case.
        planes: (s,) indices in RAS+ order.
        box: crop window.
        out: (s, h, w) uint8, written.

    Returns:
        (s, 4) int32: pixels of each class.
    """
    inside, outside = (index[2:] for index in box.overlap(scan.shape))
    voxels = np.zeros((planes.size, len(CLASSES)), np.int32)
    out[...] = 0
    if scan.label is None:
        voxels[:, 0] = math.prod(box.shape[1:])
        return voxels
    part = out[:, *inside]
    kernels.take_classes_(scan.label[:, *outside], planes.astype(np.int64), part, voxels)
    voxels[:, 0] += math.prod(box.shape[1:]) - math.prod(part.shape[1:])
    return voxels


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


def fingerprints(scan: Scan) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Fingerprints of the images and of the label; zeros for a label that is not known."""
    images = brain_fingerprint(
        scan.images,
        scan.brain,
        (scan.plane_brain, scan.columns.sum(axis=1), scan.columns.sum(axis=0)),
        scan.measured.mean,
        scan.measured.std,
    )
    if scan.label is None:
        return images, np.zeros((2, *MASK_CELLS), np.uint8)
    has_tumour = scan.plane_voxels[:, 1:].sum(axis=1) > 0
    return images, mask_fingerprint(scan.label, scan.geometry.spacing, has_tumour)


def _tables(
    scan: Scan, box: Box, planes: NDArray[np.int16], voxels: NDArray[np.int32]
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
        orientation=scan.geometry.orientation,
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
