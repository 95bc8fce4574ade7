"""Colours of the error map, and planes as grey pictures under the colours of the classes.

Those of the classes are in the label scheme. The schemes that ship take them from Okabe and Ito
2008, which colour-blind readers can distinguish, and which differ in lightness, too.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ERRORS: Final = {"missed": "#E69F00", "false": "#E0218A", "other": "#7A5CFF"}
"""Error map: tumour taken for background, background taken for tumour, tumour of another class.

None is the colour of a class of a scheme that ships. Under the dichromacies as Machado 2009
simulates them, the three are at least 42 apart in CIELAB, and the last one at least 35 from NCR, ED
and ET.
"""
INK: Final = "#333333"
PALETTE: Final = 256
"""Colours of a tinted picture."""
UNDER: Final = ("t1gd", "flair")
"""Modalities that a label is shown over, best first."""
_TITLES: Final = {"flair": "FLAIR", "t1w": "T1w", "t1gd": "T1gd", "t2w": "T2w"}


def title(modality: str) -> str:
    """Name of a modality for people."""
    return _TITLES.get(modality, modality)


def shown_under(modalities: Sequence[str]) -> int:
    """Place of the modality that a label is shown over."""
    return next((modalities.index(name) for name in UNDER if name in modalities), 0)


def greys(n_classes: int) -> int:
    """Steps of grey of a tinted picture, such that all classes of them fill its palette."""
    return PALETTE // n_classes


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


def tinted(
    shades: NDArray[np.uint8], label: NDArray[np.uint8], n_classes: int
) -> NDArray[np.uint8]:
    """Lay classes over a grey picture, as rows of the palette that `tints` gives.

    Args:
        shades: (h, w) uint8, 0 to `greys(n_classes)` - 1.
        label: (h, w) uint8, stored classes.
        n_classes: background included.
    """
    return np.asarray(label * np.uint8(greys(n_classes)) + shades, np.uint8)


def tints(colours: Sequence[str], opacity: float = 0.5) -> NDArray[np.uint8]:
    """Make the palette of `tinted`: greys, then the same greys under each colour.

    Args:
        colours: `#RRGGBB` of each class but background.
        opacity: of the colours, 0 to 1.

    Returns:
        (greys * (1 + colours), 3) uint8, RGB.
    """
    ramp = np.linspace(0, 255, greys(1 + len(colours)))[:, None] * np.ones(3)
    over = [np.array(list(bytes.fromhex(colour.lstrip("#")))) for colour in colours]
    mixed = [ramp, *((1 - opacity) * ramp + opacity * colour for colour in over)]
    return np.rint(np.concatenate(mixed)).astype(np.uint8)
