"""Streams are undone by every decoder, whatever the slices hold, and depend on nothing else."""

import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from isal import isal_zlib

from bratsprep.deflate import encoder as module_
from bratsprep.deflate import huffman, shuffle
from bratsprep.deflate.encoder import SAMPLED, bound, checksum, count_, deflate_, encode_
from bratsprep.deflate.huffman import END, LENGTH_SYMBOL, MOST, SYMBOLS, tables_
from bratsprep.deflate.libdeflate import adler_address
from tests.helpers import oracles, plain_kernels
from tests.helpers.oracles import both


def packed(deflate, values, at=0):
    """The stream of each slice."""
    out = np.full(at + bound(len(values), values[0].nbytes, values.itemsize), 7, np.uint8)
    sizes = np.zeros(len(values), np.int64)
    end = deflate(values, out, at, sizes, 0)
    assert end == at + sizes.sum() <= out.size
    assert (out[:at] == 7).all()
    stops = at + np.cumsum(sizes)
    return [out[stop - size : stop].tobytes() for stop, size in zip(stops, sizes, strict=True)]


def head(dtype, n_slices=5, n=203):
    """Slices of noise between zeros."""
    generator = np.random.default_rng(n)
    values = generator.integers(0, np.iinfo(dtype).max, (n_slices, n), dtype, endpoint=True)
    values[:, n // 5 : n // 2] = 0
    values[1] = 0
    return values


@pytest.fixture(params=["compiled", "plain"])
def deflate(request, monkeypatch):
    """The kernel, and the same as Python down to the last that it calls."""
    if request.param == "plain":
        for module in (module_, huffman, shuffle):
            for name, value in list(vars(module).items()):
                if hasattr(value, "py_func"):
                    monkeypatch.setattr(module, name, value.py_func)
    return module_.deflate_


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 64, 203])
def test_zlib_undoes_the_streams(deflate, dtype, n):
    values = head(dtype, n=n)
    for stream, plain in zip(packed(deflate, values), values, strict=True):
        assert zlib.decompress(stream) == oracles.shuffled(plain).tobytes()


@pytest.mark.parametrize(
    "undo", [isal_zlib.decompress, imagecodecs.zlib_decode, imagecodecs.deflate_decode]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_fast_decoders_undo_the_streams(undo, dtype):
    values = head(dtype, n=5000)
    for stream, plain in zip(packed(deflate_, values), values, strict=True):
        assert bytes(undo(stream)) == oracles.shuffled(plain).tobytes()


parts = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 600)), min_size=1, max_size=9)


def test_runs_in_and_between_words_come_back(deflate):
    plain = np.ones(2000, np.uint8)
    for start, stop in ((3, 40), (45, 61), (62, 64), (70, 339), (350, 1200), (1990, 2000)):
        plain[start:stop] = 0
    assert zlib.decompress(packed(deflate, plain[None])[0]) == plain.tobytes()


@given(parts=parts, start=st.integers(0, 9))
@example(parts=[(0, 16), (1, 1), (0, 17), (2, 3), (0, 15)], start=3)
def test_runs_of_any_length_come_back(parts, start):
    plain = np.concatenate([np.full(n, value, np.uint8) for value, n in [*parts, (1, 1)]])
    (stream,) = packed(deflate_, plain[None], start)
    assert zlib.decompress(stream) == plain.tobytes()


def test_a_slice_that_was_not_counted_comes_back(deflate):
    values = np.zeros((2 * SAMPLED, 300), np.uint8)
    values[3] = np.arange(300) % 256
    assert zlib.decompress(packed(deflate, values)[3]) == values[3].tobytes()


def test_streams_fit_their_bound_when_nothing_can_be_saved():
    values = np.zeros((2 * SAMPLED, 60_000), np.uint8)
    # Every second slice is counted, from the first on; another one costs most.
    values[1] = np.random.default_rng(0).integers(1, 256, 60_000)
    sizes = [len(stream) for stream in packed(deflate_, values)]
    assert 60_000 < sizes[1] < bound(1, 60_000, 1)


def test_streams_do_not_depend_on_where_they_begin():
    values = head(np.uint16)
    assert packed(deflate_, values) == packed(deflate_, values, at=5)


def test_noise_costs_its_entropy():
    values = np.rint(np.random.default_rng(0).normal(100, 8, (4, 40_000))).astype(np.uint8)
    shares = np.bincount(values.reshape(-1)) / values.size
    entropy = -sum(share * np.log2(share) for share in shares[shares > 0])
    sizes = [len(stream) for stream in packed(deflate_, values)]
    assert 40_000 * entropy / 8 < np.mean(sizes) < 40_000 * entropy / 8 * 1.02 + 200


def test_libdeflates_checksum_is_ours(monkeypatch):
    monkeypatch.setattr(module_, "call", plain_kernels.call_by_ctypes)
    values = np.random.default_rng(0).integers(0, 256, (2, 203), np.uint8)
    expected = zlib.adler32(values[:, :200].tobytes())
    ways = checksum, checksum.py_func
    assert [way(values, 200, adler) for way in ways for adler in (0, adler_address())] == [
        expected
    ] * 4


def test_zeros_cost_next_to_nothing():
    assert len(packed(deflate_, np.zeros((1, 100_000), np.uint8))[0]) < 400


@both("count", count_)
def test_symbols_are_counted_as_they_are_written(count):
    lane = np.zeros(2000, np.uint8)
    lane[[3, 4, 20, 700, 1999]] = [5, 6, 5, 7, 8]
    counts = np.zeros(SYMBOLS, np.int64)
    count(lane, 2000, counts)
    tables = tuple(np.zeros(n, np.uint64) for n in (END + 1, MOST + 1, SYMBOLS + 2))
    tables_(counts, *tables)
    bits = int(encode_(lane, 2000, tables, True, np.zeros(900, np.uint64), np.uint64(0)))
    # Every symbol with its code, the extra bits and distances of the matches, and the header.
    lengths = [int(code) >> 32 for code in tables[0]]
    spent = sum(lengths[symbol] * counts[symbol] for symbol in range(END + 1))
    for length in np.unique(LENGTH_SYMBOL[3:]):
        first = int(np.flatnonzero(LENGTH_SYMBOL[3:] == length)[0]) + 3
        spent += (int(tables[1][first]) >> 32) * counts[length]
    assert bits == spent + 17 + 19 * 3 + 4 * (SYMBOLS + 2)
