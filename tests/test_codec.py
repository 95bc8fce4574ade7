"""Chunks are what HDF5 itself would have written, and a bad gzip stream is named as such."""

import gzip
import zlib

import h5py
import numpy as np
import oracles
import pytest

from bratsprep.codec import crc32, decode, encode, gunzip_head, gunzip_into, gzip_size
from bratsprep.config import COMPRESSION
from bratsprep.errors import SchemaError, SourceError

WHERE = "raw/a.nii.gz"
PLAIN = bytes(range(256)) * 40
PACKED = gzip.compress(PLAIN, mtime=0)
every_compression = pytest.mark.parametrize("compression", COMPRESSION)
every_type = pytest.mark.parametrize("dtype", ["<f2", "<f4", "<i2", "|u1"])


def unpacked(packed):
    """What `gunzip_into` makes of a stream."""
    out = np.full(len(PLAIN), 9, np.uint8)
    gunzip_into(memoryview(packed), out, WHERE)
    return out.tobytes()


def flipped(packed, place, bit=1):
    """The same bytes but one."""
    broken = bytearray(packed)
    broken[place] ^= bit
    return bytes(broken)


def picture(dtype):
    """(1, 4, 6, 5) of that type."""
    values = np.random.default_rng(0).normal(0, 30, (1, 4, 6, 5))
    values[..., :2] = 0
    return np.abs(values).astype(dtype) if dtype == "|u1" else values.astype(dtype)


def scratch(values):
    return np.full(values.nbytes + 3, 9, np.uint8)


# Chunks


@every_type
@every_compression
def test_plain_h5py_reads_an_encoded_chunk(tmp_path, dtype, compression):
    values = picture(dtype)
    filters = {} if compression == "none" else {"compression": "gzip", "shuffle": True}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset("x", values.shape, dtype, chunks=values.shape, **filters)
        stored.id.write_direct_chunk((0, 0, 0, 0), encode(values, compression, scratch(values)))
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["x"][:], values)


@every_type
@every_compression
def test_decode_reads_a_chunk_of_plain_h5py(tmp_path, dtype, compression):
    values = picture(dtype)
    filters = {} if compression == "none" else {"compression": "gzip", "shuffle": True}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        stored = file.create_dataset("x", data=values, chunks=values.shape, **filters)
        _, chunk = stored.id.read_direct_chunk((0, 0, 0, 0))
    out = np.full_like(values, 9)
    decode(chunk, compression, out, WHERE)
    np.testing.assert_array_equal(out, values)


@every_type
@every_compression
def test_decode_undoes_encode(dtype, compression):
    values = picture(dtype)
    out = np.full_like(values, 9)
    decode(encode(values, compression, scratch(values)), compression, out, WHERE)
    np.testing.assert_array_equal(out, values)


def test_encode_shuffles_before_it_packs():
    values = picture("<i2")
    chunk = encode(values, "fast", scratch(values))
    assert zlib.decompress(chunk) == oracles.shuffled(values).tobytes()


@pytest.mark.parametrize("compression", ["fast", "small"])
def test_decode_names_a_corrupt_chunk(compression):
    values = picture("<f2")
    chunk = encode(values, compression, scratch(values))
    with pytest.raises(SchemaError, match=r"^a\.h5: chunk is corrupt \(.+\); build again$"):
        decode(flipped(chunk, -1), compression, values, "a.h5")


@every_compression
@pytest.mark.parametrize("more", [-2, 2])
def test_decode_names_a_chunk_of_another_size(compression, more):
    values = np.arange(50, dtype="<i2")
    chunk = encode(values, compression, scratch(values))
    out = np.zeros(50 + more, "<i2")
    message = rf"^a\.h5: chunk holds 100 bytes, expected {100 + 2 * more}$"
    with pytest.raises(SchemaError, match=message):
        decode(chunk, compression, out, "a.h5")


@pytest.mark.parametrize("block", [b"", b"123456789", PLAIN], ids=len)
def test_crc32_is_that_of_zlib(block):
    assert crc32(block) == crc32(memoryview(block)) == zlib.crc32(block)


def test_crc32_of_an_array_is_that_of_its_bytes():
    assert crc32(picture("<f2")) == zlib.crc32(picture("<f2").tobytes())


# Gzip


def test_gzip_size_is_the_last_word_of_the_stream():
    assert gzip_size(memoryview(PACKED)) == len(PLAIN)


@pytest.mark.parametrize("size", [0, 1, 540])
def test_head_is_the_start_of_the_content(size):
    head = gunzip_head(memoryview(PACKED), size, WHERE)
    assert PLAIN.startswith(head)
    assert len(head) == (size or len(PLAIN))  # zlib takes 0 for no limit


def test_head_names_a_corrupt_stream():
    message = rf"^{WHERE}: gzip stream is corrupt \(Error -3.*\); get it again$"
    with pytest.raises(SourceError, match=message):
        gunzip_head(memoryview(flipped(PACKED, 2)), 348, WHERE)


@pytest.mark.parametrize(
    "packed",
    [
        PACKED,
        gzip.compress(PLAIN, 0),
        PACKED + bytes(512),
        PACKED + b"\0",
        gzip.compress(PLAIN[:100]) + gzip.compress(PLAIN[100:]),
        gzip.compress(b"") + PACKED,
        PACKED + gzip.compress(b""),
    ],
    ids=["one", "stored", "zeros", "zero", "two", "empty first", "empty last"],
)
def test_gunzip_fills_the_buffer(packed):
    assert unpacked(packed) == PLAIN


CORRUPT = r"gzip stream is corrupt \(.+\); get it again"


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (PACKED[:60], "gzip stream is cut short; get it again"),
        (PACKED[:-1], "gzip stream is cut short; get it again"),
        (PACKED[:-8], "gzip stream is cut short; get it again"),
        (gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:])[:-9], "gzip stream is cut short; .*"),
        (flipped(PACKED, 20, 255), CORRUPT),
        (flipped(PACKED, 2), CORRUPT),
        (flipped(PACKED, -8), r"gzip stream is corrupt \(.*checksum.*\); get it again"),
        (flipped(PACKED, -4), CORRUPT),
        (PACKED + b"hello", "5 bytes of something else follow the gzip stream; get it again"),
        (PACKED + b"\0\1", "2 bytes of something else follow the gzip stream; get it again"),
        (PACKED + gzip.compress(b"more"), f"unpacks to more than its header's {len(PLAIN)} bytes"),
        (gzip.compress(bytes(10**6)), f"unpacks to more than its header's {len(PLAIN)} bytes"),
        (gzip.compress(PLAIN[:-3]), "unpacks to 10237 bytes, its header promises 10240; .*"),
        (b"", "unpacks to 0 bytes, its header promises 10240; .*"),
    ],
    ids=[
        "cut", "last byte cut", "trailer cut", "second cut", "corrupt", "method", "crc", "length",
        "garbage", "garbage after zero", "more", "bomb", "short", "empty",
    ],
)  # fmt: skip
def test_gunzip_says_what_is_wrong(packed, message):
    with pytest.raises(SourceError, match=f"^{WHERE}: {message}$"):
        unpacked(packed)


def test_gunzip_stops_a_bomb_that_claims_the_right_size():
    bomb = gzip.compress(PLAIN * 9)[:-4] + len(PLAIN).to_bytes(4, "little")
    with pytest.raises(SourceError, match="unpacks to more than its header's 10240 bytes"):
        unpacked(bomb)
