"""Two streams at once: right where they are of our form, and harmless whatever they hold."""

import zlib

import numpy as np
import pytest
from numba import njit

from bratsprep.deflate import decode_tables, decoder
from bratsprep.deflate.encoder import bound, deflate_
from bratsprep.deflate.libdeflate import address, libdeflate
from bratsprep.slicefile import inflate_pair
from bratsprep.slicefile.inflate_pair import IDLE, LENGTH, SIZE, WORK
from tests.helpers import plain_kernels

GUARD = 64
"""Bytes at the end of each buffer that nothing may touch."""


@pytest.fixture(params=["compiled", "plain"])
def kernels(request, monkeypatch):
    """The kernels, compiled or as Python."""
    if request.param == "plain":
        plain_kernels.use_python(monkeypatch)
    return inflate_pair


def packed(values):
    """Stream of a slice, as `build` writes it."""
    out = np.zeros(bound(1, values.nbytes, values.itemsize), np.uint8)
    deflate_(values.reshape(1, -1), out, 0, sizes := np.zeros(1, np.int64), 0)
    return out[: sizes[0]].tobytes()


def make_setup():
    """What the kernels call; no library inflates for them."""
    setup = np.zeros(inflate_pair.SETUP, np.int64)
    setup[inflate_pair.INFLATE] = 1
    setup[inflate_pair.CHECK] = address(libdeflate(), "libdeflate_adler32")
    return setup


def make_lanes(chunks, lengths):
    """Two lanes that hold two chunks."""
    n_packed = max(map(len, chunks)) + decoder.SLACK
    n_plain = inflate_pair.FRONT + max(lengths) + decoder.SLACK + GUARD
    desk = inflate_pair.Lanes(
        packed=np.full((2, n_packed), 0xA5, np.uint8),
        plain=np.full((2, n_plain), 0x5A, np.uint8),
        tables=np.zeros((2, decode_tables.TABLE), np.uint32),
        lengths=np.zeros(300, np.int64),
        state=np.zeros((2, 5), np.uint64),
        limits=np.zeros((2, 2), np.uint64),
        items=np.full((2, 4), IDLE, np.int64),
    )
    for lane, (chunk, length) in enumerate(zip(chunks, lengths, strict=True)):
        desk.packed[lane, : len(chunk)] = np.frombuffer(chunk, np.uint8)
        desk.items[lane, [WORK, SIZE, LENGTH]] = lane, len(chunk), length
    return desk


def undo(kernels, chunks, lengths):
    """What two lanes make of two chunks: the bytes, or None where they say that it is not right."""
    setup, desk = make_setup(), make_lanes(chunks, lengths)
    found = [None] * len(chunks)
    for lane in range(len(chunks)):
        if not kernels.begin(setup, desk, lane):
            desk.items[lane, WORK] = IDLE
    while (desk.items[:, WORK] != IDLE).any():
        lane, is_right = kernels.run(setup, desk)
        if is_right:
            start = inflate_pair.FRONT
            found[lane] = desk.plain[lane, start : start + lengths[lane]].tobytes()
        desk.items[lane, WORK] = IDLE
    assert (desk.plain[:, -GUARD:] == 0x5A).all()
    return found


