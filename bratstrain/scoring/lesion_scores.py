"""The lesion-wise scores of one region of one case, before a convention sets the penalty."""

import math
from dataclasses import dataclass, replace

from bratstrain.scoring.borders import BORDER_TOLERANCES_MM


@dataclass(frozen=True, slots=True)
class KeptScores:
    """Scores of the whole case after small predicted lesions were dropped, without a penalty."""

    n_truth: int
    """Voxels of the truth."""
    n_predicted: int
    """Predicted voxels that are left."""
    n_shared: int
    """Voxels of both."""
    hd95_mm: float
    """inf where one side is empty, nan where both are."""
    border_dice: tuple[float, ...]
    """At each of `BORDER_TOLERANCES_MM`; 0 where one side is empty, 1 where both are."""

    @property
    def volume_dice(self) -> float:
        """Dice of the voxels; nan where both sides are empty."""
        total = self.n_truth + self.n_predicted
        return 2 * self.n_shared / total if total else math.nan

    def of_nothing(self) -> "KeptScores":
        """Give the scores of an empty prediction of the same truth."""
        value, hd95_mm = (0.0, math.inf) if self.n_truth else (1.0, math.nan)
        return KeptScores(self.n_truth, 0, 0, hd95_mm, (value,) * len(self.border_dice))


@dataclass(frozen=True, slots=True)
class LesionScores:
    """The lesions of one region of one case, without a penalty for missed or false ones."""

    overlap: tuple[float, ...]
    """Dice of each kept lesion with the union of its predicted components; 0 where missed."""
    hd95_mm: tuple[float, ...]
    """HD95 of each kept lesion; inf where it is missed."""
    n_false: int
    """Predicted components that belong to no lesion."""
    n_small: int
    """Truth lesions too small to count; they absorb predictions all the same."""
    border_dice: tuple[tuple[float, ...], ...] = ()
    """Of each kept lesion at each of `BORDER_TOLERANCES_MM`; empty where it was not measured."""
    surface_dice: tuple[tuple[float, ...], ...] = ()
    """Of each kept lesion at each of `tolerances`; 0 where it is missed."""
    tolerances: tuple[float, ...] = ()
    """Of the surface Dice, mm."""
    kept: KeptScores | None = None
    """Of the whole case; None where the rules drop nothing."""
    counts_false: bool = True
    """False lesions enter the means."""

    @property
    def n_found(self) -> int:
        """Kept lesions with a predicted component near them."""
        return sum(distance < math.inf for distance in self.hd95_mm)

    @property
    def n_missed(self) -> int:
        """Kept lesions without one."""
        return len(self.hd95_mm) - self.n_found

    @property
    def n_scored(self) -> int:
        """Lesions that a mean is over: kept ones, and false ones where they count."""
        return len(self.overlap) + (self.n_false if self.counts_false else 0)

    @property
    def lesionwise_dice(self) -> float:
        """Mean over kept lesions and false positives; 1 with nothing on either side."""
        return math.fsum(self.overlap) / self.n_scored if self.n_scored else 1.0

    def lesionwise_hd95(self, penalty_mm: float) -> float:
        """Mean over kept lesions and false positives, mm; 0 with nothing on either side.

        Args:
            penalty_mm: what a missed lesion and a false positive count.
        """
        if not self.n_scored:
            return 0.0
        measured = math.fsum(distance for distance in self.hd95_mm if distance < math.inf)
        n_penalties = self.n_missed + self.n_scored - len(self.overlap)
        return (measured + penalty_mm * n_penalties) / self.n_scored

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN) of the lesions; 1 with nothing on either side."""
        total = 2 * self.n_found + self.n_false + self.n_missed
        return 2 * self.n_found / total if total else 1.0

    def lesionwise_surface_dice(self, tolerance_mm: float) -> float:
        """Mean over kept lesions and false positives; nan at another tolerance than measured.

        Args:
            tolerance_mm: one of `tolerances`.
        """
        if tolerance_mm not in self.tolerances:
            return math.nan
        place = self.tolerances.index(tolerance_mm)
        total = math.fsum(values[place] for values in self.surface_dice)
        return total / self.n_scored if self.n_scored else 1.0

    def lesionwise_border_dice(self, tolerance_mm: float) -> float:
        """Mean over kept lesions and false positives; nan where it was not measured.

        Args:
            tolerance_mm: one of `BORDER_TOLERANCES_MM`.
        """
        if len(self.border_dice) < len(self.overlap) or self.kept is None:
            return math.nan
        place = BORDER_TOLERANCES_MM.index(tolerance_mm)
        total = math.fsum(values[place] for values in self.border_dice)
        return total / self.n_scored if self.n_scored else 1.0

    def of_nothing(self) -> "LesionScores":
        """Give the scores of an empty prediction of the same truth."""
        n = len(self.overlap)
        return replace(
            self,
            overlap=(0.0,) * n,
            hd95_mm=(math.inf,) * n,
            n_false=0,
            border_dice=((0.0,) * len(BORDER_TOLERANCES_MM),) * len(self.border_dice),
            surface_dice=((0.0,) * len(self.tolerances),) * n,
            kept=None if self.kept is None else self.kept.of_nothing(),
        )
