import ctypes
import os
import time
from types import SimpleNamespace

import numpy as np
import pytest

from bratsprep.slicefile import backends, readahead
from bratsprep.slicefile.chunk_index import read_contents
from bratsprep.slicefile.read_chunk import Setup
from bratsprep.slicefile.reader import open_file
from tests.helpers import plain_kernels, slicefiles

FD = 77
ADVISE = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 5)
PREADV2 = ctypes.CFUNCTYPE(*[ctypes.c_int64] * 6)


@pytest.fixture(params=["compiled", "plain"])
def kernels(request, monkeypatch):
    """The kernels, compiled or as Python."""
    if request.param == "plain":
        plain_kernels.use_python(monkeypatch)
    return readahead


class Disk:
    """A disk that notes what it is asked for; `missing` are offsets that are not in memory."""

    def __init__(self, missing):
        self.missing = missing
        self.looked, self.asked = [], []
        # Kept here, since a setup holds their addresses alone.
        self.calls = PREADV2(self.look), ADVISE(self.ask)
        preadv2, advise = (ctypes.cast(each, ctypes.c_void_p).value for each in self.calls)
        self.setup = Setup(fd=FD, pread=0, preadv2=preadv2, advise=advise)

    def look(self, fd, vector, count, offset, flags):
        size = np.ctypeslib.as_array(ctypes.cast(vector, ctypes.POINTER(ctypes.c_int64)), (2,))[1]
        assert (fd, count, size, flags) == (FD, 1, 1, os.RWF_NOWAIT)
        self.looked.append(offset)
        return -1 if offset in self.missing else 1

    def ask(self, fd, offset, size, advice):
        assert (fd, advice) == (FD, os.POSIX_FADV_WILLNEED)
        self.asked.append((offset, size))
        return 0


def make_chunks(n, size=100):
    """Image of row i at 1000 * i, its label 500 bytes further on and 7 bytes long."""
    start = 1000 * np.arange(n)
    return np.stack([start, np.full(n, size), start + 500, np.full(n, 7)], axis=1)


def chunks_of(rows):
    """What is asked for where rows of `make_chunks` are."""
    return [chunk for row in rows for chunk in ((1000 * row, 100), (1000 * row + 500, 7))]


def test_slices_that_are_not_in_memory_are_asked_for(kernels):
    disk = Disk(missing={2000})
    kernels.ask_for(disk.setup, make_chunks(4), np.array([2, 0]))
    assert disk.asked == chunks_of([2, 0])


def test_slices_in_memory_are_not_asked_for(kernels):
    disk = Disk(missing=())
    kernels.ask_for(disk.setup, make_chunks(40), np.arange(40))
    assert disk.asked == []


def test_every_eighth_slice_is_looked_for(kernels):
    disk = Disk(missing={16_000})
    kernels.ask_for(disk.setup, make_chunks(40), np.arange(40))
    assert disk.looked == [0, 8000, 16_000]
    assert disk.asked == chunks_of(range(40))


def test_a_long_chunk_is_asked_for_in_pieces(kernels):
    disk = Disk(missing={0})
    kernels.ask_for(disk.setup, make_chunks(1, 2 * readahead.PIECE + 5), np.array([0]))
    piece = readahead.PIECE
    assert disk.asked == [(0, piece), (piece, piece), (2 * piece, 5), (500, 7)]


def test_nothing_is_asked_for_where_the_system_cannot(kernels):
    kernels.ask_for(Setup(fd=-1, pread=0), make_chunks(1), np.array([0]))


@pytest.mark.parametrize(
    ("place", "wanted"),
    [(0, [*range(64), 98, 99]), (1, []), (16, []), (32, range(64, 70)), (64, [])],
)
def test_two_groups_and_what_comes_later_are_asked_for(kernels, place, wanted):
    disk = Disk(missing=set(range(0, 100_000, 1000)))
    kernels.look_ahead(disk.setup, make_chunks(100), np.arange(70), np.array([98, 99]), place)
    assert disk.asked == chunks_of(wanted)


def test_no_rows_are_nothing_to_ask_for(kernels):
    disk = Disk(missing={0})
    none = np.empty(0, np.int64)
    kernels.look_ahead(disk.setup, make_chunks(1), none, none, 0)
    assert (disk.looked, disk.asked) == ([], [])


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "slices.h5"
    slicefiles.write(path)
    return path


def drop(path):
    """Have a file leave the page cache, where its file system lets it."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_what_is_asked_for_comes_into_memory(kernels, path):
    fd = os.open(path, os.O_RDONLY)
    preadv2, advise = backends.advisers(ctypes.CDLL(None))
    setup = Setup(fd=fd, pread=0, preadv2=preadv2, advise=advise)
    chunks, rows = read_contents(path).storage.chunks, np.arange(7)
    drop(path)
    try:
        if not kernels.is_cold(setup, chunks, rows):
            pytest.skip("the file system keeps the file in memory")
        kernels.ask_for(setup, chunks, rows)
        until = time.monotonic() + 10
        while kernels.is_cold(setup, chunks, rows):
            assert time.monotonic() < until
    finally:
        os.close(fd)


def test_slices_from_a_cold_cache_are_those_that_were_written(path):
    with open_file(path) as file:
        before = file.read(np.arange(7))
        drop(path)
        after = file.read(np.arange(7))
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])


def test_a_system_without_advice_has_no_advisers():
    assert backends.advisers(SimpleNamespace(preadv2=None)) == (0, 0)


def test_a_system_without_advice_reads_the_same(path, monkeypatch):
    with open_file(path) as file:
        wanted, _ = file.read(np.arange(7))
    monkeypatch.setattr(backends, "advisers", lambda libc: (0, 0))
    with open_file(path, "libdeflate") as file:
        found, _ = file.read(np.arange(7))
    np.testing.assert_array_equal(found, wanted)
