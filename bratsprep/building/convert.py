"""One case -> its planes and rows: the order of the steps and nothing else."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.discovery.subject_tables import SubjectTable
from bratsprep.labels import Scheme
from bratsprep.slicefile.chunks import Packed, Pages, pack_chunks
from bratsprep.slicefile.digest import case_digest
from bratsprep.slicefile.schema import Sizes, make_rows
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import CaseVolumes
from bratsprep.volumes.crop import crop_window
from bratsprep.volumes.fingerprint import fingerprints
from bratsprep.volumes.gunzip import crc32
from bratsprep.volumes.planes import image_planes_, label_planes_, stored_planes


@dataclass(frozen=True, slots=True)
class Frame:
    """How cases are cut and named; the same for all of a build."""

    config: PrepConfig
    window: tuple[int, int] | None
    """Crop (y, x), or None for whole planes."""
    people: SubjectTable
    scheme: Scheme | None = None
    """Of every label, where the settings name one."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The prepared planes of one case, valid until their buffers are used again."""

    tables: CaseTables
    images: NDArray[Any]
    """(s, m, h, w) as stored."""
    labels: NDArray[np.uint8]
    """(s, h, w) stored classes."""


@dataclass(frozen=True, slots=True)
class Converted:
    """All that one case adds to a slice file."""

    tables: CaseTables
    chunks: Packed


def cut(scan: CaseVolumes, frame: Frame, buffers: Buffers) -> Cut:
    """Cut and normalise the chosen planes of a case.

    Args:
        scan: the case; its own buffers are free afterwards.
        frame: settings, window and subjects.
        buffers: memory for the result.
    """
    config = frame.config
    planes = stored_planes(scan, config)
    box = crop_window(scan.brain_box, scan.shape, frame.window)
    _, height, width = box.shape
    sizes = sizes_of(scan)
    shape = (planes.size, sizes.modalities, height, width)
    dtype = np.dtype(config.stored)
    size = planes.size * height * width
    name = scan.files.id
    images = buffers.reserve("cut images", size * sizes.modalities * dtype.itemsize, name)
    images = images.view(dtype).reshape(shape)
    labels = buffers.reserve("cut labels", size, name).reshape(planes.size, height, width)
    image_planes_(scan, planes, box, config.normalise, images)
    voxels = label_planes_(scan, planes, box, labels)
    pairs = zip(images, labels, strict=True)
    crc = np.array([(crc32(image), crc32(label)) for image, label in pairs], np.uint32)
    slices = make_rows(
        "slice", sizes, planes.size, case=0, z=planes, voxels=voxels, crc=crc.reshape(-1, 2)
    )
    return Cut(_tables(scan, box, frame.people, slices), images, labels)


def pack(part: Cut, compression: str, pages: Pages) -> Converted:
    """Make the chunks of a case in those pages."""
    return Converted(part.tables, pack_chunks(part.images, part.labels, compression, pages))


def sizes_of(scan: CaseVolumes) -> Sizes:
    """Sizes of the rows of a case."""
    return Sizes(len(scan.images), len(scan.classes))


def _tables(
    scan: CaseVolumes, box: Box, people: SubjectTable, slices: NDArray[np.void]
) -> CaseTables:
    """All rows of a case, from its (s,) rows of /slice, a structured dtype."""
    depth = len(scan.plane_brain)
    sizes = sizes_of(scan)
    planes = make_rows(
        "plane",
        sizes,
        depth,
        case=0,
        z=np.arange(depth),
        brain=scan.plane_brain,
        voxels=scan.plane_voxels,
    )
    values = _case_values(scan, box, people, slices["voxels"])
    tables = CaseTables(make_rows("case", sizes, 1, **values, digest="")[0], slices, planes)
    tables.case["digest"] = case_digest(tables)
    return tables


def _case_values(
    scan: CaseVolumes, box: Box, people: SubjectTable, cropped: NDArray[np.int32]
) -> dict[str, Any]:
    """Value of every column of /case but `digest`; `cropped` is (s, c) int32, class pixels."""
    count = scan.measured.count
    _, outside = box.overlap(scan.shape)
    whole = scan.plane_voxels.sum(axis=0, dtype=np.int64)
    lost = whole - cropped.sum(axis=0)
    lost[0] = count - int(scan.columns[outside[2:]].sum())
    fingerprint, mask = fingerprints(scan)
    return {
        "id": scan.files.id,
        "subject": people.subject(scan.files.id, scan.files.subject, whole.tolist()),
        "release": scan.files.release,
        "scheme": scan.scheme,
        "labelled": scan.label is not None,
        "present": scan.named.present,
        "affine": scan.geometry.affine,
        "source_shape": scan.geometry.sides,
        "source_spacing": scan.geometry.spacing,
        "spacing": scan.spacing,
        "shape": scan.shape,
        "orientation": scan.geometry.orientation.codes,
        "box": (box.start, box.stop),
        "brain_box": (scan.brain_box.start, scan.brain_box.stop),
        "mean": scan.measured.mean,
        "std": scan.measured.std,
        "brain_voxels": count,
        "voxels": whole,
        "lost_voxels": lost,
        "fingerprint": fingerprint,
        "mask_fingerprint": mask,
        "source": json.dumps([asdict(record) for record in scan.records]),
    }
