"""Bytes of phantoms in each file format: NIfTI, MetaImage, and one HDF5 file a plane."""

import zlib
from pathlib import Path
from typing import Any, Final

import h5py
import nibabel
import numpy as np
from isal import igzip
from numpy.typing import NDArray

GZIP_LEVEL: Final = 2
"""Of isal: as small as zlib's 6, which the releases used, ten times faster."""
_LPS: Final = (-1.0, -1.0, 1.0)


def write_planes(path: Path, images: NDArray[Any], raw: NDArray[Any], is_labelled: bool) -> None:
    """Write a case as one HDF5 file a plane, normalised over the whole volume.

    Args:
        path: of every file, with `*` for the plane.
        images: (4, z, y, x) of any real dtype, RAS+, in MODALITIES order.
        raw: (z, y, x) uint8, RAS+, label values of BraTS 2017.
        is_labelled: write the masks too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = images.reshape(len(images), -1)
    mean, std = flat.mean(axis=1, keepdims=True), flat.std(axis=1, keepdims=True)
    scaled = ((flat - mean) / std).reshape(images.shape)[..., ::-1, ::-1]
    masks = np.stack([raw == value for value in (1, 2, 4)])[..., ::-1, ::-1].astype("u1")
    for z in range(images.shape[1]):
        with h5py.File(path.with_name(path.name.replace("*", str(z))), "w") as file:
            file.create_dataset("image", data=scaled[:, z].transpose(2, 1, 0))
            if is_labelled:
                file.create_dataset("mask", data=masks[:, z].transpose(2, 1, 0))


def file_bytes(name: str, volume: NDArray[Any], is_lps: bool) -> bytes:
    """Give the bytes of a file in the format of its name: `.nii`, `.nii.gz` or `.mha`.

    Args:
        name: of the file.
        volume: (z, y, x) of any dtype of the format, RAS+; or (4, z, y, x) for NIfTI.
        is_lps: as of `nifti_bytes`.
    """
    if name.endswith(".mha"):
        return meta_bytes(volume, is_lps)
    content = nifti_bytes(volume, is_lps)
    return igzip.compress(content, GZIP_LEVEL, mtime=0) if name.endswith(".gz") else content


def meta_bytes(volume: NDArray[Any], is_lps: bool) -> bytes:
    """Give the bytes of a packed MetaImage.

    Args:
        volume: (z, y, x) int16, uint8 or float32, RAS+.
        is_lps: store x and y backwards, as BraTS does; else the matrix turns ITK's world.
    """
    z, y, x = volume.shape
    turn, offset = "-1 0 0 0 -1 0 0 0 1", "0 0 0"
    if is_lps:
        volume, turn, offset = volume[:, ::-1, ::-1], "1 0 0 0 1 0 0 0 1", f"0 {1 - y} 0"
    kind = {"int16": "MET_SHORT", "uint8": "MET_UCHAR", "float32": "MET_FLOAT"}[volume.dtype.name]
    lines = (
        "ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False",
        "CompressedData = True", f"TransformMatrix = {turn}", f"Offset = {offset}",
        "CenterOfRotation = 0 0 0", "AnatomicalOrientation = RAI", "ElementSpacing = 1 1 1",
        f"DimSize = {x} {y} {z}", f"ElementType = {kind}", "ElementDataFile = LOCAL",
    )  # fmt: skip
    head = "".join(f"{line}\n" for line in lines).encode()
    return head + zlib.compress(np.ascontiguousarray(volume).tobytes(), GZIP_LEVEL)


def nifti_bytes(volume: NDArray[Any], is_lps: bool) -> bytes:
    """Give the bytes of a NIfTI-1 file.

    Args:
        volume: (z, y, x) or (4, z, y, x) of any dtype of NIfTI, RAS+.
        is_lps: store x and y backwards, as BraTS does, with the affine that says so.
    """
    shape = volume.shape[::-1]
    affine = np.eye(4)
    if is_lps:
        volume = volume[..., ::-1, ::-1]
        affine = np.diag((*_LPS, 1.0))
        affine[:2, 3] = 0.0, shape[1] - 1
    header = nibabel.Nifti1Header()
    header.set_data_dtype(volume.dtype)
    header.set_data_shape(shape)
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return bytes(header.binaryblock) + bytes(4) + np.ascontiguousarray(volume).tobytes()
