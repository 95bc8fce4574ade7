"""Faults while a network is fitted or used: slices that cannot be read, files that change."""

import errno
import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratsprep.sources import byte_ranges
from tests.helpers.fitfiles import (
    SMALL,
    content,
    cut,
    one_thread,  # noqa: F401  for every test here
    phantom_file,
)

SETTINGS = SMALL | {"steps": 12, "validate_steps": 6, "checkpoint_steps": 2}
FIT = f"""
import sys, torch, bratstrain
torch.set_num_threads(1)
bratstrain.fit(sys.argv[1], sys.argv[2], **{SETTINGS!r})
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return phantom_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    bratstrain.fit(data, folder, **SETTINGS)
    return folder


@pytest.fixture
def copy(data, tmp_path):
    return Path(shutil.copy(data, tmp_path / "small.h5"))


def handles(path):
    """Open files of this process that are a path, by number."""
    return [
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if os.path.realpath(entry) == str(path)
    ]


def unreadable(path):
    """Have every later read of an open file fail: its number stands for a folder."""
    folder = os.open(path.parent, os.O_RDONLY)
    for handle in handles(path):
        os.dup2(folder, handle)
    os.close(folder)


def cut_short(path):
    os.truncate(path, path.stat().st_size // 3)


def zeroed(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(bytes(size // 3))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not listed here")
@pytest.mark.parametrize("harm", [unreadable, cut_short, zeroed])
def test_slice_file_that_breaks_while_it_is_read_is_named(copy, tmp_path, monkeypatch, harm):
    with monkeypatch.context() as patch, pytest.raises(BratsError) as caught:  # noqa: PT012
        cut(patch, 3, lambda: harm(copy))
        bratstrain.fit(copy, tmp_path / "run", **SETTINGS)
    assert str(copy) in str(caught.value)
    assert "slice" in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not listed here")
def test_fit_goes_on_once_its_slices_can_be_read_again(copy, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(BratsError):  # noqa: PT012
        cut(patch, 5, lambda: unreadable(copy))
        bratstrain.fit(copy, tmp_path / "run", **SETTINGS)
    bratstrain.fit(copy, tmp_path / "run", **SETTINGS)
    assert content(tmp_path / "run" / "last.pt") == content(whole / "last.pt")


def test_fit_reads_the_slice_file_that_it_began_with(copy, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        cut(patch, 3, lambda: phantom_replaces(copy, tmp_path))
        bratstrain.fit(copy, tmp_path / "run", **SETTINGS)
    assert content(tmp_path / "run" / "last.pt") == content(whole / "last.pt")


def phantom_replaces(path, folder):
    """Put another slice file under a name, as `build --force` does."""
    raw = bratsprep.phantoms(folder / "raw", cases=5, shape=(32, 32, 16), seed=7)
    bratsprep.build(raw, folder / "other.h5", workers=1, crop="32x32")
    (folder / "other.h5").replace(path)


def test_run_does_not_go_on_with_a_replaced_slice_file(copy, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        cut(patch, 5, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        bratstrain.fit(copy, tmp_path / "run", **SETTINGS)
    phantom_replaces(copy, tmp_path)
    with pytest.raises(BratsError, match=r"small\.h5 gives [0-9a-f]{16}; take the same"):
        bratstrain.fit(copy, tmp_path / "run", **SETTINGS)


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_read_error_of_a_scan_is_named_by_those_who_use_a_run(
    data, whole, tmp_path, monkeypatch, verb
):
    raw, preadv, calls = data.parent / "raw", os.preadv, itertools.count()

    def read(handle, views, offset):
        if next(calls) == 5:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(handle, views, offset)

    monkeypatch.setattr(byte_ranges.os, "preadv", read)
    verbs = {
        "predict": lambda: bratstrain.predict(whole, raw, tmp_path / "out"),
        "evaluate": lambda: bratstrain.evaluate(whole, raw=raw, split="all"),
    }
    with pytest.raises(BratsError, match=r"raw.*Input/output error"):
        verbs[verb]()


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_two_fits_to_one_run_folder_give_one_good_run(data, whole, tmp_path):
    both = [
        subprocess.Popen(
            [sys.executable, "-c", FIT, data, tmp_path / "run"], stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[1] for process in both]
    assert 0 in {process.returncode for process in both}
    for process, error in zip(both, said, strict=True):
        assert process.returncode == 0 or "another process is fitting this run" in error
    assert content(tmp_path / "run" / "last.pt") == content(whole / "last.pt")
