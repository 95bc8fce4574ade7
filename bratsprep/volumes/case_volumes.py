"""One case in memory: its files read, brought into RAS+ order and measured."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box, CaseFiles, FileRecord, Geometry
from bratsprep.errors import LabelError, NiftiError
from bratsprep.labels import MODALITIES, UNKNOWN, Scheme, meanings
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import kernels, nifti
from bratsprep.volumes.background import outlying
from bratsprep.volumes.normalise import Measured, measure_checked

_AXES: Final = ("LR", "PA", "IS")
"""Codes of the two directions of x, y and z; the second is where RAS+ rises to."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One case in memory, voxels as in the file; good until its buffers are used again."""

    files: CaseFiles
    geometry: Geometry
    images: tuple[NDArray[Any], ...]
    """Four (z, y, x) views in RAS+ order, source units; strides may be negative."""
    label: NDArray[np.uint8] | None
    """(z, y, x) view in RAS+ order, stored classes."""
    brain: NDArray[np.uint8]
    """(z, y, x) view in RAS+ order."""
    measured: Measured
    """Moments; its arrays are in the order of the file, those below in RAS+ order."""
    plane_brain: NDArray[np.int32]
    """(z,) RAS+ order."""
    columns: NDArray[np.int32]
    """(y, x) brain voxels above each pixel, RAS+ order."""
    brain_box: Box
    """RAS+ order."""
    plane_voxels: NDArray[np.int32]
    """(z, 4) voxels of each class, RAS+ order; all background for an unlabelled case."""
    scheme: str
    """Label scheme of the source; empty for an unlabelled case."""
    records: tuple[FileRecord, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x) in RAS+ order."""
        z, y, x = self.brain.shape
        return z, y, x


def read_scan(
    files: CaseFiles,
    source: Source,
    buffers: Buffers,
    scheme: Scheme | None,
    background: str = "auto",
) -> Scan:
    """Read the label, then the images of a case, and measure it.

    Args:
        files: where they are.
        source: what they lie in.
        buffers: the worker's memory, overwritten; the result looks into it.
        scheme: of the label; None leaves the label unread.
        background: as in `PrepConfig`.

    Raises:
        BratsError: whatever is wrong with the case, see design §5.
    """
    records: list[FileRecord] = []
    label_record: list[FileRecord] = []
    label, grid = None, None
    if files.label is not None and scheme is not None:
        label, grid = _read_label(files.label, source, buffers, label_record)
    images, geometry = _read_images(files, source, buffers, records)
    if files.label is None or scheme is None or label is None or grid is None:
        voxels = np.zeros((images[0].shape[0], 4), np.int32)
        voxels[:, 0] = images[0][0].size
    else:
        nifti.check_same(geometry, grid, source.where(files.label), files.images[0].member)
        voxels = recode(label, scheme, source.where(files.label))
    # The packed files are done with, so their memory serves once more.
    brain = buffers.reserve(nifti.PACKED, images[0].size, files.id).reshape(images[0].shape)
    voxel_ml = float(geometry.spacing.prod()) / 1000
    measured = measure_checked(images, brain, files.id, background=background, voxel_ml=voxel_ml)
    shape = brain.shape
    flips = flips_of(geometry)
    turn = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    return Scan(
        files=files,
        geometry=geometry,
        images=tuple(image[turn] for image in images),
        label=None if label is None else label[turn],
        brain=brain[turn],
        measured=measured,
        plane_brain=measured.plane_brain[turn[0]],
        columns=measured.columns[turn[1:]],
        brain_box=_flip(measured.box, shape, flips),
        plane_voxels=voxels[turn[0]],
        scheme="" if label is None or scheme is None else scheme.name,
        records=(*records, *label_record),
    )


def case_notes(scan: Scan) -> tuple[str, ...]:
    """Describe what is unusual about a case: its background, coverage, spacing or label."""
    outside = tumour = 0
    if scan.label is not None:
        planes = np.flatnonzero(scan.plane_voxels[:, 1:].any(axis=1))
        tumour = int(scan.plane_voxels[:, 1:].sum())
        outside = sum(
            int(np.count_nonzero((scan.label[z] != 0) > scan.brain[z].view(np.bool_)))
            for z in planes
        )
    return (
        *scan.measured.notes,
        *outlying(scan.measured.coverage, scan.geometry.spacing, outside, tumour),
    )


def _read_images(
    files: CaseFiles, source: Source, buffers: Buffers, records: list[FileRecord]
) -> tuple[tuple[NDArray[Any], ...], Geometry]:
    """Four (z, y, x) volumes of one dtype with their common geometry."""
    loaded: dict[str, tuple[nifti.Header, NDArray[Any]]] = {}
    volumes = []
    for channel in files.images:
        where = source.where(channel.member)
        if channel.member not in loaded:
            slot = f"image{len(loaded)}"
            header, voxels, checksum = nifti.load(source, channel.member, buffers, slot)
            records.append(_record(source, channel.member, checksum))
            if loaded:
                first_name, (first, _) = next(iter(loaded.items()))
                nifti.check_same(first.geometry, header.geometry, where, first_name)
            loaded[channel.member] = header, nifti.intensities(voxels, header)
        volumes.append(_channel(loaded[channel.member][1], channel.index, where))
    geometry = next(iter(loaded.values()))[0].geometry
    dtype = np.result_type(*volumes)
    return tuple(
        as_axial(volume.astype(dtype, copy=False), geometry) for volume in volumes
    ), geometry


def _channel(voxels: NDArray[Any], index: int | None, where: str) -> NDArray[Any]:
    """One modality of a 3D or 4D file."""
    if index is None:
        if voxels.ndim != 3:
            raise NiftiError(f"{where}: holds {voxels.shape[0]} volumes; expected one modality")
        return voxels
    if voxels.ndim != 4 or index >= voxels.shape[0]:
        found = voxels.shape[0] if voxels.ndim == 4 else 1
        raise NiftiError(f"{where}: holds {found} volumes; expected {len(MODALITIES)} modalities")
    return np.asarray(voxels[index])


def _read_label(
    member: str, source: Source, buffers: Buffers, records: list[FileRecord]
) -> tuple[NDArray[np.uint8], Geometry]:
    """(z, y, x) raw label values, and the grid that they lie on."""
    where = source.where(member)
    header, voxels, checksum = nifti.load(source, member, buffers, "label")
    records.append(_record(source, member, checksum))
    codes = nifti.codes(_channel(voxels, None, where), header, where)
    return as_axial(codes, header.geometry), header.geometry


def _record(source: Source, member: str, checksum: int) -> FileRecord:
    return FileRecord(member.rsplit("/", 1)[-1], source.members[member], checksum)


def recode(label: NDArray[np.uint8], scheme: Scheme, where: str) -> NDArray[np.int32]:
    """Turn raw label values into stored classes in place.

    Args:
        label: (z, y, x) raw values, C order; written.
        scheme: what they mean.
        where: file, for errors.

    Returns:
        (z, 4) int32: voxels of each class in each plane.

    Raises:
        LabelError: a value is outside the scheme.
    """
    voxels = np.zeros((label.shape[0], 4), np.int32)
    table = scheme.table()
    seen = kernels.recode_(label.reshape(label.shape[0], -1), table, voxels)
    found = np.flatnonzero(seen)
    odd = [int(value) for value in found if table[value] == UNKNOWN]
    if odd:
        values = [int(value) for value in found]
        raise LabelError(
            f"{where}: label values {odd} are outside scheme {scheme.name}; all values found: "
            f"{values}; {meanings(values)}; say which with --labels NAME"
        )
    return voxels


def as_axial(volume: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Bring the axes, not their directions, into (z, y, x) order; C order.

    Files whose first axis is left-right, second front-back and third up-down, nearly all, come
    back as they are.
    """
    order = [
        next(i for i, code in enumerate(geometry.orientation) if code in pair)
        for pair in reversed(_AXES)
    ]
    return np.ascontiguousarray(volume.transpose([2 - axis for axis in order]))


