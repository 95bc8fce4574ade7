"""Parts of the networks, for planes and for volumes: blocks, skip connections, He's weights.

A kernel or a stride is one number an axis. Its length decides whether a part is of planes, (h, w),
or of volumes, (d, h, w); in shapes `*sides` stands for either.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, interpolate, pad

Norm: TypeAlias = Callable[[int], nn.Module]
"""Number of channels to a normalisation layer with a scale and a shift for each."""
Sides: TypeAlias = tuple[int, ...]
"""A number for each axis: (h, w), or (d, h, w)."""
SQUARE: Final[Sides] = (3, 3)
"""Kernel of the convolutions of planes."""
HALVED: Final[Sides] = (2, 2)
"""Stride from level to level of planes."""
Maker: TypeAlias = Mapping[int, Callable[..., nn.Module]]
"""Layer of so many axes."""
CONVOLUTIONS: Final[Maker] = MappingProxyType({2: nn.Conv2d, 3: nn.Conv3d})
TRANSPOSED: Final[Maker] = MappingProxyType({2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d})
DROPOUTS: Final[Maker] = MappingProxyType({2: nn.Dropout2d, 3: nn.Dropout3d})
LINEAR: Final = MappingProxyType({2: "bilinear", 3: "trilinear"})


def convolution(above: int, here: int, kernel: Sides) -> nn.Module:
    """Make a convolution that keeps the sides, without a bias, since a norm follows."""
    padding = tuple(side // 2 for side in kernel)
    return CONVOLUTIONS[len(kernel)](above, here, kernel, padding=padding, bias=False)


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
        return one_by_one(self, x)


class VolumeInstanceNorm(nn.InstanceNorm3d):
    """The same of volumes."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (b, c, d, h, w) float to mean 0 and deviation 1 over each (d, h, w)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(x)
        return one_by_one(self, x)


