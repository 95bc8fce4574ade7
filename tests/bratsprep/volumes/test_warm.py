"""Kernels compiled ahead: those of the first case, and no others."""

import numpy as np
import pytest

import bratsprep
from bratsprep.discovery.discover import scan
from bratsprep.sources.source import open_source
from bratsprep.volumes import fingerprint, kernels, moments, warm


@pytest.fixture
def asked(monkeypatch):
    """What `warm` is called with."""
    calls = []
    monkeypatch.setattr(warm, "warm", lambda *call: calls.append(call))
    return calls


@pytest.fixture
def raw(tmp_path):
    bratsprep.phantoms(tmp_path / "raw", cases=2, shape=(16, 16, 8), workers=1)
    return tmp_path / "raw"


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
@pytest.mark.parametrize("m", [1, 4])
def test_images_of_any_type_find_their_kernels_compiled(m, dtype):
    warm.warm(m, dtype)
    used = moments.measure_whole_, kernels.zscore_half_, kernels.lookup_half_
    assert all(kernel.signatures for kernel in (*used, fingerprint.brain_cells_))


def test_labels_find_their_kernels_compiled():
    warm.warm_labels()
    used = kernels.recode_, kernels.take_classes_, fingerprint.region_cells_
    assert all(kernel.signatures for kernel in used)


def test_type_is_that_of_the_first_case(asked, raw):
    with open_source(raw) as source:
        warm.warm_cases(source, scan(source).cases)
    assert asked == [(4, np.int16)]


def test_first_case_that_can_be_read_will_do(asked, raw):
    with open_source(raw) as source:
        cases = scan(source).cases
        (raw / cases[0].first).write_bytes(b"no scan")
        warm.warm_cases(source, cases)
    assert asked == [(4, np.int16)]


def test_no_image_is_needed_for_labels(asked, raw):
    with open_source(raw) as source:
        warm.warm_cases(source, scan(source).cases, images=False)
    assert asked == []


def test_what_cannot_be_read_is_left_to_the_reader(asked, raw):
    with open_source(raw) as source:
        cases = scan(source).cases
        for files in cases:
            (raw / files.first).write_bytes(b"no scan")
        warm.warm_cases(source, cases)
    assert asked == []
