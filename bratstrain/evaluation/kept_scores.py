"""The raw scores of an evaluation as JSON, so that several can be joined into one table.

The tables of an evaluation hold means; a table over the cases of several has to be made from the
scores of the cases. They are numbers, so they come back as they were, to the last bit.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.atomic import replacing
from bratstrain.data.twins import Twins
from bratstrain.evaluation.evaluator import EvaluationJob, evaluate_opened
from bratstrain.runs.files import read_json
from bratstrain.scoring.metrics import CaseScores

KEPT: Final = "scores.json"
"""In the folder of the evaluation."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is kept of an evaluation."""

    inputs: str
    """Digest of all that decides the scores."""
    cases: str
    planes: str
    notes: tuple[str, ...]
    repeats: Twins | None
    set_aside: Mapping[str, str]
    scores: tuple[CaseScores, ...]


def kept_scores(job: EvaluationJob, where: SliceFile | Source, *, progress: bool = False) -> Kept:
    """Scores of a run: kept ones of the same inputs, or new ones.

    Args:
        job: what to evaluate, and how.
        where: slice file or raw cases, open.
        progress: show a bar while they are made.

    Raises:
        BratsError: run or cases are at fault, or do not go together.
    """
    path, inputs = job.folder(where) / KEPT, job.inputs(where)
    if path.is_file():
        kept = read_kept(path)
        if kept is not None and kept.inputs == inputs:
            return kept
    report = evaluate_opened(job, where, progress=progress)
    made = Kept(
        inputs,
        report.table.cases,
        report.table.planes,
        report.notes,
        report.repeats,
        report.set_aside,
        report.scores,
    )
    with replacing(path) as file:
        file.write(json.dumps(plain(made)).encode())
    return made


def read_kept(path: Path) -> Kept | None:
    """Read kept scores; None where the file is of another version of the scores."""
    try:
        kept: Kept = restored(Kept, read_json(path))
    except (BratsError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return kept


def plain(value: Any) -> Any:  # noqa: ANN401  of any kind that `restored` knows
    """Turn records, tables of numbers and mappings into what `json.dumps` takes."""
    if isinstance(value, ClassSet):
        return value.to_json()
    if is_dataclass(value):
        return {member.name: plain(getattr(value, member.name)) for member in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def restored(kind: Any, value: Any) -> Any:  # noqa: ANN401  as above
    """Make a value of a type again from what `plain` gave.

    Raises:
        KeyError, TypeError, ValueError: the value is of another type.
    """
    if kind is ClassSet:
        return ClassSet.from_json(value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        members = fields(kind)
        if value.keys() != {member.name for member in members}:
            raise ValueError(f"{kind} has other fields than {', '.join(value)}")
        return kind(**{name: restored(hints[name], one) for name, one in value.items()})  # type: ignore[operator]
    return _of_several(kind, value)


def _of_several(kind: Any, value: Any) -> Any:  # noqa: ANN401  as above
    """The same of a union, an array, a mapping, a tuple or a plain value."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (own,) = (one for one in arguments if one is not NoneType)
        return None if value is None else restored(own, value)
    if origin in (np.ndarray, NDArray):
        # np.ndarray[shape, np.dtype[number]]; since NumPy 2.5 NDArray[number] stays what it is.
        (number,) = get_args(arguments[1]) if origin is np.ndarray else arguments
        table: NDArray[Any] = np.array(value, number)
        return table
    if isinstance(origin, type) and issubclass(origin, Mapping):
        key_kind, one_kind = arguments
        return {key_kind(key): restored(one_kind, one) for key, one in value.items()}
    if origin is tuple:
        return tuple(restored(arguments[0], one) for one in value)
    return value
