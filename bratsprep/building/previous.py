"""A finished slice file that a build finds under the name of its output, and what changed since."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from bratsprep.building.convert import Converted, Frame
from bratsprep.building.source_stamps import (
    Stamps,
    content_crc,
    content_key,
    first_change,
    read_sidecar,
    recorded,
    write_sidecar,
)
from bratsprep.building.subject_groups import find_repeats, pinned
from bratsprep.case import Box, CaseFiles, CaseTables
from bratsprep.config import UNSTORED, PrepConfig
from bratsprep.discovery.discover import Found
from bratsprep.errors import BratsError, BuildError
from bratsprep.labels import Scheme
from bratsprep.slicefile import schema
from bratsprep.slicefile.chunks import Packed
from bratsprep.slicefile.digest import with_subject
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.threads import in_order
from bratsprep.volumes.gunzip import crc32
from bratsprep.volumes.label_schemes import resolve

SHOWN: Final = 8
"""Cases listed by name in a line of the summary."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a build reads: the cases, and their stamps from before anything was read."""

    source: Source
    found: Found
    stamps: Mapping[str, Stamps]
    """By case id."""
    frame: Frame

    def change(self, files: CaseFiles, row: np.void, times: Stamps) -> str:
        """Name what differs between a case and its stored row; empty where nothing does.

        The subject is not compared: it also depends on the other cases, and a case need not be
        converted again for it.

        Args:
            files: the case as it is now.
            row: its row of /case.
            times: stamps of the files that the row was made from, see `recorded`.
        """
        if row["release"] != files.release:
            return f"release is {files.release}, was {row['release']}"
        then = recorded(row["source"], times)
        return first_change(self.source, files, self.stamps[files.id], then)

    def subject(self, files: CaseFiles, row: np.void) -> str:
        """Subject of a case by its name or the table, before cases of one person are grouped.

        Args:
            files: the case as it is now.
            row: its row of /case.
        """
        return self.frame.people.subject(files.id, files.subject, row["voxels"].tolist())

    def renamed(self, files: CaseFiles, restored: Converted) -> Converted:
        """Give a case that was converted before the subject that converting it now would give."""
        subject = self.subject(files, restored.tables.case)
        return replace(restored, tables=with_subject(restored.tables, subject))


def scheme_change(files: CaseFiles, row: np.void, schemes: Mapping[str, Scheme]) -> str:
    """Say that a case's label is read by another scheme than its stored row; empty if not."""
    name = schemes[files.id].name if files.id in schemes else ""
    return "" if name == row["scheme"] else f"label scheme is {name}, was {row['scheme']}"


