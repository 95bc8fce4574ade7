"""NIfTI files that cannot be are refused by name, and memory stays within its limit."""

import gzip
import struct

import numpy as np
import pytest

from bratsprep.errors import NiftiError, SourceError
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.nifti import load, parse_header
from tests.helpers import niftis
from tests.helpers.niftis import SHAPE, loaded, numbers


def refusal(path, buffers=None, error=NiftiError):
    """Message of a file without its name."""
    with pytest.raises(error) as caught:
        loaded(path, buffers)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# Headers that cannot be


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"magic": b"ni1"}, "is half of a header/image pair; one .nii file is needed"),
        ({"datatype": 9999}, "header is broken: 9999"),
        ({"datatype": 32}, "voxel type is complex64; expected int8 to int64, float32 or 64"),
        ({"datatype": 1792}, "voxel type is complex128; expected int8 to int64, float32 or 64"),
        ({"vox_offset": 20}, "vox_offset is 20; expected 348 to 16777216"),
        ({"vox_offset": 2**24}, "vox_offset is 16777216; expected 348 to 16777216"),
        ({"vox_offset": -400}, "vox_offset is -400; expected 348 to 16777216"),
        ({"vox_offset": np.nan}, "header is broken: cannot convert float NaN to integer"),
        ({"vox_offset": np.inf}, "header is broken: cannot convert float infinity to integer"),
        ({"scl_slope": 2, "scl_inter": np.nan}, "scl_inter is nan; it must be a number"),
        ({"scl_slope": 2, "scl_inter": np.inf}, "scl_inter is inf; it must be a number"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_a_header_that_cannot_be_is_refused(tmp_path, fields, message):
    path = niftis.write(tmp_path / "a.nii", numbers(), fields=tuple(fields.items()))
    assert refusal(path) == message


def test_a_type_wider_than_float64_is_refused(tmp_path):
    path = niftis.write(tmp_path / "a.nii", numbers(), fields=(("datatype", 1536),))
    assert refusal(path).endswith("; expected int8 to int64, float32 or 64")


def test_colours_are_refused(tmp_path):
    colours = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    message = refusal(niftis.write(tmp_path / "a.nii", colours))
    assert message.startswith("voxel type is [('R', 'u1'), ")


def test_a_qform_that_is_no_rotation_is_refused(tmp_path):
    fields = (("quatern_b", 3.0), ("quatern_c", 3.0))
    path = niftis.write(tmp_path / "a.nii", numbers(), sform=0, fields=fields)
    assert refusal(path).startswith("header is broken: w2 should be positive")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4), r"shape is (3, 4); expected (x, y, z) or (x, y, z, modality)"),
        ((2, 2, 2, 2, 2), r"shape is (2, 2, 2, 2, 2); expected (x, y, z) or (x, y, z, modality)"),
        ((3, 0, 5), r"shape is (3, 0, 5); expected (x, y, z) or (x, y, z, modality)"),
        ((3, -4, 5), r"shape is (3, -4, 5); expected (x, y, z) or (x, y, z, modality)"),
    ],
    ids=str,
)
def test_a_shape_that_is_no_volume_is_refused(tmp_path, shape, message):
    dim = (len(shape), *shape, *[1] * (7 - len(shape)))
    path = niftis.write(tmp_path / "a.nii", numbers(), fields=(("dim", dim),))
    assert refusal(path) == message


def test_more_voxels_than_any_scan_has_are_refused(tmp_path):
    dim = (3, 10_000, 10_000, 10_000, 1, 1, 1, 1)
    path = niftis.write(tmp_path / "a.nii.gz", numbers(), fields=(("dim", dim),))
    assert refusal(path) == "header claims 1,000,000,000,000 voxels; it is broken"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_more_voxels_than_the_file_can_hold_are_refused_before_memory_is_taken(tmp_path, suffix):
    dim = (3, 1000, 1000, 1000, 1, 1, 1, 1)
    path = niftis.write(tmp_path / f"a{suffix}", numbers(), fields=(("dim", dim),))
    size = path.stat().st_size * (1032 if suffix == ".nii.gz" else 1)
    buffers = Buffers()
    assert refusal(path, buffers) == (
        f"header promises 2,000,000,352 bytes but the file holds at most {size:,}; "
        "download the file again"
    )
    assert buffers.reserve("image0", 1, "").base.size == 1


