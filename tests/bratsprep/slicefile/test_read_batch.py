import ctypes
import os
import threading
import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import TypingError, njit

from bratsprep.deflate import c_call
from bratsprep.deflate.encoder import bound, deflate_
from bratsprep.deflate.libdeflate import address
from bratsprep.slicefile import read_batch, read_chunk, to_float32
from bratsprep.slicefile.backends import BACKENDS, Target, make_backend
from bratsprep.slicefile.chunk_index import read_contents
from tests.helpers import plain_kernels, slicefiles
from tests.helpers.oracles import both

LIBC = ctypes.CDLL(None)


@pytest.fixture(params=["compiled", "plain"])
def kernels(request, monkeypatch):
    """The kernels, compiled or as Python."""
    if request.param == "plain":
        plain_kernels.use_python(monkeypatch)
    return read_chunk


@pytest.fixture(params=BACKENDS)
def backend_name(request):
    return request.param


@pytest.fixture
def opened(tmp_path):
    """Write a slice file and open it at a backend: (backend, images, labels, path)."""
    descriptors = []

    def make(name="libdeflate", damage=None, **kind):
        path = tmp_path / "slices.h5"
        image, label = slicefiles.write(path, **kind)
        storage = read_contents(path).storage
        if damage:
            damage(path, storage.chunks)
        descriptors.append(os.open(path, os.O_RDONLY))
        return make_backend(descriptors[-1], storage, name), image, label

    yield make
    for fd in descriptors:
        os.close(fd)


def targets(n, dtype):
    return Target(
        np.full((n, 4, *slicefiles.SHAPE), 77, dtype), np.full((n, *slicefiles.SHAPE), 77, np.uint8)
    )


