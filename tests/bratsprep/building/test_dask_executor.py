"""A build on a Dask cluster of this machine; skipped where Dask is not installed."""

import os
import signal
import threading
import time

import pytest

import bratsprep
from bratsprep.errors import BuildError

distributed = pytest.importorskip("distributed", reason="Dask (extra dask) is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
WINDOW = "48x40"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "raw",
        cases=8, shape=(96, 100, 60), layout="brats2020", workers=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(raw, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "out.h5"
    bratsprep.build(raw, out, crop=WINDOW)
    return out.read_bytes()


def cluster():
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    )


def kill_one(running, journal):
    """Kill one worker when the first case is written."""
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 1):
        time.sleep(0.002)
    os.kill(running.workers[0].process.process.pid, signal.SIGKILL)


def test_a_worker_killed_in_the_middle_changes_no_byte(raw, whole, tmp_path):
    out = tmp_path / "out.h5"
    with cluster() as running, bratsprep.dask_executor(running.scheduler_address) as (far, width):
        killer = threading.Thread(target=kill_one, args=(running, tmp_path / "out.h5.journal"))
        killer.start()
        bratsprep.build(raw, out, crop=WINDOW, executor=far, workers=width)
        killer.join(60)
        assert not killer.is_alive()
    assert width == 2
    assert out.read_bytes() == whole


def test_an_address_without_a_scheduler_is_an_error(monkeypatch):
    monkeypatch.setattr("bratsprep.building.dask_executor.WAIT_S", 1)
    with (
        pytest.raises(BuildError, match="no Dask scheduler answers"),
        bratsprep.dask_executor("tcp://127.0.0.1:1"),
    ):
        pass
