import os
import pickle
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

from bratsprep.errors import SchemaError
from bratsprep.slicefile import backends as backends
from bratsprep.slicefile import schema
from bratsprep.slicefile.backends import BACKENDS
from bratsprep.slicefile.chunk_index import read_contents
from bratsprep.slicefile.reader import SliceFile, open_file
from tests.helpers import slicefiles


@pytest.fixture
def path(tmp_path):
    """A slice file of two cases, A with 3 slices and B with 4."""
    path = tmp_path / "slices.h5"
    slicefiles.write(path)
    return path


@pytest.fixture
def file(path):
    with open_file(path) as opened:
        yield opened


def test_file_counts_its_slices(file):
    assert len(file) == 7


@pytest.mark.parametrize("i", [0, 6, -1, np.int32(2)])
def test_slice_is_the_one_that_h5py_reads(path, file, i):
    image, label = file[i]
    with h5py.File(path) as plain:
        np.testing.assert_array_equal(image, plain["slice/image"][int(i) % 7])
        np.testing.assert_array_equal(label, plain["slice/label"][int(i) % 7])


@pytest.mark.parametrize("i", [7, -8])
def test_slice_beyond_the_file_is_refused(file, i):
    with pytest.raises(IndexError, match=f"slice {i} is beyond the 7 slices"):
        file[i]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "rows",
    [
        np.arange(7)[::2],
        np.arange(7)[::-1],
        np.array([3, 1], np.uint8),
        np.array([6, 0], ">i4"),
        np.array([5], np.uint64),
        [2, 0, 2],
        [],
    ],
    ids=["strided", "reversed", "uint8", "big-endian", "uint64", "list", "empty"],
)
def test_rows_of_any_integer_kind_are_read(path, backend, rows):
    with open_file(path, backend) as file, h5py.File(path) as plain:
        image, label = file.read(rows)
        wanted = [int(row) for row in rows]
        np.testing.assert_array_equal(image, plain["slice/image"][:][wanted])
        np.testing.assert_array_equal(label, plain["slice/label"][:][wanted])


@pytest.mark.parametrize("mask", [[1, 0, 0, 1, 0, 0, 1], [0] * 7, [1] * 7])
def test_a_mask_selects_slices(file, mask):
    image, label = file.read(np.array(mask, bool))
    wanted = file.read(np.flatnonzero(mask))
    np.testing.assert_array_equal(image, wanted[0])
    np.testing.assert_array_equal(label, wanted[1])


@pytest.mark.parametrize(
    ("rows", "kind", "message"),
    [
        (np.ones(6, bool), ValueError, r"mask must have shape \(7,\), got \(6,\)"),
        (np.ones((7, 1), bool), ValueError, r"mask must have shape \(7,\), got \(7, 1\)"),
        (np.ones((2, 2), int), ValueError, r"rows must have shape \(4,\), got \(2, 2\)"),
        (np.array([0.0, 1.0]), TypeError, "integers or a bool mask, got float64"),
        (np.array(["0"]), TypeError, "integers or a bool mask, got <U1"),
        (np.array([7]), ValueError, "0 to 6, got 7"),
        (np.array([2**63], np.uint64), ValueError, f"0 to 6, got {2**63}"),
        (np.array([-1]), ValueError, "0 to 6"),
    ],
)
def test_rows_that_select_no_slices_are_refused(file, rows, kind, message):
    with pytest.raises(kind, match=message):
        file.read(rows)


def test_slices_can_be_iterated(file):
    assert sum(1 for _ in file) == 7


def test_file_says_what_it_holds(file):
    assert file.shape == slicefiles.SHAPE
    assert file.dtype == np.float16
    assert file.modalities == ("flair", "t1w", "t1gd", "t2w")
    assert file.digest == "0" * 64
    assert file.config.crop == "192x160"


@pytest.mark.parametrize("table", ["slice", "plane", "case"])
def test_tables_equal_the_datasets(path, file, table):
    found = {"slice": file.slices, "plane": file.planes, "case": file.cases}[table]
    with h5py.File(path) as plain:
        for name in found.dtype.names:
            dataset = plain[f"{table}/{name}"]
            is_text = h5py.check_string_dtype(dataset.dtype) is not None
            wanted = dataset.asstr()[:] if is_text else dataset[:]
            np.testing.assert_array_equal(found[name], wanted)


def test_fingerprints_are_left_out_when_asked(path, file):
    with SliceFile(path, prints=False) as lean, pickle.loads(pickle.dumps(lean)) as again:  # noqa: S301  our own
        kept = [name for name in file.cases.dtype.names if not name.endswith("fingerprint")]
        assert len(kept) == len(file.cases.dtype.names) - 2
        for each in (lean, again):
            assert list(each.cases.dtype.names) == kept
            assert all(np.array_equal(each.cases[name], file.cases[name]) for name in kept)


