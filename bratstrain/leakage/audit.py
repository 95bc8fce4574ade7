"""The leak of a published cross-validation: out-of-fold scores beside repeated patients."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.discovery.subject_tables import SubjectTable, table_for
from bratstrain.leakage.estimates import Estimate, Term, case_means, part_means, total
from bratstrain.leakage.exposure import ALONE, COPY, EXPOSURES, OTHER, Exposure, find_exposure
from bratstrain.leakage.pair_comparison import PairComparison, compare_pairs, kind_of_pairs
from bratstrain.leakage.result import MEAN, Audit, Inflation
from bratstrain.leakage.size_model import regress, size_residuals
from bratstrain.leakage.summaries import CrossValidation, read_summaries

ADJUSTED: Final = "mean, adjusted for size"
FEW: Final = 10
"""Pairs on a side below which the size of a difference is uncertain."""


def evaluate_nnunet(results: Path | str, *, subjects: Path | str = "auto") -> Audit:
    """Show what repeated patients do to the scores of an nnU-Net v2 cross-validation.

    The network of a fold is taken to be fitted on all cases of the other folds, as nnU-Net does.

    Example:
        bratstrain.evaluate_nnunet("nnUNetTrainer__nnUNetPlans__3d_fullres").lines()

    Args:
        results: folder or archive with a `summary.json` of each fold, as
            `fold_K/validation/summary.json`, or flat as `fold_K.json` or `summary_K.json`.
        subjects: CSV file with the columns `case` and `subject`, such as `bratsprep twins -o`
            writes; `auto` for the built-in table of Task01, otherwise the ids themselves; `names`
            for the ids alone.

    Raises:
        BratsError: there are fewer than two folds, a file is no summary, or the table is at fault.
    """
    people = table_for(subjects)
    return audit(read_summaries(Path(results)), people)


def audit(scores: CrossValidation, people: SubjectTable) -> Audit:
    """Compare cases with and without a twin in training.

    Args:
        scores: out-of-fold scores.
        people: table of subjects.
    """
    exposure = find_exposure(scores, people)
    means = case_means(scores.dice)
    values = {MEAN: means}
    values |= {part: scores.dice[:, i] for i, part in enumerate(scores.parts)}
    adjusted = size_residuals(means, scores.voxels, exposure.mask(ALONE))
    if adjusted is not None:
        values[ADJUSTED] = adjusted
    comparisons = tuple(compare_pairs(exposure, values))
    by_kind = {
        kind: table_means(scores, exposure, exposure.mask(kind))
        for kind in EXPOSURES
        if exposure.mask(kind).any()
    }
    return Audit(
        scores,
        exposure,
        identified(exposure, people),
        table_means(scores, exposure, np.ones(len(means), bool)),
        by_kind,
        comparisons,
        estimate_inflation(exposure, comparisons),
        regress(means, scores.voxels, exposure),
        tuple(caveats(scores, exposure, comparisons)),
    )


def table_means(
    scores: CrossValidation, exposure: Exposure, chosen: NDArray[np.bool_]
) -> dict[str, Estimate]:
    """Means of the parts over some cases, and the mean of these means.

    Args:
        scores: of all cases.
        exposure: of all cases.
        chosen: (n,) bool, the cases to average over.
    """
    subjects = [exposure.subjects[i] for i in np.flatnonzero(chosen)]
    parts, mean = part_means(scores.dice[chosen], subjects)
    return {MEAN: mean, **dict(zip(scores.parts, parts, strict=True))}


def estimate_inflation(exposure: Exposure, comparisons: Sequence[PairComparison]) -> Inflation:
    """Estimate what twins in training add to the mean over all cases.

    The difference between split pairs and pairs within one fold stands for the effect on every
    exposed case of that kind.

    Args:
        exposure: of the cases.
        comparisons: of the pairs.
    """
    n = len(exposure.kinds)
    terms: dict[str, Term] = {}
    for comparison in comparisons:
        if comparison.score == MEAN and comparison.term is not None:
            kind = COPY if comparison.is_copy else OTHER
            terms[kind] = comparison.term.scaled(exposure.kinds.count(kind) / n)
    exposed = {kind for kind in (COPY, OTHER) if kind in exposure.kinds}
    whole = total(list(terms.values())).estimate() if exposed and exposed <= set(terms) else None
    return Inflation({kind: term.estimate() for kind, term in terms.items()}, whole)


def identified(exposure: Exposure, people: SubjectTable) -> str:
    """Say how persons were identified."""
    n, n_table = len(exposure.subjects), exposure.n_from_table
    table = "the table of Task01" if people.key == "auto" else "the given table"
    if not n_table:
        return "persons from case ids alone"
    rest = f", of the other {n - n_table} from case ids" if n_table < n else ""
    return f"persons of {n_table} cases from {table}{rest}"


def caveats(
    scores: CrossValidation, exposure: Exposure, comparisons: Sequence[PairComparison]
) -> list[str]:
    """List what the numbers do not show.

    Args:
        scores: out-of-fold scores.
        exposure: of the cases.
        comparisons: of the pairs.
    """
    notes = ["networks with the same folds and cases are one observation of the leak, not several"]
    missing = sorted(set(range(max(scores.folds) + 1)) - set(scores.folds))
    if missing:
        notes.append(
            f"fold {', '.join(map(str, missing))} is missing: twins of its cases are not counted"
        )
    if not exposure.n_from_table:
        notes.append(
            "ids alone identify persons; 'bratsprep twins' compares images or masks, and its table "
            "is read with --subjects"
        )
    for comparison in comparisons:
        fewest = min(comparison.n_split, comparison.n_within)
        if comparison.score == MEAN and fewest < FEW:
            notes.append(few_note(comparison))
    if exposure.n_larger:
        notes.append(
            f"{exposure.n_larger} persons have more than two cases: they are in the means and the "
            "regression, not in the comparison of pairs"
        )
    return notes


def few_note(comparison: PairComparison) -> str:
    """State that a comparison rests on few pairs, or on none on one side."""
    kind = kind_of_pairs(comparison.is_copy)
    counts = f"{comparison.n_split} split and {comparison.n_within} within one fold"
    if comparison.term is None:
        return f"pairs with the {kind}: {counts}, so that there is nothing to compare"
    return (
        f"pairs with the {kind}: {counts}; so few cannot show the size of the effect, only "
        "whether chance alone explains it"
    )
