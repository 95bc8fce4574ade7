"""Modalities, classes, regions, and the label schemes of the releases.

Stored labels are always 0 background, 1 NCR, 2 ED, 3 ET. A scheme says which raw value means
which class in one release; the same number means different tissue in different releases, so a
scheme is always named and never guessed from one value.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import LabelError

MODALITIES: Final = ("flair", "t1w", "t1gd", "t2w")
CLASSES: Final = ("background", "NCR", "ED", "ET")
"""Index = stored label: necrotic and non-enhancing core, oedema, enhancing tumour."""
REGIONS: Final = MappingProxyType({"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)})
"""BraTS evaluation regions, as stored labels."""
UNKNOWN: Final = 255
"""What `Scheme.table` gives for a raw value that the scheme does not know."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """The label values of one release."""

    name: str
    about: str
    """Where it is used, for tables and messages."""
    codes: tuple[tuple[int, int], ...]
    """(raw value, stored label) of each value but 0."""
    names: tuple[tuple[int, str], ...]
    """(raw value, the release's own name) of each value but 0."""

    def table(self) -> NDArray[np.uint8]:
        """Give (256,) uint8: stored label of each raw value, `UNKNOWN` where there is none."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[0] = 0
        for raw, stored in self.codes:
            table[raw] = stored
        return table

    def raw(self) -> NDArray[np.uint8]:
        """Give (c,) uint8: raw value to write for each stored label; the first that means it."""
        back = np.zeros(len(CLASSES), np.uint8)
        for raw, stored in reversed(self.codes):
            if stored:
                back[stored] = raw
        return back

    def values(self) -> frozenset[int]:
        """Raw values that the scheme knows, 0 included."""
        return frozenset({0, *(raw for raw, _ in self.codes)})


SCHEMES: Final[dict[str, Scheme]] = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            "msd",
            "Medical Segmentation Decathlon Task01, nnU-Net's BraTS tasks",
            ((1, 2), (2, 1), (3, 3)),
            ((1, "oedema"), (2, "non-enhancing core"), (3, "enhancing")),
        ),
        Scheme(
            "brats2017",
            "BraTS 2017 to 2021",
            ((1, 1), (2, 2), (4, 3)),
            ((1, "necrotic and non-enhancing core"), (2, "oedema"), (4, "enhancing")),
        ),
        Scheme(
            "brats2023",
            "BraTS 2023 adult glioma",
            ((1, 1), (2, 2), (3, 3)),
            ((1, "necrotic and non-enhancing core"), (2, "oedema"), (3, "enhancing")),
        ),
        Scheme(
            "brats2024",
            "BraTS 2024 post-treatment glioma; the cavity is stored as background",
            ((1, 1), (2, 2), (3, 3), (4, 0)),
            (
                (1, "non-enhancing core"),
                (2, "oedema or other FLAIR change"),
                (3, "enhancing"),
                (4, "resection cavity"),
            ),
        ),
        Scheme(
            "brats2015",
            "BraTS 2015 and before; both kinds of non-enhancing core become NCR",
            ((1, 1), (2, 2), (3, 1), (4, 3)),
            ((1, "necrosis"), (2, "oedema"), (3, "non-enhancing"), (4, "enhancing")),
        ),
        Scheme(
            "brats-peds",
            "BraTS-PEDs 2024 and later; both kinds of non-enhancing core become NCR",
            ((1, 3), (2, 1), (3, 1), (4, 2)),
            ((1, "enhancing"), (2, "non-enhancing"), (3, "cystic core"), (4, "oedema")),
        ),
    )
}


def scheme(name: str) -> Scheme:
    """Look a scheme up by its name.

    Raises:
        ValueError: there is no scheme of that name.
    """
    if name not in SCHEMES:
        raise ValueError(f"label scheme {name!r} is unknown; one of {', '.join(SCHEMES)}")
    return SCHEMES[name]


def meanings(values: Iterable[int]) -> str:
    """What label values would mean in each scheme, for an error message."""
    present = sorted(set(values) - {0})
    lines = []
    for candidate in SCHEMES.values():
        names = dict(candidate.names)
        tissues = ", ".join(f"{value} {names.get(value, 'unknown')}" for value in present)
        lines.append(f"{candidate.name}: {tissues}")
    return "; ".join(lines)


def from_values(values: Iterable[int], where: str) -> Scheme:
    """Derive the scheme from label values alone, where nothing else is known.

    One pattern is evidence: 4 without 3 is BraTS 2017 to 2021, whose labels skip 3. {1, 2, 3} may
    be the Decathlon or BraTS 2023; 3 beside 4 may be 2015, 2024 or BraTS-PEDs.

    Args:
        values: every raw value found in the whole set.
        where: name of the set, for errors.

    Raises:
        LabelError: the values fit several schemes, or none.
    """
    present = frozenset(values)
    if 4 in present and 3 not in present and present <= SCHEMES["brats2017"].values():
        return SCHEMES["brats2017"]
    fits = [candidate.name for candidate in SCHEMES.values() if present <= candidate.values()]
    listed = sorted(present)
    if len(present - {0}) == 1:
        choice = f"; for one tissue of a release use --labels NAME: {meanings(present)}"
        raise LabelError(
            f"{where}: label values {listed} are one tissue alone; a mask of the whole tumour does "
            "not tell NCR, ED and ET apart and cannot be stored: move such masks away and take "
            f"the images with --unlabelled{choice if fits else ''}"
        )
    if not fits:
        raise LabelError(
            f"{where}: label values {listed} are outside every scheme; {meanings(present)}"
        )
    raise LabelError(
        f"{where}: label values {listed} fit {', '.join(fits)}; {meanings(present)}; "
        "choose one with --labels NAME"
    )
