"""Colours of the classes and of the error map, and planes as grey pictures under them.

The colours of the classes are those of Okabe and Ito 2008, which colour-blind readers can
distinguish, and which differ in lightness, too.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

COLOURS: Final = {"background": "#BBBBBB", "NCR": "#D55E00", "ED": "#56B4E9", "ET": "#F0E442"}
ERRORS: Final = {"missed": "#E69F00", "false": "#E0218A", "other": "#7A5CFF"}
"""Error map: tumour taken for background, background taken for tumour, tumour of another class.

None is the colour of a class. Under the dichromacies as Machado 2009 simulates them, the three are
at least 42 apart in CIELAB, and the last one at least 35 from every class.
"""
INK: Final = "#333333"
TITLES: Final = {"flair": "FLAIR", "t1w": "T1w", "t1gd": "T1gd", "t2w": "T2w"}
GREYS: Final = 64
"""Steps of grey of a tinted picture; four classes of them fill a palette of 256."""


def radiological(plane: NDArray[Any]) -> NDArray[Any]:
    """Flip a (y, x) RAS+ plane of any dtype, so that it begins at the front and at the right."""
    return plane[::-1, ::-1]


def grey_limits(planes: NDArray[np.float32]) -> tuple[float, float]:
    """Black and white of a modality: nearly all of its non-zero pixels lie between.

    Args:
        planes: float32 of any shape, any unit; 0 outside the brain.

    Returns:
        The 1st and the 99.5th percentile of the non-zero pixels; 0 and 1 where there are none.
    """
    inside = planes[planes != 0]
    if not inside.size:
        return 0.0, 1.0
    low, high = np.percentile(inside, (1, 99.5))
    return float(low), float(max(high, low + 1e-6))


def grey(
    values: NDArray[np.float32], limits: tuple[float, float], steps: int = 256
) -> NDArray[np.uint8]:
    """Turn intensities into steps of grey.

    Args:
        values: any shape, float32, any unit.
        limits: black and white, same unit; values beyond are black or white.
        steps: steps of grey, 2 to 256.

    Returns:
        Same shape, uint8, 0 to `steps` - 1.
    """
    low, high = limits
    share = np.clip((values - low) / (high - low), 0, 1)
    shades: NDArray[np.uint8] = np.rint(share * (steps - 1)).astype(np.uint8)
    return shades


def tinted(shades: NDArray[np.uint8], label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay classes over a grey picture, as rows of the palette that `tints` gives.

    Args:
        shades: (h, w) uint8, 0 to `GREYS` - 1.
        label: (h, w) uint8, stored classes 0 to 3.
    """
    return np.asarray(label * np.uint8(GREYS) + shades, np.uint8)


def tints(colours: Sequence[str], opacity: float = 0.5) -> NDArray[np.uint8]:
    """Make the palette of `tinted`: greys, then the same greys under each colour.

    Args:
        colours: `#RRGGBB` of each class but background.
        opacity: of the colours, 0 to 1.

    Returns:
        (`GREYS` * (1 + colours), 3) uint8, RGB.
    """
    ramp = np.linspace(0, 255, GREYS)[:, None] * np.ones(3)
    over = [np.array(list(bytes.fromhex(colour.lstrip("#")))) for colour in colours]
    mixed = [ramp, *((1 - opacity) * ramp + opacity * colour for colour in over)]
    return np.rint(np.concatenate(mixed)).astype(np.uint8)
