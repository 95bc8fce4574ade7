"""What the names of labels in a dataset.json mean: tissues, regions, and so a label scheme."""

import re
from typing import Any

from bratsprep.labels import CLASSES, SCHEMES


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
    for candidate in SCHEMES.values():
        if dict(candidate.codes) == meant:
            return candidate.name, ""
    meanings = ", ".join(
        f"{value} {'unknown' if label is None else CLASSES[label]}"
        for value, label in sorted(meant.items())
    )
    return None, (
        f"{place}: labels {labels} mean {meanings}; expected the order of one of "
        f"{', '.join(SCHEMES)}; choose one with --labels NAME"
    )


def by_name(labels: dict[str, Any]) -> dict[int, int | None]:
    """Stored label of each raw value but 0, from `{"1": "edema"}` or `{"edema": 1}`."""
    meant = {}
    for left, right in labels.items():
        name, value = (right, left) if isinstance(right, str) else (left, right)
        meant[int(value)] = tissue(name)
    meant.pop(0, None)
    return meant


def by_region(labels: dict[str, Any]) -> dict[int, int | None]:
    """Stored label of each raw value, from nested regions as nnU-Net writes them."""
    values: dict[str, set[int]] = {"WT": set(), "TC": set(), "ET": set()}
    meant: dict[int, int | None] = {}
    for name, value in labels.items():
        raw = {int(item) for item in (value if isinstance(value, list) else [value])}
        nested = region(name)
        if nested:
            values[nested] |= raw
        meant.update(dict.fromkeys(raw, tissue(name)))
    meant.update(dict.fromkeys(values["WT"], 2))
    meant.update(dict.fromkeys(values["TC"], 1))
    meant.update(dict.fromkeys(values["ET"], 3))
    meant.pop(0, None)
    return meant


def tissue(name: str) -> int | None:
    """Stored label that a tissue's name means; None where it means none.

    A resection cavity is stored as background.
    """
    text = name.lower()
    words = set(re.findall(r"[a-z]+", text))
    if words & {"background", "rc"} or "cavity" in text:
        return 0
    if words & {"ed", "snfh"} or "edema" in text or "hyperintens" in text:
        return 2
    if words & {"ncr", "net", "netc", "non", "nonenhancing", "cc", "cystic"} or "necro" in text:
        return 1
    return 3 if words & {"et", "enhancing", "enhanced"} else None


def region(name: str) -> str | None:
    """Region (WT, TC, ET) that the name of a region-based label means."""
    text = name.lower()
    words = set(re.findall(r"[a-z]+", text))
    if "wt" in words or "whole" in words:
        return "WT"
    if "tc" in words or "core" in words:
        return "TC"
    return "ET" if words & {"et", "enhancing"} else None
