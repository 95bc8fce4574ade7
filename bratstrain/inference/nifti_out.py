"""Volumes as NIfTI files on the grid of a scan: labels and probabilities out, labels in."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import nibabel as nib
import numpy as np
from isal import igzip
from numpy.typing import NDArray

from bratsprep.case import Geometry
from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.sources.source import Source
from bratsprep.system.atomic import replacing
from bratsprep.system.memory import Buffers
from bratsprep.volumes import metaimage, nifti
from bratsprep.volumes.label import read_label

NiftiHeader: TypeAlias = nib.Nifti1Header
"""Of NIfTI-1 or NIfTI-2, which nibabel derives from it."""
PLACING: Final = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
"""Header fields that place the voxels in space; the others describe the scan alone."""
_NO_EXTENSION: Final = bytes(4)
_LEVEL: Final = 2
"""Compression level of isal: labels are nearly as small as with zlib's default, and faster."""


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        BratsError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BratsError(f"{path}: no folder can be made there: {error.strerror}") from error


def read_source_header(source: Source, member: str) -> NiftiHeader:
    """Read the header of a scan with nibabel, or make one of the grid of a MetaImage.

    Args:
        source: of the scan.
        member: its name; its case has been read before, so the header is valid.

    Raises:
        SourceError: the file cannot be read.
    """
    head = nifti.read_head(source, member)
    if head.startswith(metaimage.MARK):
        meta = metaimage.parse(head, source.where(member))
        header = nib.Nifti1Header()
        header.set_data_shape(meta.shape)
        header.set_sform(meta.affine, 1)
        header.set_qform(meta.affine, 1)
        header.set_xyzt_units("mm")
        return header
    sizes = [int.from_bytes(head[:4], order) for order in ("little", "big")]
    kind = nib.Nifti2Header if nib.Nifti2Header.sizeof_hdr in sizes else nib.Nifti1Header
    return kind(head[: kind.sizeof_hdr], check=False)


def write_nifti(
    path: Path,
    volumes: Iterable[NDArray[Any]],
    header: NiftiHeader,
    n_volumes: int = 1,
    fields: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write volumes on the grid of a scan, atomically and compressed, whatever the suffix.

    Affine, voxel sizes, codes and units are copied from the scan bit for bit, and nothing but
    `fields` is added to the header, so equal predictions are equal files.

    Args:
        path: file to write; an existing one is replaced.
        volumes: (x, y, z) uint8 or float32 arrays in the order of the file, consumed one by one.
        header: of the scan.
        n_volumes: their number; several are stored along a fourth axis.
        fields: further header fields, such as `viewer_files.header_fields`.

    Raises:
        BratsError: it cannot be written.
    """
    remaining = iter(volumes)
    first = next(remaining)
    kind = type(header)
    placed = kind()
    placed.set_data_dtype(first.dtype)
    shape = first.shape if n_volumes == 1 else (*first.shape, n_volumes)
    placed.set_data_shape(shape)
    for name in PLACING:
        placed[name] = header[name]
    placed["vox_offset"] = kind.sizeof_hdr + len(_NO_EXTENSION)
    placed["scl_slope"], placed["scl_inter"] = 1, 0
    for name, value in fields.items():
        placed[name] = value
    with (
        replacing(path) as file,
        igzip.IGzipFile("", "wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed,
    ):
        packed.write(placed.binaryblock + _NO_EXTENSION)
        for volume in chain([first], remaining):
            # In NIfTI the first axis varies fastest.
            packed.write(np.ascontiguousarray(volume.T).data)


def read_labels(
    source: Source,
    member: str,
    scheme: Scheme,
    buffers: Buffers,
    grid: Geometry | None = None,
) -> tuple[NDArray[np.uint8], Geometry]:
    """Read a label file.

    Args:
        source: of the file.
        member: its name.
        scheme: meaning of its values.
        buffers: overwritten.
        grid: where its voxels lie, whatever its header says; None to believe the header.

    Returns:
        (z, y, x) uint8 stored classes in RAS+ order, independent of the buffers; and the geometry.

    Raises:
        BratsError: the file cannot be read, is not 3D, or holds values outside of the scheme.
    """
    label = read_label(source, member, scheme, buffers, grid)
    return label.classes.copy(), label.geometry
