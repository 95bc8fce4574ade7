"""Sizes of voxels as settings and messages write them, such as 1x1x1 and `1 x 1 x 2`."""

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

Spacing: TypeAlias = tuple[float, float, float]
"""Sides of a voxel along RAS+ x, y and z, mm."""
SOURCE: Final = "source"
"""In place of a voxel size: that of the source."""
SIDES_MM: Final = (0.05, 50.0)
"""Sides of a voxel that can be asked for."""
_SIZE: Final = re.compile("x".join([r"(\d{1,3}(?:\.\d{1,6})?)"] * 3), re.ASCII)


def parse_spacing(text: str) -> Spacing | None:
    """Read the voxel size of a setting; None for that of the source.

    Raises:
        ValueError: it is none, or a side is too short or too long.
    """
    if text == SOURCE:
        return None
    match = _SIZE.fullmatch(text)
    x, y, z = map(float, match.groups()) if match else (0.0, 0.0, 0.0)
    if not SIDES_MM[0] <= min(x, y, z) <= max(x, y, z) <= SIDES_MM[1]:
        raise ValueError(
            f"spacing must be {SOURCE} or three sides in mm such as 1x1x1, each {SIDES_MM[0]} to "
            f"{SIDES_MM[1]:g}, got {text!r}"
        )
    return x, y, z


def plain_spacing(text: str) -> str:
    """Write the voxel size of a setting without needless digits: 1x1x1 for 1.0x1x1.

    Raises:
        ValueError: as `parse_spacing`.
    """
    sides = parse_spacing(text)
    return SOURCE if sides is None else "x".join(f"{side:.9g}" for side in sides)


def size_text(spacing: Iterable[float]) -> str:
    """Write a voxel size in mm such as `1 x 1 x 2`."""
    return " x ".join(f"{side:.4g}" for side in spacing)
