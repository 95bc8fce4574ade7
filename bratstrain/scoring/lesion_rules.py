"""What each edition of the BraTS evaluation counts as a lesion, as data.

Read from the public evaluation code of 2023 and 2024 (rachitsaluja/BraTS-2023-Metrics and
rachitsaluja/BraTS-2024-Metrics) and of 2026 (BraTS_evaluation 0.0.8). Where that code differs from
its own description, the rules follow the code, since published scores come from it; the difference
is named here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

CAVITY: Final = "RC"
"""Class of the resection cavity, through which lesions of BraTS 2024 are joined."""

MeanOver = Literal["all", "truth", "found"]
"""Lesions that a mean is over: those of the truth and the false ones, those of the truth, or those
that were found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionRules:
    """What one task of one edition counts as a lesion."""

    name: str
    least_mm3: float
    """Lesions of the truth of at most this volume leave the score, mm3; `pairs` keeps those of
    exactly this volume, and counts the smaller ones among those found or missed."""
    least_mm3_of: Mapping[str, float] = field(default_factory=dict)
    """The same of single classes or regions."""
    dilations: int
    """Steps of the 18-neighbour element within which pieces are one lesion and a predicted
    component belongs to a lesion."""
    dilations_of: Mapping[str, int] = field(default_factory=dict)
    """The same of single classes or regions."""
    groups_predicted: bool = False
    """Predicted components are grouped by dilation as those of the truth are."""
    drops_predicted: str = ""
    """Unit in which predicted lesions are held against `least_mm3` and dropped at or below it, from
    the scores of the whole case too: `voxels`, `mm3`, or empty where none is dropped."""
    joins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By class: the tissues through which its lesions are joined, in order."""
    mean_over: MeanOver = "all"
    """Lesions that the lesion-wise means are over."""
    pairs: bool = False
    """A lesion is found by one predicted component and a component finds one lesion, as
    `bratstrain.scoring.lesion_pairs` pairs them; distances are those between border voxels."""
    least_dice: float = 0.0
    """Dice with its pair from which a lesion counts as found in the F1 of small and of large
    lesions; 0 where the rules have no such scores."""
    with_borders: bool = True
    """Border Dice is measured, as the code of 2024 and 2025 prints it."""

    def least(self, part: str) -> float:
        """Volume at or below which a lesion of a class or region leaves the score, mm3."""
        return self.least_mm3_of.get(part, self.least_mm3)

    def reach(self, part: str) -> int:
        """Dilations of a class or region."""
        return self.dilations_of.get(part, self.dilations)

    @property
    def margin(self) -> int:
        """Voxels around all labels that the dilations of any class or region can reach."""
        return max(self.dilations, *self.dilations_of.values(), 1)


RULES: Final = MappingProxyType(
    {
        rules.name: rules
        for rules in (
            LesionRules(name="brats2023", least_mm3=50, dilations=3, with_borders=False),
            LesionRules(name="brats2023-men", least_mm3=50, dilations=1, with_borders=False),
            LesionRules(name="brats2023-met", least_mm3=2, dilations=1, with_borders=False),
            # The description asks for five dilations of oedema; the code misspells the name of
            # the class and uses three.
            LesionRules(
                name="brats2024",
                least_mm3=20,
                least_mm3_of={"ET": 10},
                dilations=3,
                dilations_of={"NCR": 5, CAVITY: 5},
                groups_predicted=True,
                drops_predicted="voxels",
                joins={
                    "NCR": ("ET", CAVITY),
                    "ET": ("NCR", CAVITY),
                    CAVITY: ("ET", "NCR"),
                    "ED": ("ET", CAVITY, "NCR"),
                },
            ),
            LesionRules(
                name="brats2024-met",
                least_mm3=2,
                dilations=1,
                groups_predicted=True,
                drops_predicted="voxels",
                joins={"ET": ("NCR",)},
            ),
            LesionRules(
                name="brats2024-ped",
                least_mm3=10,
                dilations=5,
                groups_predicted=True,
                drops_predicted="voxels",
            ),
            LesionRules(
                name="brats2024-ssa",
                least_mm3=50,
                dilations=3,
                groups_predicted=True,
                drops_predicted="voxels",
                joins={"ET": ("NCR",)},
            ),
            LesionRules(name="brats2024-men", least_mm3=50, dilations=1),
            # The code divides by the lesions of the truth alone.
            LesionRules(
                name="brats2024-men-rt",
                least_mm3=50,
                dilations=1,
                groups_predicted=True,
                drops_predicted="mm3",
                mean_over="truth",
            ),
            LesionRules(name="brats2026", least_mm3=0, dilations=0, pairs=True, mean_over="found"),
            LesionRules(
                name="brats2026-met", least_mm3=27, dilations=0, pairs=True, least_dice=0.2
            ),
        )
    }
)
"""By name; `brats2024` is post-treatment glioma, which calls NCR NETC and ED SNFH."""