def slices(n):
    """Slices of n voxels that ask for every kind of code."""
    generator = np.random.default_rng(n)
    rare = generator.geometric(0.5, n).astype(np.uint16) * 259  # codes of 1 to 14 bits
    noise = generator.integers(0, 65_536, n).astype(np.uint16)
    brain = noise.copy()
    brain[n // 4 : n // 2] = 0
    return [np.zeros(n, np.uint16), np.ones(n, np.uint16), rare, noise, brain]


@pytest.mark.parametrize("n", [1, 9, 300])
def test_streams_of_our_form_are_undone(kernels, n):
    plain = slices(n)
    for one, other in zip(plain, plain[1:] + plain[:1], strict=True):
        chunks = [packed(one), packed(other)]
        wanted = [zlib.decompress(chunk) for chunk in chunks]
        assert undo(kernels, chunks, [2 * n, 2 * n]) == wanted


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_slices_of_full_size_are_undone(dtype):
    n = 4 * 192 * 160 // np.dtype(dtype).itemsize
    generator = np.random.default_rng(0)
    values = (generator.normal(0, 30, n) * (np.arange(n) % 160 > 60)).astype(np.int64).astype(dtype)
    chunks = [packed(values), packed(values[: n // 3])]
    wanted = [zlib.decompress(chunk) for chunk in chunks]
    assert undo(inflate_pair, chunks, [len(each) for each in wanted]) == wanted


@pytest.mark.parametrize("lane", [0, 1])
def test_one_stream_is_undone_alone(kernels, lane):
    chunk = packed(slices(50)[4])
    chunks = [b"\x00" * 9, b"\x00" * 9]
    chunks[lane] = chunk
    assert undo(kernels, chunks, [100, 100])[lane] == zlib.decompress(chunk)


def raw(content, strategy):
    """A zlib stream with the first bytes of ours."""
    made = zlib.compressobj(1, zlib.DEFLATED, 15, 8, strategy)
    return b"\x78\x01" + (made.compress(content) + made.flush())[2:]


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        zlib.compress(b"x" * 99, 9),
        raw(b"abc" * 33, zlib.Z_FIXED),
        raw(bytes(range(99)), zlib.Z_DEFAULT_STRATEGY),
        raw(np.random.default_rng(0).bytes(500), zlib.Z_HUFFMAN_ONLY),
    ],
    ids=["empty", "another header", "fixed codes", "stored", "other code lengths"],
)
def test_streams_of_another_form_are_left_to_the_library(kernels, stream):
    assert undo(kernels, [stream, packed(slices(9)[3])], [99, 18])[0] is None


@pytest.mark.parametrize("lane", [0, 1])
@pytest.mark.parametrize("length", [17, 19, 5, 400])
def test_a_stream_of_another_length_is_not_right(kernels, length, lane):
    chunk = packed(slices(9)[3])
    lengths, wanted = [18, 18], [zlib.decompress(chunk)] * 2
    lengths[lane], wanted[lane] = length, None
    assert undo(kernels, [chunk, chunk], lengths) == wanted


def test_a_stream_cut_short_is_not_right_though_its_end_lies_behind(kernels):
    chunk = packed(slices(9)[3])
    desk = make_lanes([chunk, chunk], [18, 18])
    desk.items[0, SIZE] -= 1
    desk.items[1, WORK] = IDLE
    assert kernels.begin(make_setup(), desk, 0)
    assert kernels.run(make_setup(), desk) == (0, False)


HEADER = 26 + 48 + 4 * 288
"""Bits of a block's header."""


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize(
    "bit", [1, 3, 20, 26, 60, HEADER - 8, HEADER - 1], ids=lambda bit: f"bit {bit}"
)
def test_a_block_with_another_header_is_left_to_the_library(kernels, block, bit):
    chunk = packed(slices(9)[3])
    bits = "".join(f"{byte:08b}"[::-1] for byte in chunk)
    first = f"{int(decoder.HEAD):026b}"[::-1][1:] + "001" * 16
    starts = [place - 1 for place in range(len(bits)) if bits.startswith(first, place)]
    assert len(starts) == 2
    at = starts[block] + bit
    changed = bytearray(chunk)
    changed[at // 8] ^= 1 << at % 8
    assert undo(kernels, [bytes(changed), chunk], [18, 18]) == [None, zlib.decompress(chunk)]


def test_no_changed_bit_goes_unseen():
    values = slices(40)[4]
    chunk = packed(values)
    wanted = zlib.decompress(chunk)
    for bit in range(8 * len(chunk)):
        changed = bytearray(chunk)
        changed[bit // 8] ^= 1 << bit % 8
        # What is left of a byte after the last code says nothing.
        assert undo(inflate_pair, [bytes(changed), chunk], [80, 80])[0] in (None, wanted)
        assert undo(inflate_pair, [chunk, bytes(changed)], [80, 80])[0] == wanted


def test_garbage_behind_a_good_header_does_no_harm():
    generator = np.random.default_rng(1)
    good = packed(slices(3000)[3])
    head = 2 + (26 + 48 + 4 * 288 + 7) // 8
    for _ in range(2000):
        chunks = []
        for _ in range(2):
            body = bytearray(good[: generator.integers(1, len(good))])
            start = generator.integers(2, head + 40)
            body[start:] = generator.bytes(max(len(body) - start, 0))
            chunks.append(bytes(body))
        assert undo(inflate_pair, chunks, [int(generator.integers(1, 6000)), 6000]) == [None, None]


def test_match_at_distance_2_is_left_to_the_library(kernels):
    lengths = np.zeros(decode_tables.SYMBOLS + 2, np.int64)
    lengths[[0, 256, 257]] = 1, 2, 2
    lengths[-2:] = 1
    bits = "1" + "01" + f"{29:05b}"[::-1] + f"{1:05b}"[::-1] + f"{15:04b}"[::-1] + "0" * 9
    bits += "001" * 16 + "".join(f"{each:04b}" for each in lengths)
    bits += "0" * 2 + "11" + "1" + "10"  # two zeros, three more from two before, the end
    body = int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")
    stream = b"\x78\x01" + body + zlib.adler32(bytes(5)).to_bytes(4, "big")
    assert zlib.decompress(stream) == bytes(5)
    assert undo(kernels, [stream, packed(slices(9)[3])], [5, 18])[0] is None


def test_bytes_are_read_and_written_at_any_address():
    @njit
    def move(source, target):
        decoder.poke(target, decoder.peek(source))
        decoder.poke_two(target + np.uint64(8), decoder.peek_four(source))
        return decoder.peek_one(source)

    place = np.arange(32, dtype=np.uint8)
    start = place.ctypes.data
    assert move(np.uint64(start + 3), np.uint64(start + 17)) == 3
    assert place[16:28].tolist() == [16, *range(3, 11), 3, 4, 27]
