"""A bad gzip stream is named as such, whatever is wrong with it."""

import gzip
import zlib

import numpy as np
import pytest

from bratsprep.errors import SourceError
from bratsprep.volumes.gunzip import crc32, gunzip_head, gunzip_into, gzip_size

WHERE = "raw/a.nii.gz"
PLAIN = bytes(range(256)) * 40
PACKED = gzip.compress(PLAIN, mtime=0)


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


# Checksums


@pytest.mark.parametrize("block", [b"", b"123456789", PLAIN], ids=len)
def test_crc32_is_that_of_zlib(block):
    assert crc32(block) == crc32(memoryview(block)) == zlib.crc32(block)


def test_crc32_of_an_array_is_that_of_its_bytes():
    values = np.arange(40, dtype="<f2").reshape(4, 10)
    assert crc32(values) == zlib.crc32(values.tobytes())


# Gzip


def test_gzip_size_is_the_last_word_of_the_stream():
    assert gzip_size(memoryview(PACKED)) == len(PLAIN)


@pytest.mark.parametrize("size", [0, 1, 540, len(PLAIN)])
def test_head_is_the_start_of_the_content(size):
    head = gunzip_head(memoryview(PACKED), size, WHERE)
    assert PLAIN.startswith(head)
    assert len(head) == size


def test_head_names_a_corrupt_stream():
    message = rf"^{WHERE}: gzip stream is corrupt \(Error -3.*\); download the file again$"
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


CORRUPT = r"gzip stream is corrupt \(.+\); download the file again"


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (PACKED[:60], "gzip stream is cut short; download the file again"),
        (PACKED[:-1], "gzip stream is cut short; download the file again"),
        (PACKED[:-8], "gzip stream is cut short; download the file again"),
        (gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:])[:-9], "gzip stream is cut short; .*"),
        (flipped(PACKED, 20, 255), CORRUPT),
        (flipped(PACKED, 2), CORRUPT),
        (flipped(PACKED, -8), r"gzip stream is corrupt \(.*checksum.*\); download the file again"),
        (flipped(PACKED, -4), CORRUPT),
        (PACKED + b"hello", "5 bytes of something else follow the gzip stream; .*"),
        (PACKED + b"\0\1", "2 bytes of something else follow the gzip stream; .*"),
        (PACKED + PACKED, f"unpacks to more than its header's {len(PLAIN)} bytes"),
        (PACKED + gzip.compress(b"more"), f"unpacks to more than its header's {len(PLAIN)} bytes"),
        (gzip.compress(bytes(10**6)), f"unpacks to more than its header's {len(PLAIN)} bytes"),
        (gzip.compress(PLAIN[:-3]), "unpacks to 10237 bytes, its header promises 10240; .*"),
        (b"", "unpacks to 0 bytes, its header promises 10240; .*"),
    ],
    ids=[
        "cut", "last byte cut", "trailer cut", "second cut", "corrupt", "method", "crc", "length",
        "garbage", "garbage after zero", "twice", "more", "bomb", "short", "empty",
    ],
)  # fmt: skip
def test_gunzip_says_what_is_wrong(packed, message):
    with pytest.raises(SourceError, match=f"^{WHERE}: {message}$"):
        unpacked(packed)


def test_gunzip_stops_a_bomb_that_claims_the_right_size():
    bomb = gzip.compress(PLAIN * 9)[:-4] + len(PLAIN).to_bytes(4, "little")
    with pytest.raises(SourceError, match="unpacks to more than its header's 10240 bytes"):
        unpacked(bomb)
