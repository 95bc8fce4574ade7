"""What the names of labels mean: tissues and regions."""

import re


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
