"""What was found in a slice file, a raw data set or a folder of masks, and how it is told."""

import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bratsprep.discovery.mapping import FileMapping
from bratsprep.inspection.class_balance import (
    CaseCount,
    ClassCount,
    Odd,
    Stored,
    class_counts,
    class_table,
    imbalance,
    modality_counts,
    modality_table,
    odd_cases,
    spread_table,
    spreads,
)
from bratsprep.labels import CLASSES
from bratsprep.volumes.geometries import Geometries

_SHOWN: Final = 10
"""Ids listed of each kind of odd case."""
_WIDTH: Final = 96
"""Columns of the text."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found; all but the single cases follows from them."""

    path: Path
    kind: str
    """`slice file`, the layout of raw data, or `masks only`."""
    schemes: tuple[str, ...]
    """Label schemes of the source."""
    rows: tuple[CaseCount, ...]
    """One a case, by id; unlabelled ones included."""
    size_bytes: int
    """On disk."""
    stored: Stored | None = None
    """None where it is no slice file."""
    mapping: FileMapping | None = None
    """What the files of raw data were taken for."""
    geometries: Geometries | None = None
    """Of raw data."""

    @property
    def classes(self) -> tuple[ClassCount, ...]:
        """Class balance over the labelled cases, background first."""
        return class_counts(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Give everything, every case included, as what `json.dumps` takes."""
        large, small, ratio = imbalance(self.classes)
        return {
            **self.totals(),
            "classes": [asdict(row) for row in self.classes],
            "imbalance": {"largest": large, "smallest": small, "ratio": ratio},
            "spread": [asdict(row) for row in spreads(self.rows)],
            "modalities": [asdict(row) for row in modality_counts(self.rows)],
            "odd": {kind.what: kind.ids for kind in odd_cases(self.rows)},
            **asdict(self),
            "path": str(self.path),
        }

    def totals(self) -> dict[str, int]:
        """Count cases, subjects, planes, and planes that hold tumour (`slices`)."""
        return {
            "cases": len(self.rows),
            "subjects": len({row.subject for row in self.rows}),
            "planes": sum(row.planes for row in self.rows),
            "slices": sum(row.tumour_planes for row in self.rows),
        }

    def lines(self) -> list[str]:
        """Give everything but the single cases as a text for a terminal."""
        blocks = [self._head()]
        if any(row.labelled for row in self.rows):
            blocks.append(class_table(self.classes, self.stored.voxels if self.stored else ()))
            blocks.append(spread_table(spreads(self.rows)))
        if modalities := modality_counts(self.rows):
            blocks.append(modality_table(modalities))
        if odd := odd_cases(self.rows):
            blocks.append([line for kind in odd for line in odd_lines(kind)])
        return [line for block in blocks for line in ["", *block]][1:]

    def _head(self) -> list[str]:
        """Counts and sizes."""
        total, size = self.totals(), f"{self.size_bytes / 1e6:,.1f} MB"
        named = f", labels {' + '.join(self.schemes)}" if self.schemes else ""
        lines = [
            f"{self.path}: {self.kind}{named}",
            f"cases   {total['cases']:,} of {total['subjects']:,} subjects",
            f"planes  {total['planes']:,}, of them {total['slices']:,} with tumour",
        ]
        if self.stored is None:
            mapping = self.mapping.lines() if self.mapping else []
            geometry = self.geometries.lines() if self.geometries else []
            return [*lines, f"size    {size}", "", *mapping, *geometry]
        kept = self.stored
        parts = zip(("brain", *CLASSES[1:]), kept.lost, strict=True)
        return [
            *lines,
            f"stored  {kept.slices:,} slices of {kept.height} x {kept.width}",
            "lost    " + ", ".join(f"{name} {count:,}" for name, count in parts) + " voxels",
            f"size    {size}, of raw files with {kept.source_bytes / 1e6:,.1f} MB",
            f"packed  {kept.plain_bytes / self.size_bytes:.2f} : 1",
        ]


def odd_lines(odd: Odd) -> list[str]:
    """One kind of odd case, a few by id."""
    more = len(odd.ids) - _SHOWN
    ids = ", ".join(odd.ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    text = f"{odd.what} ({len(odd.ids)}): {ids}"
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