def test_a_plain_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(niftis.content(numbers())[:-1])
    assert refusal(path) == (
        "header promises 472 bytes but the file holds at most 471; download the file again"
    )


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"not a nifti file", "is no NIfTI file; its first bytes are 6e 6f 74 20 61 20 6e 69"),
        (b"ab", "is no NIfTI file; its first bytes are 61 62"),
        (struct.pack("<i", 348), "is no NIfTI file; its first bytes are 5c 01 00 00"),
    ],
    ids=["text", "short", "cut header"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_what_is_no_nifti_is_named_by_its_first_bytes(tmp_path, start, message, pack):
    (tmp_path / "a.nii").write_bytes(pack(start))
    assert refusal(tmp_path / "a.nii") == message


def test_a_cut_second_version_is_refused():
    head = niftis.content(numbers(), version=2)[:400]
    with pytest.raises(NiftiError, match=r"^a: is no NIfTI file; its first bytes are 1c 02 00 00"):
        parse_header(head, "a")


@pytest.mark.parametrize(
    "fields",
    [
        {"srow_x": (0, 0, 0, 1)},
        {"srow_x": (1, 1, 0, 0), "srow_y": (1, 1, 0, 0)},
        {"srow_x": (np.nan, 0, 0, 0)},
        {"srow_z": (0, 0, np.inf, 0)},
    ],
    ids=["zero", "parallel", "nan", "inf"],
)
def test_an_affine_onto_a_plane_is_refused(tmp_path, fields):
    path = niftis.write(tmp_path / "a.nii", numbers(), fields=tuple(fields.items()))
    message = refusal(path)
    assert message.startswith("affine [[")
    assert message.endswith("is no transform of a volume")


# Broken gzip


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda packed: packed[:-9], "gzip stream is cut short; download the file again"),
        (lambda packed: packed[:-8] + b"\0\0\0\0" + packed[-4:], "gzip stream is corrupt (Error"),
        (lambda packed: packed[:2] + b"\1" + packed[3:], "gzip stream is corrupt (Error -3"),
        (lambda packed: packed + b"junk", "4 bytes of something else follow the gzip stream"),
    ],
    ids=["cut", "checksum", "method", "garbage"],
)
def test_a_broken_gzip_stream_is_refused(tmp_path, harm, message):
    path = niftis.write(tmp_path / "a.nii.gz", numbers())
    path.write_bytes(harm(path.read_bytes()))
    assert refusal(path, error=SourceError).startswith(message)


def test_a_worker_goes_on_after_a_broken_file(tmp_path):
    bad = niftis.write(tmp_path / "a.nii.gz", numbers())
    bad.write_bytes(bad.read_bytes()[:-9])
    good = niftis.write(tmp_path / "b.nii", numbers(shape=(9, 9, 9)))
    buffers = Buffers()
    with open_source(tmp_path) as source:
        with pytest.raises(SourceError) as kept:
            load(source, bad.name, buffers, "image0")
        _, raw, _ = load(source, good.name, buffers, "image0")
    np.testing.assert_array_equal(raw, numbers(shape=(9, 9, 9)).T)
    assert kept.value


# Memory


def test_buffers_are_used_again():
    buffers = Buffers()
    first = buffers.reserve("a", 10, "")
    assert np.shares_memory(first, buffers.reserve("a", 4, ""))
    assert buffers.reserve("a", 4, "").shape == (4,)


def test_buffers_of_different_names_are_apart():
    buffers = Buffers()
    assert not np.shares_memory(buffers.reserve("a", 10, ""), buffers.reserve("b", 10, ""))


def test_buffers_grow():
    buffers = Buffers()
    buffers.reserve("a", 10, "")
    assert buffers.reserve("a", 20, "").shape == (20,)


def test_buffers_refuse_to_go_beyond_their_limit():
    buffers = Buffers(3 << 20)
    buffers.reserve("a", 2 << 20, "raw/a")
    buffers.reserve("a", 3 << 20, "raw/a")
    message = "^raw/b: needs 4 MB, a worker has 3 MB; raise --max-ram or lower --workers$"
    with pytest.raises(NiftiError, match=message):
        buffers.reserve("b", 1 << 20, "raw/b")


def test_load_keeps_to_the_limit_of_its_buffers(tmp_path):
    path = niftis.write(tmp_path / "a.nii", numbers())
    assert refusal(path, Buffers(100)).startswith("needs 0 MB, a worker has 0 MB; raise --max-ram")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(niftis.content(numbers())), "packed by gzip twice"),
        (b"<!DOCTYPE html><html>not found</html>" * 20, "a web page"),
        (b'\n<?xml version="1.0"?>', "a web page"),
        (b'{"error": "quota"}', "JSON text"),
        (b"PK\3\4" + bytes(400), "a zip archive"),
        (b"NRRD0004\n", "an NRRD file"),
        (b"ObjectType = Image\n", "ElementDataFile is missing"),
    ],
    ids=["gzip", "html", "xml", "json", "zip", "nrrd", "mha"],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_what_lies_in_place_of_a_nifti_file_is_named(tmp_path, content, words, suffix):
    path = tmp_path / f"a{suffix}"
    is_plain = suffix == ".nii" and not content.startswith(b"\x1f\x8b")
    path.write_bytes(content if is_plain else gzip.compress(content))
    assert words in refusal(path)
