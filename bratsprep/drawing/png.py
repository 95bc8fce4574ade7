"""Small PNG pictures over zlib, for pages that carry their pictures inside.

PNG (ISO/IEC 15948) asks for little: a signature, a header, an optional palette, one deflate stream
of rows that each begin with the number of their filter, and a CRC-32 behind every chunk.
"""

import base64
import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3
"""Colour types."""
_LEVEL: Final = 9


def png(picture: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """Write a picture as a PNG file in memory.

    Args:
        picture: (h, w) uint8, grey from 0 black to 255 white, or rows of the palette; or
            (h, w, 3) uint8, RGB. At least one pixel.
        palette: (n, 3) uint8, RGB, 1 to 256 rows; None for grey and RGB.

    Returns:
        The file. Of the rows' filters «none», «left» and «above», one for the whole picture, the
        one that packs smallest.

    Raises:
        ValueError: shape, dtype or palette are not as said above.
    """
    check(picture, palette)
    height, width = picture.shape[:2]
    kind = _PALETTE if palette is not None else _RGB if picture.ndim == 3 else _GREY
    colours = b"" if palette is None else chunk(b"PLTE", palette.tobytes())
    content = min((zlib.compress(rows, _LEVEL) for rows in filtered(picture)), key=len)
    return b"".join(
        [
            _SIGNATURE,
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
            colours,
            chunk(b"IDAT", content),
            chunk(b"IEND", b""),
        ]
    )


def check(picture: NDArray[np.uint8], palette: NDArray[np.uint8] | None) -> None:
    """Refuse what is no picture.

    Raises:
        ValueError: shape, dtype or palette are not as `png` says.
    """
    is_flat = picture.ndim == 2
    is_rgb = picture.ndim == 3 and picture.shape[2:] == (3,) and palette is None
    if picture.dtype != np.uint8 or not picture.size or not (is_flat or is_rgb):
        raise ValueError(
            f"picture is {picture.shape} {picture.dtype}; it must be (h, w) uint8, or (h, w, 3) "
            "uint8 without a palette, with a pixel at least"
        )
    if palette is None:
        return
    if palette.dtype != np.uint8 or palette.ndim != 2 or palette.shape[1] != 3:
        raise ValueError(f"palette is {palette.shape} {palette.dtype}; it must be (n, 3) uint8")
    if not int(picture.max()) < len(palette) <= 256:
        raise ValueError(
            f"palette has {len(palette)} colours, the picture names {int(picture.max())}; there "
            "must be one for each, 256 at most"
        )


def filtered(picture: NDArray[np.uint8]) -> list[bytes]:
    """Rows of a picture under the filters none, left and above, each row behind its number."""
    height = len(picture)
    pixels = picture.reshape(height, picture.shape[1], -1)
    left, above = pixels.copy(), pixels.copy()
    left[:, 1:] -= pixels[:, :-1]  # uint8 wraps around, as the format wants it
    above[1:] -= pixels[:-1]
    return [
        np.hstack([np.full((height, 1), number, np.uint8), rows.reshape(height, -1)]).tobytes()
        for number, rows in enumerate((pixels, left, above))
    ]


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk: length, name, content, CRC-32 of the last two."""
    return struct.pack(">I", len(content)) + name + content + crc(name + content)


def crc(content: bytes) -> bytes:
    """CRC-32, big-endian."""
    return struct.pack(">I", zlib.crc32(content))


def data_uri(file: bytes) -> str:
    """A PNG file as the `src` of an `<img>` that asks nobody for it."""
    return "data:image/png;base64," + base64.b64encode(file).decode("ascii")
