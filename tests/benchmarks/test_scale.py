"""The data set of Colab's crash in small: it is built and streamed where holding it fails."""

import sys

import pytest

from benchmarks.scale import run_part
from benchmarks.scale_cases import make_cases, source_bytes
from bratsprep.verification.verifier import verify

SHAPE = (96, 96, 64)
N_CASES = 24
HEADROOM = ["--headroom", str(140_000_000), "--workers", "2"]
"""Above imports; the cases as float64 take 453 MB, as a notebook has them."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is held by Linux alone"),
]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_cases(tmp_path_factory.mktemp("scale"), None, N_CASES, distinct=4, shape=SHAPE)


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    work = tmp_path_factory.mktemp("built")
    return work / "out.h5", run_part("build", raw, work / "out.h5", HEADROOM, work)


def test_cases_are_links_that_are_read_in_full(raw):
    assert source_bytes(raw) > 5 * source_bytes(raw.parent / "phantoms-4-96x96x64")


def test_holding_every_case_runs_out_of_the_limit(raw, tmp_path):
    found = run_part("hold", raw, tmp_path, HEADROOM, tmp_path)
    assert found["out_of_memory"] == 1
    assert found["cases"] < N_CASES


def test_whole_build_stays_within_the_limit(built):
    file, found = built
    assert "fault" not in found, found
    assert found["cases"] == N_CASES
    assert verify(file).cases == N_CASES


def test_epoch_of_streaming_stays_within_the_limit(built, tmp_path):
    file, build = built
    found = run_part("epoch", file, tmp_path, HEADROOM, tmp_path)
    assert "fault" not in found, found
    assert found["slices"] >= build["slices"]
