"""A first draft of a table of cases, from whatever was recognised."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from bratsprep.case import Channel
from bratsprep.config import SourceConfig, SourceSettings
from bratsprep.discovery.candidates import Draft
from bratsprep.discovery.case_table_rows import COMMENT, FACTS, TEST, YES
from bratsprep.discovery.discover import gather
from bratsprep.discovery.exclude import exclude
from bratsprep.discovery.filenames import LABEL, canonical_names
from bratsprep.settings import take
from bratsprep.sources.source import open_source
from bratsprep.system.atomic import replacing


@dataclass(frozen=True, slots=True)
class TableDraft:
    """A table of cases that was written."""

    path: Path
    cases: int
    incomplete: int
    """Cases that lack a modality, or have two files of one."""
    unlabelled: int
    """Cases without a label."""
    unknown: int
    """NIfTI files that belong to no case, listed as comments."""

    def line(self) -> str:
        """What was written, in one line."""
        return (
            f"{self.path}: {self.cases} cases, {self.incomplete} of them incomplete, "
            f"{self.unlabelled} without a label; {self.unknown} files belong to no case"
        )


def write_case_table(
    raw: Path | str, out: Path | str, **choice: Unpack[SourceSettings]
) -> TableDraft:
    """Write a first draft of a table of cases, to be corrected and given as `case_table`.

    A cell is empty where no file was recognised, or more than one was. What is wrong with a case,
    and files that belong to no case, follow as comments.

    Args:
        raw: folder or archive of cases, in any layout.
        out: CSV file to write.
        **choice: keywords of `bratsprep.config.SourceConfig`.

    Raises:
        BratsError: the source cannot be read, or the table cannot be written.
        TypeError: a keyword is unknown.
    """
    (own,) = take("write_case_table", choice, SourceConfig)
    files = SourceConfig(**own)
    with open_source(Path(raw)) as opened:
        source, _ = exclude(opened, files.exclude)
        batches = gather(source, files)
    modalities = canonical_names(files.modalities)
    drafts = sorted((d for batch in batches for d in batch.drafts), key=lambda draft: draft.id)
    problems = [fault for batch in batches for _, fault in batch.problems]
    passed = {member: why for batch in batches for member, why in batch.passed.items()}
    text = _rows(drafts, modalities) + _comments(drafts, problems, passed.items())
    with replacing(Path(out)) as file:
        file.write(text.encode(errors="surrogateescape"))
    return TableDraft(
        path=Path(out),
        cases=len(drafts),
        incomplete=sum(not all(len(d.roles.get(m, ())) == 1 for m in modalities) for d in drafts),
        unlabelled=sum(LABEL not in draft.roles for draft in drafts),
        unknown=len(passed),
    )


def _rows(drafts: Sequence[Draft], modalities: Sequence[str]) -> str:
    """Header and one line for each case."""
    facts = [name for name in FACTS if name != TEST or any(draft.is_test for draft in drafts)]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*facts, *modalities, LABEL])
    for draft in drafts:
        draft.name_subject()
        test = YES if draft.is_test else ""
        values = dict(
            zip(FACTS, (draft.id, draft.subject, draft.release, draft.scheme, test), strict=True)
        )
        cells = [_cell(draft.roles.get(role, ())) for role in (*modalities, LABEL)]
        table.writerow([*(values[name] for name in facts), *cells])
    return text.getvalue()


def _cell(channels: Sequence[Channel]) -> str:
    """The one file of a role; empty where there is none, or more than one."""
    if len(channels) != 1:
        return ""
    (channel,) = channels
    if channel.index is None:
        return channel.member
    count = f"/{channel.n_volumes}" if channel.n_volumes else ""
    return f"{channel.member}[{channel.index}{count}]"


def _comments(
    drafts: Sequence[Draft], problems: Sequence[str], passed: Iterable[tuple[str, str]]
) -> str:
    """What the rows do not hold: files that occur twice, problems, and files of no case."""
    lines = [
        f"{draft.id}: {role} is one of {', '.join(channel.member for channel in channels)}"
        for draft in drafts
        for role, channels in draft.roles.items()
        if len(channels) > 1
    ]
    lines += problems
    lines += [f"{member}: {reason}" for member, reason in sorted(passed)]
    return "".join(f"{COMMENT} {line}\n" for line in lines)
