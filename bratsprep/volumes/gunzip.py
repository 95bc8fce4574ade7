"""Unpacking of gzip files, and CRC-32."""

import zlib
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from bratsprep.deflate.libdeflate import gunzip
from bratsprep.errors import SourceError

GZIP_MAGIC = b"\x1f\x8b"
MAX_RATIO = 1032
"""No deflate stream unpacks to more than this many times its size (zlib's technical notes)."""

HEAD_BYTES = 66_560
"""First bytes of a gzip file that hold its own header, at most 64 KB, and a NIfTI header."""


def crc32(block: bytes | memoryview | NDArray[Any]) -> int:
    """CRC-32 of the bytes of a block, or of a C-contiguous array of any shape and dtype."""
    return int(isal_zlib.crc32(block))


def gzip_size(packed: memoryview) -> int:
    """Unpacked size that a gzip stream's last four bytes claim, modulo 2**32."""
    return int.from_bytes(packed[-4:], "little")


def gunzip_head(packed: memoryview, size: int, where: str) -> bytes:
    """Unpack the first bytes of a gzip file of one member or several.

    Args:
        packed: the file, or its first bytes; HEAD_BYTES are enough for a usual one.
        size: bytes wanted.
        where: file, for errors.

    Returns:
        As many bytes, or fewer where the file ends before.

    Raises:
        SourceError: the stream is broken that early.
    """
    rest, head = bytes(packed[:HEAD_BYTES]), b""
    while len(head) < size and rest.startswith(GZIP_MAGIC):
        stream = zlib.decompressobj(31)
        try:
            head += stream.decompress(rest, size - len(head))
        except zlib.error as error:
            raise SourceError(
                f"{where}: gzip stream is corrupt ({error}); download the file again"
            ) from error
        rest = stream.unused_data.lstrip(b"\0") if stream.eof else b""
    return head


def gunzip_into(packed: memoryview, unpacked: NDArray[np.uint8], where: str) -> None:
    """Unpack a gzip file that must fill a buffer to its last byte.

    libdeflate unpacks files of one member, the usual case. Files that it refuses, among them
    those of several members, are unpacked by isal, whose errors name the cause.

    Args:
        packed: the whole file.
        unpacked: (n,) uint8, written.
        where: file, for errors.

    Raises:
        SourceError: truncated, corrupt, wrong CRC, trailing bytes, or another size than n.
    """
    if not gunzip(packed, unpacked.data):
        _gunzip_members(packed, unpacked, where)


def _gunzip_members(packed: memoryview, unpacked: NDArray[np.uint8], where: str) -> None:
    """Unpack all members of a gzip file into (n,) uint8, with a message for each way to fail."""
    target = unpacked.data
    filled = 0
    while packed:
        if bytes(packed[:2]) != GZIP_MAGIC:
            if any(packed):
                raise SourceError(
                    f"{where}: {len(packed)} bytes of something else follow the gzip stream; "
                    "download the file again"
                )
            break
        stream = isal_zlib.decompressobj(31)
        try:
            part = stream.decompress(packed, unpacked.size - filled + 1)
        except isal_zlib.error as error:
            raise SourceError(
                f"{where}: gzip stream is corrupt ({error}); download the file again"
            ) from error
        if filled + len(part) > unpacked.size:
            raise SourceError(f"{where}: unpacks to more than its header's {unpacked.size} bytes")
        if not stream.eof:
            raise SourceError(f"{where}: gzip stream is cut short; download the file again")
        target[filled : filled + len(part)] = part
        filled += len(part)
        packed = memoryview(stream.unused_data)
    if filled != unpacked.size:
        raise SourceError(
            f"{where}: unpacks to {filled} bytes, its header promises {unpacked.size}; download "
            "the file again"
        )
