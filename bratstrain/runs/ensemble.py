"""The folder of a cross-validation: run folders of its folds, which together are one ensemble.

crossval.json   number of folds, their run folders, slice file
split.json      all cases of the folds as training cases, since every network but one has seen each
fold-0, ...     run folders
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from bratsprep.errors import BratsError
from bratstrain.runs.files import BEST, read_json, write_json

ENSEMBLE: Final = "crossval.json"


def fold_folder(folder: Path, fold: int) -> Path:
    """Run folder of a fold, counted from 0, in the folder of its cross-validation."""
    return folder / f"fold-{fold}"


def write_ensemble(folder: Path, n_folds: int, facts: dict[str, Any]) -> None:
    """Make the folder of finished folds an ensemble.

    Args:
        folder: of the cross-validation.
        n_folds: folds, all of them fitted.
        facts: what else is known, for people.

    Raises:
        BratsError: it cannot be written.
    """
    runs = [fold_folder(folder, fold).name for fold in range(n_folds)]
    write_json(folder / ENSEMBLE, {"runs": runs, **facts})


def runs_of(folder: Path) -> list[Path]:
    """Run folders that a folder stands for: the folds of a cross-validation, or itself.

    Raises:
        BratsError: a fold is missing or not finished.
    """
    if not (folder / ENSEMBLE).is_file():
        return [folder]
    names = read_json(folder / ENSEMBLE).get("runs")
    if not isinstance(names, list) or not names:
        raise BratsError(f"{folder / ENSEMBLE}: names no run; run 'bratstrain crossval' again")
    runs = [folder / str(name) for name in names]
    missing = [run.name for run in runs if not (run / BEST).is_file()]
    if missing:
        raise BratsError(
            f"{folder}: {', '.join(missing)} of the ensemble has no {BEST}; run 'bratstrain "
            "crossval' again"
        )
    return runs


def every_run(folders: Iterable[Path]) -> list[Path]:
    """Run folders that several folders stand for, in order.

    Raises:
        BratsError: a fold of a cross-validation is missing.
    """
    return [run for folder in folders for run in runs_of(folder)]
