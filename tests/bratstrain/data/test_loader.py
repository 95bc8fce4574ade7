import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from bratsprep.errors import SchemaError
from bratsprep.slicefile.backends import BACKENDS
from bratsprep.slicefile.chunk_index import read_contents
from bratsprep.slicefile.reader import open_file
from bratstrain.data.loader import Loader
from bratstrain.data.sampler import make_plan
from tests.helpers import slicefiles


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "slices.h5"
    slicefiles.write(path)
    return path


@pytest.fixture
def file(path):
    with open_file(path) as opened:
        yield opened


def plan(file, batch_size=3, **kind):
    return make_plan(np.arange(len(file)), file.slices["voxels"], batch_size, **kind)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "bratstrain-loader"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("threads", "prefetch"), [(1, 1), (4, 1), (1, 4), (3, 5), (4, 40)])
def test_batches_are_those_of_the_plan_in_order(path, backend, threads, prefetch):
    with h5py.File(path) as plain:
        image, label = plain["slice/image"][:].astype(np.float32), plain["slice/label"][:]
    with (
        open_file(path, backend) as file,
        Loader(file, plan(file), first=5, last=25, threads=threads, prefetch=prefetch) as loader,
    ):
        steps = []
        for batch in loader:
            rows = plan(file).rows(batch.step)
            np.testing.assert_array_equal(batch.rows, rows)
            np.testing.assert_array_equal(batch.image, image[rows])
            np.testing.assert_array_equal(batch.label, label[rows])
            steps.append(batch.step)
    assert steps == list(range(5, 25))


def test_batches_are_float32_and_uint8(file):
    with Loader(file, plan(file), first=0, last=1) as loader:
        batch = next(iter(loader))
    assert (batch.image.dtype, batch.label.dtype) == (torch.float32, torch.uint8)


@pytest.mark.parametrize("dtype", ["<i2", "<f4"])
def test_every_stored_dtype_becomes_float32(tmp_path, dtype):
    path = tmp_path / "other.h5"
    image, _ = slicefiles.write(path, dtype=dtype)
    with open_file(path) as file, Loader(file, plan(file), first=0, last=1) as loader:
        batch = next(iter(loader))
        np.testing.assert_array_equal(batch.image, image[batch.rows].astype(np.float32))


def test_loader_counts_its_batches(file):
    with Loader(file, plan(file), first=2, last=9) as loader:
        assert len(loader) == 7


def test_no_steps_give_no_batches(file):
    with Loader(file, plan(file), first=3, last=3) as loader:
        assert list(loader) == []


def test_memory_is_that_of_one_batch_more_than_prefetch(file):
    with Loader(file, plan(file), first=0, last=30, prefetch=2) as loader:
        places = {batch.image.data_ptr() for batch in loader}
    assert len(places) == 3


def test_batch_stays_as_it_is_until_the_next_is_taken(file):
    with Loader(file, plan(file), first=0, last=20, prefetch=1) as loader:
        for batch in loader:
            before = batch.image.clone()
            file.read(np.arange(7))
            assert torch.equal(batch.image, before)


def test_waiting_is_counted(file):
    with Loader(file, plan(file), first=0, last=5) as loader:
        assert loader.waited_s == 0
        assert sum(1 for _ in loader) == 5
        assert loader.waited_s > 0


def spoil(path, row):
    offset, size = read_contents(path).storage.chunks[row, :2]
    with path.open("r+b") as plain:
        plain.seek(offset + size - 2)
        plain.write(b"\x55\xaa")


@pytest.mark.parametrize("backend", BACKENDS)
def test_damaged_slice_is_named_at_its_step(path, backend):
    spoil(path, 4)
    with open_file(path, backend) as file:
        order = plan(file, 1)
        step = next(step for step in range(7) if order.rows(step)[0] == 4)
        taken = []
        with (
            pytest.raises(SchemaError, match=r"slice 4 \(case B, plane 3\): image chunk"),
            Loader(file, order, first=0, last=7) as loader,
        ):
            taken.extend(batch.step for batch in loader)
    assert taken == list(range(step))
    assert not loader_threads()


