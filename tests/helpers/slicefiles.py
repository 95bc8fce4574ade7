"""Small slice files for tests, written by h5py straight from the contract.

They do not use the package's writer, so a fault that reader and writer share cannot hide.
"""

import json
import zlib

import h5py
import numpy as np

from bratsprep.config import PrepConfig
from bratsprep.labels import CLASSES, MODALITIES, REGIONS
from bratsprep.slicefile import schema

SHAPE = (6, 5)
VOLUME = (7, 9, 8)
"""Uncropped (z, y, x)."""
STR = h5py.string_dtype()


def pictures(n_slices, dtype="<f2", shape=SHAPE, seed=0):
    """Images (s, 4, h, w) with zeros outside, and labels (s, h, w)."""
    generator = np.random.default_rng(seed)
    image = generator.normal(0, 1 if dtype[1] == "f" else 300, (n_slices, 4, *shape)).astype(dtype)
    image[:, :, 0] = 0
    label = generator.integers(0, 4, (n_slices, *shape)).astype(np.uint8)
    label[::3] = 0
    return image, label


def column(spec, n_rows, first):
    """Zeros or empty strings of a column, under what `first` holds."""
    row = tuple(first[spec.path].shape[1:]) if spec.path in first else spec.row
    if spec.path in first:
        return first[spec.path]
    return np.full(n_rows, "", object) if spec.dtype == "str" else np.zeros((n_rows, *row), "u1")


def tables(cases, label, crc):
    """Columns that say something; `cases` is (id, subject, planes) of each."""
    depth = VOLUME[0]
    n_cases = len(cases)
    case = np.repeat(np.arange(n_cases), [len(planes) for _, _, planes in cases])
    voxels = np.stack([(label == k).sum(axis=(1, 2)) for k in range(len(CLASSES))], axis=1)
    totals = np.zeros((n_cases, len(CLASSES)), np.int64)
    np.add.at(totals, case, voxels)
    return {
        "slice/case": case,
        "slice/z": np.concatenate([planes for _, _, planes in cases]),
        "slice/voxels": voxels,
        "slice/crc": crc,
        "plane/case": np.repeat(np.arange(n_cases), depth),
        "plane/z": np.tile(np.arange(depth), n_cases),
        "case/id": np.array([name for name, _, _ in cases], object),
        "case/subject": np.array([subject for _, subject, _ in cases], object),
        "case/labelled": np.ones(n_cases, np.uint8),
        "case/shape": np.tile(VOLUME, (n_cases, 1)),
        "case/box": np.tile([[0, 2, -1], [depth, 2 + SHAPE[0], -1 + SHAPE[1]]], (n_cases, 1, 1)),
        "case/spacing": np.ones((n_cases, 3)),
        "case/voxels": totals,
    }


def write(path, cases=None, *, dtype="<f2", deflated=True, seed=0, pixels=None):
    """Write a slice file; gives the images and labels that it holds."""
    if cases is None:
        cases = [("A", "A", [1, 2, 4]), ("B", "B", [0, 3, 5, 6])]
    n_slices = sum(len(planes) for _, _, planes in cases)
    image, label = pixels if pixels else pictures(n_slices, dtype, seed=seed)
    crc = [
        [zlib.crc32(one.tobytes()), zlib.crc32(two)] for one, two in zip(image, label, strict=True)
    ]
    first = tables(cases, label, np.array(crc, np.uint32).reshape(-1, 2))
    filters = {"compression": "gzip", "shuffle": True} if deflated else {}
    sizes = {"slice": n_slices, "plane": len(first["plane/z"]), "case": len(cases)}
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        attributes(file, dtype, deflated)
        for spec in schema.COLUMNS:
            if spec in (schema.IMAGE, schema.LABEL):
                array = image if spec is schema.IMAGE else label
                chunks = (1, *array.shape[1:])
                longest = (None, *array.shape[1:])
                file.create_dataset(
                    spec.path, data=array, chunks=chunks, maxshape=longest, **filters
                )
            else:
                kind = STR if spec.dtype == "str" else spec.dtype
                rows = column(spec, sizes[spec.table], first)
                file.create_dataset(spec.path, data=rows.astype(kind), dtype=kind)
    return image, label


def attributes(file, dtype="<f2", deflated=True):
    """Set the root attributes."""
    config = PrepConfig(
        normalise="none" if dtype == "<i2" else "modality",
        dtype={"<f2": "float16", "<f4": "float32", "<i2": "int16"}[dtype],
        compression="fast" if deflated else "none",
    )
    file.attrs.update(
        format=schema.FORMAT,
        version=schema.VERSION,
        config=config.to_json(),
        modalities=list(MODALITIES),
        classes=list(CLASSES),
        regions=json.dumps(dict(REGIONS)),
        software="{}",
        skipped="{}",
        digest="0" * 64,
    )
