"""Folds of raw cases without a subject in two of them, in the form that nnU-Net v2 reads."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from bratsprep.building.subject_groups import Repeats, find_repeats, pinned
from bratsprep.discovery.subject_tables import SubjectTable, table_for
from bratsprep.errors import BratsError
from bratsprep.settings import take
from bratsprep.slicefile.schema import Sizes, row_dtype
from bratsprep.sources.source import open_source
from bratsprep.system.atomic import replacing
from bratsprep.system.threads import cores
from bratstrain.apply_config import SplitsConfig, SplitsSettings
from bratstrain.data.raw_cases import named_rows, read_rows
from bratstrain.data.splits import FOLDS, Split, enhancing_label, make_split


@dataclass(frozen=True, slots=True)
class FoldList:
    """All folds of a data set."""

    path: Path
    """File that they were written to."""
    folds: tuple[Split, ...]
    repeats: Repeats

    def to_json(self) -> list[dict[str, list[str]]]:
        """Give nnU-Net's form: `train` and `val` of each fold."""
        return [
            {"train": _texts(fold.train), "val": _texts(fold.validation)} for fold in self.folds
        ]

    def lines(self) -> list[str]:
        """Summary for the terminal."""
        people = self.folds[0].subjects
        sizes = ", ".join(str(len(fold.validation)) for fold in self.folds)
        first = (
            f"{self.path}: {len(self.folds)} folds of {len(people)} cases, "
            f"{len(set(people.values()))} subjects, none in two folds"
        )
        lines = [first, f"validation cases: {sizes}"]
        repeats = self.repeats.lines()
        lines += [f"repeats: {repeats[0]}", *repeats[1:]]
        if len(self.folds) < FOLDS:
            lines.append(
                f"note: nnU-Net trains {FOLDS} folds by default; of this file only folds 0 to "
                f"{len(self.folds) - 1}"
            )
        return lines


def splits(
    raw: Path | str,
    out: Path | str,
    *,
    workers: int = 0,
    force: bool = False,
    progress: bool = False,
    **settings: Unpack[SplitsSettings],
) -> FoldList:
    """Deal raw cases into folds by subject, and write them as nnU-Net's `splits_final.json`.

    Subjects are those that `bratsprep.build` gives: by names, a table, and the images. The folds
    are those of `fit --split subject` on the slice file of the same cases. With `repeats` off no
    image or label is read: folds are not balanced by tumour volume, and the NIfTI data set of
    any task is accepted.

    Example:
        bratstrain.splits("nnUNet_raw/Dataset001_BrainTumour", "splits_final.json").lines()

    Args:
        raw: nnU-Net data set, or other raw cases; a folder or archive.
        out: file to write.
        workers: threads; 0 uses every core.
        force: replace an existing file.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.SplitsConfig`.

    Raises:
        BratsError: the cases are at fault, there are fewer than 2 subjects, or the file exists.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    (own,) = take("splits", settings, SplitsConfig)
    config = SplitsConfig(**own)
    if workers < 0:
        raise ValueError(f"workers must be at least 0, got {workers}")
    people = table_for(config.subjects)
    out = Path(out)
    if out.exists() and not force:
        raise BratsError(f"{out}: exists; replace it with --force, or name another file")
    with open_source(Path(raw)) as source:
        if config.repeats == "off":
            cases, classes = named_rows(source, people), tuple[str, ...]()
        else:
            shown = progress and sys.stderr.isatty()
            cases, classes = read_rows(source, people, config, workers or cores(), shown=shown)
    dealt = fold_list(out, (cases, classes), people, config, workers or cores())
    with replacing(out) as file:
        file.write(f"{json.dumps(dealt.to_json(), indent=4)}\n".encode())
    return dealt


def fold_list(
    path: Path,
    read: tuple[NDArray[np.void], tuple[str, ...]],
    people: SubjectTable,
    config: SplitsConfig,
    workers: int,
) -> FoldList:
    """Group the cases of one person, and deal them.

    Args:
        path: file that the folds are for.
        read: (c,) structured, rows of the table of cases; and the names of their classes, none
            where no label was read.
        people: table of subjects.
        config: how cases are grouped and dealt.
        workers: threads.

    Raises:
        BratsError: there are fewer than 2 subjects.
    """
    cases, classes = read
    named = {str(row["id"]): str(row["subject"]) for row in cases}
    found = find_repeats(list(cases), named, config.repeats, pinned(people, named), workers)
    grouped = cases.copy()
    grouped["subject"] = [found.subjects.get(case, own) for case, own in named.items()]
    n_folds = max(1, min(FOLDS, len(set(grouped["subject"]))))
    sizes = Sizes(cases["present"].shape[1], cases["voxels"].shape[1])
    none = np.zeros(0, row_dtype("slice", sizes))
    enhancing = enhancing_label(classes)
    folds = (
        make_split("subject", fold, none, grouped, seed=config.seed, enhancing=enhancing)
        for fold in range(n_folds)
    )
    return FoldList(path, tuple(folds), found)


def _texts(members: Sequence[Any]) -> list[str]:
    """Ids of one side of a fold."""
    return [str(member) for member in members]