def flips_of(geometry: Geometry) -> tuple[bool, bool, bool]:
    """Whether z, y and x fall where RAS+ wants them to rise."""
    z, y, x = (pair[0] in geometry.orientation for pair in reversed(_AXES))
    return z, y, x


def to_file_order(volume: NDArray[Any], geometry: Geometry) -> NDArray[Any]:
    """Undo what `as_axial` and the flips did: a volume as the file holds it.

    Args:
        volume: (z, y, x) in RAS+ order, of the file's size.
        geometry: of the file.

    Returns:
        (x, y, z) view, axes and directions as in the file.

    Raises:
        ValueError: the volume is of another size.
    """
    turn = tuple(slice(None, None, -1 if flip else 1) for flip in flips_of(geometry))
    axes = ["ISPALR".index(code) // 2 for code in geometry.orientation]
    placed = volume[turn].transpose(axes)
    if placed.shape != geometry.shape:
        raise ValueError(f"volume is {placed.shape} in the file's order, not {geometry.shape}")
    return placed


def _flip(box: Box, shape: tuple[int, ...], flips: tuple[bool, bool, bool]) -> Box:
    """The same box counted from the other end of the flipped axes."""
    sides = list(zip(box.start, box.stop, shape, flips, strict=True))
    start = [size - high if flip else low for low, high, size, flip in sides]
    stop = [size - low if flip else high for low, high, size, flip in sides]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
