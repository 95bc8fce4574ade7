"""Threads keep the order, hold errors as results, and stay within their memory."""

import math
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from bratsprep.building.memory_budget import BASE_BYTES, case_bytes, cut_bytes, pools, share
from bratsprep.case import Channel
from bratsprep.config import PrepConfig
from bratsprep.errors import BuildError, NiftiError
from bratsprep.sources.source import open_source
from bratsprep.system import limits
from bratsprep.system.memory import Buffers, Pool
from bratsprep.system.threads import LOOK_AHEAD, cores, few_blas_threads, in_order
from bratsprep.volumes.case_volumes import read_scan
from tests.helpers import niftis
from tests.helpers.class_sets import ASKED, SCHEME

CASES = [niftis.case_files(f"{i:02}") for i in range(12)]
VOXELS = 7 * 8 * 6
IMAGE = 352 + 2 * VOXELS
LABEL = 352 + VOXELS
READ = 4 * IMAGE + LABEL + IMAGE
"""Four images and a label unpacked, and the largest file packed; the brain takes its place."""
CUT = math.ceil(1.4 * 6 * 192 * 160 * (4 * 2 + 1))
"""Six planes of the usual window, as they are cut and as chunks."""
NEED = READ + CUT


def results(work, workers, cases=CASES):
    return list(in_order(cases, work, workers))


# Order


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_results_come_in_the_order_of_the_cases(workers):
    def work(files):
        time.sleep(0.004 * (int(files.id) % 3 == 0))
        return files.id * 2

    assert results(work, workers) == [(files, files.id * 2) for files in CASES]


def test_no_case_gives_no_result():
    assert results(lambda files: files, 2, []) == []


def test_a_fault_of_the_data_is_a_result():
    def work(files):
        if files.id == "03":
            raise NiftiError("bad")
        return files.id

    made = [result for _, result in results(work, 2)]
    assert isinstance(made[3], NiftiError)
    assert str(made[3]) == "bad"
    assert made[:3] + made[4:] == [files.id for files in CASES if files.id != "03"]


def test_any_other_exception_is_raised():
    def work(files):
        if files.id == "05":
            raise ZeroDivisionError("fault of ours")
        return files.id

    made = in_order(CASES, work, 2)
    assert [next(made)[1] for _ in range(5)] == ["00", "01", "02", "03", "04"]
    with pytest.raises(ZeroDivisionError, match="fault of ours"):
        next(made)


def test_memory_that_is_not_to_be_had_is_a_result():
    def work(_):
        raise MemoryError("of 3 TB")

    ((files, error),) = in_order(CASES[:1], work, 1)
    assert isinstance(error, BuildError)
    assert str(error) == f"{files.id}: does not fit into memory (of 3 TB); lower --workers"


@pytest.mark.parametrize("workers", [1, 3])
def test_look_ahead_is_bounded(workers):
    taken, ahead = [], []
    made = in_order((taken.append(f) or f for f in CASES), lambda f: f, workers)
    for i, _ in enumerate(made, start=1):
        ahead.append(len(taken) - i)
    assert max(ahead) == workers + LOOK_AHEAD - 1


def test_closing_early_starts_no_further_case():
    started, may_end = [], threading.Event()

    def work(files):
        started.append(files.id)
        if files.id != CASES[0].id:
            may_end.wait()

    made = in_order(CASES, work, 1)
    next(made)
    shutdown = ThreadPoolExecutor.shutdown

    def drop_then_wait(pool, *, wait, cancel_futures):
        shutdown(pool, wait=False, cancel_futures=cancel_futures)
        may_end.set()
        shutdown(pool, wait=wait)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "shutdown", drop_then_wait)
        made.close()
    assert len(started) <= 2


def test_results_may_be_dropped_by_a_thread_of_their_own():
    is_taken, said = threading.Event(), queue.SimpleQueue()

    def work(files):
        if files.id == "01":
            is_taken.wait()
            try:
                made.close()  # as the garbage collector does
            except RuntimeError as error:
                said.put(error)
            said.put(None)

    made = in_order(CASES, work, 1)
    next(made)
    is_taken.set()
    assert said.get(timeout=60) is None


# Memory


def test_two_borrowers_never_share_memory():
    together = threading.Barrier(2, timeout=5)
    pool, seen = Pool(2, 2**62), set()

    def work(_):
        with pool.borrow() as buffers:
            seen.add(id(buffers))
            together.wait()

    results(work, 2, CASES[:6])
    assert len(seen) == 2


def test_memory_comes_back_after_an_error():
    pool = Pool(1, 2**62)

    def work(_):
        with pool.borrow():
            raise NiftiError("bad")

    assert len(results(work, 1)) == len(CASES)


def test_what_is_borrowed_has_the_limit():
    with Pool(1, 12_345).borrow() as buffers:
        assert buffers.limit_bytes == 12_345


def test_a_borrower_waits_for_memory_that_is_free():
    pool = Pool(1, 2**62)
    held = []

    def work(files):
        with pool.borrow() as buffers:
            held.append(files)
            time.sleep(0.002)
            assert held == [files]
            held.remove(files)
        return buffers

    assert len({id(buffers) for _, buffers in results(work, 3)}) == 1


def memory(pool):
    """How much of it there is at once."""
    with ExitStack() as held:
        count = 0
        while pool._free.qsize():
            held.enter_context(pool.borrow())
            count += 1
        return count


