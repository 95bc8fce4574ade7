"""What an array of cells holds beyond its blurred self: where edges lie, not how large things are.

Brains in one atlas, and tumours of one size in one lobe, agree in all that is coarse. Of two people
only the fine part differs.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def blurred(cells: NDArray[np.floating[Any]], radius: int) -> NDArray[np.float32]:
    """Mean over a cube of 2 x radius + 1 cells around each, with zeros beyond the border.

    Args:
        cells: (..., z, y, x) float.
        radius: in cells.

    Returns:
        The same shape, float32; sums are made in the type of `cells`.
    """
    mean = np.asarray(cells)
    for axis in (-3, -2, -1):
        total = mean.copy()
        line, sums = mean.swapaxes(axis, -1), total.swapaxes(axis, -1)
        for step in range(1, radius + 1):
            sums[..., step:] += line[..., :-step]
            sums[..., :-step] += line[..., step:]
        total /= 2 * radius + 1
        mean = total
    return mean.astype(np.float32)


def high_pass(
    cells: NDArray[np.floating[Any]], radius: int, inside: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Cells less the mean around them.

    Args:
        cells: (..., z, y, x) float.
        radius: of the mean, in cells.
        inside: (..., z, y, x) bool; cells outside count for nothing and come back as 0. None
            takes all of them.

    Returns:
        The shape of `cells`, float32.
    """
    if inside is None:
        return np.asarray(cells - blurred(cells, radius), np.float32)
    weight = inside.astype(np.float32)
    around = blurred(cells * weight, radius) / np.maximum(blurred(weight, radius), 1e-6)
    return np.asarray((cells - around) * weight, np.float32)
