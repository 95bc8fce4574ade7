"""What the output files of the two programs hold, as facts that can be compared.

A fact is a name and a value, such as `content` of a slice file or `network.head.weight` of a
checkpoint. Files are read with h5py, torch, nibabel and json alone, not with the packages under
comparison. What follows from the run and not from the result (times, versions, paths) is left out.
"""

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
import nibabel
import numpy as np
import torch
from numpy.typing import NDArray

Facts = dict[str, object]
NAMING = ("convention", "metric", "case", "part", "planes")
"""Entries of a row of `evaluation.json` that say which row it is, as far as it has them."""
RUN_ONLY = ("about",)
"""Parts of `evaluation.json` that describe the run: paths, versions and cache keys."""


def digest(values: NDArray[np.generic]) -> str:
    """Digest of an array.

    Args:
        values: array of any shape and dtype; objects are taken as text.

    Returns:
        dtype, shape and the first 16 hexadecimal digits of the SHA-256 of the values.
    """
    if values.dtype.hasobject:
        data = json.dumps([str(value) for value in values.ravel()]).encode()
    else:
        data = np.ascontiguousarray(values).tobytes()
    return f"{values.dtype} {values.shape} {hashlib.sha256(data).hexdigest()[:16]}"


def file_facts(place: Path) -> Facts:
    """SHA-256 of each file in a folder, a tar or a zip, by its path in there."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in _files(place)}


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each file; the times that an archive stores are passed over."""
    if place.is_dir():
        for path in sorted(place.rglob("*")):
            if path.is_file():
                yield path.relative_to(place).as_posix(), path.read_bytes()
    elif place.suffix == ".zip":
        with zipfile.ZipFile(place) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)
    else:
        with tarfile.open(place) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                yield member.name, b"" if stream is None else stream.read()


def slice_file_facts(path: Path) -> Facts:
    """Content digest of a slice file, and the digest of every dataset in it."""
    facts: Facts = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            facts[name] = digest(np.asarray(item[()]))

    with h5py.File(path) as file:
        facts["content"] = str(file.attrs["digest"])
        file.visititems(visit)
    return facts


def _tensors(value: object, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested mappings and lists, with the keys that lead to it."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _tensors(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _tensors(item, f"{name}.{index}" if name else str(index))


def checkpoint_facts(path: Path) -> Facts:
    """Digest of each tensor of a checkpoint: weights, their average, moments of the optimiser."""
    held = torch.load(path, map_location="cpu", weights_only=True)
    return {name: digest(tensor.numpy()) for name, tensor in _tensors(held, "")}


def label_map_facts(folder: Path) -> Facts:
    """Voxels and affine of every NIfTI file in a folder."""
    facts: Facts = {}
    for path in sorted(folder.glob("*.nii.gz")):
        image = nibabel.load(path)
        facts[f"{path.name} voxels"] = digest(np.asanyarray(image.dataobj))
        facts[f"{path.name} affine"] = digest(image.affine)
    return facts


def numbers(value: object, name: str = "") -> Iterator[tuple[str, float | int | bool | None]]:
    """Every number in a JSON value, with the path that leads to it.

    An item of a list goes by what NAMING finds in it, and by its index where that is nothing, so
    that a new row does not shift the names of the others.

    Args:
        value: as `json.loads` gives it.
        name: path of the value itself.

    Yields:
        Path and number, truth value or null; text is passed over.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, f"{name}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            keys = [item[k] for k in NAMING if k in item] if isinstance(item, dict) else []
            yield from numbers(item, f"{name}/{', '.join(map(str, keys)) or index}")
    elif not isinstance(value, str):
        yield name, value  # type: ignore[misc]  # what is left in JSON are numbers


def evaluation_facts(path: Path) -> Facts:
    """Every number of an `evaluation.json`, those about the run itself left out."""
    held = json.loads(path.read_text(encoding="utf-8"))
    return dict(numbers({name: part for name, part in held.items() if name not in RUN_ONLY}))


def differences(first: Facts, second: Facts) -> list[str]:
    """Name every fact that differs or that one side lacks.

    Args:
        first: facts of one side.
        second: facts of the other.

    Returns:
        A line for each, in the order of the names; NaN equals NaN.
    """
    lines = []
    for name in sorted({*first, *second}):
        if name not in second:
            lines.append(f"{name}: only in the first")
        elif name not in first:
            lines.append(f"{name}: only in the second")
        elif first[name] != second[name] and not _both_nan(first[name], second[name]):
            lines.append(f"{name}: {first[name]} and {second[name]}")
    return lines


def _both_nan(first: object, second: object) -> bool:
    """Whether both are the float that does not equal itself."""
    return first != first and second != second  # noqa: PLR0124 (NaN)
