"""A whole volume through a network that takes patches: windows that overlap by half.

Near the border of a window a network sees less, so a window weighs as a Gaussian around its middle
(Isensee et al. 2021).
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

SPREAD: Final = 0.125
"""Standard deviation of the Gaussian, in sides of the window."""


def starts(side: int, window: int) -> list[int]:
    """First voxels of the windows along an axis: evenly spaced, at most half a window apart."""
    room = max(side - window, 0)
    count = -(-room // max(window // 2, 1))
    return [round(room * k / count) for k in range(count + 1)] if count else [0]


def window_starts(sides: Sequence[int], window: Sequence[int]) -> list[tuple[int, ...]]:
    """First voxels of all windows of a volume."""
    axes = (starts(side, length) for side, length in zip(sides, window, strict=True))
    return [*itertools.product(*axes)]


def importance(window: Sequence[int], device: torch.device) -> Tensor:
    """Weight of each voxel of a window: a Gaussian whose smallest value is above 0.

    Returns:
        (*window) float32, 1 at most.
    """
    weight = torch.ones((), device=device)
    for side in window:
        away = (torch.arange(side, device=device) - (side - 1) / 2) / (SPREAD * side)
        weight = weight[..., None] * torch.exp(-0.5 * away.square())
    return weight


def slide(
    probability: Callable[[Tensor], Tensor], volume: Tensor, window: Sequence[int], batch_size: int
) -> Tensor:
    """Mean of the probabilities of all windows of a volume.

    Args:
        probability: (b, m, *window) float32 to (b, classes, *window) float32 probabilities.
        volume: (m, d, h, w) float32; where it is smaller than the window it is padded with 0.
        window: depth, height and width.
        batch_size: windows at a time, at least 1.

    Returns:
        (classes, d, h, w) float32.
    """
    missing = [max(want - have, 0) for want, have in zip(window, volume.shape[1:], strict=True)]
    before = [gap // 2 for gap in missing]
    both = zip(before, missing, strict=True)
    sides = [side for low, gap in [*both][::-1] for side in (low, gap - low)]
    padded = pad(volume, sides)
    corners = window_starts(padded.shape[1:], window)
    boxes = [
        tuple(slice(at, at + side) for at, side in zip(corner, window, strict=True))
        for corner in corners
    ]
    own = tuple(slice(low, low + side) for low, side in zip(before, volume.shape[1:], strict=True))
    if len(boxes) == 1:
        return probability(padded[None])[0][(slice(None), *own)]
    weight = importance(window, volume.device)
    total, sums = None, torch.zeros(padded.shape[1:], device=volume.device)
    for first in range(0, len(boxes), batch_size):
        part = boxes[first : first + batch_size]
        found = probability(torch.stack([padded[(slice(None), *box)] for box in part]))
        if total is None:
            total = torch.zeros((found.shape[1], *padded.shape[1:]), device=volume.device)
        for one, box in zip(found, part, strict=True):
            total[(slice(None), *box)] += one * weight
            sums[box] += weight
    if total is None:
        raise ValueError("slide: the volume has no window")
    return (total / sums)[(slice(None), *own)]


def dense(image: Tensor, z: NDArray[np.int64]) -> Tensor:
    """Stack planes of a case in their places, from the first to the last of them.

    Args:
        image: (s, m, h, w) float.
        z: (s,) int64, plane of each, rising.

    Returns:
        (m, d, h, w) float; planes between them that are not given are 0.
    """
    depth = int(z[-1] - z[0]) + 1
    if depth == len(z):
        return image.transpose(0, 1)
    volume = image.new_zeros((image.shape[1], depth, *image.shape[2:]))
    volume[:, torch.from_numpy(z - z[0]).to(image.device)] = image.transpose(0, 1)
    return volume
