"""Digests change with every content and with nothing else."""

import hashlib

import numpy as np
import pytest

from bratsprep.case import CaseTables
from bratsprep.config import PrepConfig
from bratsprep.slicefile import schema
from bratsprep.slicefile.digest import case_digest, file_digest

SIZES = schema.Sizes(4, 4)
OUTSIDE = ("source", "digest")
CONTENT = [column.name for column in schema.CASE_COLUMNS if column.name not in OUTSIDE]
TABLES = [("slices", "z"), ("slices", "voxels"), ("slices", "crc")]
TABLES += [("planes", "brain"), ("planes", "voxels")]


def values():
    """Distinct values for a row."""
    return {
        "id": "a",
        "subject": "b",
        "release": "c",
        "scheme": "d",
        "labelled": True,
        "present": np.uint8([1, 1, 0, 1]),
        "source_shape": np.int32([4, 5, 7]),
        "source_spacing": np.float32([1, 2, 4]),
        "affine": np.eye(4),
        "spacing": np.float32([1, 2, 3]),
        "shape": np.int32([4, 5, 6]),
        "orientation": "LPS",
        "box": np.int32([[0, 0, 0], [1, 2, 3]]),
        "brain_box": np.int32([[0, 1, 0], [1, 2, 3]]),
        "mean": np.float64([1, 2, 3, 4]),
        "std": np.float64([5, 6, 7, 8]),
        "brain_voxels": 9,
        "voxels": np.int64([1, 2, 3, 4]),
        "lost_voxels": np.int64([0, 0, 1, 0]),
        "fingerprint": np.int8(1),
        "mask_fingerprint": np.uint8(2),
        "source": "[]",
        "digest": "",
    }


def tables(**changes):
    """Tables of two slices and three planes."""
    voxels = np.arange(12).reshape(3, 4)
    return CaseTables(
        case=schema.make_rows("case", SIZES, 1, **values() | changes)[0],
        slices=schema.make_rows(
            "slice", SIZES, 2, case=0, z=[1, 2], voxels=voxels[:2], crc=[[1, 2], [3, 4]]
        ),
        planes=schema.make_rows(
            "plane", SIZES, 3, case=0, z=[0, 1, 2], brain=[1, 2, 3], voxels=voxels
        ),
    )


def by_hand(tables):
    """The digest from its parts: names, dtypes, shapes and bytes in order."""
    total = hashlib.sha256()
    row = tables.case
    for name in ("id", "subject", "release", "scheme"):
        total.update(f"\n{name} {row[name]}".encode())
    total.update(b"\nlabelled |b1 () " + (b"\1" if row["labelled"] else b"\0"))
    for name in ("present", "affine", "source_shape", "source_spacing", "spacing", "shape"):
        total.update(f"\n{name} {row[name].dtype.str} {row[name].shape} ".encode())
        total.update(row[name].tobytes())
    total.update(f"\norientation {row['orientation']}".encode())
    names = ("box", "brain_box", "mean", "std", "brain_voxels", "voxels", "lost_voxels")
    for name in (*names, "fingerprint", "mask_fingerprint"):
        total.update(f"\n{name} {row[name].dtype.str} {row[name].shape} ".encode())
        total.update(row[name].tobytes())
    for name, part in (
        ("z <i2 (2,)", tables.slices["z"]),
        ("slice_voxels <i4 (2, 4)", tables.slices["voxels"]),
        ("crc <u4 (2, 2)", tables.slices["crc"]),
        ("plane_brain <i4 (3,)", tables.planes["brain"]),
        ("plane_voxels <i4 (3, 4)", tables.planes["voxels"]),
    ):
        total.update(f"\n{name} ".encode() + part.tobytes())
    return total.hexdigest()


def test_case_digest_is_that_of_names_types_shapes_and_bytes():
    assert case_digest(tables()) == by_hand(tables())


def changed(value):
    """Something else of the same type."""
    if isinstance(value, np.ndarray | np.generic):
        other = np.array(value)
        other.flat[-1] += 1
        return other
    if isinstance(value, bool):
        return not value
    return value + ("x" if isinstance(value, str) else 1)


@pytest.mark.parametrize("name", CONTENT)
def test_case_digest_sees_every_field_of_the_row(name):
    other = tables(**{name: changed(values()[name])})
    assert case_digest(other) != case_digest(tables())


@pytest.mark.parametrize(("table", "name"), TABLES)
def test_case_digest_sees_every_table(table, name):
    other = tables()
    getattr(other, table)[name].flat[-1] += 1
    assert case_digest(other) != case_digest(tables())


@pytest.mark.parametrize("name", OUTSIDE)
def test_case_digest_does_not_depend_on(name):
    assert case_digest(tables(**{name: "other"})) == case_digest(tables())


@pytest.mark.parametrize("table", ["slices", "planes"])
def test_case_digest_does_not_depend_on_the_place_in_the_file(table):
    other = tables()
    getattr(other, table)["case"] = 7
    assert case_digest(other) == case_digest(tables())


def test_case_digest_does_not_depend_on_byte_order_or_strides():
    one = tables()
    big = one.planes.astype(one.planes.dtype.newbyteorder(">"))
    twice = np.repeat(one.slices, 2)
    assert case_digest(CaseTables(one.case, twice[::2], big)) == case_digest(one)


def test_case_digest_depends_on_the_number_of_planes():
    one = tables()
    assert case_digest(CaseTables(one.case, one.slices, one.planes[:2])) != case_digest(one)


def test_case_digest_is_64_hex_digits():
    assert len(case_digest(tables())) == 64
    assert int(case_digest(tables()), 16) > 0


def test_file_digest_depends_on_settings_and_order_of_cases():
    digests = {
        file_digest(PrepConfig(), ["a", "b"]),
        file_digest(PrepConfig(), ["b", "a"]),
        file_digest(PrepConfig(), ["a"]),
        file_digest(PrepConfig(margin=1), ["a", "b"]),
    }
    assert len(digests) == 4


@pytest.mark.parametrize("compression", ["small", "none"])
def test_file_digest_does_not_depend_on_compression(compression):
    same = file_digest(PrepConfig(compression=compression), ["a"])
    assert same == file_digest(PrepConfig(), ["a"])
