"""Many cases -> one slice file: find them, convert them on threads, write them in order."""

import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from bratsprep.building.convert import Converted, cut, pack, renamed
from bratsprep.building.journal import Entry, Journal
from bratsprep.building.memory_budget import pools, share
from bratsprep.building.subject_groups import find_repeats
from bratsprep.building.summary import Summary, is_complete, sources, versions
from bratsprep.case import Box, CaseFiles, CaseRow
from bratsprep.config import PrepConfig
from bratsprep.discovery.discover import Found, scan
from bratsprep.discovery.subject_tables import SubjectTable, table_for
from bratsprep.errors import BratsError, BuildError
from bratsprep.labels import Scheme
from bratsprep.slicefile.chunks import Pages
from bratsprep.slicefile.digest import build_key
from bratsprep.slicefile.writer import SliceWriter
from bratsprep.sources.source import Source, open_source
from bratsprep.system.memory import Pool, peak_bytes
from bratsprep.system.threads import cores, in_order
from bratsprep.volumes import fingerprint, nifti
from bratsprep.volumes.case_volumes import case_notes, read_scan
from bratsprep.volumes.crop import smallest_window
from bratsprep.volumes.label_schemes import resolve
from bratsprep.volumes.warm import warm

_MULTIPLE: Final = 16
"""`--crop brain` rounds its window up to this, so that networks can halve it four times."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to build from what, all found and resolved."""

    source: Source
    found: Found
    config: PrepConfig
    schemes: dict[str, Scheme]
    people: SubjectTable
    window: tuple[int, int] | None
    workers: int
    scans: Pool
    """Memory for whole cases."""
    cuts: Pool
    """Memory for cut planes."""
    pages: Pages
    unusual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about a case, by id; written by the workers."""

    def boxed(self, files: CaseFiles) -> Box:
        """Brain box of a case."""
        background = self.config.background
        with self.scans.borrow() as buffers:
            return read_scan(files, self.source, buffers, None, background).brain_box

    def converted(self, files: CaseFiles) -> Converted:
        """Rows and chunks of a case."""
        with ExitStack() as later:
            with self.scans.borrow() as buffers:
                scheme, background = self.schemes.get(files.id), self.config.background
                case = read_scan(files, self.source, buffers, scheme, background)
                if unusual := case_notes(case):
                    self.unusual[files.id] = unusual
                memory = later.enter_context(self.cuts.borrow())
                part = cut(case, self.config, self.window, memory)
            voxels = part.tables.case.voxels.tolist()
            subject = self.people.subject(files.id, files.subject, voxels)
            return pack(renamed(part, subject), self.config.compression, self.pages)


def build(
    raw: Path | str,
    out: Path | str,
    *,
    workers: int = 0,
    max_ram: int = 0,
    on_error: str = "stop",
    force: bool = False,
    progress: bool = False,
    **settings: Any,  # noqa: ANN401  the fields of PrepConfig
) -> Summary:
    """Turn raw cases into one slice file.

    A build that was stopped goes on where it was; one that is complete is left alone. The file
    appears under its name only when it is whole.

    Args:
        raw: folder or archive of cases, in any known layout.
        out: slice file to write.
        workers: threads; 0 uses every core.
        max_ram: bytes that the whole program may take; 0 for no limit. Lowers the workers.
        on_error: `stop` at the first bad case, or `skip` it and list it.
        force: start over, replacing what is there.
        progress: show a bar on standard error where that is a terminal.
        **settings: fields of `PrepConfig`; the defaults fit BraTS. `subjects` may be a CSV file
            of cases and subjects too, such as `twins` writes.

    Returns:
        What was read, kept, dropped and lost.

    Raises:
        BratsError: the data or the place for the output is at fault.
        ValueError: a setting is not allowed.
    """
    started = time.monotonic()
    people = table_for(settings.pop("subjects", "auto"))
    config = PrepConfig(subjects=people.key, **settings)
    if on_error not in ("stop", "skip"):
        raise ValueError(f"on_error must be stop or skip, got {on_error!r}")
    if workers < 0 or max_ram < 0:
        raise ValueError("workers and max_ram must be at least 0")
    raw, out = Path(raw), Path(out)
    with open_source(raw) as source:
        found = scan(source, unlabelled=config.unlabelled, skip=on_error == "skip")
        summary = Summary(out, found.layout, found.notes)
        if out.is_file() and not force and is_complete(out, config, found, source, summary):
            return summary
        summary.skipped = [{"id": case, "reason": reason} for case, reason in found.bad]
        with _journal(out) as journal, ThreadPoolExecutor(1, "warm") as aside:
            # The first cases are unpacked meanwhile. What goes wrong comes up again at first use.
            aside.submit(_warm, source, found)
            job = _job(source, found, (config, people), workers or cores(), max_ram)
            summary.schemes = tuple(sorted({scheme.name for scheme in job.schemes.values()}))
            _run(job, journal, summary, on_error=on_error, force=force, progress=progress)
    summary.seconds = time.monotonic() - started
    summary.peak_bytes = peak_bytes()
    return summary


def _warm(source: Source, found: Found) -> None:
    """Load the kernels of a usual case; a worker that needs one sooner waits for it in Numba."""
    dtype = nifti.held_type(first_header(source, found.cases)).type
    warm(dtype)
    fingerprint.warm(dtype)


def _journal(out: Path) -> Journal:
    if not out.parent.is_dir():
        raise BuildError(f"{out}: folder {out.parent} does not exist; make it first")
    if out.is_dir():
        raise BuildError(f"{out}: is a folder; name a file to write")
    return Journal(out)


def _job(
    source: Source,
    found: Found,
    settings: tuple[PrepConfig, SubjectTable],
    workers: int,
    max_ram: int,
) -> Job:
    """Resolve all that has to be known before the first case is converted."""
    config, people = settings
    schemes = resolve(source, found.cases, config.labels)
    fit, limit = share(source, found.cases, workers, max_ram, config)
    scans, cuts = pools(source, found.cases, fit, limit)
    job = Job(source, found, config, schemes, people, config.window, fit, scans, cuts, Pages())
    if config.crop != "brain":
        return job
    made = in_order(found.cases, job.boxed, fit)
    boxes = [box for _, box in made if isinstance(box, Box)]
    return replace(job, window=smallest_window(boxes, _MULTIPLE) if boxes else None)


def _run(
    job: Job, journal: Journal, summary: Summary, *, on_error: str, force: bool, progress: bool
) -> None:
    """Convert and write every case, finished ones first from the journal."""
    key = build_key(job.config, sources(job.found.cases, job.source))
    if force:
        journal.clear()
    elif journal.entries and journal.key != key:
        raise BuildError(
            f"{journal.path}: a build with other settings or cases stopped here; run it with "
            "those to go on, or start over with --force"
        )
    current = journal.begin(key)
    done = {entry.tables.case.id: entry for entry in journal.entries}
    with (
        SliceWriter(current, job.config, plane_size(job)) as writer,
        closing(_all(job, journal, dict(done), summary)) as made,
        _bar(job, progress) as bar,
    ):
        for files, result in made:
            if isinstance(result, Converted):
                _write(writer, journal, result)
                job.pages.give_back(result.chunks)
                summary.add(result.tables, files.subject)
            elif on_error == "stop":
                raise result
            else:
                summary.skipped.append({"id": files.id, "reason": str(result)})
            if done.pop(files.id, None) and not done:
                journal.settle(current)
            _advance(bar, job, files)
        if not summary.cases:
            raise BuildError(f"{job.source.path}: no case could be built; {summary.skipped[0]}")
        summary.repeats = find_repeats(
            writer.cases, job.config.repeats, pinned(job.people, writer.cases), job.workers
        )
        writer.rename_subjects(summary.repeats.subjects)
        summary.people = {case.subject for case in writer.cases}
        summary.digest = writer.finish(summary.skipped, versions())
    summary.unusual = dict(sorted(job.unusual.items()))
    summary.written_bytes = current.stat().st_size
    journal.finish(current)


def pinned(people: SubjectTable, cases: list[CaseRow]) -> list[str]:
    """Ids of the cases whose subject the user gave: by a table, or all by `--subjects names`.

    Args:
        people: the table of subjects.
        cases: rows of the cases.
    """
    if people.key == "names":
        return [case.id for case in cases]
    return list(people.subjects) if people.key.startswith("csv:") else []


def _all(
    job: Job, journal: Journal, done: dict[str, Entry], summary: Summary
) -> Generator[tuple[CaseFiles, Converted | BratsError], None, None]:
    """Every case in order: from the journal where it is done, else from the workers."""
    left = [files for files in job.found.cases if files.id not in done]
    fresh = in_order(left, job.converted, job.workers)
    with closing(fresh):
        for files in job.found.cases:
            if files.id not in done:
                yield next(fresh)
                continue
            chunks = journal.restore(done[files.id])
            if chunks is None:
                yield next(in_order([files], job.converted, 1))
                continue
            summary.resumed += 1
            yield files, Converted(done[files.id].tables, chunks)


def _write(writer: SliceWriter, journal: Journal, made: Converted) -> None:
    """Put one case into the file, then into the journal."""
    box = made.tables.case.box
    size = tuple(int(side) for side in (box[1] - box[0])[1:])
    if size != writer.size:
        raise BuildError(
            f"{made.tables.case.id}: plane is {size[0]} x {size[1]} but the file's are "
            f"{writer.size[0]} x {writer.size[1]}; give --crop a window"
        )
    extents = writer.add(made.tables, made.chunks)
    journal.add(writer.path, made.tables, made.chunks, extents)


def _bar(job: Job, progress: bool) -> "tqdm[Any]":
    """A bar on standard error: cases, cases/s, time left, MB/s read and memory."""
    shown = progress and sys.stderr.isatty()
    return tqdm(total=len(job.found.cases), unit="case", disable=not shown, dynamic_ncols=True)


def _advance(bar: "tqdm[Any]", job: Job, files: CaseFiles) -> None:
    """Move the bar on by one case."""
    if bar.disable:
        return
    read = sum(size for _, size in sources([files], job.source)[files.id])
    bar.read_bytes = getattr(bar, "read_bytes", 0) + read
    pace = bar.read_bytes / max(bar.format_dict["elapsed"], 1e-3) / 1e6
    bar.set_postfix_str(f"{pace:.0f} MB/s, {peak_bytes() / 1e6:.0f} MB of memory")
    bar.update()


def plane_size(job: Job) -> tuple[int, int]:
    """(h, w) of the stored slices: the window, or the whole plane of the first case."""
    if job.window is not None:
        return job.window
    header = first_header(job.source, job.found.cases)
    sides = dict(zip(header.geometry.orientation, header.geometry.shape, strict=True))
    y, x = (next(side for code, side in sides.items() if code in pair) for pair in ("PA", "LR"))
    return y, x


def first_header(source: Source, cases: tuple[CaseFiles, ...]) -> nifti.Header:
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
            return nifti.read_header(source, files.images[0].member)
        except BratsError as error:
            faults.append(error)
    raise faults[0]
