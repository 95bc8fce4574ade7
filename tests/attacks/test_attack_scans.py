"""NIfTI files, gzip streams and tables made to harm."""

import gzip
import json
import struct

import numpy as np
import pytest

from bratsprep.discovery import discover
from bratsprep.discovery.subject_tables import read_table
from bratsprep.errors import BratsError
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.nifti import load, read_header
from bratstrain.data.splits import make_split
from bratstrain.runs.fitted import read_split
from tests.helpers import niftis
from tests.helpers.attacked import MB, refused

DEEP = "[" * 100_000
VOXELS = niftis.numbers()


def read(path, limit=64 * MB):
    with open_source(path.parent) as source:
        return load(source, path.name, Buffers(limit), "image0")


def written(tmp_path, suffix=".nii.gz", **make):
    return niftis.write(tmp_path / f"x{suffix}", VOXELS, **make)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(
    ("dim", "message"),
    [
        ((3, 10_000, 10_000, 10_000, 1, 1, 1, 1), "claims 1,000,000,000,000 voxels; it is broken"),
        ((3, 800, 800, 800, 1, 1, 1, 1), "promises .* bytes but the file holds at most"),
        ((3, -5, 4, 5, 1, 1, 1, 1), r"shape is \(-5, 4, 5\)"),
        ((3, 0, 4, 5, 1, 1, 1, 1), r"shape is \(0, 4, 5\)"),
        ((0, 3, 4, 5, 1, 1, 1, 1), "shape is"),
        ((-1, 3, 4, 5, 1, 1, 1, 1), "shape is|broken"),
        ((99, 3, 4, 5, 1, 1, 1, 1), "shape is|broken"),
        ((7, 3, 4, 5, 9, 9, 9, 9), "shape is"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, version, suffix, dim, message):
    path = written(tmp_path, suffix, version=version, fields=(("dim", dim),))
    with refused(message, tmp_path):
        read(path)


def test_sizes_whose_product_wraps_around(tmp_path):
    dim = (4, 2**32, 2**32, 3, 4, 1, 1, 1)
    path = written(tmp_path, version=2, fields=(("dim", dim),))
    with refused("voxels; it is broken"):
        read(path)


@pytest.mark.parametrize(
    "offset", [-1.0, 0.0, 100.0, 1e8, 3e38, float("nan"), float("inf"), 16_777_215.0]
)
def test_voxels_that_begin_nowhere(tmp_path, offset):
    path = written(tmp_path, fields=(("vox_offset", offset),))
    with refused("vox_offset is|header is broken|promises|unpacks to"):
        read(path)


def test_extension_of_a_billion_bytes_is_passed_over(tmp_path):
    content = bytearray(niftis.content(VOXELS, comment=b"hello"))
    content[352:356] = struct.pack("<i", 10**9)
    (tmp_path / "x.nii").write_bytes(content)
    assert read(tmp_path / "x.nii")[1].shape == VOXELS.shape[::-1]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("number", [float("nan"), float("inf"), 3e38, 0.0])
@pytest.mark.parametrize("sform", [0, 1])
def test_affine_of_no_space(tmp_path, number, sform):
    fields = [("srow_x", (number,) * 4), ("quatern_b", number), ("qoffset_x", number)]
    fields += [("pixdim", (1, number, number, number, 1, 1, 1, 1))]
    path = written(tmp_path, sform=sform, qform=1 - sform, fields=tuple(fields))
    with refused("is no transform of a volume|header is broken|must be"):
        read(path)


@pytest.mark.parametrize("slope", [3e38, -3e38])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_scale_beyond_every_number_is_told_with_the_case(tmp_path, slope):
    make = niftis.Make(slope=slope, inter=3e38)
    volumes = niftis.phantom()
    files = niftis.write_case(tmp_path, volumes=(volumes[0].astype("f8"), volumes[1]), make=make)
    with open_source(tmp_path) as source:
        header, voxels, _ = load(source, files.images[0].member, Buffers(), "image0")
        assert header.slope == pytest.approx(slope)
        assert voxels.dtype == "f8"


@pytest.mark.parametrize("size", [64 * MB, 256 * MB])
def test_gzip_bomb_stops_at_what_its_header_says(tmp_path, size):
    content = niftis.content(VOXELS)
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(content + bytes(size), 1))
    with refused("unpacks to more than its header's"):
        read(tmp_path / "x.nii.gz")


def test_gzip_bomb_that_its_header_announces_needs_memory_that_is_allowed(tmp_path):
    head = niftis.content(VOXELS, fields=(("dim", (3, 400, 400, 400, 1, 1, 1, 1)),))
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(head + bytes(128 * MB), 1))
    with refused("needs 123 MB, a worker has 64 MB; raise --max-ram"):
        read(tmp_path / "x.nii.gz")


def test_gzip_of_many_empty_members(tmp_path):
    whole = gzip.compress(b"", mtime=0) * 2_000 + gzip.compress(niftis.content(VOXELS), mtime=0)
    (tmp_path / "x.nii.gz").write_bytes(whole)
    try:
        read(tmp_path / "x.nii.gz")
    except BratsError as error:
        assert "x.nii.gz" in str(error)  # noqa: PT017  either will do


def test_header_alone_of_a_bomb_is_read_in_little_memory(tmp_path):
    (tmp_path / "x.nii.gz").write_bytes(gzip.compress(niftis.content(VOXELS) + bytes(64 * MB), 1))
    with open_source(tmp_path) as source:
        assert read_header(source, "x.nii.gz").shape == VOXELS.shape


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"modality": ' * 5_000,
        '{"modality": {"0": NaN}}',
        '{"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "labels": {"x": 1e999}}',
        '{"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, "training": 3}',
        '{"channel_names": {"' + "9" * 5000 + '": "T1"}}',
        '{"channel_names": null, "modality": null}',
        "\ud800".encode("utf-16", "surrogatepass").decode("latin-1"),
    ],
)
def test_dataset_json_that_cannot_be(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with refused("dataset.json"), open_source(tmp_path) as source:
        discover.scan(source)


@pytest.mark.parametrize(
    "content",
    [b"case,subject\n" + b"x" * 200_000 + b",y\n", b"\xff\xfe",
     b"", b"case,subject\na\n", b'case,subject\n"a,b\n', b"case\n" * 3],
)  # fmt: skip
def test_table_of_subjects_that_cannot_be(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content)
    with refused("x.csv"):
        read_table(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "text", [DEEP, '{"train": NaN}', "[[]]", "{}", '{"train": [{}], "val": [[]]}', "1"]
)
def test_split_that_cannot_be(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    cases = np.zeros(0, [("labelled", "u1"), ("id", object), ("subject", object)])
    with refused("x.json"):
        make_split(str(tmp_path / "x.json"), 0, cases, cases)


@pytest.mark.parametrize("text", [DEEP, '{"train": 3}', json.dumps({"name": "x"}), "[]"])
def test_split_of_a_run_that_cannot_be(tmp_path, text):
    (tmp_path / "split.json").write_text(text)
    with refused("split.json"):
        read_split(tmp_path)
