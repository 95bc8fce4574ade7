"""What an evaluation says beyond its tables: volume agreement, calibration, conventions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np

from bratstrain.evaluation.formatting import markdown_table, none_for_nan
from bratstrain.scoring.agreement import agreement
from bratstrain.scoring.calibration import N_BINS
from bratstrain.scoring.conventions import convention_named
from bratstrain.scoring.lesion_rules import RULES
from bratstrain.scoring.metrics import CaseScores, PartScores

OVER: Final = "predicted voxels with brain, inside the crop, of every plane that was predicted"
"""Voxels that a calibration is over."""


def volume_agreement(scores: Sequence[CaseScores]) -> dict[str, dict[str, Any]]:
    """Mean difference and limits of agreement of the volumes of each class and region, ml.

    Cases without a voxel on either side are left out: their difference is always 0, and many of
    them would narrow the limits.

    Args:
        scores: of the cases, at least one.

    Returns:
        By class and region: the numbers of `bratstrain.scoring.agreement.Agreement`, and a point
        for each case, `mean` of both volumes against `difference`.
    """
    return {name: _volumes({c.case: c.parts[name] for c in scores}) for name in scores[0].parts}


def _volumes(parts: Mapping[str, PartScores]) -> dict[str, Any]:
    """Volume agreement of one class or region, by case."""
    volumes = {case: part.volumes_mm3 for case, part in parts.items() if any(part.volumes_mm3)}
    truth, predicted = np.array([*volumes.values()], np.float64).reshape(-1, 2).T / 1000
    found = agreement(truth, predicted)
    points = [
        {"case": case, "mean": float((a + b) / 2), "difference": float(b - a)}
        for case, a, b in zip(volumes, truth, predicted, strict=True)
    ]
    return {
        "unit": "ml",
        "n": found.n,
        "n_empty": len(parts) - found.n,
        "mean_difference": none_for_nan(found.mean),
        "mean_interval": _around(found.mean, found.mean_reach),
        "standard_deviation": none_for_nan(found.deviation),
        "low": none_for_nan(found.low),
        "low_interval": _around(found.low, found.limit_reach),
        "high": none_for_nan(found.high),
        "high_interval": _around(found.high, found.limit_reach),
        "points": points,
    }


def _around(middle: float, reach: float) -> list[float] | None:
    """Ends of an interval; None where there is none."""
    return None if math.isnan(reach) else [middle - reach, middle + reach]


def agreement_table(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown of the volume agreement of each class and region."""
    head = ["part", "n", "mean difference (ml)", "95 % interval", "limits of agreement (ml)"]
    rows = []
    for part, row in found.items():
        spans = (row["mean_interval"], (row["low"], row["high"]))
        mean = "-" if row["mean_difference"] is None else f"{row['mean_difference']:+.2f}"
        rows.append([part, str(row["n"]), mean, *map(_span, spans)])
    return markdown_table(head, rows)


def _span(ends: Sequence[float | None] | None) -> str:
    """Two signed numbers; a dash where there are none."""
    low, high = ends or (None, None)
    return "-" if low is None or high is None else f"{low:+.2f} to {high:+.2f}"


def calibration_record(scores: Sequence[CaseScores]) -> dict[str, Any] | None:
    """Bins of all cases together, for a reliability diagram; None without probabilities.

    Args:
        scores: of the cases, at least one.

    Returns:
        What the bins are over, their number, and by class and region the `error` of all voxels
        together and the `bins`.
    """
    parts = {}
    for name in scores[0].parts:
        counted = [case.parts[name].calibration for case in scores]
        known = [one for one in counted if one is not None]
        if known:
            total = reduce(add, known)
            parts[name] = {"error": none_for_nan(total.error), "bins": total.rows()}
    return {"over": OVER, "n_bins": N_BINS, "parts": parts} if parts else None


def convention_facts(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """State what each convention means: empty masks, penalty, lesion rules, tasks of BraTS."""
    return {name: _facts(name) for name in names}


def _facts(name: str) -> dict[str, Any]:
    """Facts of one convention as JSON takes them; a penalty of None is the volume's diagonal."""
    convention = convention_named(name)
    facts = {key: _plain(value) for key, value in asdict(convention).items() if key != "name"}
    rules = asdict(RULES[convention.rules]) if convention.rules else None
    return facts | {"rules": rules}


def _plain(value: object) -> object:
    """Say `left out` for the nan of a convention."""
    return "left out" if isinstance(value, float) and math.isnan(value) else value
