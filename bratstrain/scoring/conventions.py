"""Conventions: what a score is worth where a mask is empty, and which lesion rules apply.

The tasks of 2023 are those that rachitsaluja/BraTS-2023-Metrics knows (commit 43c9052), those of
2024 and 2025 those of rachitsaluja/BraTS-2024-Metrics (commit f1131e3). The challenge's scoring of
2025 ran the latter (Sage-Bionetworks-Challenges/brats-infra, commit 3c04557). In 2024 the same
files had no surface Dice, and MET the penalty 374. The scoring of 2026 (brats-infra, commit
4d6b4b8) runs BraTS_evaluation 0.0.8, which pairs lesions one to one.
"""

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bratstrain.scoring.metrics import Counts, PartScores


@dataclass(frozen=True, slots=True)
class Convention:
    """Values for empty masks; nan leaves the case out of the mean.

    A Dice is 0 wherever the truth has a voxel and nothing is predicted.
    """

    name: str
    both_empty: float
    """Dice or surface Dice where neither side has a voxel."""
    truth_empty: float
    """Dice or surface Dice where only the prediction has a voxel."""
    both_empty_mm: float
    """HD95 where neither side has a voxel, mm."""
    penalty_mm: float | None
    """HD95 where one side is empty, and of a missed or false lesion, mm; None for the diagonal of
    the volume in voxels, which the code of that task takes for mm."""
    rules: str
    """Name of the lesion rules; empty where the convention defines no lesions."""
    tasks: tuple[str, ...] = ()
    """Tasks and years of BraTS whose published code scores so."""

    @property
    def has_penalty(self) -> bool:
        """Whether an empty side costs a distance, instead of leaving the case out."""
        return self.penalty_mm is None or math.isfinite(self.penalty_mm)

    def overlap(self, value: float | None, counts: Counts) -> float:
        """Apply the convention to a Dice or surface Dice; nan for None."""
        if value is None:
            return math.nan
        if counts.n_truth:
            return value if counts.n_predicted else 0.0
        return self.truth_empty if counts.n_predicted else self.both_empty

    def distance(self, value_mm: float | None, part: PartScores) -> float:
        """Apply the convention to an HD95, mm; nan for None."""
        if value_mm is None:
            return math.nan
        if math.isfinite(value_mm):
            return value_mm
        return self.both_empty_mm if math.isnan(value_mm) else self.penalty(part)

    def penalty(self, part: PartScores) -> float:
        """HD95 where one side is empty, and of a missed or false lesion, mm."""
        return part.diagonal if self.penalty_mm is None else self.penalty_mm


LEFT_OUT: Final = math.nan
CONVENTIONS: Final = MappingProxyType(
    {
        convention.name: convention
        for convention in (
            Convention("brats", 1.0, 0.0, 0.0, 373.13, "brats2023"),
            Convention(
                "brats2023", 1.0, 0.0, 0.0, 374.0, "brats2023", ("GLI 2023", "SSA 2023", "PED 2023")
            ),
            Convention("brats2023-men", 1.0, 0.0, 0.0, 374.0, "brats2023-men", ("MEN 2023",)),
            Convention("brats2023-met", 1.0, 0.0, 0.0, 374.0, "brats2023-met", ("MET 2023",)),
            Convention("brats2024", 1.0, 0.0, 0.0, 337.0, "brats2024", ("GLI 2024", "GLI 2025")),
            Convention(
                "brats2024-met", 1.0, 0.0, 0.0, None, "brats2024-met", ("MET 2024", "MET 2025")
            ),
            Convention(
                "brats2024-ped", 1.0, 0.0, 0.0, 374.0, "brats2024-ped", ("PED 2024", "PED 2025")
            ),
            Convention(
                "brats2024-ssa", 1.0, 0.0, 0.0, 374.0, "brats2024-ssa", ("SSA 2024", "SSA 2025")
            ),
            Convention("brats2024-men", 1.0, 0.0, 0.0, 374.0, "brats2024-men", ("MEN 2025",)),
            Convention(
                "brats2024-men-rt",
                1.0,
                0.0,
                0.0,
                None,
                "brats2024-men-rt",
                ("MEN-RT 2024", "MEN-RT 2025"),
            ),
            Convention(
                "brats2026", LEFT_OUT, 0.0, LEFT_OUT, 373.0, "brats2026", ("PED 2026", "GoAT 2026")
            ),
            Convention(
                "brats2026-met", LEFT_OUT, 0.0, LEFT_OUT, 373.0, "brats2026-met", ("MET 2026",)
            ),
            Convention("nnunet", LEFT_OUT, 0.0, LEFT_OUT, LEFT_OUT, ""),
            Convention("present", LEFT_OUT, LEFT_OUT, LEFT_OUT, LEFT_OUT, ""),
        )
    }
)
"""By name. `brats`, the default, has the published penalty, the diagonal of 240 x 240 x 155 in
mm; `brats2023` the one that year's code prints; `brats2024` follows the code for post-treatment
glioma, the others that of their task. `present` hides false positives."""


def convention_named(name: str) -> Convention:
    """Look up a convention.

    Raises:
        ValueError: there is no convention of that name.
    """
    if name not in CONVENTIONS:
        raise ValueError(f"convention {name!r} is unknown; one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
