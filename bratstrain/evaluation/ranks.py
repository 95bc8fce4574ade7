"""Ranks as the BraTS challenge gives them: each case, region and metric is a race of its own.

After Bakas et al. 2018 (arXiv:1811.02629): the runs are ranked on every case for each of ET, TC
and WT by Dice and by HD95, equal values sharing the mean of their ranks; a run's final rank is
the mean of all of those. A rank does not mind by how much a race was won.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import REGIONS
from bratstrain.evaluation.stored import Evaluation
from bratstrain.scoring.paired_tests import average_ranks

RACES: Final = (("volume Dice", -1.0), ("HD95 (mm)", 1.0))
"""Metrics, and the sign that makes the smaller number the better one."""


def challenge_ranks(evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
    """Mean rank of each run over all cases, regions and metrics; 1 is best.

    Args:
        evaluations: of the same cases under the same convention.

    Returns:
        (runs,) float64. Races that a convention leaves out for a run are not run.
    """
    races = [
        sign * np.array([each.values(metric, region) for each in evaluations])
        for region in REGIONS
        for metric, sign in RACES
    ]
    return mean_ranks(np.concatenate(races, axis=1))


def mean_ranks(results: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average the ranks of each run over all races.

    Args:
        results: (runs, races) float64, the smaller the better; races with a nan are left out.

    Returns:
        (runs,) float64; nan where no race is left.
    """
    full = results[:, ~np.isnan(results).any(axis=0)]
    if not full.shape[1]:
        return np.full(len(results), np.nan)
    ranks = np.array([average_ranks(race) for race in full.T])
    return np.asarray(ranks.mean(axis=0), np.float64)
