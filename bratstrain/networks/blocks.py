"""Parts of the networks: convolution blocks, skip connections, padding and He's weights."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, interpolate, pad

Norm: TypeAlias = Callable[[int], nn.Module]
"""Number of channels to a normalisation layer with a scale and a shift for each."""


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm with a scale and a shift (Ulyanov et al. 2016), fast on a CPU.

    On a CPU, torch's own converts channels-last images to contiguous ones and back. Batch norm of
    a single slice computes the same numbers without that, so slices are processed one by one. An
    exported or compiled graph uses torch's, which leaves the number of slices open.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (b, c, h, w) float to mean 0 and deviation 1 over each (h, w)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        return torch.cat([self.one(plane) for plane in x.chunk(x.shape[0])])

    def one(self, x: Tensor) -> Tensor:
        """Normalise one slice, (1, c, h, w) float."""
        return batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


NORMS: Final[Mapping[str, Norm]] = MappingProxyType(
    {"batch": nn.BatchNorm2d, "instance": partial(InstanceNorm, affine=True)}
)


class ConvBlock(nn.Sequential):
    """Twice: 3 x 3 convolution, normalisation, ReLU (Ronneberger et al. 2015).

    Args:
        above: input channels.
        here: output channels; h and w stay as they are.
        norm: makes the normalisation of a number of channels.
    """

    def __init__(self, above: int, here: int, norm: Norm) -> None:
        super().__init__(
            nn.Conv2d(above, here, kernel_size=3, padding=1, bias=False),  # norm has the bias
            norm(here),
            nn.ReLU(inplace=True),
            nn.Conv2d(here, here, kernel_size=3, padding=1, bias=False),
            norm(here),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, in a U-Net: Zhang et al. 2018).

    The shortcut is a 1 x 1 convolution where the number of channels changes. Dropout between the
    convolutions drops whole channels, since neighbouring pixels are too similar to drop alone.

    Args:
        above: input channels.
        here: output channels; h and w stay as they are.
        norm: makes the normalisation of a number of channels.
        dropout: share of the channels dropped in training, 0 to below 1.
    """

    def __init__(self, above: int, here: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(above, here, kernel_size=3, padding=1, bias=False),  # norm has the bias
            norm(here),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.Conv2d(here, here, kernel_size=3, padding=1, bias=False),
            norm(here),
        )
        self.shortcut: nn.Module = nn.Identity()
        if above != here:
            self.shortcut = nn.Sequential(
                nn.Conv2d(above, here, kernel_size=1, bias=False), norm(here)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, above, h, w) float to (b, here, h, w) float, at least 0."""
        out: Tensor = self.body(x)
        out += self.shortcut(x)  # in place: the backward pass needs no summand
        return torch.relu_(out)


class PlainSkip(nn.Module):
    """A skip connection without a gate."""

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Return (b, here, h, w) float `skip`; `below` is for gates alone."""
        return skip


class AttentionGate(nn.Module):
    """Weigh each pixel of a skip connection by the level below it (Oktay et al. 2018, eq. 1-2).

    The weights are computed at the resolution below and upsampled bilinearly. Every skip connection
    has a gate, unlike in the paper, where the first level has none.

    Args:
        here: channels of the skip connection.
        below: channels of the decoder one level further down.
    """

    def __init__(self, here: int, below: int) -> None:
        super().__init__()
        inner = max(here // 2, 1)
        self.key = nn.Conv2d(here, inner, kernel_size=2, stride=2, bias=False)
        self.query = nn.Conv2d(below, inner, kernel_size=1)
        self.weight = nn.Conv2d(inner, 1, kernel_size=1)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Weigh a skip connection.

        Args:
            skip: (b, here, h, w) float, h and w even.
            below: (b, below, h / 2, w / 2) float.

        Returns:
            (b, here, h, w) float, `skip` times 0 to 1.
        """
        shared = torch.relu(self.key(skip) + self.query(below))
        weight = torch.sigmoid(self.weight(shared))  # (b, 1, h / 2, w / 2)
        return skip * interpolate(weight, scale_factor=2, mode="bilinear", align_corners=False)


def pad_to_cells(image: Tensor, cell: int) -> Tensor:
    """Pad with zeros below and to the right to whole cells, at least two in each direction.

    One cell is one pixel of the lowest level. A single pixel has no standard deviation, so instance
    norm, and batch norm on a batch of one, would be undefined there. The size is not branched on,
    so that a graph can be traced with h and w open.

    Args:
        image: (b, m, h, w) float.
        cell: pixels a side.

    Returns:
        (b, m, H, W) float; H and W are multiples of `cell` and at least twice that.
    """
    h, w = image.shape[-2:]
    # Not -(-h // cell): ONNX divides towards zero, and would cut where it should pad.
    bottom = at_least_two((h + cell - 1) // cell) * cell - h
    right = at_least_two((w + cell - 1) // cell) * cell - w
    return pad(image, (0, right, 0, bottom))


def at_least_two(count: int) -> int:
    """The larger of a count and 2; an exporter may trace it as a symbol."""
    return torch.sym_max(count, 2)  # type: ignore[no-untyped-call]  # torch's stub


def he_init_(network: nn.Module) -> None:
    """Draw all convolution weights of a network in place, biases 0 (He et al. 2015).

    `nn.init` assumes that a transposed 2 x 2 convolution sums four taps a channel; with stride 2 it
    is one.

    Args:
        network: its weights are overwritten, drawn from torch's global generator.
    """
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=math.sqrt(2 / module.in_channels))
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
