"""Ranks as the BraTS challenge computes them, per case, region and metric.

After Bakas et al. 2018 (arXiv:1811.02629): the runs are ranked on every case for each region, ET,
TC and WT of gliomas, by Dice and by HD95, equal values sharing the mean of their ranks; a run's
final rank is the mean of all of those. A rank does not depend on the size of a difference.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bratstrain.evaluation.stored import Evaluation
from bratstrain.scoring.metric import Metric
from bratstrain.scoring.metric_registry import ranked_metrics
from bratstrain.scoring.paired_tests import average_ranks


def challenge_ranks(evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
    """Mean rank of each run over all cases, regions and metrics; 1 is best.

    Args:
        evaluations: of the same cases and classes under the same convention.

    Returns:
        (runs,) float64. Values that a convention leaves out for a run are left out for all runs.
    """
    races = [
        _smaller_is_better(metric)
        * np.array([evaluation.values(metric.name, region) for evaluation in evaluations])
        for region in evaluations[0].classes.region_names
        for metric in ranked_metrics()
    ]
    return mean_ranks(np.concatenate(races, axis=1))


def _smaller_is_better(metric: Metric) -> float:
    """Sign that makes the smaller number the better one."""
    return 1.0 if metric.better == "lower" else -1.0


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
