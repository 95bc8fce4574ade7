"""What a case of a given size scores: least squares on the logarithm of the reference voxels.

Small structures have a lower Dice than large ones, whatever the network. Two sets of cases are
therefore compared after their sizes have been accounted for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.leakage.estimates import Estimate, Term
from bratstrain.leakage.exposure import ALONE, COPY, EXPOSURES, OTHER, Exposure

CASES_A_COLUMN: Final = 5
"""Cases needed for each column of the design, below which nothing is fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """Effect of each kind of exposure at equal sizes, against persons who occur once."""

    effects: dict[str, Estimate]
    """By kind of exposure; kinds without a case are omitted."""
    inflation: Estimate
    """Effects of COPY and OTHER, as a share of all cases."""
    n_cases: int
    n_subjects: int
    r_squared: float
    """Share of the variance of the scores that the model explains."""


def size_columns(voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give 1, log voxels of each part, and whether the part is absent.

    Columns that are constant, as absence mostly is, are left out.

    Args:
        voxels: (n, parts) int64 voxels of the reference.

    Returns:
        (n, k) float64.
    """
    absent = voxels == 0
    logs = np.log(np.where(absent, 1, voxels))
    columns = np.column_stack([logs, absent])
    varying = columns[:, np.ptp(columns, axis=0) > 0]
    return np.column_stack([np.ones(len(voxels)), varying])


def size_residuals(
    values: NDArray[np.float64], voxels: NDArray[np.int64], reference: NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Subtract what a case of the reference set with these sizes scores.

    Args:
        values: (n,) float64 score of each case; nan where it has none.
        voxels: (n, parts) int64 voxels of the reference segmentation.
        reference: (n,) bool, cases that the model is fitted on.

    Returns:
        (n,) float64; None where the reference set is too small for the model.
    """
    design = size_columns(voxels)
    fitted = reference & ~np.isnan(values)
    if fitted.sum() < CASES_A_COLUMN * design.shape[1]:
        return None
    weights = np.linalg.lstsq(design[fitted], values[fitted], rcond=None)[0]
    return np.asarray(values - design @ weights, np.float64)


def regress(
    values: NDArray[np.float64], voxels: NDArray[np.int64], exposure: Exposure
) -> Regression | None:
    """Regress the score of a case on its sizes and its kind of exposure.

    The variance is robust against cases of one person being alike (Liang and Zeger 1986). With few
    persons it is too small; the degrees of freedom are therefore those of the exposed persons, not
    of all.

    Args:
        values: (n,) float64 score of each case; nan where it has none.
        voxels: (n, parts) int64 voxels of the reference segmentation.
        exposure: of the cases.

    Returns:
        The effects; None where too few cases remain, or persons who occur once or twice do not.
    """
    kept = ~np.isnan(values)
    masks = {kind: exposure.mask(kind)[kept] for kind in EXPOSURES}
    kinds = [kind for kind in EXPOSURES if kind != ALONE and masks[kind].any()]
    sizes = size_columns(voxels)[kept]
    if not kinds or masks[ALONE].sum() < CASES_A_COLUMN * sizes.shape[1]:
        return None
    design = np.column_stack([*(masks[kind] for kind in kinds), sizes]).astype(np.float64)
    subjects = [exposure.subjects[i] for i in np.flatnonzero(kept)]
    weights, variance = clustered(design, values[kept], subjects)
    n_free = {kind: len({*np.array(subjects)[masks[kind]]}) - 1 for kind in kinds}
    effects = {
        kind: Term(float(weights[i]), float(variance[i, i]), n_free[kind]).estimate()
        for i, kind in enumerate(kinds)
    }
    shares = np.zeros(len(weights))
    exposed = [kind for kind in (COPY, OTHER) if kind in kinds]
    for kind in exposed:
        shares[kinds.index(kind)] = masks[kind].mean()
    fewest = min((n_free[kind] for kind in exposed), default=0)
    inflation = Term(float(shares @ weights), float(shares @ variance @ shares), fewest)
    left = values[kept] - design @ weights
    explained = 1 - float(left.var()) / max(float(values[kept].var()), np.finfo(np.float64).tiny)
    return Regression(effects, inflation.estimate(), len(left), len(set(subjects)), explained)


def clustered(
    design: NDArray[np.float64], values: NDArray[np.float64], subjects: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit by least squares, with the covariance of the weights over clusters.

    Args:
        design: (n, k) float64, n above k.
        values: (n,) float64.
        subjects: cluster of each row.

    Returns:
        (k,) float64 weights and their (k, k) float64 covariance.
    """
    inverse = np.linalg.pinv(design.T @ design)
    weights = inverse @ design.T @ values
    scores = design * (values - design @ weights)[:, None]
    _, rows = np.unique(np.array([*subjects], str), return_inverse=True)
    n_clusters = int(rows.max()) + 1
    sums = np.zeros((n_clusters, design.shape[1]))
    np.add.at(sums, rows, scores)
    n, k = design.shape
    factor = n_clusters / max(n_clusters - 1, 1) * (n - 1) / (n - k)
    covariance = factor * inverse @ (sums.T @ sums) @ inverse
    if n_clusters < 2:
        covariance = np.full_like(covariance, math.nan)
    return weights, covariance
