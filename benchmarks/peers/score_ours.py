"""Ours: `bratstrain.scoring.metrics` and what it stands on, one thread."""

import numpy as np

from benchmarks.peers.score_runner import REGIONS, SPACING, Case, each_region, run
from bratsprep.labels import shipped
from bratstrain.scoring.lesion_rules import RULES
from bratstrain.scoring.lesions import lesion_scores
from bratstrain.scoring.metrics import Grid, score_case
from bratstrain.scoring.surface import surface_distances

PENALTY_MM = 374.0
GLIOMA = shipped()["brats2017"].classes


def dice(case: Case) -> dict[str, list[float]]:
    """Volume Dice, with all else that follows from counts."""
    pair = case.truth, case.predicted
    parts = score_case(*pair, Grid(SPACING), GLIOMA, tolerances=None, lesions=()).parts
    return {region: [parts[region].counts.volume_dice] for region in REGIONS}


def hd95(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """HD95 of a region, mm."""
    return [surface_distances(truth, predicted, SPACING).hausdorff()]


def lesions(truth: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Lesion-wise Dice and HD95 of a region by the rules of 2023."""
    found = lesion_scores(truth, predicted, SPACING, RULES["brats2023"])
    return [found.lesionwise_dice, found.lesionwise_hd95(PENALTY_MM)]


def everything(case: Case) -> dict[str, list[float]]:
    """What `bratstrain evaluate` takes of a case: every measure of five classes and regions."""
    parts = score_case(case.truth, case.predicted, Grid(SPACING), GLIOMA).parts
    return {region: [parts[region].counts.volume_dice] for region in REGIONS}


if __name__ == "__main__":
    run(
        {
            "dice": dice,
            "hd95": each_region(hd95),
            "lesions": each_region(lesions),
            "everything": everything,
        }
    )
