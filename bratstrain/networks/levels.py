"""The levels of a network: their channels, and the shapes that the voxels ask for.

Voxels may be longer than wide. An axis takes part in convolutions and is halved from level to level
only where its spacing is below twice the finest one, as in nnU-Net (Isensee et al. 2021): thick
slices are first made coarser in the plane, until the voxels are about as wide as long.
"""

from dataclasses import dataclass
from typing import Final

from bratstrain.config import ModelConfig
from bratstrain.networks.blocks import HALVED, SQUARE, Sides

LEAST_SIDE: Final = 4
"""Voxels along an axis of a patch that a level keeps; an axis is not halved below it."""
NEAR: Final = 2.0
"""Spacing over the finest one from which on an axis is left alone."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a network."""

    width: int
    """Channels."""
    kernel: Sides
    """Sides of its convolutions."""
    stride: Sides
    """Voxels of the level above per voxel, along each axis; 1 for the first level."""


def levels_of(config: ModelConfig) -> list[Level]:
    """Plan the levels of a network.

    Raises:
        ValueError: the patch is too small for the depth.
    """
    widths = [config.width * 2**k for k in range(config.depth)]
    if not config.is_volumetric:
        single = (1,) * len(SQUARE)
        return [Level(width, SQUARE, HALVED if k else single) for k, width in enumerate(widths)]
    sides: Sides = config.patch_sides
    spacing: tuple[float, ...] = (config.thickness, 1.0, 1.0)
    kernel, stride = (1,) * len(sides), (1,) * len(sides)
    levels: list[Level] = []
    for width in widths:
        if levels:
            stride = halved(sides, spacing)
            if max(stride) == 1:
                raise ValueError(
                    f"depth {config.depth} is too much for a patch of {config.patch}: its sides "
                    f"can be halved {len(levels) - 1} times; take --depth {len(levels)} or a "
                    "larger --patch"
                )
            sides = tuple(-(-side // step) for side, step in zip(sides, stride, strict=True))
            spacing = tuple(size * step for size, step in zip(spacing, stride, strict=True))
        # An axis that has been convolved once is convolved at every lower level.
        kernel = tuple(
            3 if side == 3 or size < NEAR * min(spacing) else 1
            for side, size in zip(kernel, spacing, strict=True)
        )
        levels.append(Level(width, kernel, stride))
    return levels


def halved(sides: Sides, spacing: tuple[float, ...]) -> Sides:
    """Choose the axes that are halved: long ones, whose spacing is near the finest of those.

    Returns:
        2 for each axis that is halved, else 1.
    """
    is_long = [side >= 2 * LEAST_SIDE for side in sides]
    finest = min((size for size, own in zip(spacing, is_long, strict=True) if own), default=0.0)
    return tuple(
        2 if own and size < NEAR * finest else 1 for size, own in zip(spacing, is_long, strict=True)
    )
