"""Volumes as NIfTI files on the grid of a scan: labels and probabilities out, labels in."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
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
from bratsprep.volumes import nifti
from bratsprep.volumes.label import read_label

NiftiHeader: TypeAlias = nib.Nifti1Header
"""Of NIfTI-1 or NIfTI-2, which nibabel derives from it."""
PLACING: Final = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
"""Header fields that say where the voxels are; everything else is of the scan alone."""
_NO_EXTENSION: Final = bytes(4)
_LEVEL: Final = 2
"""Of isal: within a few percent of zlib's 6 on labels, at ten times the speed."""


def make_folder(path: Path) -> None:
    """Make a folder to write to, and those above it.

    Raises:
        BratsError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BratsError(f"{path}: no folder can be made there: {error.strerror}") from error


def read_source_header(source: Source, member: str) -> NiftiHeader:
    """Read the header of a scan as nibabel has it, fields and all.

    Args:
        source: what it lies in.
        member: its name; its case has been read, so the header is sound.

    Raises:
        SourceError: the file cannot be read.
    """
    head = nifti.read_head(source, member)
    sizes = [int.from_bytes(head[:4], order) for order in ("little", "big")]
    kind = nib.Nifti2Header if nib.Nifti2Header.sizeof_hdr in sizes else nib.Nifti1Header
    return kind(head[: kind.sizeof_hdr], check=False)


def write_nifti(
    path: Path, volumes: Iterable[NDArray[Any]], header: NiftiHeader, n_volumes: int = 1
) -> None:
    """Write volumes on the grid of a scan, in one move; `.nii.gz` whatever the path is.

    Affine, voxel sizes, codes and units are the scan's to the bit; the bytes depend on nothing
    else, so the same prediction is the same file.

    Args:
        path: to write; replaced where it is there.
        volumes: (x, y, z) uint8 or float32 each, in the order of the file; taken one by one.
        header: of the scan.
        n_volumes: how many; several go along a fourth axis.

    Raises:
        BratsError: it cannot be written.
    """
    coming = iter(volumes)
    first = next(coming)
    kind = type(header)
    placed = kind()
    placed.set_data_dtype(first.dtype)
    shape = first.shape if n_volumes == 1 else (*first.shape, n_volumes)
    placed.set_data_shape(shape)
    for name in PLACING:
        placed[name] = header[name]
    placed["vox_offset"] = kind.sizeof_hdr + len(_NO_EXTENSION)
    placed["scl_slope"], placed["scl_inter"] = 1, 0
    with (
        replacing(path) as file,
        igzip.IGzipFile("", "wb", compresslevel=_LEVEL, fileobj=file, mtime=0) as packed,
    ):
        packed.write(placed.binaryblock + _NO_EXTENSION)
        for volume in chain([first], coming):
            # The first axis runs fastest in NIfTI.
            packed.write(np.ascontiguousarray(volume.T).data)


def read_labels(
    source: Source, member: str, scheme: Scheme, buffers: Buffers
) -> tuple[NDArray[np.uint8], Geometry]:
    """Read a label file.

    Args:
        source: what it lies in.
        member: its name.
        scheme: what its values mean.
        buffers: overwritten.

    Returns:
        (z, y, x) uint8 stored classes in RAS+ order, independent of the buffers; and where its
        voxels stand.

    Raises:
        BratsError: the file cannot be read, is no volume, or holds values outside the scheme.
    """
    label = read_label(source, member, scheme, buffers)
    return label.classes.copy(), label.geometry
