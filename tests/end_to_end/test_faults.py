"""Faults from outside: reads that fail, files that change, two at once, a clock that goes back."""

import errno
import hashlib
import itertools
import os
import shutil
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest

import bratsprep
import bratstrain
from bratsprep.discovery import discover
from bratsprep.discovery.filenames import LABEL, file_name
from bratsprep.errors import BratsError
from bratsprep.sources import byte_ranges, source
from bratsprep.volumes.label_schemes import resolve
from bratstrain.runs.files import claimed
from tests.helpers.fitfiles import (
    SMALL,
    content,
    one_thread,  # noqa: F401  for every test here
)

SETTINGS = SMALL | {"steps": 4, "validate_steps": 4}
BUILD = {"workers": 1, "crop": "32x32"}
TWO = "import sys, bratsprep\nprint(bratsprep.build(sys.argv[1], sys.argv[2], workers=1).digest)"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "raw", cases=6, shape=(32, 32, 16), workers=1
    )


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "small.h5"
    bratsprep.build(raw, out, **BUILD)
    return out


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fail_at(monkeypatch, number, act):
    """Have something happen at one of the reads of the sources, and when it is made again.

    Headers are looked at before the files are read, and what goes wrong then is left to the reader.
    """
    preadv = os.preadv
    calls, places = itertools.count(), set()

    def read(handle, views, offset):
        here = os.fstat(handle).st_ino, offset
        if next(calls) == number:
            places.add(here)
        if here in places:
            act()
        return preadv(handle, views, offset)

    monkeypatch.setattr(byte_ranges.os, "preadv", read)


def broken_disk():
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("number", [0, 3, 7, 11])
@pytest.mark.parametrize("kind", ["folder", "tar"])
def test_read_error_names_the_file_and_a_rerun_goes_on(
    raw, data, tmp_path, monkeypatch, number, kind
):
    place = raw
    if kind == "tar":
        place = tmp_path / "raw.tar"
        shutil.make_archive(str(tmp_path / "raw"), "tar", raw.parent, raw.name)
    with monkeypatch.context() as patch, pytest.raises(BratsError) as caught:  # noqa: PT012
        fail_at(patch, number, broken_disk)
        bratsprep.build(place, tmp_path / "x.h5", **BUILD)
    assert "Input/output error" in str(caught.value)
    assert str(place) in str(caught.value)
    assert not (tmp_path / "x.h5").exists()
    bratsprep.build(place, tmp_path / "x.h5", **BUILD)
    assert digest(tmp_path / "x.h5") == digest(data)


def test_read_error_sets_one_case_aside_on_request(raw, tmp_path, monkeypatch):
    fail_at(monkeypatch, 4, broken_disk)
    summary = bratsprep.build(raw, tmp_path / "x.h5", on_error="skip", **BUILD)
    assert summary.cases == 5
    assert "Input/output error" in summary.skipped[0].reason


@pytest.mark.parametrize("how", ["written", "grown", "cut"])
def test_file_that_changes_while_it_is_read_is_refused(raw, tmp_path, monkeypatch, how):
    copy = shutil.copytree(raw, tmp_path / "raw")
    first = copy / "imagesTr" / "BRATS_001.nii.gz"
    size = first.stat().st_size
    moments = itertools.count(12345)
    preadv = os.preadv

    def change():
        if how == "written":
            os.utime(first, ns=(0, next(moments)))
        else:
            os.truncate(first, size + (100 if how == "grown" else -100))

    def read(handle, views, offset):
        if os.path.samestat(os.fstat(handle), first.stat()):
            change()
        return preadv(handle, views, offset)

    monkeypatch.setattr(byte_ranges.os, "preadv", read)
    with pytest.raises(BratsError, match=r"was replaced or written to|holds \d+ bytes"):
        bratsprep.build(copy, tmp_path / "x.h5", **BUILD)
    assert not (tmp_path / "x.h5").exists()


def test_archive_that_is_replaced_while_it_is_open_is_refused(raw, tmp_path):
    path = tmp_path / "raw.tar.gz"
    shutil.make_archive(str(tmp_path / "raw"), "gztar", raw.parent, raw.name)
    with source.open_source(path) as opened:
        name = next(iter(opened.members))
        opened.read(name)
        shutil.copy(path, tmp_path / "other")
        (tmp_path / "other").replace(path)
        with pytest.raises(BratsError, match="was replaced or written to while it was read"):
            opened.read(name)


def test_memory_that_the_system_does_not_give_is_said(raw, tmp_path, monkeypatch):
    def nothing(*_, **__):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr("bratsprep.system.memory.mmap.mmap", nothing)
    with pytest.raises(BratsError, match="MB of memory are not to be had; lower --workers"):
        bratsprep.build(raw, tmp_path / "x.h5", **BUILD)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_two_builds_to_one_output_give_one_good_file(raw, tmp_path):
    out = tmp_path / "x.h5"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, raw, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate() for process in both]
    assert 0 in {process.returncode for process in both}
    for process, (_, error) in zip(both, said, strict=True):
        assert process.returncode == 0 or "is being written by another process" in error
    assert bratsprep.verify(out, raw)


