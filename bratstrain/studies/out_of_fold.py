"""One table over the cases of all folds, each scored by the network that has not seen it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bratsprep.errors import BratsError
from bratstrain.apply_config import DEFAULT_CONVENTIONS
from bratstrain.data.trained_cases import Compared
from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.evaluation.kept_scores import Kept
from bratstrain.evaluation.tables import Report, write_report
from bratstrain.scoring.aggregate import summarise

NAME: Final = "out-of-fold"
"""Of the evaluation, and of its folder in that of the cross-validation."""


def out_of_fold(kept: Sequence[Kept], split: str, about: Mapping[str, Any], folder: Path) -> Report:
    """Join the scores of all folds, and write their tables.

    Args:
        kept: scores of each fold's validation cases, in the order of the folds.
        split: name of the split.
        about: facts for the JSON.
        folder: for the tables; it exists.

    Raises:
        BratsError: the folds are scored over other planes, or a file cannot be written.
    """
    if len({fold.planes for fold in kept}) > 1:
        raise BratsError(
            f"{folder}: the folds are scored over other planes: "
            f"{'; '.join(sorted({fold.planes for fold in kept}))}"
        )
    scores = sorted((case for fold in kept for case in fold.scores), key=lambda case: case.case)
    title, planes = f"out of fold, {len(kept)} folds, split {split}", kept[0].planes
    table = summarise(scores, cases=title, planes=planes, conventions=DEFAULT_CONVENTIONS)
    repeats = joined_twins([fold.repeats for fold in kept if fold.repeats is not None])
    alone = [case for case in scores if repeats is None or case.case not in repeats.cases]
    second = None
    if 0 < len(alone) < len(scores):
        name = f"{title}, {WITHOUT}"
        second = summarise(alone, cases=name, planes=planes, conventions=DEFAULT_CONVENTIONS)
    report = Report(
        name=NAME,
        notes=joined_notes([fold.notes for fold in kept]),
        about=about,
        scores=tuple(scores),
        table=table,
        repeats=repeats,
        table_without_twins=second,
        set_aside={case: why for fold in kept for case, why in fold.set_aside.items()},
        folder=folder,
    )
    write_report(report, folder)
    return report


def joined_twins(folds: Sequence[Twins]) -> Twins | None:
    """Join what each fold says of repeated patients in its own training."""
    if not folds:
        return None
    images = [fold.images for fold in folds if fold.images is not None]
    return Twins(
        noun="out-of-fold case",
        n_cases=sum(fold.n_cases for fold in folds),
        cases={case: own for fold in folds for case, own in sorted(fold.cases.items())},
        are_told=all(fold.are_told for fold in folds),
        images=joined_images(images) if len(images) == len(folds) else None,
    )


def joined_images(folds: Sequence[Compared]) -> Compared:
    """Join comparisons of images; the number of training cases is that of the largest fold."""
    best = [fold.best for fold in folds if fold.best is not None]
    return replace(
        folds[0],
        n_cases=sum(fold.n_cases for fold in folds),
        n_trained=max(fold.n_trained for fold in folds),
        best=max(best, default=None),
        certain={case: own for fold in folds for case, own in fold.certain.items()},
        likely={case: own for fold in folds for case, own in fold.likely.items()},
    )


def joined_notes(folds: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Notes of all folds; one that some folds have alone names them."""
    places: dict[str, list[str]] = {}
    for fold, notes in enumerate(folds):
        for note in notes:
            places.setdefault(note, []).append(str(fold))
    return tuple(
        note if len(numbers) == len(folds) else f"fold {', '.join(numbers)}: {note}"
        for note, numbers in places.items()
    )