@dataclass(slots=True)
class Changes:
    """What has changed since a slice file was built."""

    kept: set[str] = field(default_factory=set)
    """Ids of cases that are taken over as they are."""
    rebuilt: dict[str, str] = field(default_factory=dict)
    """What changed, by id of each case that is converted again."""
    added: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Reason, by id of each case that was set aside before and has not changed."""
    renamed: list[str] = field(default_factory=list)
    """Ids of kept cases that are of another subject now; found where nothing else has changed."""
    bad: bool = False
    """The cases that cannot be put together, or their reasons, are others."""

    def __bool__(self) -> bool:
        return bool(self.rebuilt or self.added or self.dropped or self.renamed or self.bad)

    def rebuild_all(self, reason: str) -> None:
        """Take no case over."""
        self.rebuilt = dict.fromkeys(sorted(self.kept), reason) | self.rebuilt
        self.kept = set()

    def lines(self) -> list[str]:
        """Summary for the terminal."""
        lines = [f"updated  {len(self.kept)} cases taken over from the file before"]
        by_reason: dict[str, list[str]] = {}
        for case, reason in self.rebuilt.items():
            by_reason.setdefault(reason, []).append(case)
        lines += [f"rebuilt  {_listed(ids)}: {reason}" for reason, ids in by_reason.items()]
        lines += [f"added    {_listed(self.added)}"] if self.added else []
        lines += [f"dropped  {_listed(self.dropped)}"] if self.dropped else []
        lines += [f"renamed  {_listed(self.renamed)}: other subjects"] if self.renamed else []
        lines += ["skipped  not the same cases as before"] if self.bad else []
        return lines


def _listed(ids: list[str]) -> str:
    """Count some cases and name the first of them."""
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{len(ids)} case{'s' * (len(ids) != 1)}: {', '.join(ids[:SHOWN])}{more}"


class Previous:
    """A finished slice file, open to take cases over from.

    Args:
        out: the slice file.

    Raises:
        BuildError: it is no slice file.
        SchemaError: it is one that is damaged or of another version.
    """

    def __init__(self, out: Path) -> None:
        try:
            with h5py.File(out) as file:
                schema.check(file)
                self.skipped: dict[str, str] = {
                    entry["id"]: entry["reason"] for entry in json.loads(file.attrs["skipped"])
                }
                self.software: dict[str, str] = json.loads(file.attrs["software"])
        except OSError as error:
            raise BuildError(
                f"{out}: exists but is no slice file; choose another name, or replace it with "
                "--force"
            ) from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise BuildError(
                f"{out}: attribute 'skipped' or 'software' cannot be read; replace the file with "
                "--force"
            ) from error
        self.file = SliceFile(out)
        self.rows = {str(case): c for c, case in enumerate(self.file.cases["id"])}
        self.key = content_key(self.file.digest, self.file.cases["source"])
        self.times = read_sidecar(out, self.key)

    def refuse_other_settings(self, config: PrepConfig) -> None:
        """Refuse to replace a file that was built with other settings.

        Raises:
            BuildError: it names them.
        """
        differing = difference(self.file.config, config)
        if differing:
            raise BuildError(
                f"{self.file.path}: was built with other settings: {differing}; choose another "
                "name, or replace it with --force"
            )

    def changes(self, inputs: Inputs, workers: int) -> Changes:
        """Compare the file with what would be built now.

        Raises:
            BuildError: they have no case in common.
            BratsError: label schemes cannot be resolved.
        """
        cases = inputs.found.cases
        ids = {files.id for files in cases}
        if not ids & self.rows.keys():
            raise BuildError(
                f"{self.file.path}: was built from other cases, such as {min(self.rows)}; choose "
                "another name, or replace it with --force"
            )
        changes = Changes(
            dropped=sorted(self.rows.keys() - ids),
            bad=[(case.id, case.reason) for case in inputs.found.set_aside]
            != [pair for pair in self.skipped.items() if pair[0] not in ids],
        )
        for files, reason in in_order(cases, partial(self._change, inputs), workers):
            if isinstance(reason, BratsError):
                raise reason
            sort_case(changes, files.id, reason, self)
        self._compare_schemes(inputs, changes)
        if not changes:
            changes.renamed = self._renamed(inputs, workers)
        return changes

    def _renamed(self, inputs: Inputs, workers: int) -> list[str]:
        """Ids of the cases whose subject would be another one now, all files being the same."""
        rows = self.file.cases
        named = {
            files.id: inputs.subject(files, rows[self.rows[files.id]])
            for files in inputs.found.cases
            if files.id in self.rows
        }
        stored = {case: str(rows["subject"][self.rows[case]]) for case in named}
        if stored == named:  # grouping what has been grouped changes nothing
            return []
        frame = inputs.frame
        repeats = find_repeats(
            list(rows), named, frame.config.repeats, pinned(frame.people, named), workers
        )
        now = {**named, **repeats.subjects}
        return sorted(case for case in named if now[case] != stored[case])

    def _compare_schemes(self, inputs: Inputs, changes: Changes) -> None:
        """Move the cases whose label is now read by another scheme to those that are rebuilt.

        Where nothing else has changed, the values of the labels are no new evidence: only the
        schemes that follow from names are compared, and no label is read.
        """
        cases = inputs.found.cases
        if not changes:
            cases = tuple(files for files in cases if files.scheme is not None)
        schemes = resolve(inputs.source, cases, inputs.frame.scheme)
        for files in cases:
            if files.id in changes.kept:
                reason = scheme_change(files, self.file.cases[self.rows[files.id]], schemes)
                if reason:
                    changes.kept.remove(files.id)
                    changes.rebuilt[files.id] = reason

    def _change(self, inputs: Inputs, files: CaseFiles) -> str:
        """What differs for a case that the file holds or sets aside; empty for a new one."""
        times = self.times.get(files.id, ())
        if files.id in self.rows:
            return inputs.change(files, self.file.cases[self.rows[files.id]], times)
        if files.id in self.skipped:
            return first_change(inputs.source, files, inputs.stamps[files.id], times)
        return ""

    def tables(self, case: str) -> CaseTables:
        """Rows of a case."""
        c = self.rows[case]
        low, high = self._span(case)
        start, stop = np.searchsorted(self.file.planes["case"], [c, c + 1])
        return CaseTables(
            self.file.cases[c], self.file.slices[low:high], self.file.planes[start:stop]
        )

    def chunks(self, case: str) -> Packed:
        """Chunks of a case as they lie on disk, unchecked."""
        return self.file.packed(*self._span(case))

    def _span(self, case: str) -> tuple[int, int]:
        """First slice of a case, and the one after its last."""
        c = self.rows[case]
        low, high = np.searchsorted(self.file.slices["case"], [c, c + 1]).tolist()
        return low, high

    def restore(self, case: str) -> Converted | None:
        """Take over the rows and chunks of a case; None where a slice is damaged."""
        tables = self.tables(case)
        try:
            images, labels = self.file.read(np.arange(*self._span(case)))
        except BratsError:
            return None
        crc = [(crc32(image), crc32(label)) for image, label in zip(images, labels, strict=True)]
        if not np.array_equal(np.array(crc).reshape(-1, 2), tables.slices["crc"]):
            return None
        return Converted(tables, self.chunks(case))

    def boxes(self, cases: Iterable[str]) -> list[Box]:
        """Brain boxes of some of its cases."""
        found = (self.file.cases["brain_box"][self.rows[case]].tolist() for case in cases)
        return [Box(tuple(start), tuple(stop)) for start, stop in found]

    def set_aside(self, cases: Iterable[str]) -> dict[str, Stamps]:
        """Recorded stamps of some cases that were set aside."""
        return {case: self.times[case] for case in cases if case in self.times}

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def sort_case(changes: Changes, case: str, reason: str, previous: Previous) -> None:
    """Note whether a case is taken over, converted again or for the first time, or left aside.

    Args:
        changes: written.
        case: its id.
        reason: what changed; empty for nothing.
        previous: the file that it may be in.
    """
    if case in previous.rows and not reason:
        changes.kept.add(case)
    elif case in previous.rows:
        changes.rebuilt[case] = reason
    elif case in previous.skipped and not reason:
        changes.skipped[case] = previous.skipped[case]
    elif case in previous.skipped:
        changes.rebuilt[case] = "was set aside before"
    else:
        changes.added.append(case)


def with_checksums(
    inputs: Inputs, skipped: Iterable[str], unchanged: Mapping[str, Stamps]
) -> dict[str, Stamps]:
    """Stamps of all cases, with checksums for those set aside, which no slice file records.

    Args:
        inputs: what the build reads.
        skipped: ids of the cases set aside.
        unchanged: stamps with checksums of those set aside before that have not changed.
    """
    stamps = dict(inputs.stamps)
    by_id = {files.id: files for files in inputs.found.cases}
    for case in by_id.keys() & set(skipped):
        crcs = (
            [stamp.crc32 for stamp in unchanged[case]]
            if case in unchanged
            else [content_crc(inputs.source, member) for member in by_id[case].members]
        )
        pairs = zip(stamps[case], crcs, strict=True)
        stamps[case] = tuple(stamp._replace(crc32=crc) for stamp, crc in pairs)
    return stamps


def renew_sidecar(previous: Previous, inputs: Inputs) -> None:
    """Write the present times beside a file that is up to date, so that they suffice next time."""
    stamps = with_checksums(inputs, previous.skipped, previous.set_aside(previous.skipped))
    if stamps != previous.times:
        with suppress(BuildError):  # it only saves time, and the folder may be read-only
            write_sidecar(previous.file.path, previous.key, stamps)


def difference(old: PrepConfig, new: PrepConfig) -> str:
    """Name the settings that differ, with both values; empty where none does."""
    before, now = asdict(old), asdict(new)
    return ", ".join(
        f"{name} {before[name]}, now {now[name]}"
        for name in now
        if name not in UNSTORED and now[name] != before[name]
    )
