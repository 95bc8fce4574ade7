"""Contents of a slice file, a raw data set or a folder of masks, as a text and as JSON."""

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
from bratsprep.labels import ClassSet
from bratsprep.system.faulty_cases import SetAside, skipped_lines
from bratsprep.volumes.geometries import Geometries

_SHOWN: Final = 10
"""Ids listed of one kind of unusual case."""
_BY_LABEL: Final = frozenset({"voxels", "class_planes", "tumour_planes", "tumour_plane_background"})
"""Counts that only a label can tell."""
_WIDTH: Final = 96
"""Columns of the text."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Counts of all cases; everything else follows from them."""

    path: Path
    kind: str
    """`slice file`, the layout of raw data, or `masks only`."""
    schemes: tuple[str, ...]
    """Label schemes of the source."""
    rows: tuple[CaseCount, ...]
    """One a case, by id; unlabelled cases included."""
    size_bytes: int
    """On disk."""
    class_set: ClassSet
    """What the labels mean."""
    modalities: tuple[str, ...]
    """Of the images; empty for masks alone."""
    stored: Stored | None = None
    """None where it is no slice file."""
    mapping: FileMapping | None = None
    """Roles of the files of raw data."""
    geometries: Geometries | None = None
    """Of raw data."""
    skipped: tuple[SetAside, ...] = ()
    """Faulty cases that were set aside; they are in no count."""

    @property
    def labelled(self) -> list[CaseCount]:
        """The cases that have a label."""
        return [row for row in self.rows if row.labelled]

    @property
    def tumour_planes(self) -> int:
        """Planes of labelled cases that hold tumour."""
        return sum(row.tumour_planes for row in self.labelled)

    @property
    def classes(self) -> tuple[ClassCount, ...]:
        """Class balance over the labelled cases, background first."""
        return class_counts(self.rows, self.class_set)

    @property
    def odd(self) -> tuple[Odd, ...]:
        """Kinds of unusual cases that occur."""
        return odd_cases(self.rows, self.class_set, self.modalities)

    def to_json(self) -> dict[str, Any]:
        """Give everything, with all cases, as values that `json.dumps` accepts.

        What only a label could tell is None or left out where there is none.
        """
        large, small, ratio = imbalance(self.classes)
        balance = {"largest": large, "smallest": small, "ratio": ratio}
        return {
            **self.totals(),
            "classes": [asdict(count) for count in self.classes] if self.labelled else [],
            "imbalance": balance if self.labelled else None,
            "spread": [asdict(spread) for spread in spreads(self.rows, self.class_set)],
            "modalities": [asdict(count) for count in modality_counts(self.rows, self.modalities)],
            "odd": {kind.what: kind.ids for kind in self.odd},
            **asdict(self),
            "rows": [known_counts(asdict(row), labelled=row.labelled) for row in self.rows],
            "stored": self.stored and known_counts(asdict(self.stored), bool(self.labelled)),
            "path": str(self.path),
        }

    def totals(self) -> dict[str, int | None]:
        """Count cases, subjects, planes, and planes of labelled cases with tumour (`slices`).

        The last is None where no case has a label.
        """
        return {
            "cases": len(self.rows),
            "subjects": len({row.subject for row in self.rows}),
            "planes": sum(row.planes for row in self.rows),
            "slices": self.tumour_planes if self.labelled else None,
        }

    def planes_text(self) -> str:
        """Number of planes, and how many of those of labelled cases hold tumour."""
        total, labelled = self.totals(), self.labelled
        if not labelled:
            return f"{total['planes']:,}; how many hold tumour is unknown without labels"
        if len(labelled) == len(self.rows):
            return f"{total['planes']:,}, of them {self.tumour_planes:,} with tumour"
        planes = sum(row.planes for row in labelled)
        return (
            f"{total['planes']:,}; of the {planes:,} planes of labelled cases, "
            f"{self.tumour_planes:,} with tumour"
        )

    def lines(self) -> list[str]:
        """Give everything but the single cases as a text for a terminal."""
        blocks = [self._head()]
        if self.labelled:
            blocks.append(class_table(self.classes, self.stored.voxels if self.stored else ()))
            blocks.append(spread_table(spreads(self.rows, self.class_set)))
        if modalities := modality_counts(self.rows, self.modalities):
            blocks.append(modality_table(modalities))
        if kinds := self.odd:
            blocks.append([line for kind in kinds for line in odd_lines(kind)])
        if self.skipped:
            blocks.append(skipped_lines(self.skipped))
        return [line for block in blocks for line in ["", *block]][1:]

    def _head(self) -> list[str]:
        """Counts and sizes."""
        total, size = self.totals(), f"{self.size_bytes / 1e6:,.1f} MB"
        named = f", labels {' + '.join(self.schemes)}" if self.schemes else ""
        lines = [
            f"{self.path}: {self.kind}{named}",
            f"cases   {total['cases']:,} of {total['subjects']:,} subjects",
            f"planes  {self.planes_text()}",
        ]
        if self.stored is None:
            mapping = self.mapping.lines() if self.mapping else []
            geometry = self.geometries.lines() if self.geometries else []
            return [*lines, f"size    {size}", "", *mapping, *geometry]
        kept = self.stored
        parts = list(zip(("brain", *self.class_set.tumour), kept.lost, strict=True))
        parts = parts if self.labelled else parts[:1]
        return [
            *lines,
            f"stored  {kept.slices:,} slices of {kept.height} x {kept.width}",
            "lost    " + ", ".join(f"{name} {count:,}" for name, count in parts) + " voxels",
            f"size    {size}, of raw files with {kept.source_bytes / 1e6:,.1f} MB",
            f"packed  {kept.plain_bytes / self.size_bytes:.2f} : 1",
        ]


def known_counts(counts: dict[str, Any], labelled: bool) -> dict[str, Any]:
    """Replace the counts by None that only a label could tell, where there is none.

    Args:
        counts: fields of a `CaseCount` or of `Stored`.
        labelled: whether they come from a label.
    """
    if labelled:
        return counts
    unknown = dict.fromkeys(_BY_LABEL & counts.keys())
    lost = counts["lost"] and [counts["lost"][0], *[None] * (len(counts["lost"]) - 1)]
    return {**counts, **unknown, "lost": lost}


def odd_lines(kind: Odd) -> list[str]:
    """One kind of unusual case, with the first ids."""
    more = len(kind.ids) - _SHOWN
    ids = ", ".join(kind.ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    text = f"{kind.what} ({len(kind.ids)}): {ids}"
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
