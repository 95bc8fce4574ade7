"""Who is who where names do not say: tables of cases and their subjects."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from bratsprep.errors import BuildError

TASK01: Final = "tables/task01_subjects.csv"
"""Repeated patients of the Decathlon's Task01, as `bratsprep twins` found them in its masks."""
_VOXELS: Final = ("NCR", "ED", "ET")


@dataclass(frozen=True, slots=True)
class SubjectTable:
    """Subjects of some cases."""

    key: str
    """What `PrepConfig.subjects` says of a build with this table."""
    subjects: Mapping[str, str]
    """By case id."""
    voxels: Mapping[str, tuple[int, ...]]
    """Voxels of NCR, ED and ET by case id, where the table holds for that very label alone."""

    def subject(self, case: str, named: str, voxels: Sequence[int]) -> str:
        """Subject of a case.

        Args:
            case: its id.
            named: its subject as its name says, for a case that the table does not know.
            voxels: (c,) of each class in its label.
        """
        expected = self.voxels.get(case)
        if expected is not None and expected != tuple(int(count) for count in voxels[1:]):
            return named
        return self.subjects.get(case, named)


@cache
def task01() -> SubjectTable:
    """The table for Task01: it holds where id and voxel counts are those of the release.

    Other sets, phantoms above all, have cases of the same names.
    """
    text = files("bratsprep.discovery").joinpath(TASK01).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return SubjectTable(
        "auto",
        {row["case"]: row["subject"] for row in rows},
        {row["case"]: tuple(int(row[name]) for name in _VOXELS) for row in rows},
    )


def table_for(subjects: Path | str) -> SubjectTable:
    """Find the table that a build shall use.

    Args:
        subjects: `auto` for that of Task01, `names` for none, or a CSV file with the columns
            `case` and `subject`, such as `bratsprep twins -o` writes.

    Raises:
        BuildError: the file cannot be read, or is no such table.
    """
    if str(subjects) == "auto":
        return task01()
    if str(subjects) == "names":
        return SubjectTable("names", {}, {})
    return read_table(Path(subjects))


def read_table(path: Path) -> SubjectTable:
    """Read a CSV file with the columns `case` and `subject`; others are passed over.

    Raises:
        BuildError: the file cannot be read, or is no such table.
    """
    try:
        content = path.read_bytes()
        rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines(), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BuildError(f"{path}: cannot be read as a CSV file: {error}") from error
    subjects: dict[str, str] = {}
    for line, row in enumerate(rows, 2):
        case, subject = row.get("case"), row.get("subject")
        if not case or not subject:
            raise BuildError(f"{path}: line {line} has no case or no subject; expected both")
        if case in subjects:
            raise BuildError(f"{path}: line {line} has case {case} again; once is enough")
        subjects[case] = subject
    if not subjects:
        raise BuildError(f"{path}: holds no row; expected the columns case and subject")
    return SubjectTable(f"csv:{hashlib.sha256(content).hexdigest()[:16]}", subjects, {})
