"""Scores in the form of nnU-Net v2's `summary.json`, for tools that read it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bratstrain.scoring.metrics import CaseScores, Counts


def nnunet_summary(scores: Sequence[CaseScores], note: str) -> dict[str, Any]:
    """Give the voxel counts, Dice and IoU of every case and class, and their means.

    Keys are the stored labels, of gliomas `1` NCR, `2` ED, `3` ET. Under nnU-Net's convention a
    Dice is NaN where neither side has a voxel, and such a case is left out of the mean; JSON of
    nnU-Net holds the word NaN. File names stand for case ids.

    Args:
        scores: of the cases, at least one.
        note: which cases and planes were scored; nnU-Net has no key for it and ignores `note`.
    """
    labels = {str(label): name for label, name in enumerate(scores[0].classes.classes) if label}
    metrics = [
        {key: metrics_of(case.parts[name].counts) for key, name in labels.items()}
        for case in scores
    ]
    names = [f"{case.case}.nii.gz" for case in scores]
    cases = [
        {"metrics": own, "prediction_file": name, "reference_file": name}
        for own, name in zip(metrics, names, strict=True)
    ]
    means = {key: mean_of([own[key] for own in metrics]) for key in labels}
    return {
        "foreground_mean": mean_of(list(means.values())),
        "mean": means,
        "metric_per_case": cases,
        "note": f"{note}; labels {', '.join(f'{key} {name}' for key, name in labels.items())}",
    }


def metrics_of(counts: Counts) -> dict[str, float]:
    """Counts, Dice and IoU of one class in one case."""
    return {
        "Dice": counts.volume_dice,
        "IoU": counts.iou,
        "FN": counts.fn,
        "FP": counts.fp,
        "TN": counts.tn,
        "TP": counts.tp,
        "n_pred": counts.n_predicted,
        "n_ref": counts.n_truth,
    }


def mean_of(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Average metrics over cases or classes; NaN is left out, and the mean of NaN alone is NaN."""
    means = {}
    for name in metrics[0]:
        values = np.array([one[name] for one in metrics], np.float64)
        known = values[~np.isnan(values)]
        means[name] = float(known.mean()) if known.size else math.nan
    return means
