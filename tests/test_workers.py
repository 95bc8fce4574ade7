"""Threads keep the order, hold errors as results, and stay within their memory."""

import os
import threading
import time
from dataclasses import replace

import niftis
import numpy as np
import pytest

from bratsprep.case import Channel
from bratsprep.errors import BuildError, NiftiError
from bratsprep.labels import SCHEMES
from bratsprep.nifti import Buffers
from bratsprep.scan import read_scan
from bratsprep.source import open_source
from bratsprep.workers import BASE_BYTES, LOOK_AHEAD, Pool, case_bytes, cores, in_order, share

CASES = [niftis.case_files(f"{i:02}") for i in range(12)]
NEED = 1024 + 4 * 1024 + 688 + 512
"""Largest file packed, four of 352 + 2 * 336 bytes, a label of 352 + 336, the brain and slack."""


def results(work, workers, cases=CASES):
    return list(in_order(cases, work, workers, 2**62))


# Order


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_the_order_of_the_cases(workers):
    def work(files, _):
        time.sleep(0.004 * (int(files.id) % 3 == 0))
        return files.id * 2

    assert results(work, workers) == [(files, files.id * 2) for files in CASES]


def test_no_case_gives_no_result():
    assert results(lambda files, _: files, 2, []) == []


def test_a_fault_of_the_data_is_a_result():
    def work(files, _):
        if files.id == "03":
            raise NiftiError("bad")
        return files.id

    made = [result for _, result in results(work, 2)]
    assert isinstance(made[3], NiftiError)
    assert str(made[3]) == "bad"
    assert made[:3] + made[4:] == [files.id for files in CASES if files.id != "03"]


def test_any_other_exception_is_raised():
    def work(files, _):
        if files.id == "05":
            raise ZeroDivisionError("fault of ours")
        return files.id

    made = in_order(CASES, work, 2, 2**62)
    assert [next(made)[1] for _ in range(5)] == ["00", "01", "02", "03", "04"]
    with pytest.raises(ZeroDivisionError, match="fault of ours"):
        next(made)


@pytest.mark.parametrize("workers", [1, 3])
def test_look_ahead_is_bounded(workers):
    taken, ahead = [], []
    made = in_order((taken.append(f) or f for f in CASES), lambda f, _: f, workers, 2**62)
    for i, _ in enumerate(made, start=1):
        ahead.append(len(taken) - i)
    assert max(ahead) == workers + LOOK_AHEAD - 1


def test_closing_early_starts_no_further_case():
    started = []

    def work(files, _):
        started.append(files.id)
        time.sleep(0.02)

    made = in_order(CASES, work, 1, 2**62)
    next(made)
    made.close()
    assert len(started) <= 2


# Memory


def test_workers_never_share_memory():
    together = threading.Barrier(2, timeout=5)
    seen = set()

    def work(_, buffers):
        seen.add(id(buffers))
        together.wait()

    results(work, 2, CASES[:6])
    assert len(seen) == 2


def test_memory_comes_back_after_an_error():
    def work(_, buffers):
        buffers.reserve("x", 10, "")
        raise NiftiError("bad")

    assert len(results(work, 1)) == len(CASES)


def test_each_worker_has_the_limit():
    made = in_order(CASES[:3], lambda _, buffers: buffers.limit_bytes, 2, 12_345)
    assert [limit for _, limit in made] == [12_345] * 3


def test_a_borrower_waits_for_memory_that_is_free():
    pool = Pool(1, 2**62)
    held = []

    def work(files, _):
        with pool.borrow() as buffers:
            held.append(files)
            time.sleep(0.002)
            assert held == [files]
            held.remove(files)
        return buffers

    assert len({id(buffers) for _, buffers in results(work, 3)}) == 1


def need(root, files):
    with open_source(root) as source:
        return case_bytes(source, files)


def test_case_bytes_are_those_of_the_files_and_the_brain(tmp_path):
    assert need(tmp_path, niftis.write_case(tmp_path, suffix=".nii")) == NEED


def test_case_bytes_without_a_label(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii", label=False)
    assert need(tmp_path, files) == NEED - 688


def test_case_bytes_count_what_is_widened(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii", make=niftis.Make(slope=2))
    assert need(tmp_path, files) == NEED + 4 * 512 * 8 + 688 * 8


def test_case_bytes_count_a_file_of_all_modalities_once(tmp_path):
    images, _ = niftis.phantom()
    niftis.write(tmp_path / "a.nii", np.moveaxis(images, 0, -1))
    files = replace(
        niftis.case_files("a", label=False), images=tuple(Channel("a.nii", m) for m in range(4))
    )
    size = 352 + 4 * 672
    assert need(tmp_path, files) == size + size + size // 2


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_scan_needs_no_more_than_case_bytes(tmp_path, suffix):
    files = niftis.write_case(tmp_path, suffix=suffix)
    with open_source(tmp_path) as source:
        read_scan(files, source, Buffers(case_bytes(source, files)), SCHEMES["brats2017"])


def shared(root, workers, max_ram):
    cases = (
        niftis.write_case(root, "a", suffix=".nii", volumes=niftis.phantom(0, (5, 6, 4))),
        niftis.write_case(root, "b", suffix=".nii"),
    )
    with open_source(root) as source:
        return share(source, cases, workers, max_ram)


def test_share_without_a_limit_is_as_asked(tmp_path):
    assert shared(tmp_path, 3, 0) == (3, 2**62)


@pytest.mark.parametrize(
    ("workers", "room", "expected"),
    [
        (1, NEED, (1, NEED)),
        (3, NEED, (1, NEED)),
        (3, 2 * NEED + 10, (2, NEED + 5)),
        (2, 9 * NEED, (2, 9 * NEED // 2)),
    ],
    ids=["just", "one of three", "two of three", "plenty"],
)
def test_share_lowers_the_workers_to_what_the_largest_case_needs(tmp_path, workers, room, expected):
    assert shared(tmp_path, workers, BASE_BYTES + room) == expected


@pytest.mark.parametrize("room", [-BASE_BYTES + 1, NEED - 1])
def test_share_refuses_a_limit_below_one_case(tmp_path, room):
    with pytest.raises(BuildError) as caught:
        shared(tmp_path, 2, BASE_BYTES + room)
    assert str(caught.value) == (
        f"{tmp_path}: --max-ram {(BASE_BYTES + room) >> 20} MB is too little; "
        "the program takes 240 MB and one case 0 MB"
    )


# Cores


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert cores() == 3


@pytest.mark.parametrize(("counted", "expected"), [(6, 6), (None, 1)])
def test_cores_are_those_of_the_machine_where_that_cannot_be_told(monkeypatch, counted, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert cores() == expected
