"""Rows and columns of a table of cases, before anything is looked up."""

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bratsprep.discovery.candidates import Needs
from bratsprep.discovery.filenames import LABEL, channel_role, modality
from bratsprep.discovery.modality_names import read_words
from bratsprep.errors import LayoutError
from bratsprep.settings import hint

CASE: Final = "case"
SUBJECT: Final = "subject"
RELEASE: Final = "release"
SCHEME: Final = "scheme"
TEST: Final = "test"
FACTS: Final = (CASE, SUBJECT, RELEASE, SCHEME, TEST)
"""Columns that hold no file."""
YES: Final = "yes"
COMMENT: Final = "#"
_DELIMITERS: Final = (",", ";", "\t")


def table_digest(path: Path | str) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a table.

    Raises:
        LayoutError: it cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise LayoutError(f"{path}: cannot be read: {error}") from error


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Number and cells of each row, the header first.

    Raises:
        LayoutError: it cannot be read, or has no row below the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = next((line for line in text.splitlines() if _is_row(line)), "")
        mark = max(_DELIMITERS, key=first.count)
        rows = [
            (
                number,
                [cell.strip() for cell in next(csv.reader([line], delimiter=mark, strict=True))],
            )
            for number, line in enumerate(text.splitlines(), 1)
            if _is_row(line)
        ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LayoutError(f"{path}: cannot be read as a CSV file: {error}") from error
    filled = [(number, cells) for number, cells in rows if any(cells)]
    if len(filled) < 2:
        raise LayoutError(
            f"{path}: holds no case; expected a header with {CASE} and the modalities, and one row "
            "for each case"
        )
    return filled


def _is_row(line: str) -> bool:
    """Whether a line is neither empty nor a comment."""
    return bool(line.strip()) and not line.startswith(COMMENT)


def columns_of(where: str, header: Sequence[str], needs: Needs) -> list[str]:
    """What each column holds: one of FACTS, a modality, LABEL, or nothing that is needed.

    Columns of modalities that are known and not asked for are passed over.

    Raises:
        LayoutError: a column is unknown, repeated or missing; all faults are listed.
    """
    columns = [_column(name, needs.modalities) for name in header]
    faults = []
    for name, column in zip(header, columns, strict=True):
        if not column:
            known = (*FACTS, *needs.modalities, LABEL)
            faults.append(
                f"column {name!r} is unknown{hint(name, dict.fromkeys(known))}; if it is a "
                "modality, name it with --modalities"
            )
        elif columns.count(column) > 1:
            faults.append(f"column {name!r} holds {column}, as another does; keep one")
    lacking = [name for name in needs.modalities if name not in columns]
    is_enough = needs.missing == "zeros" and len(lacking) < len(needs.modalities)
    missing = [name for name in (CASE, *([] if is_enough else lacking)) if name not in columns]
    if missing:
        faults.append(f"column {', '.join(missing)} is missing; found {', '.join(header)}")
    if faults:
        raise LayoutError(f"{where}: {'; '.join(faults)}")
    return columns


def _column(name: str, modalities: Sequence[str]) -> str:
    """What a column of a name holds; empty where the name is unknown."""
    if name.lower() in FACTS:
        return name.lower()
    if channel_role(name) in modalities:
        return channel_role(name)
    role = modality(name)
    if role is None and read_words(name).role == LABEL:
        return LABEL
    return role or ""