def test_two_fits_to_one_run_folder_do_not_meet(data, tmp_path):
    folder = tmp_path / "run"
    message = r"run: another process is fitting this run; wait for it"
    with claimed(folder), pytest.raises(BratsError, match=message):
        bratstrain.fit(data, folder, **SETTINGS)
    assert bratstrain.fit(data, folder, **SETTINGS).progress.step == 4


def test_clock_that_goes_back_changes_nothing(raw, data, tmp_path, monkeypatch):
    bratstrain.fit(data, tmp_path / "whole", **SETTINGS)
    clock = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    bratsprep.build(raw, tmp_path / "x.h5", **BUILD)
    os.utime(tmp_path / "x.h5", (4e9, 4e9))
    run = bratstrain.fit(tmp_path / "x.h5", tmp_path / "run", **SETTINGS)
    assert digest(tmp_path / "x.h5") == digest(data)
    assert content(run.folder / "last.pt") == content(tmp_path / "whole" / "last.pt")


@pytest.mark.parametrize("name", ["brats2020", "plain", "nnunet"])
def test_case_that_cannot_be_put_together_is_set_aside_on_request(tmp_path, name):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=3, shape=(32, 32, 16), layout=name, workers=1)
    scans = sorted(raw.rglob("*.nii.gz"))
    scans[0].unlink()
    with pytest.raises(BratsError, match="missing"):
        bratsprep.build(raw, tmp_path / "x.h5", labels="brats2017", **BUILD)
    with source.open_source(raw) as opened:
        found = discover.scan(opened, skip=True)
    assert len(found.cases) == 2
    assert "missing" in found.set_aside[0].reason
    assert found.set_aside[0].id not in {files.id for files in found.cases}


def test_labels_that_cannot_be_read_say_nothing_of_the_scheme(tmp_path):
    raw = bratsprep.phantoms(
        tmp_path / "raw", cases=3, shape=(32, 32, 16), layout="plain", scheme="brats2017", workers=1
    )
    masks = sorted(path for path in raw.rglob("*.nii.gz") if file_name(path.name).role == LABEL)
    masks[0].write_bytes(b"broken" * 100)
    with source.open_source(raw) as opened:
        cases = discover.scan(opened).cases
        assert {scheme.name for scheme in resolve(opened, cases, None).values()} == {"brats2017"}
        for mask in masks[1:]:
            mask.write_bytes(b"broken" * 100)
    with source.open_source(raw) as opened, pytest.raises(BratsError, match="is no NIfTI file"):
        resolve(opened, cases, None)


def test_a_label_value_of_no_scheme_costs_its_case_alone(tmp_path):
    raw = bratsprep.phantoms(
        tmp_path / "raw", cases=4, shape=(32, 32, 16), layout="plain", scheme="brats2017", workers=1
    )
    mask = min(path for path in raw.rglob("*.nii.gz") if file_name(path.name).role == LABEL)
    image = nibabel.load(mask)
    voxels = np.asarray(image.dataobj).copy()
    voxels[16, 16, 8] = 9
    nibabel.save(nibabel.Nifti1Image(voxels, image.affine), mask)
    settings = {"crop": "none", "max_ram": 2 << 30, "workers": 1}
    with pytest.raises(BratsError) as caught:
        bratsprep.build(raw, tmp_path / "x.h5", **settings)
    assert mask.name in str(caught.value)
    summary = bratsprep.build(raw, tmp_path / "x.h5", on_error="skip", **settings)
    assert (summary.cases, len(summary.skipped)) == (3, 1)


@pytest.mark.parametrize("name", ["brats2020", "msd", "nnunet"])
def test_bad_cases_are_skipped_and_listed_wherever_they_are_found(tmp_path, name):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=4, shape=(32, 32, 16), layout=name, workers=1)
    scans = sorted(raw.rglob("*.nii.gz"))
    labels = [path for path in scans if "seg" in path.name or "labels" in path.parent.name]
    scans[0].unlink()
    labels[-1].write_bytes(labels[-1].read_bytes()[:300])
    settings = {"on_error": "skip", "crop": "none", "max_ram": 2 << 30, "workers": 1}
    summary = bratsprep.build(raw, tmp_path / "x.h5", **settings)
    assert summary.cases == 2
    missing = ["missing" in case.reason for case in summary.skipped]
    if (
        name == "msd"
    ):  # images that a dataset.json lists and the folder lacks are noted, not skipped
        assert missing == [False]
        assert any(scans[0].name in note for note in summary.notes)
    else:
        assert missing == [True, False]
    assert bratsprep.build(raw, tmp_path / "x.h5", **settings).was_complete
    assert bratsprep.verify(tmp_path / "x.h5", raw)
