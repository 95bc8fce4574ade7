"""The label of a case: its file read, brought into RAS+ order and recoded to stored classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseFiles, FileRecord, Geometry
from bratsprep.errors import LabelError, NiftiError
from bratsprep.labels import UNKNOWN, Scheme, meanings
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import kernels, nifti

_SLOT = "label"
"""Buffer of the unpacked file."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label in memory; valid until its buffers are used again."""

    classes: NDArray[np.uint8]
    """(z, y, x) stored classes, a view in RAS+ order."""
    plane_voxels: NDArray[np.int32]
    """(z, c) voxels of each class, RAS+ order."""
    geometry: Geometry
    record: FileRecord


def read_label(
    source: Source, member: str, scheme: Scheme, buffers: Buffers, grid: Geometry | None = None
) -> Label:
    """Read a label file.

    Args:
        source: where it lies.
        member: its name.
        scheme: meaning of its values.
        buffers: overwritten; the result is a view into them.
        grid: where its voxels lie, whatever its own header says; None to believe the header.

    Raises:
        BratsError: the file cannot be read, is no volume, or holds values outside the scheme.
    """
    codes, geometry, record = read_codes(source, member, buffers, grid)
    plane_voxels = recode(codes, scheme, source.where(member))
    turn = geometry.orientation.turn
    return Label(codes[turn], plane_voxels[turn[0]], geometry, record)


def label_grid(files: CaseFiles, source: Source) -> Geometry | None:
    """Grid of the images of a case whose label is to lie on it; None for any other case.

    Raises:
        BratsError: the header of the images cannot be read.
    """
    if not files.same_grid or not files.channels:
        return None
    return nifti.read_header(source, files.first).geometry


def read_codes(
    source: Source,
    member: str,
    buffers: Buffers,
    grid: Geometry | None = None,
    slot: str = _SLOT,
) -> tuple[NDArray[np.uint8], Geometry, FileRecord]:
    """Read the raw values of a label file.

    Args:
        source: where it lies.
        member: its name.
        buffers: overwritten; the result is a view into them.
        grid: as in `read_label`.
        slot: name of the buffer for the unpacked file.

    Returns:
        (z, y, x) uint8 raw values in C order, directions as in the file; where its voxels lie;
        and the file as it was read.

    Raises:
        BratsError: the file cannot be read, is no volume, or holds other than whole numbers from
            0 to 255.
    """
    where = source.where(member)
    header, voxels, checksum = nifti.load(source, member, buffers, slot)
    if voxels.ndim != 3:
        raise NiftiError(f"{where}: shape is {header.shape}; a label file is (x, y, z)")
    geometry = grid or header.geometry
    if geometry.shape != header.geometry.shape:
        raise NiftiError(
            f"{where}: shape is {header.geometry.shape} but that of the images is "
            f"{geometry.shape}; --same-grid needs the same"
        )
    codes = geometry.orientation.as_axial(nifti.codes(voxels, header, where))
    return codes, geometry, file_record(source, member, checksum)


def file_record(source: Source, member: str, checksum: int) -> FileRecord:
    """Describe a file that was read, by the CRC-32 of its packed bytes."""
    return FileRecord(member.rsplit("/", 1)[-1], source.members[member], checksum)


def recode(label: NDArray[np.uint8], scheme: Scheme, where: str) -> NDArray[np.int32]:
    """Turn raw label values into stored classes in place.

    Args:
        label: (z, y, x) uint8 raw values, C order; written.
        scheme: what they mean.
        where: file, for errors.

    Returns:
        (z, c) int32: voxels of each class in each plane.

    Raises:
        LabelError: a value is outside the scheme.
    """
    voxels = np.zeros((label.shape[0], len(scheme.classes)), np.int32)
    table = scheme.table()
    seen = kernels.recode_(label.reshape(label.shape[0], -1), table, voxels)
    values = [int(value) for value in np.flatnonzero(seen)]
    unknown = [value for value in values if table[value] == UNKNOWN]
    if unknown:
        raise LabelError(
            f"{where}: label values {unknown} are outside scheme {scheme.name}; the file holds "
            f"{values}; {meanings(values)}; choose the scheme with --labels NAME, or a file"
        )
    return voxels


def raw_values(source: Source, member: str, buffers: Buffers) -> set[int]:
    """Raw values that occur in a label file, 0 included.

    Raises:
        BratsError: as `read_codes`.
    """
    codes, _, _ = read_codes(source, member, buffers)
    flat = codes.reshape(codes.shape[0], -1)
    unchanged = np.arange(256, dtype=np.uint8)
    seen = kernels.recode_(flat, unchanged, np.zeros((flat.shape[0], 1), np.int32))
    return {0, *(int(value) for value in np.flatnonzero(seen))}
