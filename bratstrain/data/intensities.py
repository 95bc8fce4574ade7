"""Changes of the intensities of planes on their own device, for augmentation.

Shifted sums and look-ups, since convolutions and matrix products would run in half precision under
autocast, or in TF32.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import pad

BLUR_REACH: Final = 3
"""Pixels on either side of a blurred one: three times the widest blur."""


def stretch(planes: Tensor, factor: Tensor) -> Tensor:
    """Multiply the contrast of (k, h, w) float32 planes around the mean of their tissue.

    Args:
        planes: (k, h, w) float32; 0 outside the tissue, where it stays 0.
        factor: (k, 1, 1) float32, of each plane.
    """
    inside = planes != 0
    mean, _ = moments(planes, inside)
    return torch.where(inside, (planes - mean) * factor + mean, 0)


def bend(planes: Tensor, power: Tensor) -> Tensor:
    """Apply a gamma curve to planes over their range, and restore their mean and spread.

    Args:
        planes: (k, h, w) float32; 0 outside the tissue, where it stays 0.
        power: (k, 1, 1) float32, exponent of each plane.

    Returns:
        (k, h, w) float32.
    """
    inside = planes != 0
    mean, spread = moments(planes, inside)
    low, high = planes.amin((1, 2), keepdim=True), planes.amax((1, 2), keepdim=True)
    tiny = torch.finfo(planes.dtype).tiny  # an empty plane has no range
    bent = ((planes - low) / (high - low).clamp_min(tiny)) ** power
    bent_mean, bent_spread = moments(bent, inside)
    back = (bent - bent_mean) * (spread / bent_spread.clamp_min(tiny)) + mean
    return torch.where(inside, back, 0)


def moments(planes: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of planes under a mask.

    Args:
        planes: (k, h, w) float32.
        inside: (k, h, w) bool.

    Returns:
        (k, 1, 1) float32 means and standard deviations with divisor n; 0 where the mask is empty.
    """
    count = inside.sum((1, 2), keepdim=True).clamp_min(1)
    mean = (planes * inside).sum((1, 2), keepdim=True) / count
    squares = ((planes - mean) * inside).square().sum((1, 2), keepdim=True)
    return mean, (squares / count).sqrt()


def blur(planes: Tensor, sigma: Tensor) -> Tensor:
    """Blur planes with a Gaussian, as if they were surrounded by 0.

    Args:
        planes: (k, h, w) float32.
        sigma: (k, 1, 1) float32, pixels, standard deviation of each plane's Gaussian.

    Returns:
        (k, h, w) float32.
    """
    taps = [torch.exp(-0.5 * (k / sigma) ** 2) for k in range(-BLUR_REACH, BLUR_REACH + 1)]
    total = torch.stack(taps).sum(dim=0)
    for _ in range(2):  # rows, then columns
        padded = pad(planes, (0, 0, BLUR_REACH, BLUR_REACH))
        out = torch.zeros_like(planes)
        for k, tap in enumerate(taps):
            out += tap / total * padded[:, k : k + planes.shape[1]]
        planes = out.transpose(1, 2)
    return planes


def coarsen(planes: Tensor, zoom: Tensor) -> Tensor:
    """Simulate planes that were stored with fewer rows and columns.

    Down by the nearest pixel and up again linearly, both in one look-up.

    Args:
        planes: (k, h, w) float32.
        zoom: (k, 1, 1) float32, coarse rows per row, above 0 to 1.

    Returns:
        (k, h, w) float32.
    """
    number = torch.arange(len(planes), device=planes.device)[:, None]
    zoom = zoom[:, 0]
    for _ in range(2):  # rows, then columns
        h = planes.shape[1]
        coarse = (torch.arange(h, device=planes.device) + 0.5) * zoom - 0.5  # (k, h) coarse rows
        last = (h * zoom).round().clamp_min(1) - 1
        first = coarse.floor()
        upper, lower = (
            ((torch.minimum(row.clamp_min(0), last) + 0.5) / zoom - 0.5).round().clamp(0, h - 1)
            for row in (first, first + 1)
        )
        share = (coarse - first)[:, :, None]
        rows = torch.lerp(planes[number, upper.long()], planes[number, lower.long()], share)
        planes = rows.transpose(1, 2)
    return planes
