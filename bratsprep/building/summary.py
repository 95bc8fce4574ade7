"""What a build did."""

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from bratsprep.building.previous import Changes, Previous
from bratsprep.building.subject_groups import Repeats
from bratsprep.case import CaseTables
from bratsprep.config import PrepConfig
from bratsprep.discovery.mapping import FileMapping
from bratsprep.part import Part
from bratsprep.system.faulty_cases import SetAside, skipped_lines
from bratsprep.volumes.geometries import Geometries

SHOWN: Final = 10
"""Unusual cases that a summary lists."""
_SOFTWARE: Final = ("bratsprep", "h5py", "imagecodecs", "isal", "nibabel", "numba", "numpy")


@dataclass(slots=True)
class Summary:
    """What a build did."""

    out: Path
    layout: str
    notes: tuple[str, ...]
    mapping: FileMapping
    """What the source's files were taken for."""
    geometries: Geometries = field(default_factory=Geometries)
    """Of the cases built."""
    schemes: tuple[str, ...] = ()
    cases: int = 0
    people: set[str] = field(default_factory=set)
    """Subjects."""
    labelled: int = 0
    """Cases with a label."""
    with_tumour: int = 0
    """Cases whose label has tumour."""
    renamed: int = 0
    """Cases whose subject a table knew better than their name."""
    repeats: Repeats | None = None
    """Which cases show one person by their images; None where nothing was built."""
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
    resampled: int = 0
    """Cases that were brought to another voxel size."""
    resumed: int = 0
    """Cases taken over from an interrupted build."""
    part: Part | None = None
    """The part that was built; None for a whole file."""
    parts: Sequence[str] = ()
    """Which parts were joined, and which were missing or unfinished."""
    skipped: list[SetAside] = field(default_factory=list)
    unusual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about a case, by id: intensities of all, others of those read now."""
    seconds: float = 0.0
    peak_bytes: int = 0
    digest: str = ""
    was_complete: bool = False
    """The file existed already and is up to date; nothing was done."""
    changes: Changes | None = None
    """What was taken over from a finished file and what was not; None for a file built anew."""

    def add(self, tables: CaseTables, named: str) -> None:
        """Count one finished case by its rows; `named` is the subject that its name states."""
        row = tables.case
        self.cases += 1
        self.geometries.add(row["shape"].tolist(), row["spacing"], row["orientation"])
        self.resampled += not np.array_equal(row["spacing"], row["source_spacing"])
        self.renamed += row["subject"] != named
        self.labelled += bool(row["labelled"])
        self.with_tumour += bool(row["voxels"][1:].any())
        self.people.add(row["subject"])
        self.read_bytes += sum(part["size"] for part in json.loads(row["source"]))
        self.slices += len(tables.slices)
        self.planes += len(tables.planes)
        self.lost_brain += int(row["lost_voxels"][0])
        self.lost_tumour += int(row["lost_voxels"][1:].sum())

    def take_over(self, previous: Previous) -> None:
        """Describe a finished file that is up to date."""
        file = previous.file
        self.was_complete = True
        self.digest = file.digest
        self.cases, self.slices, self.planes = len(file.cases), len(file), len(file.planes)
        self.people = {str(subject) for subject in file.cases["subject"]}
        self.schemes = tuple(sorted({str(scheme) for scheme in file.cases["scheme"]} - {""}))
        self.skipped = [SetAside(case, why) for case, why in previous.skipped.items()]

    def lines(self, verbose: bool = False) -> list[str]:
        """Summary for the terminal: what the files were taken for, what was kept, and notes.

        Args:
            verbose: every remark on single files.
        """
        if self.part is not None:
            return self._part_lines(self.part)
        if self.was_complete:
            lines = [f"{self.out}: complete already, nothing to do (--force builds it again)"]
        else:
            origin = "taken from parts" if self.parts else "resumed from an interrupted build"
            again = f", {self.resumed} {origin}" if self.resumed else ""
            rows = {
                "read": f"{self.cases} cases of {len(self.people)} subjects, "
                f"{self.read_bytes / 1e6:,.0f} MB{again}",
                "kept": f"{self.slices:,} of {self.planes:,} planes, "
                f"{self.written_bytes / 1e6:,.0f} MB",
                "lost": f"{self.lost_brain:,} brain and {self.lost_tumour:,} tumour voxels "
                "outside the crop",
                "took": f"{self.seconds:.1f} s, {self.peak_bytes / 1e6:,.0f} MB of memory at most",
                "content": self.digest[:16],
            }
            if self.resampled:
                rows["voxels"] = f"{self.resampled} cases resampled; sizes below are those stored"
            if self.renamed:
                rows["people"] = (
                    f"{self.renamed} cases belong to a patient listed under another id in the "
                    "table of subjects (--subjects names ignores it)"
                )
            if self.labelled and not self.with_tumour:
                rows["WARNING"] = f"none of the {self.labelled} labels has any tumour"
            if self.parts:
                rows["parts"] = "\n         ".join(self.parts)
            if self.repeats is not None:
                rows["repeats"] = "\n".join(self.repeats.lines())
            lines = [f"{self.out}: {self.layout}, labels {', '.join(self.schemes) or 'none'}"]
            lines += [f"{name:<8} {text}" for name, text in rows.items()]
            lines += self.changes.lines() if self.changes else []
        lines += self.unusual_lines()
        lines += self.mapping.lines() + self.geometries.lines(verbose)
        lines += [f"note     {note}" for note in self.notes]
        return lines + skipped_lines(self.skipped)

    def _part_lines(self, part: Part) -> list[str]:
        """Summary of one part."""
        again = f", {self.resumed} of them before" if self.resumed else ""
        whole = f"{self.cases} of {self.mapping.cases} cases{again}, {self.seconds:.1f} s"
        lines = [
            f"{self.out}: part {part} is finished: {whole}",
            f"next     when all {part.of} parts are, run the same command without --part",
        ]
        return lines + skipped_lines(self.skipped)

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


def versions(config: PrepConfig) -> dict[str, str]:
    """Versions of the programs that decide what stands in a file of those settings."""
    used = _SOFTWARE if config.voxel_mm is None else (*_SOFTWARE, "scipy")
    return {name: _version(name) for name in used}


@cache
def _version(package: str) -> str:
    """Version of an installed package, which takes some milliseconds to read."""
    return importlib.metadata.version(package)
