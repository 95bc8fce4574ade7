"""What a build would read: files, roles, subjects and geometry, without reading a voxel."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bratsprep.config import USUAL_MODALITIES, Missing
from bratsprep.discovery.discover import scan
from bratsprep.discovery.mapping import FileMapping
from bratsprep.sources.source import open_source
from bratsprep.volumes.geometries import Geometries, read_geometries
from bratsprep.volumes.label_schemes import chosen_scheme, scheme_name


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a build would read."""

    path: Path
    mapping: FileMapping
    geometries: Geometries
    notes: tuple[str, ...]
    bad: tuple[tuple[str, str], ...]
    """Id and reason of each case that would be set aside."""

    def lines(self) -> list[str]:
        """The mapping, the geometry and notes as lines for a terminal."""
        return [
            f"{self.path}: {self.mapping.cases} cases; nothing is built",
            *self.mapping.lines(),
            *self.geometries.lines(),
            *(f"{'note':<9}{note}" for note in self.notes),
            *(f"{'skipped':<9}{case}: {reason}" for case, reason in self.bad),
        ]

    def to_json(self) -> dict[str, Any]:
        """The same as what `json.dumps` takes."""
        return {
            "path": str(self.path),
            "mapping": self.mapping.to_json(),
            "geometries": self.geometries.to_json(),
            "notes": list(self.notes),
            "skipped": [{"id": case, "reason": reason} for case, reason in self.bad],
        }

    def text(self, as_json: bool) -> str:
        """Lines for a terminal, or one JSON document."""
        return json.dumps(self.to_json(), indent=1) if as_json else "\n".join(self.lines())


def dry_run(
    raw: Path | str,
    *,
    unlabelled: bool = False,
    on_error: str = "stop",
    labels: Path | str = "auto",
    label_name: str = "",
    same_grid: bool = False,
    modalities: str = ",".join(USUAL_MODALITIES),
    missing: Missing = "stop",
) -> DryRun:
    """Find the cases of a source and read their headers, as a build would.

    Args:
        raw: folder or archive of cases, in any known layout.
        unlabelled: take cases without a label along.
        on_error: `stop` at cases that cannot be put together, or `skip` them.
        labels: scheme of raw labels, or `auto`.
        label_name: pattern of the names of label files; empty for the known names.
        same_grid: labels lie on the grids of the images whatever their headers say.
        modalities: those to store, by commas.
        missing: `stop` where a case lacks one of them, or `zeros`.

    Raises:
        BratsError: there is no case, or one cannot be put together.
    """
    with open_source(Path(raw)) as source:
        found = scan(
            source,
            unlabelled=unlabelled,
            skip=on_error == "skip",
            labels=scheme_name(chosen_scheme(labels)[1]),
            label_name=label_name,
            same_grid=same_grid,
            modalities=modalities,
            missing=missing,
        )
        geometries = read_geometries(source, found.cases)
    return DryRun(Path(raw), found.mapping, geometries, found.notes, found.bad)
