"""Digests change with every content and with nothing else."""

from dataclasses import fields, replace

import numpy as np
import pytest

from bratsprep.case import CaseRow, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.slicefile.digest import build_key, case_digest, file_digest

OUTSIDE = ("source", "digest")
CONTENT = [field.name for field in fields(CaseRow) if field.name not in OUTSIDE]
TABLES = [field.name for field in fields(CaseTables) if field.name != "case"]


def row():
    """A row of distinct values."""
    return CaseRow(
        id="a",
        subject="b",
        release="c",
        scheme="d",
        labelled=True,
        affine=np.eye(4),
        spacing=np.float32([1, 2, 3]),
        shape=np.int32([4, 5, 6]),
        orientation="LPS",
        box=np.int32([[0, 0, 0], [1, 2, 3]]),
        brain_box=np.int32([[0, 1, 0], [1, 2, 3]]),
        mean=np.float64([1, 2, 3, 4]),
        std=np.float64([5, 6, 7, 8]),
        brain_voxels=9,
        voxels=np.int64([1, 2, 3, 4]),
        lost_voxels=np.int64([0, 0, 1, 0]),
        fingerprint=np.int8([[[[1]]]]),
        mask_fingerprint=np.uint8([[[[2]]]]),
        source="[]",
        digest="",
    )


def tables():
    """Tables of two slices and three planes."""
    return CaseTables(
        case=row(),
        z=np.int16([1, 2]),
        slice_voxels=np.arange(8, dtype=np.int32).reshape(2, 4),
        crc=np.uint32([[1, 2], [3, 4]]),
        plane_brain=np.int32([1, 2, 3]),
        plane_voxels=np.arange(12, dtype=np.int32).reshape(3, 4),
    )


def changed(value):
    """Something else of the same type."""
    if isinstance(value, np.ndarray):
        other = value.copy()
        other.flat[-1] += 1
        return other
    return value + "x" if isinstance(value, str) else not value


@pytest.mark.parametrize("name", CONTENT)
def test_case_digest_sees_every_field_of_the_row(name):
    case = replace(row(), **{name: changed(getattr(row(), name))})
    assert case_digest(replace(tables(), case=case)) != case_digest(tables())


@pytest.mark.parametrize("name", TABLES)
def test_case_digest_sees_every_table(name):
    other = replace(tables(), **{name: changed(getattr(tables(), name))})
    assert case_digest(other) != case_digest(tables())


@pytest.mark.parametrize("name", OUTSIDE)
def test_case_digest_does_not_depend_on(name):
    case = replace(row(), **{name: "other"})
    assert case_digest(replace(tables(), case=case)) == case_digest(tables())


def test_case_digest_does_not_depend_on_byte_order_or_strides():
    big = tables().plane_voxels.astype(">i4")
    other = replace(tables(), plane_voxels=np.asfortranarray(big), z=tables().z[::-1][::-1])
    assert case_digest(other) == case_digest(tables())


def test_case_digest_tells_shapes_apart():
    flat = replace(tables(), crc=tables().crc.reshape(-1))
    assert case_digest(flat) != case_digest(tables())


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


def test_build_key_does_not_depend_on_the_order_of_cases():
    cases = {"a": [("a.nii", 1)], "b": [("b.nii", 2), ("c.nii", 3)]}
    turned = dict(reversed(cases.items()))
    assert build_key(PrepConfig(), cases) == build_key(PrepConfig(), turned)


@pytest.mark.parametrize(
    ("config", "cases"),
    [
        (PrepConfig(compression="none"), {"a": [("a.nii", 1)]}),
        (PrepConfig(), {"b": [("a.nii", 1)]}),
        (PrepConfig(), {"a": [("b.nii", 1)]}),
        (PrepConfig(), {"a": [("a.nii", 2)]}),
        (PrepConfig(), {"a": [("a.nii", 1)], "b": []}),
    ],
    ids=["setting", "id", "name", "size", "one more"],
)
def test_build_key_depends_on(config, cases):
    assert build_key(config, cases) != build_key(PrepConfig(), {"a": [("a.nii", 1)]})
