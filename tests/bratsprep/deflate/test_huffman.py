"""Codes are complete, and as short as Huffman's wherever the limit leaves them alone."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.deflate import huffman
from bratsprep.deflate.huffman import LONGEST, MOST, SYMBOLS
from tests.helpers.oracles import both


def shortest(counts):
    """Bits that the best prefix code takes for all symbols together: Huffman's sum of merges."""
    heap = list(counts)
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        both_lightest = heapq.heappop(heap) + heapq.heappop(heap)
        total += both_lightest
        heapq.heappush(heap, both_lightest)
    return total


def lengths_of(choose, counts):
    lengths = np.full(len(counts), 99)
    choose(np.array(counts), lengths)
    return lengths


@both("choose", huffman.code_lengths_)
@given(counts=st.lists(st.integers(1, 10**6), min_size=2, max_size=60))
def test_codes_fill_the_space_and_keep_the_limit(choose, counts):
    lengths = lengths_of(choose, counts)
    assert sum(2.0**-bits for bits in lengths) == 1
    assert 1 <= lengths.min() <= lengths.max() <= LONGEST


@both("choose", huffman.code_lengths_)
@given(counts=st.lists(st.integers(1000, 1999), min_size=2, max_size=60))
def test_codes_are_the_shortest_there_are(choose, counts):
    assert lengths_of(choose, counts) @ counts == shortest(counts)


def test_lengths_are_the_same_in_plain_python(monkeypatch):
    counts = [3**k % 1009 + 1 for k in range(60)] + [2**k for k in range(30)]
    compiled = lengths_of(huffman.code_lengths_, counts)
    for name, value in list(vars(huffman).items()):
        if hasattr(value, "py_func"):
            monkeypatch.setattr(huffman, name, value.py_func)
    assert compiled.tolist() == lengths_of(huffman.code_lengths_, counts).tolist()
    assert sum(2.0**-bits for bits in compiled) == 1


@both("choose", huffman.code_lengths_)
def test_a_steep_histogram_is_cut_at_the_limit(choose):
    counts = [1.7**k for k in range(40)]
    lengths = lengths_of(choose, np.array(counts, np.int64) + 1)
    assert lengths.max() == LONGEST
    assert lengths[-1] == 1
    assert (np.diff(lengths) <= 0).all()
    assert sum(2.0**-bits for bits in lengths) == 1


@both("give", huffman.codes_)
def test_codes_of_the_example_in_the_standard(give):
    # RFC 1951, 3.2.2: lengths 3, 3, 3, 3, 3, 2, 4, 4 give these codes, first bit first.
    codes = np.zeros(8, np.uint64)
    give(np.array([3, 3, 3, 3, 3, 2, 4, 4]), codes)
    shown = [f"{int(code) & 0xFFFF:0{int(code) >> 32}b}"[::-1] for code in codes]
    assert shown == ["010", "011", "100", "101", "110", "00", "1110", "1111"]


@both("make", huffman.tables_)
@pytest.mark.parametrize(
    ("length", "symbol", "extra", "n_extra"),
    [(3, 257, 0, 0), (10, 264, 0, 0), (11, 265, 0, 1), (12, 265, 1, 1), (114, 279, 15, 4),
     (115, 280, 0, 4), (257, 284, 30, 5), (258, 285, 0, 0)],
)  # fmt: skip
def test_matches_hold_symbol_extra_bits_and_distance(make, length, symbol, extra, n_extra):
    counts = np.arange(SYMBOLS) ** 2
    literals, matches, header = (np.zeros(n, np.uint64) for n in (257, MOST + 1, SYMBOLS + 2))
    make(counts, literals, matches, header)
    lengths, codes = np.zeros(SYMBOLS, np.int64), np.zeros(SYMBOLS, np.uint64)
    huffman.code_lengths_(counts * 64 + 1, lengths)
    huffman.codes_(lengths, codes)
    bits = int(codes[symbol]) >> 32
    expected = (int(codes[symbol]) & 0xFFFF) | extra << bits
    assert int(matches[length]) == expected | (bits + n_extra + 1) << 32


@both("make", huffman.tables_)
def test_header_holds_code_lengths_first_bit_lowest(make):
    literals, matches, header = (np.zeros(n, np.uint64) for n in (257, MOST + 1, SYMBOLS + 2))
    make(np.arange(SYMBOLS), literals, matches, header)
    turned = [int(f"{int(bits):04b}"[::-1], 2) for bits in header]
    assert turned[:257] == [int(code) >> 32 for code in literals]
    assert turned[-2:] == [1, 1]
