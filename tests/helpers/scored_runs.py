"""Evaluations made by hand, for pages and comparisons: no network, no volume."""

import json
from pathlib import Path

import numpy as np

from bratsprep.config import USUAL_MODALITIES
from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.tables import Report, to_json
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.metrics import CaseScores, Counts, PartScores, SliceScores
from bratstrain.scoring.surface_scores import SurfaceScores
from tests.helpers.class_sets import GLIOMA

SIDE = 100
"""Voxels of each class in the truth of a case."""


def case_scores(name, dice, hd95_mm, classes=GLIOMA):
    """A case whose every class has that volume Dice, by voxels missed and invented alike."""
    shared = round(SIDE * dice)
    wrong = SIDE - shared
    n_tumour = len(classes.tumour)
    confusion = np.diag([10_000 - n_tumour * wrong, *[shared] * n_tumour])
    confusion[0, 1:] = confusion[1:, 0] = wrong
    parts = {}
    for part, labels in classes.parts.items():
        n = len(labels)
        counts = Counts(n * shared, n * wrong, n * wrong, 10_000)
        slices = SliceScores(10, 5, 1, 4.0)
        surface = SurfaceScores(
            hd95_mm, 2 * hd95_mm, hd95_mm / 4, hd95_mm / 4, {0.5: dice, 1: dice}
        )
        parts[part] = PartScores(part, counts, 1.0, slices, surface, {})
    return CaseScores(name, confusion, parts, classes)


def report(dice=0.8, hd95_mm=3.0, *, run="run", cases=("a", "b"), notes=(), classes=GLIOMA):
    """A report of some cases; arguments as of `evaluation`."""
    values = [np.broadcast_to(np.asarray(each, float), len(cases)) for each in (dice, hd95_mm)]
    scores = [
        case_scores(name, float(a), float(b), classes)
        for name, a, b in zip(cases, *values, strict=True)
    ]
    table = summarise(scores, cases="test of fold 0", planes="every plane")
    about = {"run": Path(run).name, "split digest": "d" * 64, "versions": {"torch": "2"}}
    about["modalities"] = list(USUAL_MODALITIES)
    return Report("test-raw", tuple(notes), about, tuple(scores), table)


def evaluation(
    dice=0.8, hd95_mm=3.0, *, run="run", cases=("a", "b"), notes=(), classes=GLIOMA, **changes
):
    """An evaluation of some cases.

    Args:
        dice: of every case, or one for each.
        hd95_mm: the same.
        run: its folder.
        cases: ids.
        notes: caveats.
        classes: of the labels.
        **changes: entries of the record to replace.
    """
    made = report(dice, hd95_mm, run=run, cases=cases, notes=notes, classes=classes)
    record = json.loads(json.dumps(to_json(made))) | changes
    return Evaluation(Path(run), record)
