"""What the names of labels in a dataset.json mean: tissues, regions, and so a label scheme."""

import re
from typing import Any, Final

from bratsprep.labels import BACKGROUND, Scheme, shipped

_ALIKE: Final = {"NET": "NCR", "CC": "NCR"}
"""Classes that names of labels do not tell from another."""

_TISSUES: Final[tuple[tuple[str, frozenset[str], tuple[str, ...]], ...]] = (
    (BACKGROUND, frozenset({"background"}), ()),
    ("RC", frozenset({"rc"}), ("cavity",)),
    ("GTV", frozenset({"gtv", "gross"}), ()),
    ("ED", frozenset({"ed", "snfh", "flair"}), ("edema", "hyperintens")),
    ("NCR", frozenset({"ncr", "net", "netc", "non", "nonenhancing", "cc", "cystic"}), ("necro",)),
    ("ET", frozenset({"et", "enhancing", "enhanced"}), ()),
    ("WT", frozenset({"wt", "tumor", "tumour"}), ()),
)
"""Class, words of a name that mean it, and parts of a name that do; the first that fits."""


def scheme(labels: dict[str, Any], place: str) -> tuple[str | None, str]:
    """Label scheme that the names of the labels mean.

    An order of labels that no scheme has is an error only where the scheme is needed: with
    `--labels` it is not.

    Returns:
        Name of the scheme, None where no label is named or no scheme fits; and why none fits,
        as an error message.
    """
    if not labels:
        return None, ""
    if any(isinstance(value, list) for value in labels.values()):
        meant = by_region(labels)
    else:
        meant = by_name(labels)
    for candidate in sorted(shipped().values(), key=lambda one: (one.name.count("-"), one.name)):
        if _means(candidate, meant):
            return candidate.name, ""
    meanings = ", ".join(f"{value} {name or 'unknown'}" for value, name in sorted(meant.items()))
    return None, (
        f"{place}: labels {labels} mean {meanings}; expected the order of one of "
        f"{', '.join(shipped())}; choose one with --labels NAME, or write your own"
    )


def _means(candidate: Scheme, meant: dict[int, str | None]) -> bool:
    """Whether a scheme has exactly these tissues; of one class, any of its values will do."""
    known = tissues(candidate)
    if len(candidate.classes.tumour) == 1:
        return bool(meant) and meant.items() <= known.items()
    return meant == known


def tissues(candidate: Scheme) -> dict[int, str | None]:
    """Tissue of each raw value of a scheme, as `tissue` tells them apart."""
    names = candidate.classes.classes
    return {raw: _ALIKE.get(names[stored], names[stored]) for raw, stored in candidate.codes}


def by_name(labels: dict[str, Any]) -> dict[int, str | None]:
    """Tissue of each raw value but 0, from `{"1": "edema"}` or `{"edema": 1}`."""
    meant: dict[int, str | None] = {}
    for left, right in labels.items():
        name, value = (right, left) if isinstance(right, str) else (left, right)
        meant[int(value)] = tissue(name)
    meant.pop(0, None)
    return meant


def by_region(labels: dict[str, Any]) -> dict[int, str | None]:
    """Tissue of each raw value, from nested regions as nnU-Net writes them."""
    values: dict[str, set[int]] = {"WT": set(), "TC": set(), "ET": set()}
    meant: dict[int, str | None] = {}
    for name, value in labels.items():
        raw = {int(item) for item in (value if isinstance(value, list) else [value])}
        nested = region(name)
        if nested:
            values[nested] |= raw
        meant.update(dict.fromkeys(raw, tissue(name)))
    meant.update(dict.fromkeys(values["WT"], "ED"))
    meant.update(dict.fromkeys(values["TC"], "NCR"))
    meant.update(dict.fromkeys(values["ET"], "ET"))
    meant.pop(0, None)
    return meant


def tissue(name: str) -> str | None:
    """Class that a tissue's name means; None where it means none."""
    text = name.lower()
    words = set(re.findall(r"[a-z]+", text))
    for meaning, known, parts in _TISSUES:
        if words & known or any(part in text for part in parts):
            return meaning
    return None


def region(name: str) -> str | None:
    """Region (WT, TC, ET) that the name of a region-based label means."""
    text = name.lower()
    words = set(re.findall(r"[a-z]+", text))
    if "wt" in words or "whole" in words:
        return "WT"
    if "tc" in words or "core" in words:
        return "TC"
    return "ET" if words & {"et", "enhancing"} else None
