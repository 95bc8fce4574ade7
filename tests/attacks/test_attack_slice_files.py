"""Slice files and journals made to harm: no other file is read, no table larger than the file."""

import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

import bratsprep
from bratsprep.building.journal import Journal
from bratsprep.errors import SchemaError
from bratsprep.slicefile import schema
from bratsprep.slicefile.reader import SliceFile
from tests.helpers import slicefiles
from tests.helpers.attacked import refused

HUGE = 10**12


@pytest.fixture
def path(tmp_path):
    slicefiles.write(tmp_path / "x.h5")
    return tmp_path / "x.h5"


def replaced(path, name, make):
    """Put something else in the place of a dataset."""
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file, name)


@pytest.mark.parametrize("name", ["slice/crc", "plane/voxels", "case/affine", "case/id"])
def test_external_link(path, tmp_path, name):
    slicefiles.write(tmp_path / "other.h5")
    replaced(path, name, lambda file, name: file.__setitem__(
        name, h5py.ExternalLink(str(tmp_path / "other.h5"), f"/{name}")))  # fmt: skip
    with refused(f"/{name} lies in another file; refused"):
        SliceFile(path)


def test_link_to_nothing(path):
    replaced(path, "slice/z", lambda file, name: file.__setitem__(name, h5py.SoftLink("/nowhere")))
    with refused("dataset /slice/z is missing"):
        SliceFile(path)


@pytest.mark.parametrize("name", ["slice/z", "plane/z"])
def test_external_storage(path, tmp_path, name):
    (tmp_path / "secret").write_bytes(bytes(4096))

    def outside(file, name):
        n = len(file[f"{name[:5]}/case"])
        place = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset(name, (n,), "<i2", external=place)

    replaced(path, name, outside)
    with refused(f"/{name} lies in another file; refused"):
        SliceFile(path)


@pytest.mark.parametrize("name", ["slice/image", "slice/voxels"])
def test_virtual_dataset(path, tmp_path, name):
    slicefiles.write(tmp_path / "other.h5")

    def virtual(file, name):
        with h5py.File(tmp_path / "other.h5") as other:
            source = h5py.VirtualSource(other[name])
            layout = h5py.VirtualLayout(other[name].shape, other[name].dtype)
        layout[:] = source
        file.create_virtual_dataset(name, layout)

    replaced(path, name, virtual)
    with refused(f"/{name} lies in another file; refused"):
        SliceFile(path)


@pytest.mark.parametrize("dtype", ["<f8", ">f2", "O", "S3", "(2,)<f2", "|V4"])
@pytest.mark.parametrize("name", ["slice/image", "slice/z", "case/id"])
def test_another_type(path, name, dtype):
    kind = h5py.string_dtype() if dtype == "O" else np.dtype(dtype)
    if name == "case/id" and dtype in ("O", "S3"):
        pytest.skip("words are what this dataset holds")
    replaced(path, name, lambda file, name: file.create_dataset(name, (4, 4, 6, 5), kind))
    with refused(f"/{name} is|rows of /{name} are"):
        SliceFile(path)


@pytest.mark.parametrize("table", ["slice", "plane", "case"])
def test_tables_of_a_trillion_rows(path, table):
    """Chunked datasets that nobody wrote to take no place in a file."""
    with h5py.File(path, "r+") as file:
        for column in schema.COLUMNS:
            if column.table == table:
                row = file[column.path].shape[1:]
                kind = file[column.path].dtype
                del file[column.path]
                file.create_dataset(column.path, (HUGE, *row), kind, chunks=(1, *row))
    with refused("claims .* bytes of a file of"):
        SliceFile(path)


def test_more_slices_than_rows(path):
    with h5py.File(path, "r+") as file:
        file["slice/image"].resize(HUGE, axis=0)
    with refused("rows under /slice differ"):
        SliceFile(path)


