"""Several slice files -> one: chunks are copied as they lie on disk, and never unpacked."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from bratsprep.building.journal import Journal
from bratsprep.building.previous import Previous, difference
from bratsprep.building.source_stamps import content_key, write_sidecar
from bratsprep.building.subject_groups import Repeats, find_repeats, pinned
from bratsprep.discovery.subject_tables import SubjectTable
from bratsprep.errors import BuildError
from bratsprep.labels import Scheme
from bratsprep.slicefile.writer import SliceWriter
from bratsprep.system.threads import cores

SHOWN: Final = 5
"""Ids listed in a line."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did."""

    out: Path
    files: Mapping[str, int]
    """Cases of each file, by its path."""
    slices: int
    subjects: int
    shared: tuple[str, ...]
    """Subjects that the names put into more than one file."""
    repeats: Repeats
    written_bytes: int
    seconds: float
    digest: str

    def lines(self) -> list[str]:
        """Describe it for a terminal."""
        parts = ", ".join(f"{count} of {path}" for path, count in self.files.items())
        lines = [
            f"{self.out}: {sum(self.files.values())} cases of {self.subjects} subjects ({parts})",
            f"kept     {self.slices:,} planes, {self.written_bytes / 1e6:,.0f} MB",
            f"took     {self.seconds:.1f} s",
            f"content  {self.digest[:16]}",
        ]
        if self.shared:
            listed = ", ".join(self.shared[:SHOWN])
            more = len(self.shared) - SHOWN
            lines.append(
                f"subjects {len(self.shared)} are in more than one file by their names: {listed}"
                + (f" and {more} more" if more > 0 else "")
            )
        return [*lines, "repeats  " + "\n".join(self.repeats.lines())]


def merge(
    files: Sequence[Path | str],
    out: Path | str,
    *,
    workers: int = 0,
    force: bool = False,
    progress: bool = False,
) -> Merged:
    """Join slice files of equal settings into one, as if their cases had been built together.

    Cases of one person in several files are found by their images and get one subject, as in a
    build. The file appears under its name only when it is whole.

    Args:
        files: two slice files or more.
        out: slice file to write.
        workers: threads that compare images; 0 uses every core.
        force: replace an existing file.
        progress: show a bar on standard error where that is a terminal.

    Raises:
        BuildError: settings, classes, modalities or plane sizes differ, a case is in two files,
            or the output exists or cannot be written.
        SchemaError: a file is no slice file, or damaged.
        ValueError: there are fewer than two files.
    """
    started = time.monotonic()
    out, paths = Path(out), [Path(path) for path in files]
    if len(paths) < 2:
        raise ValueError(f"files must be at least two slice files, got {len(paths)}")
    if out.exists() and (not force or any(out.samefile(path) for path in paths)):
        raise BuildError(f"{out}: exists already; choose another name, or replace it with --force")
    with ExitStack() as later:
        opened = [later.enter_context(closing(Previous(path))) for path in paths]
        places = _places(opened)
        journal = later.enter_context(Journal(out))
        if journal.entries:
            raise BuildError(
                f"{journal.path}: a build of {out.name} was interrupted here; finish it, or choose "
                "another name"
            )
        shown = progress and sys.stderr.isatty()
        return _copied(opened, places, journal, (started, workers or cores(), shown))


def _copied(
    opened: Sequence[Previous],
    places: Mapping[str, Previous],
    journal: Journal,
    run: tuple[float, int, bool],
) -> Merged:
    """Write all cases in order, and give the file its name; `run`: start in s, threads, bar."""
    started, workers, shown = run
    current = journal.begin("merge")
    with _writer(current, opened) as writer:
        for case, file in tqdm(sorted(places.items()), unit="case", disable=not shown):
            writer.add(file.tables(case), file.chunks(case))
        repeats = _group(writer, opened[0], workers)
        digest = writer.finish(_skipped(opened, places), _software(opened))
    sources = [str(row["source"]) for row in writer.cases]
    stamps = {case: times for file in opened for case, times in file.times.items()}
    write_sidecar(journal.out, content_key(digest, sources), stamps)
    size_bytes = current.stat().st_size
    journal.finish(current)
    return Merged(
        journal.out,
        {str(file.file.path): len(file.rows) for file in opened},
        sum(len(file.file) for file in opened),
        len({str(row["subject"]) for row in writer.cases}),
        _shared(opened),
        repeats,
        size_bytes,
        time.monotonic() - started,
        digest,
    )


