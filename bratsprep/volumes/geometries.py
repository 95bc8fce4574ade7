"""Sizes, voxel sizes and orientations of many cases, with how many cases have each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError
from bratsprep.sources.source import Source
from bratsprep.volumes import nifti

_SHOWN: Final = 4
"""Values listed in one line."""
_REMARKS: Final = 5
"""Remarks listed."""


@dataclass(slots=True)
class Geometries:
    """Numbers of cases with the same geometry."""

    sizes: dict[str, int] = field(default_factory=dict)
    """Voxels along RAS+ x, y and z, such as `240 x 240 x 155`."""
    spacings: dict[str, int] = field(default_factory=dict)
    """Voxel sizes along RAS+ x, y and z, such as `1 x 1 x 1 mm`."""
    orientations: dict[str, int] = field(default_factory=dict)
    """Directions of the files' axes, such as `LPS`."""
    remarks: list[str] = field(default_factory=list)
    """Assumptions about single files."""

    def add(
        self,
        shape: Iterable[int],
        spacing: NDArray[np.floating[Any]],
        orientation: str,
        remarks: Iterable[str] = (),
    ) -> None:
        """Count one case.

        Args:
            shape: voxels along z, y and x, in RAS+ order.
            spacing: (3,) float32 or float64, mm, along x, y and z.
            orientation: directions of the file's axes.
            remarks: assumptions about its files.
        """
        z, y, x = shape
        sides_mm = " x ".join(f"{round(float(side), 2):g}" for side in spacing)
        for counts, name in (
            (self.sizes, f"{x} x {y} x {z}"),
            (self.spacings, f"{sides_mm} mm"),
            (self.orientations, orientation),
        ):
            counts[name] = counts.get(name, 0) + 1
        self.remarks += remarks

    def lines(self, verbose: bool = False) -> list[str]:
        """The counts as lines for a terminal.

        Args:
            verbose: every remark, not only the first few.
        """
        shown = len(self.remarks) if verbose else _REMARKS
        lines = [
            f"{name:<9}{_listed(counts)}"
            for name, counts in (
                ("shape", self.sizes),
                ("spacing", self.spacings),
                ("axes", self.orientations),
            )
            if counts
        ]
        if len(self.spacings) > 1:
            lines.append(
                f"{'':<9}voxel sizes differ between cases; a network fitted on them sees several "
                "scales, and refuses sizes that none of its training cases has: build with "
                "--spacing, such as --spacing 1x1x1, or keep one size"
            )
        lines += [f"{'note':<9}{remark}" for remark in self.remarks[:shown]]
        if len(self.remarks) > shown:
            lines.append(f"{'note':<9}and {len(self.remarks) - shown} more; --verbose lists them")
        return lines

    def to_json(self) -> dict[str, Any]:
        """The counts as what `json.dumps` takes."""
        return {
            "sizes": dict(self.sizes),
            "spacings": dict(self.spacings),
            "orientations": dict(self.orientations),
            "remarks": list(self.remarks),
        }


def read_geometries(source: Source, cases: Iterable[CaseFiles]) -> Geometries:
    """Count the geometries of raw cases from their headers; no voxel is read.

    A case whose headers cannot be read is a remark.
    """
    geometries = Geometries()
    for files in cases:
        members = list(dict.fromkeys(channel.member for channel in files.channels))
        if not members or files.label is not None:
            members.append(str(files.label))
        try:
            headers = {member: nifti.read_header(source, member) for member in members}
        except BratsError as error:
            geometries.remarks.append(str(error))
            continue
        geometry = headers[members[0]].geometry
        every = (remark for header in headers.values() for remark in header.remarks)
        remarks = [f"{files.id}: {remark}" for remark in dict.fromkeys(every)]
        geometries.add(geometry.sides, geometry.spacing, geometry.orientation.codes, remarks)
    return geometries


def first_header(source: Source, cases: Sequence[CaseFiles]) -> nifti.Header:
    """Header of the first case whose images can be read.

    Args:
        source: what the cases lie in.
        cases: at least one.

    Raises:
        BratsError: none can.
    """
    faults: list[BratsError] = []
    for files in cases:
        try:
            return nifti.read_header(source, files.first)
        except BratsError as error:
            faults.append(error)
    raise faults[0]


def _listed(counts: dict[str, int]) -> str:
    """The most common values with their counts."""
    common = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN]
    shown = ", ".join(f"{name}: {count}" for name, count in common)
    more = len(counts) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
