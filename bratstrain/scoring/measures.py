"""How the conventions apply to what was measured, for the metrics that share a way."""

import math
from collections.abc import Callable

from bratstrain.scoring.conventions import Convention
from bratstrain.scoring.lesion_scores import KeptScores, LesionScores
from bratstrain.scoring.metric import Measure
from bratstrain.scoring.metrics import PartScores
from bratstrain.scoring.surface_scores import SurfaceScores


def of_lesions(score: Callable[[LesionScores, float], float]) -> Measure:
    """Make a measure of the lesions under the convention's rules; nan without them."""

    def measure(part: PartScores, rule: Convention) -> float:
        if rule.rules not in part.lesions:
            return float("nan")
        return score(part.lesions[rule.rules], rule.penalty(part))

    return measure


def of_kept(score: Callable[[KeptScores], float]) -> Measure:
    """Make an overlap of the whole case as the convention's code prints it; nan without one."""

    def measure(part: PartScores, rule: Convention) -> float:
        kept = kept_scores(part, rule)
        if kept is None:
            return math.nan
        return score(kept) if kept.n_truth or kept.n_predicted else rule.both_empty

    return measure


def kept_scores(part: PartScores, rule: Convention) -> KeptScores | None:
    """Scores of the whole case as the convention's code prints them; None where it prints none."""
    return part.lesions[rule.rules].kept if rule.rules in part.lesions else None


def kept_distance(part: PartScores, rule: Convention) -> float:
    """HD95 of the whole case as the convention's code prints it, mm."""
    kept = kept_scores(part, rule)
    return rule.distance(None if kept is None else kept.hd95_mm, part)


def distance(score: Callable[[SurfaceScores], float]) -> Measure:
    """Make a measure of a distance between the surfaces, mm, by the convention for empty masks."""

    def measure(part: PartScores, rule: Convention) -> float:
        return rule.distance(None if part.surface is None else score(part.surface), part)

    return measure


def surface_dice(tolerance_mm: float) -> Measure:
    """Make a measure of the surface Dice; nan where it was measured at other tolerances."""

    def measure(part: PartScores, rule: Convention) -> float:
        if part.surface is None or tolerance_mm not in part.surface.dice:
            return math.nan
        return rule.overlap(part.surface.dice[tolerance_mm], part.counts)

    return measure


def calibration_error(part: PartScores, _: Convention) -> float:
    """Expected calibration error, whatever the convention; nan without probabilities."""
    return math.nan if part.calibration is None else part.calibration.error
