"""Small slice files for tests, written by h5py straight from the contract.

They do not use the package's writer, so a fault that reader and writer share cannot hide.
"""

import json
import zlib

import h5py
import numpy as np

from bratsprep.config import USUAL_MODALITIES, PrepConfig
from bratsprep.slicefile import schema
from tests.helpers.class_sets import SCHEME

SHAPE = (6, 5)
VOLUME = (7, 9, 8)
"""Uncropped (z, y, x)."""
SIZES = schema.Sizes(len(USUAL_MODALITIES), len(SCHEME.classes))


def pictures(n_slices, dtype="<f2", shape=SHAPE, seed=0, *, sizes=SIZES):
    """Images (s, m, h, w) with zeros outside, and labels (s, h, w)."""
    generator = np.random.default_rng(seed)
    spread = 1 if dtype[1] == "f" else 300
    image = generator.normal(0, spread, (n_slices, sizes.modalities, *shape)).astype(dtype)
    image[:, :, 0] = 0
    label = generator.integers(0, sizes.classes, (n_slices, *shape)).astype(np.uint8)
    label[::3] = 0
    return image, label


def column(spec, n_rows, first, sizes):
    """Rows of a column: what `first` holds, or zeros or empty texts; texts as bytes."""
    if spec.path in first:
        rows = np.asarray(first[spec.path])
    elif spec.dtype == "str":
        rows = np.full(n_rows, "", object)
    else:
        rows = np.zeros((n_rows, *sizes.row(spec)), "u1")
    if spec.dtype != "str":
        return rows.astype(spec.dtype)
    packed = [str(text).encode() for text in rows]
    return np.array(packed, schema.text_dtype(map(str, rows)))


def tables(cases, label, crc, sizes):
    """Columns that say something; `cases` is (id, subject, planes) of each."""
    depth = VOLUME[0]
    n_cases = len(cases)
    case = np.repeat(np.arange(n_cases), [len(planes) for _, _, planes in cases])
    voxels = np.stack([(label == k).sum(axis=(1, 2)) for k in range(sizes.classes)], axis=1)
    totals = np.zeros((n_cases, sizes.classes), np.int64)
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
        "case/present": np.ones((n_cases, sizes.modalities), np.uint8),
        "case/source_shape": np.tile(VOLUME, (n_cases, 1)),
        "case/source_spacing": np.ones((n_cases, 3)),
        "case/shape": np.tile(VOLUME, (n_cases, 1)),
        "case/box": np.tile([[0, 2, -1], [depth, 2 + SHAPE[0], -1 + SHAPE[1]]], (n_cases, 1, 1)),
        "case/spacing": np.ones((n_cases, 3)),
        "case/voxels": totals,
    }


def write(
    path,
    cases=None,
    *,
    dtype="<f2",
    deflated=True,
    seed=0,
    pixels=None,
    scheme=SCHEME,
    modalities=USUAL_MODALITIES,
):
    """Write a slice file; gives the images and labels that it holds."""
    if cases is None:
        cases = [("A", "A", [1, 2, 4]), ("B", "B", [0, 3, 5, 6])]
    sizes = schema.Sizes(len(modalities), len(scheme.classes))
    n_slices = sum(len(planes) for _, _, planes in cases)
    image, label = pixels if pixels else pictures(n_slices, dtype, seed=seed, sizes=sizes)
    crc = [
        [zlib.crc32(one.tobytes()), zlib.crc32(two)] for one, two in zip(image, label, strict=True)
    ]
    first = tables(cases, label, np.array(crc, np.uint32).reshape(-1, 2), sizes)
    first["case/scheme"] = np.full(len(cases), scheme.name, object)
    filters = {"compression": "gzip", "shuffle": True} if deflated else {}
    n_rows = {"slice": n_slices, "plane": len(first["plane/z"]), "case": len(cases)}
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        attributes(file, dtype, deflated, scheme, modalities)
        for spec in schema.COLUMNS:
            if spec in (schema.IMAGE, schema.LABEL):
                array = image if spec is schema.IMAGE else label
                chunks = (1, *array.shape[1:])
                longest = (None, *array.shape[1:])
                file.create_dataset(
                    spec.path, data=array, chunks=chunks, maxshape=longest, **filters
                )
            else:
                rows = column(spec, n_rows[spec.table], first, sizes)
                file.create_dataset(spec.path, data=rows, dtype=rows.dtype)
    return image, label


def text(file, name, value):
    """Set a root attribute to UTF-8 of its own length."""
    packed = value.encode()
    file.attrs.create(name, packed, dtype=h5py.string_dtype("utf-8", max(1, len(packed))))


def texts(file, path, values):
    """Replace a column of texts; its length becomes that of the longest."""
    packed = np.array([value.encode() for value in values], schema.text_dtype(values))
    del file[path]
    file.create_dataset(path, data=packed, dtype=packed.dtype)


def attributes(file, dtype="<f2", deflated=True, scheme=SCHEME, modalities=USUAL_MODALITIES):
    """Set the root attributes."""
    config = PrepConfig(
        normalise="none" if dtype == "<i2" else "modality",
        dtype={"<f2": "float16", "<f4": "float32", "<i2": "int16"}[dtype],
        compression="fast" if deflated else "none",
        modalities=",".join(modalities),
    )
    for name, value in (
        ("format", schema.FORMAT),
        ("config", config.to_json()),
        ("modalities", json.dumps(modalities)),
        ("classes", scheme.classes.to_json()),
        ("schemes", json.dumps({scheme.name: json.loads(scheme.to_json())})),
        ("software", "{}"),
        ("skipped", "{}"),
        ("digest", "0" * 64),
    ):
        text(file, name, value)
    file.attrs["version"] = schema.VERSION
