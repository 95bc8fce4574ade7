"""One part of a build while it is built: its chunks one after the other, and its journal."""

import json
from pathlib import Path

from bratsprep.building.convert import Converted
from bratsprep.building.journal import Journal
from bratsprep.building.previous import difference
from bratsprep.building.source_stamps import Stamps
from bratsprep.building.summary import versions
from bratsprep.config import PrepConfig
from bratsprep.errors import BuildError
from bratsprep.part import Part
from bratsprep.slicefile.writer import LEAST_EXTENT
from bratsprep.system.atomic import write_errors


class PartWriter:
    """One part that is being built.

    Args:
        out: slice file to be.
        part: which one.
        config: settings of the build.
        force: forget what the part has so far.

    Raises:
        BuildError: the part was begun with other settings or versions, another process builds it,
            or it cannot be written.
    """

    def __init__(self, out: Path, part: Part, config: PrepConfig, *, force: bool) -> None:
        self.journal = Journal(out.with_name(part.name(out.name)))
        try:
            self._begin(config, force=force)
        except BaseException:
            self.journal.close()
            raise

    def _begin(self, config: PrepConfig, *, force: bool) -> None:
        """Go on behind the chunks of the last finished case."""
        if force:
            self.journal.clear()
        check_key(self.journal, config, "start the part over with --force")
        self.path = self.journal.partials()[0]
        self.journal.begin(key_of(config))
        ends = [offset + size for entry in self.journal.entries for offset, size in entry.extents]
        with write_errors(self.path):
            self._file = self.path.open("r+b" if self.path.exists() else "w+b")
            self._end = self._file.truncate(max(ends, default=0))
            self._file.seek(self._end)

    def add(self, made: Converted, stamps: Stamps) -> None:
        """Write the chunks of a finished case, then its line of the journal."""
        chunks = (*made.chunks.images(), *made.chunks.labels())
        large = b"".join(chunk for chunk in chunks if len(chunk) >= LEAST_EXTENT)
        with write_errors(self.path):
            self._file.write(large)
            self._file.flush()
        self.journal.add(self.path, made, stamps, [(self._end, len(large))] if large else [])
        self._end += len(large)

    def close(self) -> None:
        """Close its files; the part is finished only where `journal.conclude` was called."""
        self._file.close()
        self.journal.close()


def check_key(journal: Journal, config: PrepConfig, way_on: str) -> None:
    """Refuse a part of other settings or software.

    Args:
        journal: of the part.
        config: settings of the build.
        way_on: what else the user can do.

    Raises:
        BuildError: it names what differs.
    """
    if journal.key in ("", key_of(config)):
        return  # without a key nothing is written yet
    content = json.loads(journal.key)
    then = PrepConfig.from_json(json.dumps(content["settings"]))
    other = difference(then, config)
    others = [
        f"{name} {content['software'].get(name)}, now {now}"
        for name, now in versions(config).items()
        if content["software"].get(name) != now
    ]
    raise BuildError(
        f"{journal.path}: was built with other settings or software "
        f"({', '.join(filter(None, [other, *others]))}); run with those, or {way_on}"
    )


def key_of(config: PrepConfig) -> str:
    """What a part was made with: settings and software, as JSON."""
    return json.dumps(
        {"settings": json.loads(config.to_json()), "software": versions(config)}, sort_keys=True
    )
