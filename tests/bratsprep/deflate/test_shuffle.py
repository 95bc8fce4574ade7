"""Byte planes, compiled and plain, against zlib and slow NumPy."""

import zlib

import numpy as np
import pytest

from bratsprep.deflate import shuffle as shuffle_module
from tests.helpers import oracles
from tests.helpers.oracles import both


@both("shuffle", shuffle_module.shuffle_)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("n", [0, 1, 7, 64])
def test_shuffle_puts_the_lowest_bytes_first(shuffle, dtype, n):
    values = np.random.default_rng(n).integers(0, np.iinfo(dtype).max, n, dtype, endpoint=True)
    rows = np.full((values.itemsize, n + 3), 9, np.uint8)
    shuffle(values, rows)
    np.testing.assert_array_equal(rows[:, :n].reshape(-1), oracles.shuffled(values))
    assert (rows[:, n:] == 9).all()


@both("adler32", shuffle_module.adler32)
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 600])
def test_adler32_is_that_of_zlib(adler32, k, n):
    rows = np.random.default_rng(n).integers(0, 256, (k, n + 5), np.uint8)
    assert adler32(rows, n) == zlib.adler32(rows[:, :n].tobytes())


def test_adler32_of_a_whole_slice_does_not_overflow():
    rows = np.full((4, 240 * 240 * 4), 255, np.uint8)
    assert shuffle_module.adler32(rows, rows.shape[1]) == zlib.adler32(rows.tobytes())
