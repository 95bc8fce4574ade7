"""Summaries of nnU-Net v2 from rows of a table: case, fold, and Dice and voxels of each part."""

import json
import math

import numpy as np


def entry(case, parts):
    """One case of `metric_per_case`; `parts` holds (Dice or None, reference voxels) by key."""
    metrics = {}
    for part, (dice, n_ref) in parts.items():
        value = math.nan if dice is None else dice
        metrics[part] = {"Dice": value, "n_ref": n_ref, "n_pred": n_ref}
    return {
        "metrics": metrics,
        "prediction_file": f"/results/{case}.nii.gz",
        "reference_file": f"/raw/labelsTr/{case}.nii.gz",
    }


def write_summaries(folder, rows, name="fold_{}/validation/summary.json"):
    """Write a summary a fold.

    Args:
        folder: to write to.
        rows: (case, fold, parts) of every case, parts as of `entry`.
        name: of a fold's file.
    """
    for fold in sorted({fold for _, fold, _ in rows}):
        cases = [entry(case, parts) for case, own, parts in rows if own == fold]
        path = folder / name.format(fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            json.dumps({"foreground_mean": {}, "mean": {}, "metric_per_case": cases}, indent=1)
        )
    return folder


def drawn_rows(seed, *, copies=(6, 4), others=(0, 0), alone=60, gain=0.0):
    """Rows and subjects of a made-up cross-validation of five folds; Dice rises with size.

    Args:
        seed: of the scores.
        copies: persons whose two cases have one reference: split between folds, within one fold.
        others: persons whose two cases have different references: split, within.
        alone: persons with one case.
        gain: added to the Dice of a case with a copy in another fold.
    """
    generator = np.random.default_rng(seed)
    rows, subjects = [], {}

    def add(person, fold, voxels, more=0.0):
        case = f"case_{len(rows):03}"
        subjects[case] = person
        dice = [0.3 + 0.04 * np.log(count) + generator.normal(0, 0.02) + more for count in voxels]
        parts = dict(zip(("1", "2"), zip(dice, voxels, strict=True), strict=True))
        rows.append((case, fold, parts))

    def voxels():
        return [int(count) for count in generator.integers(200, 20_000, 2)]

    for number in range(alone):
        add(f"alone{number}", number % 5, voxels())
    kinds = [("copies", copies, True), ("others", others, False)]
    for name, (n_split, n_within), same in kinds:
        for number in range(n_split + n_within):
            is_split = number < n_split
            own = voxels()
            for place in (0, 1):
                counts = own if same or not place else voxels()
                fold = (number + place * is_split) % 5
                add(f"{name}{number}", fold, counts, gain * (is_split and same))
    return rows, subjects
