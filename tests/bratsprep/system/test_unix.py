"""Calls of Unix, and what stands for them where the modules or calls are missing."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bratsprep.system import unix

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(10)))
    handle = os.open(path, unix.READ)
    yield handle
    os.close(handle)


@pytest.mark.parametrize("missing", [(), ("preadv",), ("pread", "preadv")])
def test_bytes_are_read_by_place(opened, monkeypatch, missing):
    for name in missing:
        monkeypatch.delattr(os, name)
    assert unix.read_at(opened, 3, 4) == bytes([4, 5, 6])
    view = memoryview(bytearray(4))
    assert unix.read_into(opened, view, 8) == 2
    assert bytes(view) == bytes([8, 9, 0, 0])
    assert unix.read_into(opened, view, 10) == 0


class Msvcrt:
    """Windows' module: locks by handle, once each."""

    LK_NBLCK = 2

    def __init__(self):
        self.held = set()

    def locking(self, handle, mode, count):
        assert (mode, count) == (self.LK_NBLCK, 1)
        place = os.fstat(handle).st_ino
        if place in self.held:
            raise PermissionError(13, "Permission denied")
        self.held.add(place)


@pytest.fixture(params=["unix", "windows"])
def system(request, monkeypatch):
    if request.param == "windows":
        monkeypatch.setattr(unix, "fcntl", None)
        monkeypatch.setattr(unix, "msvcrt", Msvcrt())
    return request.param


def test_file_is_locked_once(system, tmp_path):
    handles = [os.open(tmp_path / "file", unix.WRITE, 0o644) for _ in range(2)]
    unix.lock(handles[0])
    with pytest.raises(BlockingIOError):
        unix.lock(handles[1])
    for handle in handles:
        os.close(handle)


def test_folder_is_locked_once(system, tmp_path):
    folder = tmp_path / "half"
    folder.mkdir()
    handle = unix.lock_folder(folder)
    with pytest.raises(BlockingIOError):
        unix.lock_folder(folder)
    os.close(handle)
    assert (tmp_path / "half.lock").exists() == (system == "windows")


def test_system_that_cannot_lock_names_the_way_on(monkeypatch, opened):
    monkeypatch.setattr(unix, "fcntl", None)
    monkeypatch.setattr(unix, "msvcrt", None)
    with pytest.raises(OSError, match="WSL 2"):
        unix.lock(opened)


def test_pages_are_taken_without_the_flags_of_unix(monkeypatch):
    assert len(unix.private_pages(5000)) == 5000
    anonymous = unix.mmap.mmap
    monkeypatch.setattr(unix, "mmap", SimpleNamespace(mmap=anonymous))
    assert len(unix.private_pages(5000)) == 5000


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_has_the_unit_of_the_system(monkeypatch, platform, unit):
    usage = SimpleNamespace(ru_maxrss=7)
    monkeypatch.setattr(unix.sys, "platform", platform)
    monkeypatch.setattr(
        unix, "resource", SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: usage)
    )  # fmt: skip
    assert unix.peak_resident_bytes() == 7 * unit


def test_peak_is_unknown_without_resource(monkeypatch):
    monkeypatch.setattr(unix, "resource", None)
    assert unix.peak_resident_bytes() == 0


def test_module_that_is_missing_is_none():
    assert unix.optional("no_such_module_at_all") is None


WINDOWS = """
import os, sys
import h5py, nibabel, numba, subprocess, tempfile, concurrent.futures  # which ask for the modules

class Msvcrt:
    LK_NBLCK = 2
    def locking(self, handle, mode, count): pass

sys.modules.update(fcntl=None, resource=None, msvcrt=Msvcrt())
for name in ("pread", "preadv", "posix_fadvise", "sched_getaffinity"):
    delattr(os, name)
import bratsprep.deflate.libdeflate
bratsprep.deflate.libdeflate.libdeflate.__wrapped__.__globals__["find_spec"] = lambda _: None
import bratsprep

bratsprep.phantoms("raw", cases=2, shape=(24, 24, 16))
bratsprep.build("raw", "train.h5", crop="16x16")
assert bratsprep.open("train.h5").backend == "isal"
print(bratsprep.verify("train.h5", "raw"))
"""


@pytest.mark.slow
def test_a_build_needs_no_module_of_unix(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 cases" in done.stdout
