"""From the tissues of a phantom to the label values of any scheme."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import ClassSet, Scheme

TISSUES: Final = ("NCR", "ED", "ET")
"""Stored labels 1, 2 and 3 of `phantom_case`."""
_HOMES: Final = {"NET": "NCR", "CC": "NCR", "RC": "NCR"}
"""Tissue that a class of another name is made of."""
CAVITY: Final = "RC"
"""Class that only operated cases have: their dead core has been taken out."""


def raw_label(label: NDArray[np.uint8], scheme: Scheme, *, operated: bool) -> NDArray[np.uint8]:
    """Write the tissues of a phantom in the values of a scheme.

    A class has the tissue of its name; others share the tissues between them, each half of the
    tumour, left and right, one class of two. Of more than two classes a tissue, the rest is in no
    phantom. A scheme of one class has all tissues in it.

    Args:
        label: (z, y, x) uint8, places in `TISSUES` from 1; 0 outside the tumour.
        scheme: what to write.
        operated: the core has been taken out, where the scheme has a class for that.

    Returns:
        (z, y, x) uint8 raw values.
    """
    stored = np.zeros_like(label)
    homes = _homes(scheme.classes, operated=operated)
    columns = np.flatnonzero(label.any(axis=(0, 1)))
    middle = int(columns.mean()) if columns.size else 0
    for tissue, classes in enumerate(homes, 1):
        for side, k in zip((np.s_[..., :middle], np.s_[..., middle:]), classes, strict=True):
            stored[side][label[side] == tissue] = k
    return scheme.raw()[stored]


def _homes(classes: ClassSet, *, operated: bool) -> list[tuple[int, int]]:
    """Class of the left and of the right half of each tissue."""
    if len(classes.tumour) == 1:
        return [(1, 1)] * len(TISSUES)
    by_tissue: dict[str, list[int]] = {tissue: [] for tissue in TISSUES}
    free = []
    for k, name in enumerate(classes.tumour, 1):
        if name == CAVITY and not operated:
            continue
        home = name if name in TISSUES else _HOMES.get(name)
        if name == CAVITY:
            by_tissue["NCR"] = [k]
        elif home is None:
            free.append(k)
        elif not (operated and CAVITY in classes.tumour and home == "NCR"):
            by_tissue[home].append(k)
    for k in free:
        emptiest = min(by_tissue, key=lambda tissue: len(by_tissue[tissue]))
        by_tissue[emptiest].append(k)
    return [(own[0], own[min(1, len(own) - 1)]) if own else (0, 0) for own in by_tissue.values()]