@pytest.mark.parametrize("deflated", [True, False], ids=["deflated", "plain bytes"])
@pytest.mark.parametrize("widened", [True, False], ids=["float32", "as stored"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<i2"])
def test_fetch_gives_what_was_written(kernels, opened, dtype, widened, deflated):
    backend, image, label = opened(dtype=dtype, deflated=deflated)
    rows = np.array([3, 0, 3, 6])
    target = targets(4, np.float32 if widened else dtype)
    assert backend.fetch(rows, target) == (0, 4)
    np.testing.assert_array_equal(target.image, image[rows].astype(target.image.dtype))
    np.testing.assert_array_equal(target.label, label[rows])


@pytest.mark.parametrize("deflated", [True, False], ids=["deflated", "plain bytes"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<i2"])
def test_both_backends_give_the_bits_that_h5py_reads(tmp_path, opened, dtype, deflated):
    found = []
    for name in BACKENDS:
        backend, image, _ = opened(name, dtype=dtype, deflated=deflated)
        target = targets(len(image), dtype)
        backend.fetch(np.arange(len(image)), target)
        found.append(target.image.tobytes())
    with h5py.File(tmp_path / "slices.h5") as file:
        assert found == [file["slice/image"][:].tobytes()] * 2


def repack(path):
    """Put chunks of our own form in place of HDF5's."""
    with h5py.File(path, "r+") as file:
        for name, bits in (("slice/image", "u2"), ("slice/label", "u1")):
            dataset = file[name]
            values = dataset[:].reshape(len(dataset), -1).view(bits)
            sizes = np.zeros(len(dataset), np.int64)
            out = np.zeros(bound(len(values), values[0].nbytes, values.itemsize), np.uint8)
            deflate_(values, out, 0, sizes, 0)
            for s, stop in enumerate(np.cumsum(sizes)):
                place = (s, *[0] * (dataset.ndim - 1))
                dataset.id.write_direct_chunk(place, out[stop - sizes[s] : stop].tobytes())


@pytest.fixture
def repacked(tmp_path):
    """A backend for a slice file of our own chunks, its images and labels."""
    path = tmp_path / "slices.h5"
    image, label = slicefiles.write(path)
    repack(path)
    fd = os.open(path, os.O_RDONLY)
    yield make_backend(fd, read_contents(path).storage, "libdeflate"), image, label
    os.close(fd)


@pytest.mark.parametrize("rows", [[4], [2, 5], [3, 0, 3], [6, 5, 4, 3]])
@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_chunks_of_our_own_are_fetched(kernels, repacked, rows, dtype):
    backend, image, label = repacked
    target = targets(len(rows), dtype)
    assert backend.fetch(np.array(rows), target) == (0, len(rows))
    np.testing.assert_array_equal(target.image, image[rows].astype(dtype))
    np.testing.assert_array_equal(target.label, label[rows])


def test_a_damaged_chunk_of_our_own_is_reported(kernels, repacked, tmp_path):
    backend, image, _ = repacked
    spoil(0)(tmp_path / "slices.h5", read_contents(tmp_path / "slices.h5").storage.chunks)
    target = targets(3, "<f2")
    assert backend.fetch(np.array([2, 4, 5]), target) == (read_chunk.BAD_STREAM, 1)
    np.testing.assert_array_equal(target.image[0], image[2])


@both("kernel", to_float32.widen_halves)
def test_every_half_is_widened_exactly(kernel):
    halves = np.arange(65_536, dtype=np.uint16)
    if kernel is to_float32.widen_halves.py_func:
        halves = np.concatenate([halves[:3000:7], halves[::97], halves[0x7BF0:0x7C10]])
    stored = halves.view(np.uint8)
    out = np.empty(halves.size, np.float32)
    kernel(stored[0::2].copy(), stored[1::2].copy(), out)
    with np.errstate(invalid="ignore"):
        wanted = halves.view(np.float16).astype(np.float32)
    np.testing.assert_array_equal(out.view(np.uint32), wanted.view(np.uint32))


@both("kernel", to_float32.widen_shorts)
def test_every_short_is_widened_exactly(kernel):
    step = 1 if kernel is to_float32.widen_shorts else 63
    values = np.arange(-32_768, 32_768, step, dtype=np.int16)
    stored = values.view(np.uint8)
    out = np.empty(values.size, np.float32)
    kernel(stored[0::2], stored[1::2], out)
    np.testing.assert_array_equal(out, values.astype(np.float32))


@both("copy", to_float32.copy_)
@given(values=st.binary(max_size=70))
def test_bytes_are_copied(copy, values):
    plain = np.frombuffer(values, np.uint8)
    out = np.zeros(plain.size, np.uint8)
    copy(plain, out)
    np.testing.assert_array_equal(out, plain)


@both("unshuffle", to_float32.unshuffle)
def test_unshuffle_puts_bytes_together(unshuffle):
    out = np.empty(2, np.uint32)
    unshuffle(np.array([1, 5, 2, 6, 3, 7, 4, 8], np.uint8), out)
    assert out.tolist() == [0x04030201, 0x08070605]


def shorten(path, chunks):
    """Cut off the last byte of row 6's label, which is the last chunk of the file."""
    os.truncate(path, chunks[6, 2] + chunks[6, 3] - 1)


def spoil(column):
    """Change the last bytes of row 4's chunk: its checksum no longer fits."""

    def damage(path, chunks):
        with path.open("r+b") as file:
            file.seek(chunks[4, column] + chunks[4, column + 1] - 2)
            file.write(b"\x55\xaa")

    return damage


def test_serve_ends_at_a_task_below_0(kernels, opened, backend_name):
    backend, _, _ = opened(backend_name)
    target = Target(
        np.empty((1, 1, 4, *slicefiles.SHAPE), np.float32),
        np.empty((1, 1, *slicefiles.SHAPE), np.uint8),
    )
    tasks, answers, ends, thread = serve(backend, np.array([[2]]), target)
    os.write(tasks, b"\xff" * 8)
    thread.join(10)
    assert not thread.is_alive()
    for end in (tasks, answers, *ends):
        os.close(end)


@pytest.mark.parametrize("deflated", [True, False], ids=["deflated", "plain bytes"])
def test_fetch_reports_a_short_read(kernels, opened, backend_name, deflated):
    backend, _, _ = opened(backend_name, shorten, deflated=deflated)
    code, place = backend.fetch(np.array([0, 6]), targets(2, "<f2"))
    assert (code, place) == (read_chunk.READ_SHORT + read_batch.IN_LABEL, 1)


def test_fetch_reports_a_spoilt_image(kernels, opened, backend_name):
    backend, _, _ = opened(backend_name, spoil(0))
    assert backend.fetch(np.array([0, 1, 4]), targets(3, "<f2")) == (read_chunk.BAD_STREAM, 2)


def test_fetch_reports_a_spoilt_label(kernels, opened, backend_name):
    backend, _, _ = opened(backend_name, spoil(2))
    code, place = backend.fetch(np.array([4, 0]), targets(2, "<f2"))
    assert (code, place) == (read_chunk.BAD_STREAM + read_batch.IN_LABEL, 0)


@pytest.mark.parametrize("n_bytes", [10, 1000], ids=["short", "long"])
def test_fetch_reports_a_chunk_of_the_wrong_length(
    kernels, tmp_path, opened, backend_name, n_bytes
):
    opened()
    path = tmp_path / "slices.h5"
    with h5py.File(path, "r+") as file:
        stream = zlib_stream(b"x" * n_bytes)
        file["slice/image"].id.write_direct_chunk((2, 0, 0, 0), stream)
    fd = os.open(path, os.O_RDONLY)
    backend = make_backend(fd, read_contents(path).storage, backend_name)
    assert backend.fetch(np.array([2]), targets(1, "<f2")) == (read_chunk.WRONG_LENGTH, 0)
    os.close(fd)


def zlib_stream(content):
    """A zlib stream, as the deflate filter of HDF5 writes it."""
    return zlib.compress(content)


def test_plain_chunk_of_the_wrong_length_is_reported(kernels):
    setup = read_chunk.Setup(fd=-1, pread=0)
    code = kernels.unpack(setup, np.empty(3, np.uint8), np.empty(4, np.uint8))
    assert code == read_chunk.WRONG_LENGTH


def test_pull_gives_up_on_a_descriptor_that_cannot_be_read(kernels):
    setup = read_chunk.Setup(fd=-1, pread=address(LIBC, "pread"))
    assert kernels.pull(setup, 0, 3, np.empty(3, np.uint8)) == read_chunk.READ_SHORT


def test_fetch_of_no_rows_is_well(kernels, opened):
    backend, _, _ = opened()
    assert backend.fetch(np.empty(0, np.int64), targets(0, "<f2")) == (0, 0)


def test_desk_is_used_again(opened):
    backend, _, _ = opened()
    for _ in range(3):
        backend.fetch(np.array([0]), targets(1, "<f2"))
    assert len(backend._idle) == 1


def serve(backend, rows, target):
    """Serve from pipes in a thread: (end to send tasks to, end to get answers from, thread)."""
    serve_from, tasks = os.pipe()
    answers, serve_to = os.pipe()
    pipes = serve_from, serve_to
    thread = threading.Thread(target=backend.serve, args=(pipes, rows, rows, target))
    thread.start()
    return tasks, answers, pipes, thread


def test_serve_fills_slots_until_the_pipe_is_closed(kernels, opened, backend_name):
    backend, image, label = opened(backend_name, spoil(0))
    rows = np.array([[5, 1], [3, 4]])
    target = Target(
        np.empty((2, 2, 4, *slicefiles.SHAPE), np.float32),
        np.empty((2, 2, *slicefiles.SHAPE), np.uint8),
    )
    tasks, answers, ends, thread = serve(backend, rows, target)
    found = []
    for slot in (1, 0):
        os.write(tasks, slot.to_bytes(8, "little"))
        found.append(np.frombuffer(os.read(answers, 24), np.int64).tolist())
    os.close(tasks)
    thread.join(10)
    for end in (answers, *ends):
        os.close(end)
    assert found == [[1, read_chunk.BAD_STREAM, 1], [0, 0, 2]]
    np.testing.assert_array_equal(target.image[0], image[[5, 1]].astype(np.float32))
    np.testing.assert_array_equal(target.label[0], label[[5, 1]])


def test_serve_goes_on_after_a_signal(monkeypatch, opened):
    backend, image, _ = opened()
    pending = {address(LIBC, name) for name in ("read", "pread", "write")}

    def broken_off_at_first(where, arguments):
        if where in pending:
            pending.remove(where)
            return -1
        return plain_kernels.call_by_ctypes(where, arguments)

    plain_kernels.use_python(monkeypatch)
    for module in (read_batch, read_chunk):
        monkeypatch.setattr(module, "call", broken_off_at_first)
    target = Target(
        np.empty((1, 1, 4, *slicefiles.SHAPE), np.float32),
        np.empty((1, 1, *slicefiles.SHAPE), np.uint8),
    )
    tasks, answers, ends, thread = serve(backend, np.array([[2]]), target)
    os.write(tasks, bytes(8))
    os.read(answers, 24)
    os.close(tasks)
    thread.join(10)
    for end in (answers, *ends):
        os.close(end)
    np.testing.assert_array_equal(target.image[0, 0], image[2].astype(np.float32))


def test_call_reaches_a_function_of_the_c_library():
    @njit
    def absolute(where, value):
        return c_call.call(where, (value,))

    assert absolute(address(LIBC, "llabs"), -5) == 5


def test_call_refuses_what_is_no_integer():
    @njit
    def absolute(where, value):
        return c_call.call(where, (value,))

    with pytest.raises(TypingError):
        absolute(address(LIBC, "llabs"), -5.0)
