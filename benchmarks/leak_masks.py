"""How far the two reference segmentations of a pair of cases agree, against the network's scores.

A network that has learnt the twin of a case reproduces the twin's segmentation. Its Dice is then
that of the two references with each other, whatever it would have scored without the twin.
"""

from dataclasses import dataclass

import nibabel as nib
import numpy as np

from benchmarks.twins import SERIAL, number
from bratsprep.config import USUAL_CLASSES
from bratstrain.leakage.estimates import mean_term, total
from bratstrain.scoring.permutation import permutation_test

RAW_LABELS = {"NCR": 2, "ED": 1, "ET": 3}
"""Codes of the Decathlon's label files."""


@dataclass(frozen=True)
class Agreement:
    """Pairs of one scan with two segmentations."""

    rows: np.ndarray
    """(pairs, 2) int64 rows of the two cases."""
    is_split: np.ndarray
    """(pairs,) bool: in different folds."""
    dice: np.ndarray
    """(pairs, classes) float64 Dice of the two references; nan where neither has the class."""

    def scores(self, dice):
        """Mean score of the two cases of each pair, (pairs, classes) float64.

        Args:
            dice: (n, classes) float64 of every case of the cross-validation.
        """
        both = dice[self.rows]
        scored = ~np.isnan(both)
        counts = scored.sum(axis=1)
        sums = np.where(scored, both, 0.0).sum(axis=1)
        return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)

    def compare(self, dice):
        """Distance of the scores from the agreement of the references, by class.

        Args:
            dice: (n, classes) float64 of every case of the cross-validation.
        """
        scores = self.scores(dice)
        return {part: self.compare_part(scores[:, i], self.dice[:, i])
                for i, part in enumerate(USUAL_CLASSES[1:])}  # fmt: skip

    def compare_part(self, scores, agreement):
        """The same for one class, from (pairs,) float64 scores and agreement."""
        known = ~np.isnan(scores + agreement)
        scores, agreement, is_split = scores[known], agreement[known], self.is_split[known]
        distance = np.abs(scores - agreement)
        split, within = distance[is_split], distance[~is_split]
        term = total([mean_term(within), mean_term(split).scaled(-1)])
        groups = {"split": is_split, "within": ~is_split}
        return {
            **{f"n_{name}": int(mask.sum()) for name, mask in groups.items()},
            **{f"agreement_{name}": float(agreement[mask].mean())
               for name, mask in groups.items()},
            **{f"score_{name}": float(scores[mask].mean()) for name, mask in groups.items()},
            **{f"distance_{name}": float(distance[mask].mean()) for name, mask in groups.items()},
            "correlation_split": float(np.corrcoef(scores[is_split], agreement[is_split])[0, 1]),
            "difference": term.estimate().to_json(),
            "p_one_sided": permutation_test(-distance, ~is_split).p,
        }  # fmt: skip


def agreement_of_pairs(audit, masks):
    """Compare the references of all pairs of one scan that was segmented twice.

    Serial scans are left out: both cases are of `SERIAL` there.

    Args:
        audit: of a network; all networks have the same pairs.
        masks: folder of the label files, `BRATS_001.nii.gz` and so on.
    """
    cases = audit.scores.cases
    pairs = [
        pair for pair in audit.exposure.pairs
        if not pair.is_copy
        and not {number(cases[pair.first]), number(cases[pair.second])} <= set(SERIAL)
    ]  # fmt: skip
    dice = [
        references_dice(*(masks / f"{cases[row]}.nii.gz" for row in (pair.first, pair.second)))
        for pair in pairs
    ]
    return Agreement(
        np.array([(pair.first, pair.second) for pair in pairs]),
        np.array([pair.is_split for pair in pairs]),
        np.array(dice),
    )


def references_dice(first, second):
    """Dice of each class between two label files on one grid; nan where neither has it."""
    one, other = (np.asanyarray(nib.load(path).dataobj) for path in (first, second))
    found = []
    for part in USUAL_CLASSES[1:]:
        a, b = one == RAW_LABELS[part], other == RAW_LABELS[part]
        size = int(a.sum()) + int(b.sum())
        found.append(2 * int((a & b).sum()) / size if size else np.nan)
    return found
