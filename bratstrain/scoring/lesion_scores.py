"""The lesion-wise scores of one region of one case, before a convention sets the penalty."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bratstrain.scoring.borders import BORDER_TOLERANCES_MM
from bratstrain.scoring.lesion_rules import MeanOver


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
    """Truth lesions too small for the means; they absorb predictions all the same."""
    border_dice: tuple[tuple[float, ...], ...] = ()
    """Of each kept lesion at each of `BORDER_TOLERANCES_MM`; empty where it was not measured."""
    surface_dice: tuple[tuple[float, ...], ...] = ()
    """Of each kept lesion at each of `tolerances`; 0 where it is missed."""
    tolerances: tuple[float, ...] = ()
    """Of the surface Dice, mm."""
    kept: KeptScores | None = None
    """Of the whole case; None where the rules drop nothing."""
    mean_over: MeanOver = "all"
    """Lesions that the means are over."""
    pairs: bool = False
    """A mean of nothing, and the F1 of it, is left out instead of being perfect; without a kept
    lesion there is no mean over false ones."""
    small_overlap: tuple[float, ...] = ()
    """Dice of each lesion that is too small for the means, 0 where it is missed; empty where such
    lesions are not counted."""
    least_dice: float = 0.0
    """Dice from which a lesion counts as found in the F1 by size; 0 where there is none."""

    @property
    def n_found(self) -> int:
        """Counted lesions with a predicted component near them."""
        return self._n_found_kept + sum(dice > 0 for dice in self.small_overlap)

    @property
    def n_missed(self) -> int:
        """Counted lesions without one."""
        return len(self.hd95_mm) + len(self.small_overlap) - self.n_found

    @property
    def lesionwise_dice(self) -> float:
        """Mean over the lesions; 1 with nothing on either side, nan where that is left out."""
        return self._mean(self.overlap, worst=0.0, best=1.0)

    def lesionwise_hd95(self, penalty_mm: float) -> float:
        """Mean over the lesions, mm; 0 with nothing on either side, nan where that is left out.

        Args:
            penalty_mm: what a missed lesion and a false positive count.
        """
        return self._mean(self.hd95_mm, worst=penalty_mm, best=0.0)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN) of the lesions; with nothing on either side as their mean."""
        return self._f1(self.n_found, self.n_missed, math.nan if self.pairs else 1.0)

    @property
    def small_f1(self) -> float:
        """F1 of the lesions too small for the means; nan without one, or where there is none."""
        return self._f1_by_dice(self.small_overlap)

    @property
    def large_f1(self) -> float:
        """F1 of the kept lesions; nan without one, or where there is no F1 by size."""
        return self._f1_by_dice(self.overlap)

    def lesionwise_surface_dice(self, tolerance_mm: float) -> float:
        """Mean over kept lesions and false positives; nan at another tolerance than measured.

        Args:
            tolerance_mm: one of `tolerances`.
        """
        if tolerance_mm not in self.tolerances:
            return math.nan
        place = self.tolerances.index(tolerance_mm)
        return self._mean([values[place] for values in self.surface_dice], worst=0.0, best=1.0)

    def lesionwise_border_dice(self, tolerance_mm: float) -> float:
        """Mean over kept lesions and false positives; nan where it was not measured.

        Args:
            tolerance_mm: one of `BORDER_TOLERANCES_MM`.
        """
        if len(self.border_dice) < len(self.overlap) or self.kept is None:
            return math.nan
        place = BORDER_TOLERANCES_MM.index(tolerance_mm)
        return self._mean([values[place] for values in self.border_dice], worst=0.0, best=1.0)

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
            small_overlap=(0.0,) * len(self.small_overlap),
        )

    @property
    def _n_found_kept(self) -> int:
        """Kept lesions with a predicted component near them."""
        return sum(distance < math.inf for distance in self.hd95_mm)

    def _mean(self, values: Sequence[float], *, worst: float, best: float) -> float:
        """Average a score over the lesions that the rules name.

        Args:
            values: of each kept lesion; that of a missed one does not matter.
            worst: of a missed lesion and of a false one.
            best: with nothing on either side, where that is not left out.
        """
        found = [
            value
            for value, distance in zip(values, self.hd95_mm, strict=True)
            if distance < math.inf
        ]
        if self.mean_over == "found":
            if found:
                return math.fsum(found) / len(found)
            return worst if self.overlap or self.n_false else math.nan
        if self.pairs and not self.overlap:
            return math.nan
        n = len(self.overlap) + (self.n_false if self.mean_over == "all" else 0)
        return (math.fsum(found) + worst * (n - len(found))) / n if n else best

    def _f1_by_dice(self, overlap: Sequence[float]) -> float:
        """F1 of lesions that need `least_dice` to be found; nan without one."""
        if not (self.least_dice and overlap):
            return math.nan
        n_found = sum(dice >= self.least_dice for dice in overlap)
        return self._f1(n_found, len(overlap) - n_found, math.nan)

    def _f1(self, n_found: int, n_missed: int, of_nothing: float) -> float:
        """2 TP / (2 TP + FP + FN) of lesions."""
        total = 2 * n_found + self.n_false + n_missed
        return 2 * n_found / total if total else of_nothing
