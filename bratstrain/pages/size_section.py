"""Is the network worse on small tumours, and are the volumes right: two figures and an answer."""

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.drawing.scatter import Point, Scale, scatter
from bratsprep.drawing.svg import Drawing
from bratstrain.evaluation.rank_correlation import LEAST_CASES, rank_correlation
from bratstrain.evaluation.stored import Evaluation
from bratstrain.pages.score_sections import digits
from bratstrain.scoring.intervals import mean_interval
from bratstrain.scoring.metric_registry import HEADLINE

DISTANCE: Final = "HD95 (mm)"
THIRDS: Final = 9
"""Cases from which on the smallest third is compared with the others."""
CAVEAT: Final = (
    "Dice itself is harder on small tumours: an error of one voxel along the border costs a small "
    "one more. The correlation of HD95, which is in mm, does not have that share."
)


def sizes(evaluation: Evaluation) -> dict[str, Any]:
    """Content of the section, of the region of most classes."""
    part = evaluation.classes.nested[0][0]
    true, predicted = evaluation.volumes_ml(part)
    dice = evaluation.values(HEADLINE, part)
    return {
        "part": part,
        "answer": answer(evaluation, part),
        "caveat": CAVEAT,
        "drawings": [
            *by_size(evaluation, part, true, dice),
            *agreement(evaluation, part, true, predicted),
        ],
    }


def answer(evaluation: Evaluation, part: str) -> list[str]:
    """Say whether the scores of small tumours are worse, with n and intervals."""
    true, _ = evaluation.volumes_ml(part)
    size = np.where(true > 0, true, math.nan)
    dice = evaluation.values(HEADLINE, part)
    of_dice = rank_correlation(size, dice)
    n = of_dice.n
    if n < LEAST_CASES:
        cases = f"{n} case{'' if n == 1 else 's'}"
        return [f"It cannot be told: {cases} with {part}; at least {LEAST_CASES} are needed."]
    said = verdict(of_dice.rho, is_clear=of_dice.is_clear)
    what = f"true volume and {HEADLINE} of {part}"
    lines = [f"{said} Spearman's rank correlation of {what}: {of_dice.text()}."]
    if n >= THIRDS:
        lines.append(thirds(size, dice, part))
    distance = rank_correlation(size, evaluation.values(DISTANCE, part))
    if not math.isnan(distance.rho):
        lines.append(f"Of true volume and {DISTANCE}, where lower is better: {distance.text()}.")
    return lines


def verdict(rho: float, *, is_clear: bool) -> str:
    """The answer in words."""
    if math.isnan(rho):
        return "It cannot be told: all scores or all volumes are equal."
    if not is_clear:
        return "Not shown by these cases: the interval contains 0."
    if rho > 0:
        return "Yes: the smaller the tumour, the lower its score."
    return "No, the opposite: the smaller the tumour, the higher its score."


def thirds(size: NDArray[np.float64], dice: NDArray[np.float64], part: str) -> str:
    """Mean score of the smallest third of the cases, and of the others.

    Args:
        size: (cases,) float64 true volume, ml; nan where there is none.
        dice: (cases,) float64; nan where it is not scored.
        part: class or region.
    """
    known = np.flatnonzero(np.isfinite(size) & np.isfinite(dice))
    order = known[np.argsort(size[known], kind="stable")]
    count = len(order) // 3
    small, others = order[:count], order[count:]
    texts = []
    for cases in (small, others):
        low, high = mean_interval(dice[cases], "share")
        span = f", 95 % {digits(low)} to {digits(high)}" if math.isfinite(low) else ""
        texts.append(f"{digits(float(dice[cases].mean()))}{span} (n {len(cases)})")
    limit = f"{size[small].max():.3g}"
    return f"Smallest third, up to {limit} ml of {part}: mean {texts[0]}; others: {texts[1]}."


def by_size(
    evaluation: Evaluation, part: str, true: NDArray[np.float64], dice: NDArray[np.float64]
) -> list[Drawing]:
    """Score over true volume; nothing where no case has the part.

    Args:
        evaluation: the scores.
        part: class or region.
        true: (cases,) float64 true volume, ml.
        dice: (cases,) float64; nan where it is not scored.
    """
    points = [
        Point(case, float(ml), float(value), f"{case}: {ml:.3g} ml, {HEADLINE} {value:.3f}")
        for case, ml, value in zip(evaluation.cases, true, dice, strict=True)
        if ml > 0 and not math.isnan(value)
    ]
    if not points:
        return []
    x = Scale(f"true volume of {part}, ml", is_log=True)
    y = Scale(f"{HEADLINE} of {part}", span=(0.0, 1.0))
    return [scatter(f"{HEADLINE} of {part} by its true volume", points, x, y)]


def agreement(
    evaluation: Evaluation, part: str, true: NDArray[np.float64], predicted: NDArray[np.float64]
) -> list[Drawing]:
    """Predicted over true volume; nothing where no case has both.

    Args:
        evaluation: the scores.
        part: class or region.
        true: (cases,) float64 true volume, ml.
        predicted: (cases,) float64 predicted volume, ml.
    """
    points = [
        Point(case, float(ml), float(found), f"{case}: true {ml:.3g} ml, predicted {found:.3g} ml")
        for case, ml, found in zip(evaluation.cases, true, predicted, strict=True)
        if ml > 0 and found > 0
    ]
    if not points:
        return []
    x, y = (Scale(f"{side} volume of {part}, ml", is_log=True) for side in ("true", "predicted"))
    left = int(np.count_nonzero((true > 0) != (predicted > 0)))
    aside = f"; {left} with an empty side are not drawn" if left else ""
    name = f"Predicted against true volume of {part}; equal on the dotted line{aside}"
    return [scatter(name, points, x, y, equal=True)]