def test_error_of_a_thread_reaches_the_consumer(file, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory is left")

    monkeypatch.setattr(file, "serve", fail)
    with (
        Loader(file, plan(file), first=0, last=5) as loader,
        pytest.raises(RuntimeError, match="no memory is left"),
    ):
        next(iter(loader))


def test_plan_of_another_file_is_refused(file):
    stranger = make_plan(np.array([70]), np.ones((1, 4), int), 2)
    with (
        Loader(file, stranger, first=0, last=5) as loader,
        pytest.raises(ValueError, match="rows must be 0 to 6"),
    ):
        next(iter(loader))


def test_threads_end_when_the_consumer_leaves_early(file):
    with Loader(file, plan(file), first=0, last=1000) as loader:
        for batch in loader:
            if batch.step == 2:
                break
        assert loader_threads()
    assert not loader_threads()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_threads_end_though_a_forked_process_lives_on(file):
    with Loader(file, plan(file), first=0, last=1000) as loader:
        next(iter(loader))
        child = os.fork()
        if child == 0:
            time.sleep(30)
            os._exit(0)
    assert not loader_threads()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_process_does_not_end_the_threads_of_its_parent(file):
    with Loader(file, plan(file), first=0, last=20, prefetch=1) as loader:
        batches = iter(loader)
        next(batches)
        child = os.fork()
        if child == 0:
            loader.close()
            os._exit(0)
        os.waitpid(child, 0)
        assert sum(1 for _ in batches) == 19


def test_threads_end_when_the_consumer_raises(file):
    with (
        pytest.raises(KeyError),
        Loader(file, plan(file), first=0, last=1000) as loader,
    ):
        {}[next(iter(loader)).step]
    assert not loader_threads()


def test_threads_end_when_the_loader_is_forgotten(file):
    loader = Loader(file, plan(file), first=0, last=1000)
    next(iter(loader))
    del loader
    gc.collect()
    assert not loader_threads()


def test_descriptors_are_given_back(file):
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        with Loader(file, plan(file), first=0, last=9) as loader:
            next(iter(loader))
    assert len(list(descriptors.iterdir())) == before


def test_closed_loader_is_refused(file):
    loader = Loader(file, plan(file), first=0, last=9)
    loader.close()
    loader.close()
    with pytest.raises(ValueError, match="the loader is closed; make another"):
        next(iter(loader))


def test_loader_closed_in_the_middle_is_refused(file):
    loader = Loader(file, plan(file), first=0, last=9)
    batches = iter(loader)
    next(batches)
    loader.close()
    with pytest.raises(ValueError, match="the loader is closed; make another"):
        next(batches)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"threads": 0}, "threads and prefetch must be at least 1, got 0 and 4"),
        ({"prefetch": 0}, "threads and prefetch must be at least 1, got 4 and 0"),
        ({"first": 6}, "first must be 0 to last, got 6 and 5"),
    ],
)
def test_loader_refuses(file, numbers, message):
    with pytest.raises(ValueError, match=message):
        Loader(file, plan(file), **{"first": 0, "last": 5, **numbers})


PROGRAM = """
import sys
import numpy as np
from bratsprep.slicefile.reader import open_file
from bratstrain.data.loader import Loader
from bratstrain.data.sampler import make_plan
file = open_file(sys.argv[1])
loader = Loader(file, make_plan(np.arange(7), file.slices["voxels"], 3), first=0, last=1000)
print(next(iter(loader)).step)
"""


@pytest.mark.slow
def test_program_that_forgets_its_loader_ends(path):
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROGRAM, path],
        capture_output=True,
        timeout=300,
        check=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_batches_equal_the_file(path):
    device = torch.device("cuda")
    with h5py.File(path) as plain:
        image, label = plain["slice/image"][:], plain["slice/label"][:]
    with (
        open_file(path) as file,
        Loader(file, plan(file), first=0, last=50, device=device) as loader,
    ):
        for batch in loader:
            assert batch.image.dtype == torch.float16
            np.testing.assert_array_equal(batch.image.cpu(), image[batch.rows])
            np.testing.assert_array_equal(batch.label.cpu(), label[batch.rows])


@pytest.mark.parametrize(("threads", "prefetch"), [(1, 3), (2, 3), (4, 1)])
def test_disk_is_asked_for_as_many_steps_ahead_as_are_filled(file, threads, prefetch):
    ahead = min(threads, prefetch + 1)
    with Loader(file, plan(file), first=0, last=9, threads=threads, prefetch=prefetch) as loader:
        for batch in loader:
            wanted = plan(file).rows(min(batch.step + ahead, 8))
            np.testing.assert_array_equal(loader._ring.later[batch.step % (prefetch + 1)], wanted)
