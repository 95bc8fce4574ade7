"""The U-Nets: one class, whose blocks and skip connections make it plain, attention or residual."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from bratstrain.config import ModelConfig
from bratstrain.networks.blocks import (
    NORMS,
    AttentionGate,
    ConvBlock,
    PlainSkip,
    ResidualBlock,
    he_init_,
    pad_to_cells,
)

Block: TypeAlias = Callable[[int, int], nn.Module]
"""Input and output channels to a block that keeps h and w."""
Gate: TypeAlias = Callable[[int, int], nn.Module]
"""Channels of a skip and of the level below to a module of (skip, below)."""


class UNet(nn.Module):
    """2D U-Net (Ronneberger et al. 2015) with padded convolutions, for slices of any size.

    Args:
        modalities: input channels.
        classes: output channels, one logit a class, background first.
        widths: channels of each level, the bottleneck's last; at least two levels.
        block: makes the convolutions of a level.
        gate: makes what a skip connection goes through.
        deep_supervision: in training, each level of the decoder gives logits of its own.
    """

    def __init__(
        self,
        modalities: int,
        classes: int,
        widths: Sequence[int],
        block: Block,
        gate: Gate,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        rises = [(here, below) for here, below in pairwise(widths)][::-1]
        self.cell = 2 ** len(rises)
        self.deep_supervision = deep_supervision
        self.encoders = nn.ModuleList(
            block(above, here) for above, here in pairwise([modalities, *widths])
        )
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(below, here, kernel_size=2, stride=2) for here, below in rises
        )
        self.gates = nn.ModuleList(gate(here, below) for here, below in rises)
        self.decoders = nn.ModuleList(block(2 * here, here) for here, _ in rises)
        supervised = widths[:-1] if deep_supervision else widths[:1]
        self.heads = nn.ModuleList(nn.Conv2d(here, classes, kernel_size=1) for here in supervised)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Segment a batch of slices.

        Args:
            image: (b, modalities, h, w) float, standard deviations.

        Returns:
            (b, classes, h, w) logits. In training with deep supervision a list instead: level k,
            counted from full resolution, is (b, classes, ceil(h / 2**k), ceil(w / 2**k)), and
            pixel (i, j) of it stands for the square whose first pixel is (2**k i, 2**k j).
        """
        h, w = image.shape[-2:]
        levels = self.decode(pad_to_cells(image, self.cell))
        if not (self.training and self.deep_supervision):
            return self.heads[0](levels[0])[..., :h, :w]
        return [
            head(level)[..., : -(-h // 2**k), : -(-w // 2**k)]
            for k, (head, level) in enumerate(zip(self.heads, levels, strict=True))
        ]

    def decode(self, image: Tensor) -> list[Tensor]:
        """Run down and up again.

        Args:
            image: (b, modalities, h, w) float; h and w are multiples of `cell`.

        Returns:
            One (b, widths[k], h / 2**k, w / 2**k) float tensor for each level k of the decoder,
            k rising from 0, without the bottleneck.
        """
        skips: list[Tensor] = []
        x = self.encoders[0](image)
        for encoder in self.encoders[1:]:
            skips.append(x)
            x = encoder(max_pool2d(x, 2))
        levels: list[Tensor] = []
        for up, gate, decoder in zip(self.ups, self.gates, self.decoders, strict=True):
            x = decoder(torch.cat([gate(skips.pop(), x), up(x)], dim=1))
            levels.append(x)
        return levels[::-1]


def plain_unet(config: ModelConfig) -> UNet:
    """Make a U-Net of plain convolution blocks; `dropout` does not apply."""
    return _unet(config, partial(ConvBlock, norm=NORMS[config.norm]), _plain_skip)


def attention_unet(config: ModelConfig) -> UNet:
    """Make a U-Net with a gate on every skip connection; `dropout` does not apply."""
    return _unet(config, partial(ConvBlock, norm=NORMS[config.norm]), AttentionGate)


def residual_unet(config: ModelConfig) -> UNet:
    """Make a U-Net of residual blocks."""
    block = partial(ResidualBlock, norm=NORMS[config.norm], dropout=config.dropout)
    return _unet(config, block, _plain_skip)


def _unet(config: ModelConfig, block: Block, gate: Gate) -> UNet:
    """Make a U-Net of the sizes in a config, with weights drawn after He et al. 2015."""
    widths = [config.width * 2**level for level in range(config.depth)]
    network = UNet(config.modalities, config.classes, widths, block, gate, config.deep_supervision)
    he_init_(network)
    return network


def _plain_skip(here: int, below: int) -> nn.Module:
    """Make the skip connection of a network without gates, whatever its channels."""
    return PlainSkip()
