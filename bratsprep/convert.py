"""One case -> its planes: the order of the steps and nothing else."""

import json
import mmap
import zlib
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep import codec, kernels
from bratsprep.case import MASK_CELLS, Box, CaseRow, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.crop import crop_window
from bratsprep.digest import case_digest
from bratsprep.fingerprint import brain_fingerprint, mask_fingerprint
from bratsprep.labels import CLASSES, MODALITIES
from bratsprep.nifti import Buffers
from bratsprep.normalise import fill_raw_, fill_zscore_, scales
from bratsprep.scan import Scan
from bratsprep.writer import Chunk

_SPARE_BYTES: Final = 4096
"""More than deflate adds to two chunks that it cannot make smaller."""


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
    images: tuple[Chunk, ...]
    """A chunk of each stored slice."""
    labels: tuple[Chunk, ...]


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


def image_plane_(scan: Scan, z: int, box: Box, normalise: str, out: NDArray[Any]) -> None:
    """Write one prepared plane.

    Args:
        scan: the case.
        z: plane in RAS+ order.
        box: crop window.
        normalise: as in `PrepConfig`.
        out: (4, h, w) float16, float32 or int16 of zeros, C order; written.
    """
    inside, outside = (index[2:] for index in box.overlap(scan.shape))
    brain = scan.brain[z][outside]
    part = np.zeros(brain.shape, out.dtype)
    mean, std = scales(scan.measured, normalise)
    for m, modality in enumerate(MODALITIES):
        plane = scan.images[m][z][outside]
        if normalise == "none":
            fill_raw_(plane, part, f"{scan.files.id} {modality}")
        else:
            fill_zscore_(plane, brain, mean[m], std[m], part)
        out[m][inside] = part


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
    inside, outside = (index[2:] for index in box.overlap(scan.shape))
    shape = (planes.size, len(MODALITIES), height, width)
    dtype = np.dtype(config.stored)
    size = planes.size * height * width
    name = scan.files.id
    images = buffers.reserve("cut images", size * len(MODALITIES) * dtype.itemsize, name)
    images = images.view(dtype).reshape(shape)
    labels = buffers.reserve("cut labels", size, name).reshape(planes.size, height, width)
    images[...] = 0
    labels[...] = 0
    for s, z in enumerate(planes):
        image_plane_(scan, int(z), box, config.normalise, images[s])
        if scan.label is not None:
            labels[s][inside] = scan.label[z][outside]
    return Cut(_tables(scan, box, planes, labels), images, labels)


def renamed(part: Cut, subject: str) -> Cut:
    """The same planes, of that subject."""
    row = replace(part.tables.case, subject=subject)
    return replace(part, tables=replace(part.tables, case=row))


def pack(part: Cut, compression: str) -> Converted:
    """Make the chunks of a case, their checksums, and its digest.

    Returns:
        The case's rows and chunks, independent of any buffer.
    """
    scratch = np.empty(part.images[:1].nbytes, np.uint8)
    store = _Store(part.images.nbytes + part.labels.nbytes + _SPARE_BYTES * len(part.images))
    images, labels = [], []
    crc = np.zeros((len(part.images), 2), np.uint32)
    for s, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
        crc[s] = codec.crc32(image), codec.crc32(label)
        images.append(store.keep(codec.encode(image, compression, scratch)))
        labels.append(store.keep(codec.encode(label, compression, scratch)))
    tables = replace(part.tables, crc=crc)
    row = replace(tables.case, digest=case_digest(tables))
    return Converted(replace(tables, case=row), tuple(images), tuple(labels))


class _Store:
    """Pages of their own for the chunks of a case, given back to the system with the last view.

    From the allocator, thousands of chunks that one thread makes and another frees leave holes:
    memory grew by 6 % from 16 cases to 48.

    Args:
        size: bytes at most; those that are never written take no memory.
    """

    def __init__(self, size: int) -> None:
        self._view = memoryview(mmap.mmap(-1, max(size, 1)))
        self._used = 0

    def keep(self, chunk: bytes) -> memoryview:
        """Copy a chunk here."""
        start, self._used = self._used, self._used + len(chunk)
        self._view[start : self._used] = chunk
        return self._view[start : self._used]


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
    scan: Scan, box: Box, planes: NDArray[np.int16], labels: NDArray[np.uint8]
) -> CaseTables:
    """Rows of a case, but for checksums and digest."""
    counts = [kernels.count_classes(label.reshape(-1)) for label in labels]
    voxels = np.array(counts, np.int32).reshape(planes.size, len(CLASSES))
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
