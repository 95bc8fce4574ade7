"""Tiny NIfTI files of every make, and a tiny case; headers by nibabel, voxels by NumPy."""

import gzip
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from bratsprep.case import CaseFiles, Channel
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.nifti import load
from tests.helpers.oracles import resampled

RAS = np.array([[1.0, 0, 0, -3], [0, 1, 0, -4], [0, 0, 2, 5], [0, 0, 0, 1]])
SHAPE = (3, 4, 5)
"""(x, y, z) of a tiny volume."""
SUFFIXES = ("flair", "t1", "t1ce", "t2")
"""BraTS 2017 to 2021 names of the modalities, in the order of USUAL_MODALITIES."""
COMMENT = 6
"""nibabel's code of a comment extension."""


@dataclass(frozen=True, kw_only=True)
class Make:
    """How a NIfTI file is written."""

    affine: np.ndarray | None = None
    """mm; RAS where it is None."""
    slope: float = 1.0
    inter: float = 0.0
    order: str = "<"
    version: int = 1
    sform: int = 1
    """Code; 0 leaves the transform to the qform."""
    qform: int = 1
    comment: bytes = b""
    """Content of a header extension."""
    padding: int = 0
    """Bytes of 0 between header and voxels."""
    fields: tuple[tuple[str, object], ...] = ()
    """Header fields to overwrite last, whatever they break."""


def header_bytes(shape, dtype, make, offset):
    """Header without its extensions."""
    kind = nib.Nifti1Header if make.version == 1 else nib.Nifti2Header
    header = kind(endianness=make.order)
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    affine = RAS if make.affine is None else make.affine
    if make.qform:
        header.set_qform(affine, code=make.qform, strip_shears=True)
    header["qform_code"] = make.qform
    header.set_sform(affine if make.sform else None, code=make.sform)
    header["scl_slope"], header["scl_inter"] = make.slope, make.inter
    header["vox_offset"] = offset
    for name, value in make.fields:
        header[name] = value
    return header.binaryblock


def content(voxels, make=None, **changes):
    """Bytes of a single-file NIfTI.

    Args:
        voxels: (x, y, z) or (x, y, z, m); the numbers on disk, in their type on disk.
        make: how.
        **changes: fields of `Make`.
    """
    make = replace(make or Make(), **changes)
    extra = bytes(4)
    if make.comment:
        size = -(-(8 + len(make.comment)) // 16) * 16
        extra = b"\1\0\0\0" + struct.pack(f"{make.order}ii", size, COMMENT)
        extra += make.comment.ljust(size - 8, b"\0")
    extra += bytes(make.padding)
    start = {1: 348, 2: 540}[make.version]
    head = header_bytes(voxels.shape, voxels.dtype, make, start + len(extra))
    plain = voxels.astype(voxels.dtype.newbyteorder(make.order))
    return head + extra + plain.tobytes(order="F")


def write(path, voxels, make=None, **changes):
    """Write a NIfTI file, gzipped where its name ends in .gz; gives the path."""
    whole = content(voxels, make, **changes)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(whole, 1, mtime=0) if path.suffix == ".gz" else whole)
    return path


def numbers(dtype="i2", shape=SHAPE):
    """Numbers that differ, up to the ends of a small type."""
    low, high = (0, 255) if dtype[0] == "u" else (-128, 127)
    values = np.linspace(low, high, int(np.prod(shape))).astype(dtype)
    return values.reshape(shape)


def loaded(path, buffers=None):
    """Header, numbers on disk, and CRC of a file."""
    with open_source(path.parent) as source:
        return load(source, path.name, buffers or Buffers(), "image0")


def phantom(seed=0, shape=(7, 8, 6)):
    """Four int16 volumes (4, x, y, z) in RAS+ order, 0 around an ellipsoid, and a label.

    The label is of BraTS 2017: 1 core, 2 oedema, 4 enhancing; nothing in it is symmetric.
    """
    generator = np.random.default_rng(seed)
    images = generator.integers(1, 900, (4, *shape)).astype(np.int16)
    images[:, 0] = images[:, :, :2] = images[..., -1] = 0
    images[1, 3, 4, 2] = 0  # still brain: the others are not 0 there
    label = np.zeros(shape, np.uint8)
    label[2:5, 3:6, 1:4] = 2
    label[3, 4, 1:3] = 4
    label[4, 4, 2] = 1
    return images, label


def case_files(name, suffix=".nii.gz", scheme="brats2017", label=True):
    """The files of a case folder as the layout would name them."""
    members = [f"{name}/{name}_{kind}{suffix}" for kind in (*SUFFIXES, "seg")]
    return CaseFiles(
        id=name,
        subject=name,
        release="brats2017",
        images=tuple(Channel(member, None) for member in members[:4]),
        label=members[4] if label else None,
        scheme=scheme,
    )


def write_case(root, name="BraTS2021_00001", codes="LPS", volumes=None, make=None, **named):
    """Write a case folder in some orientation.

    Args:
        root: folder above it.
        name: case id.
        codes: directions of the files' axes.
        volumes: images (4, x, y, z) and label (x, y, z) in RAS+ order; a phantom by default.
        make: of every file; its affine is that of the RAS+ volumes.
        **named: as in `case_files`.
    """
    images, label = volumes or phantom()
    files = case_files(name, **named)
    make = make or Make()
    affine = RAS if make.affine is None else make.affine
    members = [channel.member for channel in files.images]
    for member, volume in zip(members, images, strict=True):
        turned, placed = resampled(volume, affine, codes)
        write(root / member, turned, make, affine=placed)
    if files.label is not None:
        turned, placed = resampled(label, affine, codes)
        write(root / files.label, turned, make, affine=placed)
    return files
