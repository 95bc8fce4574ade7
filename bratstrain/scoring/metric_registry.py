"""The metrics of an evaluation: one record each, from which tables, pages and comparisons are made.

To add a metric, add a record to `METRICS` and raise `EVALUATION_VERSION`. A metric that needs a new
measurement of the masks also needs a field of `bratstrain.scoring.metrics.PartScores`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bratstrain.scoring.measures import (
    calibration_error,
    distance,
    kept_distance,
    of_kept,
    of_lesions,
    surface_dice,
)
from bratstrain.scoring.metric import Metric
from bratstrain.scoring.surface_scores import SURFACE_TOLERANCES_MM, SurfaceScores

EVALUATION_VERSION: Final = 5
"""Raised with every change of a number in an evaluation, so that stored ones are made anew."""
HEADLINE: Final = "volume Dice"
"""The one metric that is called Dice without a further word."""
POOLED: Final = "pooled Dice"
"""Dice of the summed voxels of all cases; large tumours dominate it. It has no value per case."""


def surface_distance(name: str, explained: str, score: Callable[[SurfaceScores], float]) -> Metric:
    """Record of a distance between the surfaces, mm.

    Args:
        name: without the unit.
        explained: what it is, without a full stop.
        score: reads it from the scores of the surfaces.
    """
    return Metric(
        name=f"{name} (mm)",
        unit="mm",
        better="lower",
        is_penalised=True,
        explained=f"{explained}; an empty side costs the convention's penalty.",
        measure=distance(score),
    )


def surface_dice_at(tolerance_mm: float) -> Metric:
    """Record of the surface Dice at a tolerance, mm."""
    return Metric(
        name=f"surface Dice at {tolerance_mm:g} mm",
        better="higher",
        explained=f"Share of both surfaces that lie within {tolerance_mm:g} mm of each other.",
        measure=surface_dice(tolerance_mm),
        is_beside=tolerance_mm == 1,
    )


def lesion_surface_dice_at(tolerance_mm: float) -> Metric:
    """Record of the lesion-wise surface Dice at a tolerance, mm."""
    return Metric(
        name=f"lesion-wise surface Dice at {tolerance_mm:g} mm",
        better="higher",
        explained="As surface Dice, for each lesion; a missed or a false lesion counts 0.",
        measure=of_lesions(lambda lesions, _: lesions.lesionwise_surface_dice(tolerance_mm)),
    )


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
            name="IoU",
            better="higher",
            explained="Shared voxels in those of either side, the Jaccard index: Dice / (2 - "
            "Dice), case by case.",
            measure=lambda part, rule: rule.overlap(part.counts.iou, part.counts),
        ),
        Metric(
            name="HD95 (mm)",
            unit="mm",
            better="lower",
            is_penalised=True,
            explained="95 % of the predicted surface lies at most this far from the true one, and "
            "the other way round; an empty side costs the convention's penalty.",
            measure=distance(lambda surface: surface.hd95_mm),
            is_beside=True,
            is_compared=True,
            is_ranked=True,
        ),
        surface_distance(
            "HD100",
            "Hausdorff distance: the point of either surface that is furthest from the other",
            lambda surface: surface.hd100_mm,
        ),
        surface_distance(
            "ASSD",
            "Average symmetric surface distance: mean distance over both surfaces together",
            lambda surface: surface.assd_mm,
        ),
        surface_distance(
            "MASD",
            "Mean average surface distance: mean of the mean distances of the two directions",
            lambda surface: surface.masd_mm,
        ),
        *map(surface_dice_at, SURFACE_TOLERANCES_MM),
        Metric(
            name="sensitivity",
            better="higher",
            explained="Share of the true voxels that are predicted; left out where the truth is "
            "empty.",
            measure=lambda part, _: part.counts.sensitivity,
        ),
        Metric(
            name="precision",
            better="higher",
            explained="Share of the predicted voxels that are true; left out where nothing is "
            "predicted.",
            measure=lambda part, _: part.counts.precision,
        ),
        Metric(
            name="specificity",
            better="higher",
            explained="Share of the other voxels that are not predicted; near 1 for any small "
            "tumour, since nearly every voxel is background.",
            measure=lambda part, _: part.counts.specificity,
        ),
        Metric(
            name="volume difference (ml)",
            unit="ml",
            better="",
            explained="Predicted minus true volume; below 0 where too little is predicted.",
            measure=lambda part, _: part.volume_error_ml,
            range="difference",
        ),
        Metric(
            name="relative volume difference",
            better="",
            explained="Predicted minus true volume in parts of the true one; left out where the "
            "truth is empty.",
            measure=lambda part, _: part.counts.volume_difference,
            range="difference",
        ),
        Metric(
            name="absolute relative volume difference",
            better="lower",
            explained="The same without its sign, so that too much and too little do not cancel "
            "out.",
            measure=lambda part, _: abs(part.counts.volume_difference),
            range="positive",
        ),
        Metric(
            name="calibration error (ECE)",
            short="ECE",
            better="lower",
            explained="Expected calibration error of the probability of the class or region over "
            "the predicted brain voxels: mean gap between predicted probability and true share in "
            "15 bins. Only runs have it, since label files hold no probabilities.",
            measure=calibration_error,
        ),
        Metric(
            name="lesion-wise Dice",
            better="higher",
            explained="As volume Dice, for each lesion; a missed or a false lesion counts 0.",
            measure=of_lesions(lambda lesions, _: lesions.lesionwise_dice),
            is_beside=True,
            is_compared=True,
        ),
        Metric(
            name="lesion-wise HD95 (mm)",
            unit="mm",
            better="lower",
            is_penalised=True,
            explained="As HD95, for each lesion; a missed or a false lesion counts the "
            "convention's penalty.",
            measure=of_lesions(lambda lesions, penalty: lesions.lesionwise_hd95(penalty)),
        ),
        *map(lesion_surface_dice_at, SURFACE_TOLERANCES_MM),
        Metric(
            name="lesions TP",
            unit="lesions",
            better="higher",
            explained="Lesions of the truth that a predicted component comes near, or is paired "
            "with, by the convention.",
            measure=of_lesions(lambda lesions, _: lesions.n_found),
        ),
        Metric(
            name="lesions FP",
            unit="lesions",
            better="lower",
            explained="Predicted components that belong to no lesion of the truth.",
            measure=of_lesions(lambda lesions, _: lesions.n_false),
        ),
        Metric(
            name="lesions FN",
            unit="lesions",
            better="lower",
            explained="Lesions of the truth that no predicted component comes near, or is paired "
            "with.",
            measure=of_lesions(lambda lesions, _: lesions.n_missed),
        ),
        Metric(
            name="lesion-wise F1",
            short="lesion F1",
            better="higher",
            explained="2 TP / (2 TP + FP + FN) of the lesions above; 1 with no lesion on either "
            "side.",
            measure=of_lesions(lambda lesions, _: lesions.f1),
        ),
        Metric(
            name="F1 of small lesions",
            better="higher",
            explained="As lesion-wise F1, of the lesions below the least volume of the "
            "convention; one is found by a component of at least its Dice (BraTS-MET 2026: 27 "
            "mm3, 0.2). False lesions of every size count. Left out without a small lesion.",
            measure=of_lesions(lambda lesions, _: lesions.small_f1),
        ),
        Metric(
            name="F1 of large lesions",
            better="higher",
            explained="The same of the other lesions.",
            measure=of_lesions(lambda lesions, _: lesions.large_f1),
        ),
        Metric(
            name="lesion-wise border Dice at 0.5 mm",
            better="higher",
            explained="As border Dice, for each lesion; a missed or a false lesion counts 0.",
            measure=of_lesions(lambda lesions, _: lesions.lesionwise_border_dice(0.5)),
        ),
        Metric(
            name="lesion-wise border Dice at 1 mm",
            better="higher",
            explained="As border Dice, for each lesion; a missed or a false lesion counts 0.",
            measure=of_lesions(lambda lesions, _: lesions.lesionwise_border_dice(1.0)),
        ),
        Metric(
            name="volume Dice, small lesions dropped",
            short="Dice, dropped",
            better="higher",
            explained="Volume Dice as BraTS 2024 reports it for the whole case: predicted lesions "
            "of few voxels are removed first.",
            measure=of_kept(lambda kept: kept.volume_dice),
        ),
        Metric(
            name="HD95 (mm), small lesions dropped",
            short="HD95 (mm), dropped",
            unit="mm",
            better="lower",
            is_penalised=True,
            explained="HD95 as BraTS 2024 reports it for the whole case: predicted lesions of few "
            "voxels are removed first, and the numbers of the lesions enter the surface.",
            measure=kept_distance,
        ),
        Metric(
            name="border Dice at 0.5 mm, small lesions dropped",
            better="higher",
            explained="Share of both borders, in voxels, within 0.5 mm of each other (the surface "
            "Dice of nnU-Net's first version), after small predicted lesions were removed.",
            measure=of_kept(lambda kept: kept.border_dice[0]),
        ),
        Metric(
            name="border Dice at 1 mm, small lesions dropped",
            better="higher",
            explained="Share of both borders, in voxels, within 1 mm of each other (the surface "
            "Dice of nnU-Net's first version), after small predicted lesions were removed.",
            measure=of_kept(lambda kept: kept.border_dice[1]),
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


def every_metric(tolerances: Iterable[float] = ()) -> dict[str, Metric]:
    """Every metric by name, the surface Dice at further tolerances in mm last."""
    further = [
        record(limit)
        for record in (surface_dice_at, lesion_surface_dice_at)
        for limit in tolerances
    ]
    return METRICS | {metric.name: metric for metric in further if metric.name not in METRICS}


def metrics_named(words: Sequence[str], tolerances: Iterable[float] = ()) -> list[Metric]:
    """Look metrics up by name, short name or name without the unit, in any case.

    Args:
        words: what the user calls them.
        tolerances: further ones of the surface Dice, mm.

    Raises:
        ValueError: no metric has such a name.
    """
    known = every_metric(tolerances)
    by_word = {word: metric for metric in known.values() for word in metric.words}
    unknown = [word for word in words if word.casefold() not in by_word]
    if unknown:
        raise ValueError(f"metric {unknown[0]!r} is unknown; one of {', '.join(known)}")
    return [by_word[word.casefold()] for word in words]


def decimals(name: str) -> int:
    """Digits after the point of a metric's value; three for a name that is no metric's."""
    return METRICS[name].decimals if name in METRICS else 3