@pytest.mark.parametrize("shape", [(10**6,) * 3, (-1, 9, 8), (0, 9, 8), (2**31 - 1, 1, 1)])
def test_volume_of_no_size(path, shape):
    with h5py.File(path, "r+") as file:
        file["case/shape"][0] = shape
    with refused("/case/shape|names a plane beyond"):
        SliceFile(path)


@pytest.mark.parametrize("low", [-(2**31), 2**31 - 1, 10**6])
def test_box_far_from_its_volume_gives_nothing(path, low):
    with h5py.File(path, "r+") as file:
        file["case/box"][0, 0] = low
    with SliceFile(path) as file:
        assert not file.label_volume(0).any()


@pytest.mark.parametrize(
    "config", ["[" * 100_000, "[]", '{"subjects": 3}', '{"crop": null}', "NaN"]
)
def test_settings_that_cannot_be(path, config):
    with h5py.File(path, "r+") as file:
        slicefiles.text(file, "config", config[:60_000])
    with refused("attribute 'config' cannot be read"):
        SliceFile(path)


@pytest.mark.parametrize("value", [3, [1, 2], np.void(b"x"), "x" * 1000])
def test_format_that_is_no_word(path, value):
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = value
    with refused("attribute 'format' is no text of a fixed length"):
        SliceFile(path)


def test_another_format_is_no_slice_file(path):
    with h5py.File(path, "r+") as file:
        slicefiles.text(file, "format", "x" * 1000)
    with refused("is no slice file"):
        SliceFile(path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_chunks_that_lie_beyond_the_end(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with refused("x.h5"):
        SliceFile(path)


def test_chunk_that_inflates_to_a_thousand_times_its_slice(path):
    bomb = zlib.compress(bytes(32 << 20))
    with h5py.File(path, "r+") as file:
        file["slice/image"].id.write_direct_chunk((0, 0, 0, 0), bomb)
    with SliceFile(path) as file, refused("slice 0 .* has the wrong length|cannot be inflated"):
        file[0]


def with_heap(path, name):
    """Give a file a text of any length, whose heap HDF5 would walk for ever; gives its place."""
    with h5py.File(path, "r+") as file:
        if name in file:
            values = file[name].asstr()[:]
            del file[name]
            file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        else:
            file.attrs[name] = "text"
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 + 8 + 7] ^= 0x80
    path.write_bytes(content)


def test_a_good_file_has_no_heap(path):
    assert b"GCOL" not in path.read_bytes()


@pytest.mark.parametrize("name", ["case/id", "case/source", "config", "digest"])
def test_text_in_a_damaged_heap_is_refused_unread(path, name):
    with_heap(path, name)
    with refused("str of any length|is no text of a fixed length"):
        SliceFile(path)


@pytest.mark.slow
def test_heap_that_hdf5_would_walk_for_ever_is_refused(path):
    with_heap(path, "case/id")
    done = subprocess.run(
        [sys.executable, "-m", "bratsprep", "verify", path],
        capture_output=True, text=True, timeout=25, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "/case/id is str of any length, expected str" in done.stderr


@pytest.mark.parametrize(
    "line",
    [b"3", b'"key"', b"[]", b'{"key": 3}', b'{"file": "../../etc/passwd"}', b"{}",
     b'{"file": "x.h5.partial", "images": [[0, 1000000000000, 0]], "labels": []}', b"[" * 90_000],
)  # fmt: skip
def test_journal_of_another_make_counts_for_nothing(tmp_path, line):
    whole = b"%08x %s\n" % (zlib.crc32(line), line)
    (tmp_path / "x.h5.journal").write_bytes(whole)
    with Journal(tmp_path / "x.h5") as journal:
        assert journal.entries == []


def test_good_file_opens(path):
    with bratsprep.open(path) as file:
        assert len(file) == 7
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 10**6
    with pytest.raises(SchemaError, match="is version 1000000"):
        bratsprep.open(path)