def _places(opened: Sequence[Previous]) -> dict[str, Previous]:
    """File of each case, by id, of files that fit together.

    Raises:
        BuildError: they do not, or a case is in two of them.
    """
    first = opened[0].file
    places: dict[str, Previous] = {}
    for each in opened:
        file = each.file
        where = f"{file.path}: does not fit to {first.path}: "
        if settings := difference(first.config, file.config):
            raise BuildError(f"{where}settings differ: {settings}; build one of them again")
        if file.classes != first.classes:
            raise BuildError(
                f"{where}classes are {', '.join(file.classes.tumour)}, not "
                f"{', '.join(first.classes.tumour)}; build both with one --labels"
            )
        if file.shape != first.shape:
            raise BuildError(
                f"{where}planes are {file.shape[0]} x {file.shape[1]}, not {first.shape[0]} x "
                f"{first.shape[1]}; build both with a window such as --crop 192x160"
            )
        twice = sorted(places.keys() & each.rows.keys())
        if twice:
            raise BuildError(
                f"{file.path}: {len(twice)} of its cases are in {places[twice[0]].file.path} too, "
                f"such as {twice[0]}; a case must be in one file alone"
            )
        places |= dict.fromkeys(each.rows, each)
    return places


def _writer(path: Path, opened: Sequence[Previous]) -> SliceWriter:
    """Begin the file that holds all cases.

    Raises:
        BuildError: two label schemes have one name, or the file cannot be created.
    """
    first = opened[0].file
    schemes: dict[str, Scheme] = {}
    for each in opened:
        for name, scheme in each.file.schemes.items():
            if schemes.setdefault(name, scheme) != scheme:
                raise BuildError(
                    f"{each.file.path}: its label scheme {name} is another one than that of this "
                    "name before; give it another name and build again"
                )
    return SliceWriter(path, first.config, first.classes, schemes.values(), first.shape)


def _group(writer: SliceWriter, first: Previous, workers: int) -> Repeats:
    """Give cases that are certainly of one person one subject."""
    named = {str(row["id"]): str(row["subject"]) for row in writer.cases}
    config = first.file.config
    # A table of the user is not at hand any more: what it says stays, and contradictions are named.
    key = "names" if config.subjects.startswith("csv:") else config.subjects
    given = pinned(SubjectTable(key, {}, {}), named)
    repeats = find_repeats(writer.cases, named, config.repeats, given, workers)
    writer.rename_subjects(repeats.subjects)
    return repeats


def _shared(opened: Sequence[Previous]) -> tuple[str, ...]:
    """Subjects that are in more than one file before any are grouped."""
    people = Counter(name for each in opened for name in set(map(str, each.file.cases["subject"])))
    return tuple(sorted(name for name, count in people.items() if count > 1))


def _skipped(opened: Sequence[Previous], places: Mapping[str, Any]) -> list[dict[str, str]]:
    """Cases that some file set aside and none holds."""
    reasons = {case: why for each in opened for case, why in each.skipped.items()}
    return [{"id": case, "reason": why} for case, why in reasons.items() if case not in places]


def _software(opened: Sequence[Previous]) -> dict[str, str]:
    """Versions that made the files; where they differ, all of them."""
    every = [each.software for each in opened]
    names = sorted({name for versions in every for name in versions})
    return {
        name: " and ".join(sorted({versions.get(name, "none") for versions in every}))
        for name in names
    }
