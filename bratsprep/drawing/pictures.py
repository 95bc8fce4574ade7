"""Small pictures inside a page, as data URIs."""

import base64
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

_LEVEL: Final = 6
"""Deflate level of a PNG: a third of the time of level 9 for sheets of labels, 13 % larger."""
_EFFORT: Final = 2
"""Effort of WebP, 0 to 6: half the time of its default of 4, 4 % larger."""


def png_uri(picture: NDArray[np.uint8]) -> str:
    """Encode a picture as PNG, without loss.

    Args:
        picture: (h, w) uint8, grey; or (h, w, 3) uint8, RGB.

    Returns:
        Data URI, which an `<img>` shows without a request.
    """
    return data_uri("png", imagecodecs.png_encode(np.ascontiguousarray(picture), _LEVEL))


def webp_uri(picture: NDArray[np.uint8], quality: int) -> str:
    """Encode a grey picture as WebP, with loss.

    Args:
        picture: (h, w) uint8, grey.
        quality: 0 to 100.

    Returns:
        Data URI.
    """
    coloured = np.repeat(picture[..., None], 3, axis=-1)
    content = imagecodecs.webp_encode(coloured, level=quality, lossless=False, method=_EFFORT)
    return data_uri("webp", content)


def data_uri(kind: str, content: Any) -> str:  # noqa: ANN401  any buffer of bytes
    """Encoded picture as a data URI; `kind` is the subtype, such as `png`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
