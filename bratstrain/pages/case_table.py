"""The table of all cases: what is sorted and filtered by, and why a case is as bad as it is."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bratstrain.evaluation.stored import Evaluation
from bratstrain.pages.score_sections import DASH, MEAN, digits
from bratstrain.scoring.metric_registry import HEADLINE

DISTANCE: Final = "HD95 (mm)"
FOUND, MISSED, FALSE = "lesions TP", "lesions FN", "lesions FP"
MOST_PARTS: Final = 8
"""Columns of scores; of more classes and regions, the regions alone are shown."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Text, and the number that it is sorted by."""

    text: str
    value: float
    """nan is sorted last, whatever the direction."""

    @property
    def key(self) -> str:
        """The number as the page's script reads it; empty for nan."""
        return "" if math.isnan(self.value) else f"{self.value:.6g}"


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case."""

    case: str
    shown: int | None
    """Place of its images in the viewer; None where they are not on the page."""
    cells: tuple[Cell, ...]
    remarks: tuple[str, ...]
    """What explains its score, and what is unusual about it."""


def case_table(evaluation: Evaluation, shown: Sequence[str]) -> dict[str, Any]:
    """Content of the table.

    Args:
        evaluation: the scores.
        shown: ids of the cases whose images are on the page, in the order of the viewer.

    Returns:
        `head`: heading and explanation of each column; `rows`: a `CaseRow` each, the worst first.
    """
    whole = evaluation.classes.nested[0][0]
    columns = {**score_columns(evaluation), **lesion_columns(evaluation, whole),
               **size_columns(evaluation, whole)}  # fmt: skip
    places, values = {case: i for i, case in enumerate(shown)}, evaluation.by_case()
    rows = [
        CaseRow(
            case,
            places.get(case),
            tuple(cells[i] for cells in columns.values()),
            tuple(why(evaluation, case, values[case])),
        )
        for i, case in enumerate(evaluation.cases)
    ]
    worst_first = sorted(rows, key=lambda row: _last(row.cells[0].value))
    return {"head": list(columns), "rows": worst_first, "whole": whole}


def _last(value: float) -> float:
    """Sort nan after every number."""
    return math.inf if math.isnan(value) else value


def score_columns(evaluation: Evaluation) -> dict[str, list[Cell]]:
    """Headline as a mean and of each part, and distance, by heading."""
    parts = list(evaluation.classes.parts)
    if len(parts) > MOST_PARTS:
        parts = list(evaluation.classes.region_names)
    columns = {"Dice": cells(evaluation.values(HEADLINE, MEAN))}
    columns |= {part: cells(evaluation.values(HEADLINE, part)) for part in parts}
    distance = evaluation.values(DISTANCE, MEAN)
    return {**columns, "HD95 (mm)": cells(distance, 1)}


def lesion_columns(evaluation: Evaluation, whole: str) -> dict[str, list[Cell]]:
    """Numbers of lesions of the largest region; none where the convention has no lesions."""
    found, missed, false = (evaluation.values(name, whole) for name in (FOUND, MISSED, FALSE))
    if np.isnan(found).all():
        return {}
    return {
        "lesions": cells(found + missed, 0),
        "missed": cells(missed, 0),
        "false": cells(false, 0),
    }


def size_columns(evaluation: Evaluation, whole: str) -> dict[str, list[Cell]]:
    """True and predicted volume of the largest region, and uncertainty where it is known."""
    true, predicted = evaluation.volumes_ml(whole)
    columns = {"true (ml)": cells(true, 1), "predicted (ml)": cells(predicted, 1)}
    uncertainty = evaluation.uncertainty
    if np.isfinite(uncertainty).any():
        columns["uncertainty"] = cells(uncertainty)
    return columns


def cells(values: Sequence[float] | np.ndarray[Any, Any], places: int = 3) -> list[Cell]:
    """Numbers as text; a dash for nan.

    Args:
        values: (cases,) float.
        places: digits after the point.
    """
    return [
        Cell(DASH if math.isnan(value) else f"{value:.{places}f}", float(value)) for value in values
    ]


def why(evaluation: Evaluation, case: str, parts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What lies behind the score of a case, the heaviest first.

    Args:
        evaluation: the scores.
        case: id.
        parts: values of the case by class or region.
    """
    classes = evaluation.classes
    for name in classes.parts:
        yield from emptiness(name, parts[name])
    whole = classes.nested[0][0]
    yield from lesions(whole, parts[whole])
    notes = evaluation.odd_images.get(case, ())
    yield from (f"images: {note}" for note in notes)
    if parts[whole].get("twin"):
        yield "the network was trained on this person"


def emptiness(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    """State a part that only one side has."""
    true, predicted = row["truth_mm3"] / 1000, row["predicted_mm3"] / 1000
    if true and not predicted:
        yield f"{name} missed ({true:.3g} ml)"
    if predicted and not true:
        yield f"{name} predicted ({predicted:.3g} ml), none is true"


def lesions(name: str, row: Mapping[str, Any]) -> Iterator[str]:
    """State missed and false lesions."""
    missed, false, found = row.get(MISSED), row.get(FALSE), row.get(FOUND)
    if missed:
        yield f"{missed:.0f} of {missed + (found or 0):.0f} {name} lesions missed"
    if false:
        yield f"{false:.0f} false {name} lesion{'' if false == 1 else 's'}"


def worst_line(evaluation: Evaluation) -> str:
    """Say which case is worst, and why."""
    values = evaluation.values(HEADLINE, MEAN)
    if np.isnan(values).all():
        return ""
    i = int(np.nanargmin(values))
    case = evaluation.cases[i]
    scored = {
        part: float(evaluation.values(HEADLINE, part)[i]) for part in evaluation.classes.tumour
    }
    known = {part: value for part, value in scored.items() if not math.isnan(value)}
    lowest = min(known, key=known.__getitem__)
    reasons = [
        f"its lowest class is {lowest}, {digits(known[lowest])}",
        *why(evaluation, case, evaluation.by_case()[case]),
    ]
    whole = evaluation.classes.nested[0][0]
    true, _ = evaluation.volumes_ml(whole)
    rank = int(np.count_nonzero(true < true[i])) + 1
    reasons.append(f"{whole} of {true[i]:.3g} ml, number {rank} of {len(true)} from the smallest")
    return f"{case}, {HEADLINE} {digits(float(values[i]))} ({MEAN}): {'; '.join(reasons)}."