def test_best_backend_is_taken_unless_named(file):
    assert file.backend == "libdeflate"


def test_isal_is_taken_where_libdeflate_is_not(path, monkeypatch):
    monkeypatch.setattr(backends, "libdeflate", lambda: None)
    with open_file(path) as file:
        assert file.backend == "isal"


def test_libdeflate_by_name_must_be_there(path, monkeypatch):
    monkeypatch.setattr(backends, "libdeflate", lambda: None)
    with pytest.raises(ValueError, match=r"backend libdeflate needs .* use isal"):
        open_file(path, "libdeflate")


def test_backend_must_be_known(path):
    with pytest.raises(ValueError, match="backend must be one of libdeflate, isal, got 'zip'"):
        open_file(path, "zip")


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_read_at_the_same_time(path, backend):
    with h5py.File(path) as plain:
        wanted = plain["slice/image"][:]
    wrong = []

    def read(file, seed):
        batches = np.random.default_rng(seed).integers(0, 7, (50, 3))
        wrong.extend(b for b in batches if not np.array_equal(file.read(b)[0], wanted[b]))

    with open_file(path, backend) as file:
        threads = [threading.Thread(target=read, args=(file, seed)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


@pytest.mark.parametrize("backend", BACKENDS)
def test_pickled_file_reads_the_same(path, monkeypatch, backend):
    monkeypatch.chdir(path.parent)
    with open_file(path.name, backend) as file:
        pickled = pickle.dumps(file)
        monkeypatch.chdir("/")
        with pickle.loads(pickled) as again:  # noqa: S301  our own
            assert again.backend == backend
            np.testing.assert_array_equal(again[3][0], file[3][0])


def test_pickled_file_must_not_change(path):
    with open_file(path) as file:
        pickled = pickle.dumps(file)
    with h5py.File(path, "r+") as plain:
        slicefiles.text(plain, "digest", "f" * 64)
    with pytest.raises(SchemaError, match=r"content digest is fff.*, it was 000"):
        pickle.loads(pickled)  # noqa: S301  our own


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_process_reads_the_same(file):
    wanted = file[5][0]
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(file[5][0], wanted) else 1)
    assert os.waitpid(child, 0)[1] == 0


def arrays(b, dtype="<f2"):
    shape = slicefiles.SHAPE
    return np.empty((b, 4, *shape), dtype), np.empty((b, *shape), np.uint8)


@pytest.mark.parametrize(
    ("rows", "image", "label", "message"),
    [
        (np.array([0, 7]), *arrays(2), "rows must be 0 to 6"),
        (np.array([-1, 0]), *arrays(2), "rows must be 0 to 6"),
        (np.array([0.0, 1.0]), *arrays(2), "rows must be int64 in C order, got float64"),
        (np.arange(4)[::2], *arrays(2), "rows must be int64 in C order"),
        (np.array([0]), *arrays(2), r"image must be \(1, 4, 6, 5\) float16 or float32"),
        (np.array([0]), arrays(1, "<f8")[0], arrays(1)[1], "image must be .*, got .* float64"),
        (np.array([0]), arrays(1)[0], arrays(2)[1], r"label must be \(1, 6, 5\) uint8"),
        (np.array([0, 1]), arrays(2)[0], arrays(4)[1][::2], "label must be .* in C order"),
    ],
    ids=["beyond", "negative", "floats", "strided", "size", "dtype", "label", "order"],
)
def test_read_into_refuses(file, rows, image, label, message):
    with pytest.raises(ValueError, match=message):
        file.read_into(rows, image, label)


def test_closed_file_is_refused(path):
    file = open_file(path)
    file.close()
    file.close()
    with pytest.raises(ValueError, match=r"slices\.h5: is closed"):
        file[0]


def test_forgotten_file_is_closed(path):
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        SliceFile(path)
    assert len(list(descriptors.iterdir())) == before


@pytest.mark.parametrize("case", ["B", 1])
def test_volume_holds_the_planes_of_the_case(path, file, case):
    image, label, z = file.volume(case)
    with h5py.File(path) as plain:
        np.testing.assert_array_equal(image, plain["slice/image"][3:])
        np.testing.assert_array_equal(label, plain["slice/label"][3:])
    assert z.tolist() == [0, 3, 5, 6]


def test_label_volume_stands_where_it_was_cut_from(path, file):
    """The window of the test file is y 2:8 and x -1:4, of a volume of 7 x 9 x 8."""
    with h5py.File(path) as plain:
        label = plain["slice/label"][1]
    volume = file.label_volume("A")
    assert volume.shape == (7, 9, 8)
    np.testing.assert_array_equal(volume[2, 2:8, 0:4], label[:, 1:])
    volume[:, 2:8, 0:4] = 0
    assert not volume.any()


def test_label_volume_is_empty_where_nothing_is_stored(file):
    assert not file.label_volume("A")[3].any()


def test_paste_takes_more_axes(file):
    image, _, z = file.volume("A")
    volume = file.paste("A", image.swapaxes(0, 1), z)
    assert volume.shape == (4, 7, 9, 8)
    np.testing.assert_array_equal(volume[3, 4, 2:8, 0:4], image[2, 3, :, 1:])


@pytest.mark.parametrize(
    ("case", "message"),
    [("C", "holds no case 'C'"), (2, "case 2 is beyond its 2 cases"), (-1, "case -1 is beyond")],
)
def test_volume_of_no_case_is_refused(file, case, message):
    with pytest.raises(ValueError, match=message):
        file.volume(case)


def spoil(path, row, column):
    chunk = read_contents(path).storage.chunks[row]
    with path.open("r+b") as file:
        file.seek(chunk[column] + chunk[column + 1] - 2)
        file.write(b"\x55\xaa")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("column", "part"), [(0, "image"), (2, "label")])
