"""Volumes as pictures for a page: one sheet of planes for each modality and each label.

Greys are WebP with loss, labels are PNG without. The label values are spread apart, so that a
browser that alters colours slightly cannot confuse them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.drawing.pictures import png_uri, webp_uri
from bratsprep.system.threads import cores
from bratstrain.evaluation.label_pair import Images

QUALITY: Final = 75
"""Quality of the WebP pictures, 0 to 100."""
ENTROPY_QUALITY: Final = 60
"""The same of a map of entropy."""
MOST_TELLING: Final = 16
"""Planes of a case that is not shown with every plane."""
SHOWN_PERCENTILES: Final = (1.0, 99.5)
"""Percentiles of the brain's voxels that are shown black and white."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One case as a page shows it, with one prediction or several."""

    case: str
    planes: NDArray[np.int64]
    """(s,) planes in the uncropped volume, rising."""
    depth: int
    """Planes of the uncropped volume."""
    greys: NDArray[np.uint8]
    """(m, s, y, x) modalities, 1 to 255 in the brain and 0 outside it; RAS+ order."""
    truth: NDArray[np.uint8]
    """(s, y, x) stored labels."""
    predicted: tuple[NDArray[np.uint8], ...]
    """(s, y, x) stored labels, one volume for each run."""
    spacing: tuple[float, float, float]
    """mm, along x, y, z."""
    entropy: NDArray[np.uint8] | None = None
    """(s, y, x) of the only prediction, 255 where all classes are equally likely; None for none."""

    def thinned(self) -> "View":
        """The same case with the planes of `telling_planes` alone."""
        kept = telling_planes(self.truth, *self.predicted)
        if len(kept) == len(self.planes):
            return self
        return replace(
            self,
            planes=self.planes[kept],
            greys=self.greys[:, kept],
            truth=self.truth[kept],
            predicted=tuple(label[kept] for label in self.predicted),
            entropy=None if self.entropy is None else self.entropy[kept],
        )


def telling_planes(*labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Planes that stand for a case: evenly through the tumour, its fullest plane among them.

    Args:
        *labels: (s, y, x) uint8 stored labels, of the truth first.

    Returns:
        (k,) int64 places, rising; at most `MOST_TELLING`, a single one where there is no tumour.
    """
    areas = [np.count_nonzero(label, axis=(1, 2)) for label in labels]
    filled = np.flatnonzero(np.sum(areas, axis=0))
    if not filled.size:
        return np.array([len(labels[0]) // 2])
    fullest = areas[0] if areas[0].any() else np.sum(areas, axis=0)
    even = filled[np.linspace(0, filled.size - 1, min(filled.size, MOST_TELLING - 1)).round()
                  .astype(np.int64)]  # fmt: skip
    return np.union1d(even, fullest.argmax())


def brain_greys(images: Images) -> NDArray[np.uint8]:
    """Greys of the voxels that `images` holds: (m, s, h, w) uint8."""
    return np.stack([greys(images.voxels[:, m]) for m in range(images.voxels.shape[1])])


def greys(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Spread the brain of an image over 1 to 255.

    Args:
        image: (s, y, x) float, any unit; 0 outside the brain.

    Returns:
        (s, y, x) uint8; 0 outside the brain.
    """
    inside = image[image != 0].astype(np.float32)
    shades = np.zeros(image.shape, np.uint8)
    if inside.size:
        low, high = np.percentile(inside, SHOWN_PERCENTILES)
        scaled = (inside - low) / max(float(high - low), 1e-6)
        shades[image != 0] = np.clip(scaled * 254 + 1, 1, 255).astype(np.uint8)
    return shades


def trimmed(view: View) -> tuple[slice, slice]:
    """Rows and columns that hold all brain and every label."""
    used = (view.greys != 0).any(axis=(0, 1))
    for label in (view.truth, *view.predicted):
        used |= (label != 0).any(axis=0)
    if not used.any():
        return slice(0, used.shape[0]), slice(0, used.shape[1])
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def packed(view: View) -> dict[str, Any]:
    """Encode a case for the page's script, in radiological orientation.

    Returns:
        Plain values and data URIs; `areas` are tumour voxels by plane, of the truth and of each
        prediction; `step` is the grey of label 1, label 2 has twice as much.
    """
    y, x = trimmed(view)
    images, truth, *predicted = (
        volume[..., y, x][..., ::-1, ::-1] for volume in (view.greys, view.truth, *view.predicted)
    )
    columns = round(np.sqrt(len(view.planes)))
    step = 255 // max(1, *(int(label.max(initial=0)) for label in (truth, *predicted)))
    return {
        "case": view.case,
        "planes": view.planes.tolist(),
        "depth": view.depth,
        "size": list(truth.shape[1:]),
        "columns": columns,
        "spacing": list(view.spacing),
        "images": [webp_uri(sheet(image, columns), QUALITY) for image in images],
        "step": step,
        "truth": label_uri(truth, columns, step),
        "predicted": [label_uri(label, columns, step) for label in predicted],
        "entropy": None
        if view.entropy is None
        else webp_uri(sheet(view.entropy[..., y, x][..., ::-1, ::-1], columns), ENTROPY_QUALITY),
        "areas": [np.count_nonzero(label, axis=(1, 2)).tolist() for label in (truth, *predicted)],
    }


def packed_views(views: Sequence[View]) -> list[dict[str, Any]]:
    """Encode several cases on threads, in their order; the codecs release the interpreter lock."""
    with ThreadPoolExecutor(cores(), "pack") as pool:
        return list(pool.map(packed, views))


def label_uri(label: NDArray[np.uint8], columns: int, step: int) -> str:
    """Sheet of (s, y, x) uint8 stored labels as PNG, `step` greys apart."""
    return png_uri(sheet(label, columns) * np.uint8(step))


def sheet(planes: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay planes out in rows of `columns` planes, from left to right, as one picture.

    Args:
        planes: (s, y, x) uint8.
        columns: at least 1.

    Returns:
        (rows * y, columns * x) uint8; 0 where no plane is left.
    """
    n_planes, height, width = planes.shape
    rows = -(-n_planes // columns)
    grid = np.zeros((rows * columns, height, width), np.uint8)
    grid[:n_planes] = planes
    return (
        grid.reshape(rows, columns, height, width)
        .swapaxes(1, 2)
        .reshape(rows * height, columns * width)
    )
