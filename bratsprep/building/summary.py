"""What a build did, and whether it was done before."""

import importlib.metadata
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import h5py

from bratsprep.building.subject_groups import Repeats
from bratsprep.case import CaseFiles, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.discovery.discover import Found
from bratsprep.errors import BuildError
from bratsprep.slicefile import schema
from bratsprep.sources.source import Source

SHOWN: Final = 10
"""Unusual cases that a summary lists."""
_SOFTWARE: Final = ("bratsprep", "h5py", "imagecodecs", "isal", "nibabel", "numba", "numpy")


@dataclass(slots=True)
class Summary:
    """What a build did."""

    out: Path
    layout: str
    notes: tuple[str, ...]
    schemes: tuple[str, ...] = ()
    cases: int = 0
    people: set[str] = field(default_factory=set)
    """Subjects."""
    renamed: int = 0
    """Cases whose subject a table knew better than their name."""
    repeats: Repeats | None = None
    """What the images say of the persons of the cases; None where nothing was built."""
    slices: int = 0
    planes: int = 0
    """Planes of all volumes, stored or not."""
    read_bytes: int = 0
    """Source files as they lie on disk."""
    written_bytes: int = 0
    lost_brain: int = 0
    """Brain voxels outside the crop."""
    lost_tumour: int = 0
    """Tumour voxels outside the crop."""
    resumed: int = 0
    """Cases taken over from a build that was stopped."""
    skipped: list[dict[str, str]] = field(default_factory=list)
    """Cases set aside: `id` and `reason`."""
    unusual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about a case, by id; of cases that were read in this run."""
    seconds: float = 0.0
    peak_bytes: int = 0
    digest: str = ""
    was_complete: bool = False
    """The file stood there already; nothing was done."""

    def add(self, tables: CaseTables, named: str) -> None:
        """Count one finished case.

        Args:
            tables: its rows.
            named: its subject as its name says.
        """
        self.cases += 1
        self.renamed += tables.case.subject != named
        self.people.add(tables.case.subject)
        self.read_bytes += sum(part["size"] for part in json.loads(tables.case.source))
        self.slices += len(tables.z)
        self.planes += len(tables.plane_brain)
        self.lost_brain += int(tables.case.lost_voxels[0])
        self.lost_tumour += int(tables.case.lost_voxels[1:].sum())

    def lines(self, verbose: bool = False) -> list[str]:
        """Say it in a few lines for a terminal.

        Args:
            verbose: notes of the layout too.
        """
        if self.was_complete:
            lines = [f"{self.out}: complete already, nothing to do (--force builds it again)"]
        else:
            again = f", {self.resumed} taken over from the build before" if self.resumed else ""
            told = {
                "read": f"{self.cases} cases of {len(self.people)} subjects, "
                f"{self.read_bytes / 1e6:,.0f} MB{again}",
                "kept": f"{self.slices:,} of {self.planes:,} planes, "
                f"{self.written_bytes / 1e6:,.0f} MB",
                "lost": f"{self.lost_brain:,} brain and {self.lost_tumour:,} tumour voxels "
                "outside the crop",
                "took": f"{self.seconds:.1f} s, {self.peak_bytes / 1e6:,.0f} MB of memory at most",
                "content": self.digest[:16],
            }
            if self.renamed:
                told["people"] = (
                    f"{self.renamed} cases show a person who is there under another name, says "
                    "the table of subjects (--subjects names leaves it out)"
                )
            if self.repeats is not None:
                first, *more = self.repeats.lines()
                told["repeats"] = "\n".join([first, *more])
            lines = [f"{self.out}: {self.layout}, labels {', '.join(self.schemes) or 'none'}"]
            lines += [f"{name:<8} {text}" for name, text in told.items()]
        lines += self.unusual_lines()
        if verbose:
            lines += [f"note     {note}" for note in self.notes]
        if self.skipped:
            lines.append(f"skipped  {len(self.skipped)} cases:")
            lines += [f"  {entry['id']}: {entry['reason']}" for entry in self.skipped]
        return lines

    def unusual_lines(self) -> list[str]:
        """Name the cases that are unusual, SHOWN at most."""
        if not self.unusual:
            return []
        listed = list(self.unusual.items())
        lines = [f"unusual  {len(listed)} cases:"]
        lines += [f"  {case}: {'; '.join(notes)}" for case, notes in listed[:SHOWN]]
        if len(listed) > SHOWN:
            rest = len(listed) - SHOWN
            lines.append(f"  and {rest} more; 'bratsprep inspect RAW --images' lists all")
        return lines


def sources(cases: Iterable[CaseFiles], source: Source) -> dict[str, list[tuple[str, int]]]:
    """File names, without folders, and sizes in bytes of each case."""
    listed = {}
    for files in cases:
        members = dict.fromkeys(channel.member for channel in files.images)
        if files.label is not None:
            members[files.label] = None
        listed[files.id] = [(name.rsplit("/", 1)[-1], source.members[name]) for name in members]
    return listed


def versions() -> dict[str, str]:
    """Versions of the programs that decide what stands in the file."""
    return {name: importlib.metadata.version(name) for name in _SOFTWARE}


def is_complete(
    out: Path, config: PrepConfig, found: Found, source: Source, summary: Summary
) -> bool:
    """Whether the file stands there already, made of these cases with these settings.

    Raises:
        BuildError: it was made of others.
    """
    try:
        with h5py.File(out) as file:
            stored = schema.check(file)
            skipped = json.loads(file.attrs["skipped"])
            ids, listed = (file[f"case/{name}"].asstr()[:] for name in ("id", "source"))
            summary.digest = str(file.attrs["digest"])
            summary.people = {*file["case/subject"].asstr()[:]}
            summary.slices, summary.planes = len(file["slice/z"]), len(file["plane/z"])
            summary.schemes = tuple(sorted({*file["case/scheme"].asstr()[:]} - {""}))
    except OSError as error:
        raise BuildError(
            f"{out}: is there but is no slice file; replace it with --force"
        ) from error
    found_files = {
        str(name): [(part["name"], part["size"]) for part in json.loads(parts)]
        for name, parts in zip(ids, listed, strict=True)
    }
    left_out = {entry["id"] for entry in skipped}
    kept = [files for files in found.cases if files.id not in left_out]
    if stored != config or found_files != sources(kept, source):
        raise BuildError(
            f"{out}: is there already, built from other cases or with other settings; choose "
            "another name, or replace it with --force"
        )
    summary.was_complete, summary.skipped, summary.cases = True, skipped, len(ids)
    return True
