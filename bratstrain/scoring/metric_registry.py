"""The metrics of an evaluation: one record each, from which tables, pages and comparisons are made.

To add a metric, add a record to `METRICS` and raise `EVALUATION_VERSION`. A metric that needs a new
measurement of the masks also needs a field of `bratstrain.scoring.metrics.PartScores`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bratstrain.scoring.conventions import Convention
from bratstrain.scoring.lesions import KeptScores, LesionScores
from bratstrain.scoring.metrics import PartScores

EVALUATION_VERSION: Final = 3
"""Raised with every change of a number in an evaluation, so that stored ones are made anew."""
HEADLINE: Final = "volume Dice"
"""The one metric that is called Dice without a further word."""
POOLED: Final = "pooled Dice"
"""Dice of the summed voxels of all cases; large tumours dominate it. It has no value per case."""

Measure = Callable[[PartScores, Convention], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of each class or region of each case."""

    name: str
    """Key in every JSON and CSV file, and heading of its table."""
    short: str = ""
    """Heading of a narrow column; the name where it is empty."""
    unit: str = ""
    """`mm` or `lesions`; empty for a share."""
    better: str
    """`higher` or `lower`; empty for a count that has no direction of its own."""
    explained: str
    """One or two sentences for the reader of a page."""
    measure: Measure
    """Value of one class or region of one case; nan where the case is left out."""
    is_beside: bool = False
    """Shown next to the headline in terminal tables and on pages."""
    is_compared: bool = False
    """Compared between runs, case by case."""
    is_ranked: bool = False
    """Enters the rank of a run, as in the BraTS challenge."""

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower", ""):
            raise ValueError(f"{self.name}: better is {self.better!r}; must be higher, lower or ''")

    @property
    def heading(self) -> str:
        """Heading of a column."""
        return self.short or self.name

    @property
    def scale(self) -> str:
        """Range of the values, one of `bratstrain.scoring.intervals.SCALES`."""
        return "positive" if self.unit else "share"

    @property
    def decimals(self) -> int:
        """Digits after the point: one for mm, three otherwise."""
        return 1 if self.unit == "mm" else 3


def _of_lesions(score: Callable[[LesionScores, float], float]) -> Measure:
    """Make a measure of the lesions under the convention's rules; nan without them."""

    def measure(part: PartScores, rule: Convention) -> float:
        if rule.rules not in part.lesions:
            return float("nan")
        return score(part.lesions[rule.rules], rule.penalty(part))

    return measure


def _of_kept(score: Callable[[KeptScores], float]) -> Measure:
    """Make an overlap of the case without small predicted lesions; nan where none is dropped."""

    def measure(part: PartScores, rule: Convention) -> float:
        kept = _kept(part, rule)
        return float("nan") if kept is None else score(kept)

    return measure


def _kept(part: PartScores, rule: Convention) -> KeptScores | None:
    """Scores of the case without small predicted lesions; None where the rules drop none."""
    return part.lesions[rule.rules].kept if rule.rules in part.lesions else None


def _kept_dice(kept: KeptScores) -> float:
    """Volume Dice; 1 where both sides are empty."""
    return kept.volume_dice if kept.n_truth or kept.n_predicted else 1.0


def _kept_distance(part: PartScores, rule: Convention) -> float:
    """HD95 without small predicted lesions, mm."""
    kept = _kept(part, rule)
    return rule.distance(None if kept is None else kept.hd95_mm, part)


METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric(
            name=HEADLINE,
            better="higher",
            explained="Overlap of prediction and truth over the whole case, 2 x shared / (true + "
            "predicted): 1 is perfect, 0 is nothing in common. One value a case, then the mean "
            "over the cases. This is the one number that may be called Dice here.",
            measure=lambda part, rule: rule.overlap(part.counts.volume_dice, part.counts),
            is_compared=True,
            is_ranked=True,
        ),
        Metric(
            name="HD95 (mm)",
            unit="mm",
            better="lower",
            explained="95 % of the predicted surface lies at most this far from the true one, and "
            "the other way round; an empty side costs the convention's penalty.",
            measure=lambda part, rule: rule.distance(part.hd95_mm, part),
            is_beside=True,
            is_compared=True,
            is_ranked=True,
        ),
        Metric(
            name="surface Dice at 1 mm",
            better="higher",
            explained="Share of both surfaces that lie within 1 mm of each other.",
            measure=lambda part, rule: rule.overlap(part.surface_dice, part.counts),
            is_beside=True,
        ),
        Metric(
            name="sensitivity",
            better="higher",
            explained="Share of the true voxels that are predicted.",
            measure=lambda part, _: part.counts.sensitivity,
        ),
        Metric(
            name="specificity",
            better="higher",
            explained="Share of the other voxels that are not predicted.",
            measure=lambda part, _: part.counts.specificity,
        ),
        Metric(
            name="lesion-wise Dice",
            better="higher",
            explained="As volume Dice, for each lesion; a missed or a false lesion counts 0.",
            measure=_of_lesions(lambda lesions, _: lesions.lesionwise_dice),
            is_beside=True,
            is_compared=True,
        ),
        Metric(
            name="lesion-wise HD95 (mm)",
            unit="mm",
            better="lower",
            explained="As HD95, for each lesion; a missed or a false lesion counts the "
            "convention's penalty.",
            measure=_of_lesions(LesionScores.lesionwise_hd95),
        ),
        Metric(
            name="lesions TP",
            unit="lesions",
            better="higher",
            explained="Lesions of the truth that a predicted component comes near.",
            measure=_of_lesions(lambda lesions, _: lesions.n_found),
        ),
        Metric(
            name="lesions FP",
            unit="lesions",
            better="lower",
            explained="Predicted components that belong to no lesion of the truth.",
            measure=_of_lesions(lambda lesions, _: lesions.n_false),
        ),
        Metric(
            name="lesions FN",
            unit="lesions",
            better="lower",
            explained="Lesions of the truth that no predicted component comes near.",
            measure=_of_lesions(lambda lesions, _: lesions.n_missed),
        ),
        Metric(
            name="lesion-wise border Dice at 0.5 mm",
            better="higher",
            explained="As border Dice, for each lesion; a missed or a false lesion counts 0.",
            measure=_of_lesions(lambda lesions, _: lesions.lesionwise_border_dice(0.5)),
        ),
        Metric(
            name="lesion-wise border Dice at 1 mm",
            better="higher",
            explained="As border Dice, for each lesion; a missed or a false lesion counts 0.",
            measure=_of_lesions(lambda lesions, _: lesions.lesionwise_border_dice(1.0)),
        ),
        Metric(
            name="volume Dice, small lesions dropped",
            short="Dice, dropped",
            better="higher",
            explained="Volume Dice as BraTS 2024 reports it for the whole case: predicted lesions "
            "of few voxels are removed first.",
            measure=_of_kept(_kept_dice),
        ),
        Metric(
            name="HD95 (mm), small lesions dropped",
            short="HD95 (mm), dropped",
            unit="mm",
            better="lower",
            explained="HD95 as BraTS 2024 reports it for the whole case: predicted lesions of few "
            "voxels are removed first, and the numbers of the lesions enter the surface.",
            measure=_kept_distance,
        ),
        Metric(
            name="border Dice at 0.5 mm, small lesions dropped",
            better="higher",
            explained="Share of both borders, in voxels, within 0.5 mm of each other (the surface "
            "Dice of nnU-Net's first version), after small predicted lesions were removed.",
            measure=_of_kept(lambda kept: kept.border_dice[0]),
        ),
        Metric(
            name="border Dice at 1 mm, small lesions dropped",
            better="higher",
            explained="Share of both borders, in voxels, within 1 mm of each other (the surface "
            "Dice of nnU-Net's first version), after small predicted lesions were removed.",
            measure=_of_kept(lambda kept: kept.border_dice[1]),
        ),
        Metric(
            name="slice-mean Dice, tumour slices",
            short="slice Dice (tumour)",
            better="higher",
            explained="Mean of the Dice of each plane that holds the class in the truth.",
            measure=lambda part, _: part.slices.tumour_mean,
        ),
        Metric(
            name="slice-mean Dice, all slices, 0/0 = 1",
            short="slice Dice (all)",
            better="higher",
            explained="Mean of the Dice of every plane; an empty plane that is left empty counts "
            "1.",
            measure=lambda part, _: part.slices.all_mean,
        ),
        Metric(
            name="slice-mean Dice, all slices, empty ignored",
            short="slice Dice (filled)",
            better="higher",
            explained="Mean of the Dice of each plane in which truth or prediction has a voxel.",
            measure=lambda part, _: part.slices.filled_mean,
        ),
        Metric(
            name="(foreground + background) Dice / 2",
            short="two-sided Dice",
            better="higher",
            explained="Mean of the Dice of the class and the Dice of everything else.",
            measure=lambda part, _: part.counts.two_sided_dice,
        ),
    )
}
"""Every metric by name, in the order of the tables."""


def beside_headline() -> list[Metric]:
    """Metrics that are shown next to the headline."""
    return [metric for metric in METRICS.values() if metric.is_beside]


def compared_metrics() -> list[Metric]:
    """Metrics that runs are compared in, the headline first."""
    return [metric for metric in METRICS.values() if metric.is_compared]


def ranked_metrics() -> list[Metric]:
    """Metrics that a rank is made of."""
    return [metric for metric in METRICS.values() if metric.is_ranked]


def decimals(name: str) -> int:
    """Digits after the point of a metric's value; three for a name that is no metric's."""
    return METRICS[name].decimals if name in METRICS else 3
