"""The U-Nets: one class, whose blocks and skip connections make it plain, attention or residual."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, max_pool3d

from bratstrain.config import ModelConfig
from bratstrain.networks.blocks import (
    CONVOLUTIONS,
    NORMS,
    TRANSPOSED,
    AttentionGate,
    ConvBlock,
    PlainSkip,
    ResidualBlock,
    Sides,
    he_init_,
    pad_to_cells,
)
from bratstrain.networks.levels import Level, levels_of

Block: TypeAlias = Callable[[int, int, Sides], nn.Module]
"""Input and output channels and a kernel to a block that keeps the sides."""
Gate: TypeAlias = Callable[[int, int, Sides], nn.Module]
"""Channels of a skip and of the level below, and the stride between them, to a module of (skip,
below)."""
POOLS: Final = {2: max_pool2d, 3: max_pool3d}


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with padded convolutions, for slices or patches of any size.

    Args:
        channels: of the input.
        classes: output channels, one logit a class, background first, or one a region.
        levels: from full resolution to the bottleneck; at least two.
        block: makes the convolutions of a level.
        gate: makes what a skip connection goes through.
        deep_supervision: in training, each level of the decoder gives logits of its own.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        levels: Sequence[Level],
        block: Block,
        gate: Gate,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        n_axes, rises = len(levels[0].kernel), [*pairwise(levels)][::-1]
        self.strides = [level.stride for level in levels[1:]]
        self.cell = tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))
        self.deep_supervision = deep_supervision
        self.pool = POOLS[n_axes]
        widths = [channels, *(level.width for level in levels)]
        self.encoders = nn.ModuleList(
            block(above, level.width, level.kernel)
            for above, level in zip(widths[:-1], levels, strict=True)
        )
        self.ups = nn.ModuleList(
            TRANSPOSED[n_axes](below.width, here.width, kernel_size=below.stride,
                               stride=below.stride)
            for here, below in rises
        )  # fmt: skip
        self.gates = nn.ModuleList(
            gate(here.width, below.width, below.stride) for here, below in rises
        )
        self.decoders = nn.ModuleList(
            block(2 * here.width, here.width, here.kernel) for here, _ in rises
        )
        supervised = levels[:-1] if deep_supervision else levels[:1]
        self.heads = nn.ModuleList(
            CONVOLUTIONS[n_axes](level.width, classes, kernel_size=1) for level in supervised
        )

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Segment a batch of slices, or of patches with a depth before h and w.

        Args:
            image: (b, channels, *sides) float, standard deviations.

        Returns:
            (b, classes, *sides) logits. In training with deep supervision a list instead: level k,
            counted from full resolution, has sides divided by its stride and rounded up, 2**k for
            slices, and pixel (i, j) of it stands for the square whose first pixel is (2**k i,
            2**k j).
        """
        sides = image.shape[2:]
        levels = self.decode(pad_to_cells(image, self.cell))
        if not (self.training and self.deep_supervision):
            return self.heads[0](levels[0])[(..., *map(slice, sides))]
        logits: list[Tensor] = []
        for head, level, stride in zip(self.heads, levels, self.strides, strict=True):
            logits.append(head(level)[(..., *map(slice, sides))])
            sides = torch.Size(-(-side // step) for side, step in zip(sides, stride, strict=True))
        return logits

    def decode(self, image: Tensor) -> list[Tensor]:
        """Run down and up again.

        Args:
            image: (b, channels, *sides) float; the sides are multiples of `cell`.

        Returns:
            For each level of the decoder, full resolution first, a (b, its width, *sides / its
            stride from full resolution) float tensor; the bottleneck is not among them.
        """
        skips: list[Tensor] = []
        x = self.encoders[0](image)
        for encoder, stride in zip(self.encoders[1:], self.strides, strict=True):
            skips.append(x)
            x = encoder(self.pool(x, stride))
        levels: list[Tensor] = []
        for up, gate, decoder in zip(self.ups, self.gates, self.decoders, strict=True):
            x = decoder(torch.cat([gate(skips.pop(), x), up(x)], dim=1))
            levels.append(x)
        return levels[::-1]


def plain_unet(config: ModelConfig) -> UNet:
    """Make a U-Net of plain convolution blocks; `dropout` does not apply."""
    return _unet(config, partial(_plain_block, config), _plain_skip)


def attention_unet(config: ModelConfig) -> UNet:
    """Make a U-Net with a gate on every skip connection; `dropout` does not apply."""
    return _unet(config, partial(_plain_block, config), AttentionGate)


def residual_unet(config: ModelConfig) -> UNet:
    """Make a U-Net of residual blocks."""
    return _unet(config, partial(_residual_block, config), _plain_skip)


def _unet(config: ModelConfig, block: Block, gate: Gate) -> UNet:
    """Make a U-Net of the sizes in a config, with weights drawn after He et al. 2015.

    Raises:
        ValueError: the patch is too small for the depth.
    """
    levels = levels_of(config)
    network = UNet(config.channels, config.outputs, levels, block, gate, config.deep_supervision)
    he_init_(network)
    return network


def _plain_block(config: ModelConfig, above: int, here: int, kernel: Sides) -> nn.Module:
    """Make a block of plain convolutions."""
    return ConvBlock(above, here, NORMS[config.norm, len(kernel)], kernel)


def _residual_block(config: ModelConfig, above: int, here: int, kernel: Sides) -> nn.Module:
    """Make a residual block."""
    norm = NORMS[config.norm, len(kernel)]
    return ResidualBlock(above, here, norm, config.dropout, kernel)


def _plain_skip(here: int, below: int, stride: Sides) -> nn.Module:
    """Make the skip connection of a network without gates, whatever its channels."""
    return PlainSkip()
