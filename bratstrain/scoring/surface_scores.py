"""The scores of a pair of surfaces, all from one measurement of their distances.

The distance transforms cost nearly all of the time, so every score of surfaces is read off the same
`bratstrain.scoring.surface.SurfaceDistances`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bratstrain.scoring.surface import SurfaceDistances

SURFACE_TOLERANCES_MM: Final = (0.5, 1.0)
"""Of the surface Dice of every evaluation: those of BraTS 2025."""


@dataclass(frozen=True, slots=True)
class SurfaceScores:
    """How far two surfaces are apart: inf where one side is empty, nan where both are."""

    hd95_mm: float
    """95th percentile of the distances of each direction, the larger."""
    hd100_mm: float
    """Hausdorff distance: the largest distance of either direction."""
    assd_mm: float
    """Mean of the distances of both directions together, weighted by area."""
    masd_mm: float
    """Mean of the means of the two directions, each weighted by area."""
    dice: Mapping[float, float]
    """Surface Dice by tolerance, mm; 0 where one side is empty."""

    def of_nothing(self, *, has_truth: bool) -> "SurfaceScores":
        """Give the scores of an empty prediction.

        Args:
            has_truth: whether the truth has a voxel.
        """
        far, share = (math.inf, 0.0) if has_truth else (math.nan, math.nan)
        return SurfaceScores(far, far, far, far, dict.fromkeys(self.dice, share))


def surface_scores(
    distances: SurfaceDistances, tolerances: Sequence[float] = SURFACE_TOLERANCES_MM
) -> SurfaceScores:
    """Read every score of two surfaces off their distances.

    Args:
        distances: of both directions.
        tolerances: of the surface Dice, mm.

    Returns:
        Scores; nan where both masks are empty, and inf or 0 where one is.
    """
    scores = SurfaceScores(
        hd95_mm=distances.hausdorff(),
        hd100_mm=distances.largest(),
        assd_mm=distances.mean(),
        masd_mm=distances.mean_of_directions(),
        dice={limit: distances.surface_dice(limit) for limit in tolerances},
    )
    if distances.truth_mm.size or distances.predicted_mm.size:
        return scores
    return replace(scores, hd95_mm=math.nan, hd100_mm=math.nan, assd_mm=math.nan, masd_mm=math.nan)
