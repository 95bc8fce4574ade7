"""Phantoms to disk, named as in each release; the same settings give the same bytes."""

import json
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import h5py
import nibabel
import numpy as np
from isal import igzip
from numpy.typing import NDArray

from bratsprep.phantom.layouts import Names, PhantomLayout

GZIP_LEVEL: Final = 2
"""Of isal: as small as zlib's 6, which the releases used, ten times faster."""
_LPS: Final = (-1.0, -1.0, 1.0)


def write_case(
    folder: Path,
    layout: PhantomLayout,
    names: Names,
    images: NDArray[Any],
    raw: NDArray[Any],
    end: str,
) -> None:
    """Write the files of one case.

    Args:
        folder: of the set.
        layout: how to name them.
        names: of the case.
        images: (4, z, y, x) of the dtype to store, RAS+, in MODALITIES order.
        raw: (z, y, x) of an integer dtype, RAS+, label values of the scheme to write.
        end: suffix.
    """
    if layout.images[0].endswith(".h5"):
        write_planes(folder / names.file(layout.images[0], end), images, raw, names.is_labelled)
        return
    parts = [images] if len(layout.images) == 1 else list(images)
    files = [(names.file(p, end), v) for p, v in zip(layout.images, parts, strict=True)]
    files += [(names.file(p, end), images[0]) for p in layout.others]
    if names.is_labelled:
        files.append((names.file(layout.label, end), raw.astype(layout.label_dtype)))
    for file, volume in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file_bytes(path.name, volume, layout.is_lps))


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
        volume: as of `nifti_bytes`; (z, y, x) alone for `.mha`.
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


def write_index(
    folder: Path, layout: PhantomLayout, names: Sequence[Names], scheme: str, end: str
) -> None:
    """Write `dataset.json` where the layout has one.

    Args:
        folder: of the set.
        layout: of the set.
        names: every case.
        scheme: label scheme written.
        end: suffix.
    """
    if layout.index is not None:
        text = json.dumps(layout.index(names, scheme, end), indent=1)
        (folder / "dataset.json").write_text(text + "\n", encoding="utf-8")


def pack_folders(folder: Path, kind: str) -> None:
    """Turn each folder of a set into an archive of its name beside it.

    Args:
        folder: of the set.
        kind: `tar`, `tar.gz` or `zip`; empty to leave them.
    """
    for inner in sorted(folder.iterdir()) if kind else ():
        if inner.is_dir():
            pack(inner, inner.name, inner.with_name(f"{inner.name}.{kind}"), kind)


def pack(folder: Path, name: str, target: Path, kind: str) -> Path:
    """Give a finished set its final name, or move it into an archive.

    Args:
        folder: written; gone afterwards.
        name: of the one folder at the archive's top.
        target: the final folder, or the archive.
        kind: `tar`, `tar.gz` or `zip`; empty for a folder.

    Returns:
        `target`.
    """
    if not kind:
        if target.exists():
            target.rmdir()  # empty, or the call would have been refused
        return folder.rename(target)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    members = [(path, f"{name}/{path.relative_to(folder).as_posix()}") for path in files]
    half = target.with_name(f"{target.name}.partial")
    if kind == "zip":
        _zip(half, members)
    else:
        _tar(half, members, kind == "tar.gz")
    shutil.rmtree(folder)
    return half.rename(target)


def _zip(target: Path, members: list[tuple[Path, str]]) -> None:
    """Store files in a zip, all of the first day that a zip knows."""
    with zipfile.ZipFile(target, "w") as archive:
        for path, name in members:
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())


def _tar(target: Path, members: list[tuple[Path, str]], is_gzip: bool) -> None:
    """Store files in a tar of no owner and no date."""
    with ExitStack() as stack:
        out: Any = stack.enter_context(target.open("wb"))
        if is_gzip:
            out = stack.enter_context(igzip.IGzipFile("", "wb", GZIP_LEVEL, out, 0))
        archive = stack.enter_context(tarfile.open(fileobj=out, mode="w"))
        for path, name in members:
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(member, content)
