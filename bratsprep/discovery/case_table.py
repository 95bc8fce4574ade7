"""Cases that a table lists: one row a case, one column a modality; file names decide nothing.

Lines that begin with `#` are comments. Columns are `case`, `subject`, `label` and one for each
modality, under any name that a file may have for it; `release`, `scheme` and `test` keep what the
names of files said where the table was written by `inspect --write-cases`.
"""

import posixpath
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bratsprep.case import Channel
from bratsprep.discovery.candidates import Batch, Draft, Needs
from bratsprep.discovery.case_table_rows import (
    CASE,
    RELEASE,
    SCHEME,
    SUBJECT,
    TEST,
    YES,
    columns_of,
    read_rows,
)
from bratsprep.discovery.filenames import LABEL, is_nifti
from bratsprep.discovery.layouts import layout_of, scheme_of
from bratsprep.labels import shipped
from bratsprep.sources.source import Source

RULE: Final = "the table of cases"
"""Name of the rule that found a subject in its column."""
_VOLUME: Final = re.compile(r"(?P<member>.+)\[(?P<index>\d{1,4})(?:/(?P<count>\d{1,4}))?\]")
"""A file and a volume of it: `BRATS_001.nii.gz[0]`, or `[0/4]` with the number of volumes."""


@dataclass(slots=True)
class _Rows:
    """Rows while they are read."""

    source: Source
    name: str
    """Of the table, for errors."""
    batch: Batch
    needs: Needs
    headers: Mapping[str, str]
    """Name of each column in the table, by what it holds."""
    cases: dict[str, int] = field(default_factory=dict)
    """Row of each case."""
    cells: dict[Channel, str] = field(default_factory=dict)
    """Place of each file that was listed."""
    members: dict[str, list[str]] = field(default_factory=dict)
    """Members by the name of their file."""


def table_batch(source: Source, path: Path | str, needs: Needs) -> Batch:
    """Read the cases that a table lists.

    Args:
        source: what its paths are relative to.
        path: CSV file, separated by commas, semicolons or tabs.
        needs: the modalities that a row must have.

    Returns:
        Complete cases; a row at fault is among the problems, by row and column.

    Raises:
        LayoutError: the table cannot be read, has no row, or its columns are unknown, repeated or
            missing.
    """
    lines = read_rows(Path(path))
    number, header = lines[0]
    name = Path(path).name
    columns = columns_of(f"{path}: row {number}", header, needs)
    by_name: dict[str, list[str]] = defaultdict(list)
    for member in source.members:
        by_name[posixpath.basename(member)].append(member)
    headers = dict(zip(columns, header, strict=True))
    rows = _Rows(source, str(path), Batch(layout=f"table {name}"), needs, headers, members=by_name)
    for number, cells in lines[1:]:
        _add_row(rows, number, cells)
    listed = {channel.member for channel in rows.cells}
    rest = [member for member in source.members if is_nifti(member) and member not in listed]
    rows.batch.passed = dict.fromkeys(rest, f"is in no row of the {rows.batch.layout}")
    return rows.batch


def _add_row(rows: _Rows, number: int, cells: Sequence[str]) -> None:
    """Add the case of a row, or what is wrong with it."""
    where = f"{rows.name}: row {number}"
    row = dict(zip(rows.headers, cells, strict=False))
    case = row.get(CASE, "")
    faults = _row_faults(rows, where, row)
    if len(cells) != len(rows.headers):
        faults.append(f"{where}: has {len(cells)} cells; the header has {len(rows.headers)}")
    files: dict[str, Channel] = {}
    for role in (*rows.needs.modalities, LABEL):
        place = f"{where} (case {case}), column {rows.headers.get(role, role)}"
        channel, fault = _file(rows, place, row.get(role, ""), role)
        if fault:
            faults.append(fault)
        elif channel is not None:
            files[role] = channel
    rows.cases.setdefault(case, number)
    if faults:
        rows.batch.problems += [(case or f"row {number}", fault) for fault in faults]
        return
    rows.batch.drafts.append(_draft(where, row, files))


def _row_faults(rows: _Rows, where: str, row: Mapping[str, str]) -> list[str]:
    """What is wrong with a row, its files aside."""
    faults = []
    case = row.get(CASE, "")
    if not case:
        faults.append(f"{where}, column {CASE}: is empty; name the case")
    elif case in rows.cases:
        faults.append(
            f"{where}, column {CASE}: {case} is the case of row {rows.cases[case]} too; rename one"
        )
    scheme = row.get(SCHEME, "")
    if scheme and scheme not in shipped():
        faults.append(
            f"{where} (case {case}), column {SCHEME}: is {scheme!r}; expected one of "
            f"{', '.join(shipped())}, or nothing"
        )
    if row.get(TEST, "") not in ("", YES):
        faults.append(
            f"{where} (case {case}), column {TEST}: is {row[TEST]!r}; expected {YES} or nothing"
        )
    return faults


def _file(rows: _Rows, place: str, cell: str, role: str) -> tuple[Channel | None, str]:
    """File that a cell names, or what is wrong with it; neither for an empty cell that may be."""
    if not cell:
        is_needed = role != LABEL and rows.needs.missing == "stop"
        return None, f"{place}: is empty; expected a file" if is_needed else ""
    channel = _channel(rows.source, cell)
    if channel.member not in rows.source.members:
        return None, f"{place}: {cell} is not in {rows.source.path}{_advice(rows, channel.member)}"
    if channel in rows.cells:
        return None, f"{place}: {cell} is listed before, in {rows.cells[channel]}; one is wrong"
    rows.cells[channel] = place.rpartition(": ")[2]
    return channel, ""


def _channel(source: Source, cell: str) -> Channel:
    """File, and volume of a 4D file, that a cell names."""
    whole = posixpath.normpath(cell.replace("\\", "/"))
    match = _VOLUME.fullmatch(whole)
    if whole in source.members or match is None:
        return Channel(whole, None)
    return Channel(match["member"], int(match["index"]), int(match["count"] or 0))


def _advice(rows: _Rows, member: str) -> str:
    """Where a file of the same name lies, for an error; empty where there is none."""
    near = rows.members.get(posixpath.basename(member), [])
    return f"; paths are relative to it: is {near[0]} meant?" if near else ""


def _draft(where: str, row: Mapping[str, str], files: Mapping[str, Channel]) -> Draft:
    """Case of a row whose files exist."""
    case = row[CASE]
    scheme, fault = scheme_of(case)
    draft = Draft(
        case,
        posixpath.dirname(next(iter(files.values())).member) if files else "",
        row.get(RELEASE) or layout_of(case).release,
        row.get(SCHEME) or scheme,
        "" if row.get(SCHEME) else fault,
        place=f"{where} (case {case})",
    )
    if row.get(SUBJECT):
        draft.subject, draft.rule = row[SUBJECT], RULE
    draft.is_test = row.get(TEST) == YES
    draft.roles = {role: [channel] for role, channel in files.items()}
    return draft
