"""What a build would read: files, roles, subjects and geometry, without reading a voxel."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

from bratsprep.config import FaultConfig, OnError, SourceConfig, SourceSettings
from bratsprep.discovery.discover import scan
from bratsprep.discovery.mapping import FileMapping
from bratsprep.settings import take
from bratsprep.sources.source import open_source
from bratsprep.system.faulty_cases import SetAside, skipped_lines
from bratsprep.volumes.geometries import Geometries, read_geometries
from bratsprep.volumes.label_schemes import chosen_scheme, scan_keywords


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a build would read."""

    path: Path
    mapping: FileMapping
    geometries: Geometries
    notes: tuple[str, ...]
    skipped: tuple[SetAside, ...]
    """Cases that would be set aside."""

    def lines(self) -> list[str]:
        """The mapping, the geometry and notes as lines for a terminal."""
        return [
            f"{self.path}: {self.mapping.cases} cases; nothing is built",
            *self.mapping.lines(),
            *self.geometries.lines(),
            *(f"{'note':<9}{note}" for note in self.notes),
            *skipped_lines(self.skipped),
        ]

    def to_json(self) -> dict[str, Any]:
        """The same as what `json.dumps` takes."""
        return {
            "path": str(self.path),
            "mapping": self.mapping.to_json(),
            "geometries": self.geometries.to_json(),
            "notes": list(self.notes),
            "skipped": [asdict(case) for case in self.skipped],
        }

    def text(self, as_json: bool) -> str:
        """Lines for a terminal, or one JSON document."""
        return json.dumps(self.to_json(), indent=1) if as_json else "\n".join(self.lines())


def dry_run(
    raw: Path | str,
    *,
    unlabelled: bool = False,
    on_error: OnError = "stop",
    **choice: Unpack[SourceSettings],
) -> DryRun:
    """Find the cases of a source and read their headers, as a build would.

    Args:
        raw: folder or archive of cases, in any known layout.
        unlabelled: take cases without a label along.
        on_error: `stop` at cases that cannot be put together, or `skip` them.
        **choice: keywords of `bratsprep.config.SourceConfig`, as of `build`.

    Raises:
        BratsError: there is no case, or one cannot be put together.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    faults = FaultConfig(on_error=on_error)
    (own,) = take("dry_run", choice, SourceConfig)
    files = SourceConfig(**own)
    _, chosen = chosen_scheme(files.labels)
    with open_source(Path(raw)) as source:
        found = scan(
            source, unlabelled=unlabelled, skip=faults.skip, **scan_keywords(files, chosen)
        )
        geometries = read_geometries(source, found.cases)
    return DryRun(Path(raw), found.mapping, geometries, found.notes, found.set_aside)