def test_damaged_chunk_is_named(path, backend, column, part):
    spoil(path, 5, column)
    message = rf"slices\.h5: slice 5 \(case B, plane 5\): {part} chunk cannot be inflated; the file"
    with open_file(path, backend) as file:
        file[4]
        with pytest.raises(SchemaError, match=message):
            file.read(np.arange(7))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(SchemaError, match=r"none\.h5: there is no such file"):
        open_file(tmp_path / "none.h5")


def test_file_that_is_no_hdf5_is_named(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("hello")
    with pytest.raises(SchemaError, match=r"text\.h5: cannot be read as HDF5: .*; build it again"):
        open_file(path)


def test_truncated_file_is_named(path):
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(SchemaError, match=r"slices\.h5: cannot be read as HDF5: .*truncated"):
        open_file(path)


def test_other_version_is_named(path):
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = schema.VERSION + 1
    with pytest.raises(SchemaError, match=f"is version {schema.VERSION + 1} of the slice file"):
        open_file(path)


def replace(path, name="slice/image", **kind):
    """Store the images of a file anew, in another way."""
    with h5py.File(path, "r+") as file:
        values = file[name][:]
        del file[name]
        file.create_dataset(name, data=values, **kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({"chunks": (1, 4, 6, 5), "compression": "gzip"}, r"have the HDF5 filters \[1\]"),
        ({"chunks": (1, 4, 6, 5)}, r"filters \[\] and labels \[2, 1\]; both must have"),
        (
            {"chunks": (2, 4, 6, 5), "compression": "gzip", "shuffle": True},
            r"/slice/image has chunks \(2, 4, 6, 5\); one slice must be one chunk",
        ),
    ],
    ids=["filter", "other than labels", "chunks"],
)
def test_other_storage_is_refused(path, kind, message):
    replace(path, **kind)
    with pytest.raises(SchemaError, match=message):
        open_file(path)


def test_contiguous_storage_is_refused(tmp_path):
    path = tmp_path / "slices.h5"
    slicefiles.write(path, deflated=False)
    replace(path)
    with pytest.raises(SchemaError, match="/slice/image has chunks None"):
        open_file(path)


def test_chunk_that_was_never_written_is_refused(path):
    with h5py.File(path, "r+") as file:
        values = file["slice/image"][:]
        del file["slice/image"]
        kind = {"chunks": (1, 4, 6, 5), "compression": "gzip", "shuffle": True}
        fresh = file.create_dataset("slice/image", values.shape, "<f2", **kind)
        for row in (0, 1, 3):
            fresh[row] = values[row]
    with pytest.raises(SchemaError, match="slice/image: slice 2 and 3 more were never written"):
        open_file(path)


def test_chunk_that_skips_a_filter_is_refused(path):
    with h5py.File(path, "r+") as file:
        chunk = file["slice/image"].id
        chunk.write_direct_chunk((0, 0, 0, 0), bytes(240), filter_mask=3)
    with pytest.raises(SchemaError, match="slice/image has chunks that skip a filter"):
        open_file(path)


def test_chunk_beyond_the_end_is_refused(path, monkeypatch):
    real = type(path).stat

    def shorter(self, **options):
        found = real(self, **options)
        return os.stat_result((*found[:6], 3000, *found[7:10]))

    monkeypatch.setattr(type(path), "stat", shorter)
    with pytest.raises(SchemaError, match="lies beyond the end of the file at byte 3000"):
        open_file(path)


def test_file_without_slices_opens(tmp_path):
    path = tmp_path / "empty.h5"
    slicefiles.write(path, [("A", "A", [])])
    with open_file(path) as file:
        assert len(file) == 0
        assert file.volume("A")[0].shape == (0, 4, 6, 5)