def one_by_one(norm: nn.InstanceNorm2d | nn.InstanceNorm3d, x: Tensor) -> Tensor:
    """Normalise (b, c, *sides) float sample by sample, by batch norm of each."""
    samples = [
        batch_norm(one, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
        for one in x.chunk(x.shape[0])
    ]
    return torch.cat(samples)


NORMS: Final[Mapping[tuple[str, int], Norm]] = MappingProxyType(
    {
        ("batch", 2): nn.BatchNorm2d,
        ("batch", 3): nn.BatchNorm3d,
        ("instance", 2): partial(InstanceNorm, affine=True),
        ("instance", 3): partial(VolumeInstanceNorm, affine=True),
    }
)
"""Normalisation by its name and the number of axes."""


class ConvBlock(nn.Sequential):
    """Twice: convolution, normalisation, ReLU (Ronneberger et al. 2015).

    Args:
        above: input channels.
        here: output channels; the sides stay as they are.
        norm: makes the normalisation of a number of channels.
        kernel: sides of the convolutions, odd.
    """

    def __init__(self, above: int, here: int, norm: Norm, kernel: Sides = SQUARE) -> None:
        super().__init__(
            convolution(above, here, kernel),
            norm(here),
            nn.ReLU(inplace=True),
            convolution(here, here, kernel),
            norm(here),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016, in a U-Net: Zhang et al. 2018).

    The shortcut is a convolution of single pixels where the number of channels changes. Dropout
    between the convolutions drops whole channels, since neighbouring pixels are too similar to drop
    alone.

    Args:
        above: input channels.
        here: output channels; the sides stay as they are.
        norm: makes the normalisation of a number of channels.
        dropout: share of the channels dropped in training, 0 to below 1.
        kernel: sides of the convolutions, odd.
    """

    def __init__(
        self, above: int, here: int, norm: Norm, dropout: float, kernel: Sides = SQUARE
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(above, here, kernel),
            norm(here),
            nn.ReLU(inplace=True),
            DROPOUTS[len(kernel)](dropout),
            convolution(here, here, kernel),
            norm(here),
        )
        self.shortcut: nn.Module = nn.Identity()
        if above != here:
            single = (1,) * len(kernel)
            self.shortcut = nn.Sequential(convolution(above, here, single), norm(here))

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, above, *sides) float to (b, here, *sides) float, at least 0."""
        out: Tensor = self.body(x)
        out += self.shortcut(x)  # in place: the backward pass needs no summand
        return torch.relu_(out)


class PlainSkip(nn.Module):
    """A skip connection without a gate."""

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Return (b, here, *sides) float `skip`; `below` is for gates alone."""
        return skip


class AttentionGate(nn.Module):
    """Weigh each pixel of a skip connection by the level below it (Oktay et al. 2018, eq. 1-2).

    The weights are computed at the resolution below and upsampled linearly. Every skip connection
    has a gate, unlike in the paper, where the first level has none.

    Args:
        here: channels of the skip connection.
        below: channels of the decoder one level further down.
        stride: pixels of the skip connection per pixel below.
    """

    def __init__(self, here: int, below: int, stride: Sides = HALVED) -> None:
        super().__init__()
        inner, convolve = max(here // 2, 1), CONVOLUTIONS[len(stride)]
        self.key = convolve(here, inner, kernel_size=stride, stride=stride, bias=False)
        self.query = convolve(below, inner, kernel_size=1)
        self.weight = convolve(inner, 1, kernel_size=1)
        self.stride = tuple(map(float, stride))
        self.mode = LINEAR[len(stride)]

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """Weigh a skip connection.

        Args:
            skip: (b, here, *sides) float, the sides multiples of the stride.
            below: (b, below, *sides / stride) float.

        Returns:
            (b, here, *sides) float, `skip` times 0 to 1.
        """
        shared = torch.relu(self.key(skip) + self.query(below))
        weight = torch.sigmoid(self.weight(shared))  # (b, 1, *sides / stride)
        return skip * interpolate(
            weight, scale_factor=self.stride, mode=self.mode, align_corners=False
        )


def pad_to_cells(image: Tensor, cell: Sequence[int]) -> Tensor:
    """Pad with zeros at the ends of the axes to whole cells, at least two along each axis.

    One cell is one pixel of the lowest level. A single pixel has no standard deviation, so instance
    norm, and batch norm on a batch of one, would be undefined there. The size is not branched on,
    so that a graph can be traced with h and w open. The depth of a volume that is not divided is
    left as it is.

    Args:
        image: (b, m, *sides) float.
        cell: pixels along each axis.

    Returns:
        (b, m, *larger sides) float: multiples of `cell` and at least twice that.
    """
    added: list[int] = []
    for side, size in zip(image.shape[-2:], cell[-2:], strict=True):
        # Not -(-side // size): ONNX divides towards zero, and would cut where it should pad.
        added = [0, at_least_two((side + size - 1) // size) * size - side, *added]
    if len(cell) == 3 and cell[0] > 1:
        depth = image.shape[-3]
        added += [0, at_least_two((depth + cell[0] - 1) // cell[0]) * cell[0] - depth]
    return pad(image, added)


def at_least_two(count: int) -> int:
    """The larger of a count and 2; an exporter may trace it as a symbol."""
    return torch.sym_max(count, 2)  # type: ignore[no-untyped-call]  # torch's stub


def he_init_(network: nn.Module) -> None:
    """Draw all convolution weights of a network in place, biases 0 (He et al. 2015).

    `nn.init` assumes that a transposed convolution sums all taps of its kernel; with a stride as
    large as the kernel it is one. On torch's `meta` device, where tensors hold no values, nothing
    is drawn: there torch would import its compiler first, for seconds.

    Args:
        network: its weights are overwritten, drawn from torch's global generator.
    """
    if any(weight.is_meta for weight in network.parameters()):
        return
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
            nn.init.normal_(module.weight, std=math.sqrt(2 / module.in_channels))
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
