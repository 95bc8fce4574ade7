"""Where to cut: the window around the brain, chosen from the image alone and never the label."""

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box


def brain_box(plane_brain: NDArray[np.int32], columns: NDArray[np.int32]) -> Box:
    """Smallest box that holds every brain voxel.

    Args:
        plane_brain: (z,) int32, brain voxels of each plane, at least one above 0.
        columns: (y, x) int32, brain voxels above each pixel.
    """
    spans = []
    for counts in (plane_brain, columns.sum(axis=1), columns.sum(axis=0)):
        used = np.flatnonzero(counts)
        spans.append((int(used[0]), int(used[-1]) + 1))
    z, y, x = spans
    return Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))


def crop_window(brain: Box, shape: tuple[int, int, int], size: tuple[int, int] | None) -> Box:
    """Window of a fixed size, centred on the brain's box and kept inside the volume.

    Args:
        brain: as `brain_box` gives it.
        shape: (z, y, x) of the volume.
        size: (y, x) of the window, or None for the whole plane.

    Returns:
        All planes of the volume; beyond it in y or x only where the window is larger than it,
        and then by the same on both sides.
    """
    if size is None:
        return Box((0, 0, 0), shape)
    starts = [0]
    for low, high, side, window in zip(
        brain.start[1:], brain.stop[1:], shape[1:], size, strict=True
    ):
        if window >= side:
            starts.append((side - window) // 2)
        else:
            starts.append(min(max((low + high - window) // 2, 0), side - window))
    return Box((0, starts[1], starts[2]), (shape[0], starts[1] + size[0], starts[2] + size[1]))


def smallest_window(boxes: list[Box], multiple: int) -> tuple[int, int]:
    """Sides (y, x) that hold every brain box, rounded up to a multiple."""
    sides = np.array([box.shape[1:] for box in boxes]).max(axis=0)
    y, x = (int(-(-side // multiple) * multiple) for side in sides)
    return y, x
