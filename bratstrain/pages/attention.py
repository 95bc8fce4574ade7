"""What to look at first: the cases that the network is least sure of, and unusual images."""

import math
from typing import Any, Final

import numpy as np

from bratstrain.evaluation.rank_correlation import LEAST_CASES, rank_correlation
from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.uncertainty import EXPLAINED, passes
from bratstrain.pages.score_sections import MEAN, digits
from bratstrain.scoring.metric_registry import HEADLINE

MOST_LISTED: Final = 10
"""Cases of the list."""


def attention(evaluation: Evaluation) -> dict[str, Any]:
    """Content of the section; `first` is empty where uncertainty was not computed."""
    uncertainty = evaluation.uncertainty
    values = evaluation.values(HEADLINE, MEAN)
    order = np.argsort(-np.nan_to_num(uncertainty, nan=math.inf), kind="stable")[:MOST_LISTED]
    known = np.isfinite(uncertainty).any()
    return {
        "first": [
            (evaluation.cases[i], how_sure(float(uncertainty[i])), digits(float(values[i])))
            for i in order
        ]
        if known
        else [],
        "passes": passes(str(evaluation.record["about"].get("tta", "none"))),
        "explained": EXPLAINED,
        "works": works(evaluation),
        "odd": {case: list(notes) for case, notes in evaluation.odd_images.items()},
    }


def how_sure(uncertainty: float) -> str:
    """Uncertainty of a case as text."""
    return "nothing is predicted" if math.isnan(uncertainty) else f"{uncertainty:.3f}"


def works(evaluation: Evaluation) -> str:
    """Say whether uncertain cases are in fact those of low scores, on these cases."""
    found = rank_correlation(evaluation.uncertainty, evaluation.values(HEADLINE, MEAN))
    if math.isnan(found.rho):
        return (
            f"Whether the list finds the bad cases cannot be told from {found.n} cases; at least "
            f"{LEAST_CASES} that differ are needed."
        )
    if not found.is_clear:
        verdict = "these cases do not show that the list finds the bad ones"
    elif found.rho < 0:
        verdict = "on these cases the list finds the bad ones"
    else:
        verdict = "on these cases the list misleads: sure cases score lower"
    return f"Against {HEADLINE}, Spearman's rank correlation is {found.text()}: {verdict}."