@pytest.mark.parametrize(("light", "expected"), [(NEED, (4, 3)), (READ - 1, (3, 3))])
def test_light_cases_are_read_by_all_workers_at_once(tmp_path, monkeypatch, light, expected):
    monkeypatch.setattr("bratsprep.building.memory_budget.LIGHT", light)
    files = niftis.write_case(tmp_path, suffix=".nii")
    with open_source(tmp_path) as source:
        assert tuple(map(memory, pools(source, (files,), 4, 2**62))) == expected


def test_a_case_that_cannot_be_read_counts_as_heavy(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii")
    (tmp_path / files.images[0].member).write_bytes(b"x" * 400)
    with open_source(tmp_path) as source:
        assert tuple(map(memory, pools(source, (files,), 1, 2**62))) == (1, 1)
        assert tuple(map(memory, pools(source, (files,), 8, 2**62))) == (6, 6)


def need(root, files):
    with open_source(root) as source:
        return case_bytes(source, files)


def test_case_bytes_are_those_of_the_files(tmp_path):
    assert need(tmp_path, niftis.write_case(tmp_path, suffix=".nii")) == READ


def test_case_bytes_without_a_label(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii", label=False)
    assert need(tmp_path, files) == READ - LABEL


def test_case_bytes_count_what_is_scaled(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii", make=niftis.Make(slope=2))
    numbers_and_two_more = 4 * 8 * VOXELS
    assert need(tmp_path, files) == READ + 4 * 8 * VOXELS + VOXELS + numbers_and_two_more


def test_case_bytes_count_axes_in_another_order(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii", codes="SPL")
    assert need(tmp_path, files) == READ + 4 * 2 * VOXELS + VOXELS


def test_case_bytes_count_modalities_of_different_types(tmp_path):
    files = niftis.write_case(tmp_path, suffix=".nii")
    niftis.write(tmp_path / files.images[2].member, niftis.phantom()[0][2].astype("f4"))
    larger = 2 * VOXELS
    made_alike = 3 * 4 * VOXELS
    assert need(tmp_path, files) == READ + 2 * larger + made_alike


def test_case_bytes_count_a_file_of_all_modalities_once(tmp_path):
    images, _ = niftis.phantom()
    niftis.write(tmp_path / "a.nii", np.moveaxis(images, 0, -1))
    files = replace(
        niftis.case_files("a", label=False), images=tuple(Channel("a.nii", m) for m in range(4))
    )
    assert need(tmp_path, files) == 2 * (352 + 4 * 2 * VOXELS)


@pytest.mark.parametrize(
    ("settings", "slice_bytes"),
    [
        ({}, 1.4 * 192 * 160 * 9),
        ({"crop": "none"}, 1.4 * 8 * 7 * 9),
        ({"crop": "brain", "dtype": "float32"}, 1.4 * 8 * 7 * 17),
        ({"compression": "none"}, 2 * 192 * 160 * 9),
    ],
    ids=["window", "whole", "float32", "not packed"],
)
def test_cut_bytes_are_those_of_every_plane_cut_and_packed(tmp_path, settings, slice_bytes):
    files = niftis.write_case(tmp_path, codes="ALS")
    with open_source(tmp_path) as source:
        assert cut_bytes(source, files, PrepConfig(**settings)) == math.ceil(6 * slice_bytes)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_scan_needs_no_more_than_case_bytes(tmp_path, suffix):
    files = niftis.write_case(tmp_path, suffix=suffix)
    with open_source(tmp_path) as source:
        read_scan(files, source, Buffers(case_bytes(source, files)), SCHEME, ASKED)


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


def test_share_goes_by_the_largest_case_that_can_be_read(tmp_path):
    cases = tuple(niftis.write_case(tmp_path, name, suffix=".nii") for name in "ab")
    member = tmp_path / cases[1].images[0].member
    member.write_bytes(b"broken" * 1000)
    with open_source(tmp_path) as source:
        assert share(source, cases, 3, BASE_BYTES + 2 * NEED) == (2, NEED)
        with pytest.raises(NiftiError, match="is no NIfTI file"):
            share(source, cases[1:], 3, BASE_BYTES + 2 * NEED)


@pytest.mark.parametrize("room", [-BASE_BYTES + 1, NEED - 1])
def test_share_refuses_a_limit_below_one_case(tmp_path, room):
    with pytest.raises(BuildError) as caught:
        shared(tmp_path, 2, BASE_BYTES + room)
    assert str(caught.value) == (
        f"{tmp_path}: --max-ram {(BASE_BYTES + room) >> 20} MB is too little; "
        "the program takes 200 MB and one case 2 MB"
    )


# Cores


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    monkeypatch.setattr(limits, "core_quota", lambda _: None)
    assert cores() == 3


@pytest.mark.parametrize(("counted", "expected"), [(6, 6), (None, 1)])
def test_cores_are_those_of_the_machine_where_that_cannot_be_told(monkeypatch, counted, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    monkeypatch.setattr(limits, "core_quota", lambda _: None)
    assert cores() == expected


# Products of matrices


def test_few_blas_threads_are_one_and_then_as_many_as_before():
    def counts():
        return [each["num_threads"] for each in ThreadpoolController().info()]

    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = counts()
        with few_blas_threads():
            inside = ThreadpoolController().select(user_api="blas").info()
        assert {each["num_threads"] for each in inside} == {1}
        assert counts() == before
