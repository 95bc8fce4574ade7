"""Scores of a cross-validation, read from the `summary.json` files that nnU-Net v2 writes."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.sources.source import Source, open_source

_FOLD_FILE: Final = re.compile(
    r"(?:.*/)?(?:fold_(\d+)/(?:validation/)?summary|(?:fold|summary)_(\d+))\.json"
)
"""`fold_0/validation/summary.json`, `fold_0/summary.json`, `fold_0.json` or `summary_0.json`."""
_ENDING: Final = re.compile(r"\.nii(?:\.gz)?$|\.[A-Za-z0-9]+$", re.IGNORECASE)
"""Ending of an image file, which follows the case id."""
FORM: Final = "a summary.json of nnU-Net v2 has metric_per_case, with metrics and prediction_file"


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """Out-of-fold scores: every case once, by the network that was fitted on the other folds."""

    path: Path
    parts: tuple[str, ...]
    """Labels and regions by nnU-Net's keys, such as `1` or `(1, 2, 3)`."""
    cases: tuple[str, ...]
    """Ids, sorted."""
    fold: NDArray[np.int64]
    """(n,) int64, the fold whose validation set holds the case."""
    dice: NDArray[np.float64]
    """(n, parts) float64 volume Dice; nan where neither side has a voxel."""
    voxels: NDArray[np.int64]
    """(n, parts) int64 voxels of the truth."""

    @property
    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds, rising."""
        return tuple(int(number) for number in np.unique(self.fold))


@dataclass(frozen=True, slots=True)
class ScoredCase:
    """One entry of a summary."""

    case: str
    fold: int
    dice: Mapping[str, float]
    """By part; nan where neither side has a voxel."""
    voxels: Mapping[str, int]
    """Of the truth, by part."""


def read_summaries(path: Path) -> CrossValidation:
    """Read the summaries of all folds of a network.

    Args:
        path: folder or archive of the results of one trainer: `fold_K/validation/summary.json`,
            or flat `fold_K.json` or `summary_K.json`.

    Raises:
        BratsError: there are fewer than two folds, a fold or a case occurs twice, or a file is no
            summary of nnU-Net v2.
    """
    with open_source(path) as source:
        files = fold_files(source)
        scored = [case for fold in sorted(files) for case in read_fold(source, files[fold], fold)]
    return joined(path, scored)


def fold_files(source: Source) -> dict[int, str]:
    """Find the summary of each fold, by its number.

    Raises:
        BratsError: there are fewer than two, or two of one fold.
    """
    files: dict[int, str] = {}
    for member in source.members:
        match = _FOLD_FILE.fullmatch(member)
        if match is None:
            continue
        fold = int(match[1] or match[2])
        if fold in files:
            raise BratsError(
                f"{source.path}: {files[fold]} and {member} are both of fold {fold}; name the "
                "folder of one trainer"
            )
        files[fold] = member
    if len(files) < 2:
        raise BratsError(
            f"{source.path}: holds summaries of {len(files)} folds; a cross-validation has at "
            "least 2, such as fold_0/validation/summary.json, fold_0.json or summary_0.json"
        )
    return files


def read_fold(source: Source, member: str, fold: int) -> list[ScoredCase]:
    """Read the cases of one fold.

    Args:
        source: holds the file.
        member: name of the file.
        fold: its number.

    Raises:
        BratsError: the file is no summary of nnU-Net v2.
    """
    where = source.where(member)
    try:
        entries = json.loads(source.read(member))["metric_per_case"]
        cases = [scored_case(entry, fold) for entry in entries]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise BratsError(f"{where}: cannot be read: {error!r}; {FORM}") from error
    if not cases:
        raise BratsError(f"{where}: holds no case; {FORM}")
    return cases


def scored_case(entry: Mapping[str, Any], fold: int) -> ScoredCase:
    """Take one entry of `metric_per_case`.

    Raises:
        LookupError, TypeError, ValueError: a key is missing, or a value is not allowed.
    """
    case = case_id(entry["prediction_file"])
    metrics = {str(part): values for part, values in entry["metrics"].items()}
    dice = {part: checked_dice(case, part, values["Dice"]) for part, values in metrics.items()}
    voxels = {part: int(values["n_ref"]) for part, values in metrics.items()}
    return ScoredCase(case, fold, dice, voxels)


def checked_dice(case: str, part: str, value: object) -> float:
    """Check a Dice; null, which some writers put for nan, becomes nan.

    Raises:
        ValueError: the value is no number from 0 to 1.
    """
    dice = math.nan if value is None else float(str(value))
    if not (math.isnan(dice) or 0 <= dice <= 1):
        raise ValueError(f"Dice of {case}, {part} is {dice}, expected 0 to 1 or NaN")
    return dice


def case_id(file: str) -> str:
    """Case id of an image file: its name without folder and ending, on any system's path."""
    return _ENDING.sub("", PureWindowsPath(file).name)


def joined(path: Path, scored: Sequence[ScoredCase]) -> CrossValidation:
    """Put the cases of all folds together, sorted by id.

    Raises:
        BratsError: a case is in two folds, or not all cases have the same parts.
    """
    by_id: dict[str, ScoredCase] = {}
    for one in scored:
        if one.case in by_id:
            raise BratsError(
                f"{path}: {one.case} is in fold {by_id[one.case].fold} and in fold {one.fold}; a "
                "cross-validation scores a case once"
            )
        by_id[one.case] = one
    parts = tuple(scored[0].dice)
    differing = [one.case for one in scored if set(one.dice) != set(parts)]
    if differing or not parts:
        raise BratsError(
            f"{path}: {len(differing)} cases have other labels than {', '.join(parts)}, such as "
            f"{differing[0] if differing else scored[0].case}; all folds must have the same"
        )
    cases = [by_id[name] for name in sorted(by_id)]
    return CrossValidation(
        path,
        parts,
        tuple(one.case for one in cases),
        np.array([one.fold for one in cases], np.int64),
        np.array([[one.dice[part] for part in parts] for one in cases]),
        np.array([[one.voxels[part] for part in parts] for one in cases], np.int64),
    )
