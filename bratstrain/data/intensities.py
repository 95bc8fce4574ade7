"""Changes of the intensities of images on their own device, for augmentation.

Shifted sums and look-ups, since convolutions and matrix products would run in half precision under
autocast, or in TF32.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

BLUR_REACH: Final = 3
"""Pixels on either side of a blurred one: three times the widest blur."""
Change: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Of images, by a value for each."""


def stretch(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply the contrast of (k, ..., h, w) float32 images around the mean of their tissue.

    Args:
        images: (k, ..., h, w) float32; 0 outside the tissue, where it stays 0.
        factor: (k, ..., 1, 1) float32, of each image.
    """
    inside = images != 0
    mean, _ = moments(images, inside)
    return torch.where(inside, (images - mean) * factor + mean, 0)


def bend(images: Tensor, power: Tensor) -> Tensor:
    """Apply a gamma curve to images over their range, and restore their mean and spread.

    Args:
        images: (k, ..., h, w) float32; 0 outside the tissue, where it stays 0.
        power: (k, ..., 1, 1) float32, exponent of each image.

    Returns:
        (k, ..., h, w) float32.
    """
    inside, axes = images != 0, tuple(range(1, images.dim()))
    mean, spread = moments(images, inside)
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    tiny = torch.finfo(images.dtype).tiny  # an empty image has no range
    bent = ((images - low) / (high - low).clamp_min(tiny)) ** power
    bent_mean, bent_spread = moments(bent, inside)
    back = (bent - bent_mean) * (spread / bent_spread.clamp_min(tiny)) + mean
    return torch.where(inside, back, 0)


def moments(images: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of images under a mask.

    Args:
        images: (k, ..., h, w) float32.
        inside: (k, ..., h, w) bool.

    Returns:
        (k, ..., 1, 1) float32 means and standard deviations with divisor n; 0 where the mask is
        empty.
    """
    axes = tuple(range(1, images.dim()))
    count = inside.sum(axes, keepdim=True).clamp_min(1)
    mean = (images * inside).sum(axes, keepdim=True) / count
    squares = ((images - mean) * inside).square().sum(axes, keepdim=True)
    return mean, (squares / count).sqrt()


def by_plane(change: Change) -> Change:
    """Make a change of (k, h, w) planes one of images of any number of planes.

    Args:
        change: of (k, h, w) float32 planes by (k, 1, 1) float32 values.

    Returns:
        The same of (k, ..., h, w) images by (k, ..., 1, 1) values, plane by plane.
    """

    def changed(images: Tensor, value: Tensor) -> Tensor:
        """Change (k, ..., h, w) float32 images by (k, ..., 1, 1) float32 values, plane by plane."""
        planes = images.reshape(-1, *images.shape[-2:])
        each = value.reshape(-1).repeat_interleave(len(planes) // len(images))
        return change(planes, each[:, None, None]).reshape(images.shape)

    return changed


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
