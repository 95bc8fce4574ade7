"""Volumes as pictures for a page: one sheet of planes for each modality and each label.

Greys are lossy WebP (a brain of 130 planes in four modalities takes 0.7 MB), labels are PNG
without loss, their numbers spread apart so that a browser that dithers cannot mix them up.
"""

import base64
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import MODALITIES

QUALITY: Final = 75
"""Of the WebP pictures, of 100."""
STEP: Final = 60
"""Grey of label 1 in a sheet; label 2 has twice as much."""
SHOWN_PERCENTILES: Final = (1.0, 99.5)
"""Of the brain's voxels: what is black, and what is white."""
_DEEPEST: Final = 9
"""Level of the PNG's deflate."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One case to be looked at, with one prediction or several."""

    case: str
    planes: NDArray[np.int64]
    """(s,) planes in the uncropped volume, rising."""
    depth: int
    """Planes of the uncropped volume."""
    images: NDArray[Any]
    """(4, s, y, x) float, any unit; 0 outside the brain; RAS+ order."""
    truth: NDArray[np.uint8]
    """(s, y, x) stored labels."""
    predicted: tuple[NDArray[np.uint8], ...]
    """(s, y, x) stored labels, one volume for each run."""
    spacing: tuple[float, float, float]
    """mm, along x, y, z."""


def trimmed(view: View) -> tuple[slice, slice]:
    """Rows and columns that hold all brain and every label."""
    used = (view.images != 0).any(axis=(0, 1))
    for label in (view.truth, *view.predicted):
        used |= (label != 0).any(axis=0)
    if not used.any():
        return slice(0, used.shape[0]), slice(0, used.shape[1])
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def packed(view: View) -> dict[str, Any]:
    """Pack a case for the page's script, in radiological orientation.

    Returns:
        Plain values and data URIs; areas are voxels of the truth and each prediction by plane.
    """
    y, x = trimmed(view)
    images, truth, *predicted = (
        volume[..., y, x][..., ::-1, ::-1] for volume in (view.images, view.truth, *view.predicted)
    )
    columns = round(np.sqrt(len(view.planes)))
    return {
        "case": view.case,
        "planes": view.planes.tolist(),
        "depth": view.depth,
        "size": list(truth.shape[1:]),
        "columns": columns,
        "spacing": list(view.spacing),
        "images": [
            uri("webp", grey_file(sheet(greys(image), columns)))
            for image, _ in zip(images, MODALITIES, strict=True)
        ],
        "truth": uri("png", label_file(sheet(truth, columns))),
        "predicted": [uri("png", label_file(sheet(each, columns))) for each in predicted],
        "areas": [np.count_nonzero(each, axis=(1, 2)).tolist() for each in (truth, *predicted)],
    }


def greys(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Spread the brain of an (s, y, x) image of any unit over 1 to 255; 0 stays outside it."""
    inside = image[image != 0].astype(np.float32)
    if not inside.size:
        return np.zeros(image.shape, np.uint8)
    low, high = np.percentile(inside, SHOWN_PERCENTILES)
    scaled = (image.astype(np.float32) - low) / max(float(high - low), 1e-6)
    return np.where(image != 0, np.clip(scaled * 254 + 1, 1, 255), 0).astype(np.uint8)


def sheet(planes: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay (s, y, x) planes out in rows of so many, from left to right, as one picture."""
    n_planes, height, width = planes.shape
    rows = -(-n_planes // columns)
    grid = np.zeros((rows * columns, height, width), np.uint8)
    grid[:n_planes] = planes
    return (
        grid.reshape(rows, columns, height, width)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width)
    )


def grey_file(picture: NDArray[np.uint8]) -> bytes:
    """Write an (h, w) grey picture as WebP, with loss."""
    coloured = np.repeat(picture[..., None], 3, axis=-1)
    return bytes(imagecodecs.webp_encode(coloured, level=QUALITY, lossless=False))


def label_file(labels: NDArray[np.uint8]) -> bytes:
    """Write an (h, w) picture of stored labels as PNG, `STEP` greys apart."""
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(labels * np.uint8(STEP)), _DEEPEST))


def uri(kind: str, content: bytes) -> str:
    """Write a picture as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
