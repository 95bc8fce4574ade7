"""Many cases -> one slice file: find them, convert them on threads, write them in order."""

import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np
from tqdm import tqdm

from bratsprep.building.convert import Converted, Frame, cut, pack
from bratsprep.building.journal import Entry, Journal
from bratsprep.building.memory_budget import pools, share
from bratsprep.building.previous import (
    Changes,
    Inputs,
    Previous,
    difference,
    renew_sidecar,
    scheme_change,
    with_checksums,
)
from bratsprep.building.source_stamps import Stamps, content_key, take_stamps, write_sidecar
from bratsprep.building.subject_groups import find_repeats, pinned
from bratsprep.building.summary import Summary, versions
from bratsprep.case import Box, CaseFiles
from bratsprep.config import FaultConfig, OnError, PrepConfig, PrepSettings
from bratsprep.discovery.discover import Found, scan
from bratsprep.discovery.filenames import canonical_names
from bratsprep.discovery.subject_tables import table_for
from bratsprep.errors import BratsError, BuildError
from bratsprep.labels import Scheme
from bratsprep.settings import take
from bratsprep.slicefile.chunks import Pages
from bratsprep.slicefile.writer import SliceWriter
from bratsprep.sources.source import Source, open_source
from bratsprep.system.faulty_cases import check_any_left, set_aside
from bratsprep.system.memory import Pool, peak_bytes
from bratsprep.system.threads import cores, in_order
from bratsprep.volumes import fingerprint, nifti
from bratsprep.volumes.case_volumes import Asked, case_notes, read_scan
from bratsprep.volumes.crop import smallest_window
from bratsprep.volumes.geometries import Geometries
from bratsprep.volumes.grids import stored_grid
from bratsprep.volumes.intensity_outliers import intensity_notes
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve, scan_keywords
from bratsprep.volumes.warm import warm
from bratsprep.voxel_sizes import plain_spacing

_MULTIPLE: Final = 16
"""`--crop brain` rounds its window up to this, so that networks can halve it four times."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken over from a finished file under the name of the output."""

    previous: Previous | None
    changes: Changes
    """Empty where there is no such file."""

    def set_aside(self) -> dict[str, Stamps]:
        """Recorded stamps of the cases that were set aside before and have not changed."""
        return {} if self.previous is None else self.previous.set_aside(self.changes.skipped)


@dataclass(frozen=True, slots=True)
class Job:
    """What to build from what, all found and resolved."""

    inputs: Inputs
    taken: Taken
    schemes: dict[str, Scheme]
    asked: Asked
    workers: int
    scans: Pool
    """Memory for whole cases."""
    cuts: Pool
    """Memory for cut planes."""
    pages: Pages
    geometries: Geometries
    """Of the cases built; threads add remarks on their files."""
    unusual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about each case converted, by id; written by threads."""

    def boxed(self, files: CaseFiles) -> Box:
        """Brain box of a case."""
        with self.scans.borrow() as buffers:
            return read_scan(files, self.inputs.source, buffers, None, self.asked).brain_box

    def converted(self, files: CaseFiles) -> Converted:
        """Rows and chunks of a case: from a finished file where it has not changed.

        Raises:
            BratsError: the case cannot be converted, or could not before and has not changed.
        """
        changes = self.taken.changes
        if files.id in changes.skipped:
            raise BratsError(changes.skipped[files.id])
        if files.id in changes.kept and self.taken.previous is not None:
            restored = self.taken.previous.restore(files.id)
            if restored is not None:
                return self.inputs.renamed(files, restored)
            changes.kept.discard(files.id)
            changes.rebuilt[files.id] = "its slices in the file before are damaged"
        frame = self.inputs.frame
        with ExitStack() as later:
            with self.scans.borrow() as buffers:
                scheme = self.schemes.get(files.id)
                case = read_scan(files, self.inputs.source, buffers, scheme, self.asked)
                if notes := case_notes(case):
                    self.unusual[files.id] = notes
                memory = later.enter_context(self.cuts.borrow())
                self.geometries.remarks.extend(case.remarks)
                part = cut(case, frame, memory)
            return pack(part, frame.config.compression, self.pages)

    def is_current(self, files: CaseFiles, entry: Entry) -> bool:
        """Whether a journal's entry is what converting the case would give now."""
        row = entry.tables.case
        sides = tuple((row["box"][1] - row["box"][0])[1:].tolist())
        if self.inputs.frame.window not in (None, sides):
            return False
        changed = self.inputs.change(files, row, entry.stamps)
        return not (changed or scheme_change(files, row, self.schemes))


def build(
    raw: Path | str,
    out: Path | str,
    *,
    workers: int = 0,
    max_ram: int = 0,
    on_error: OnError = "stop",
    force: bool = False,
    progress: bool = False,
    **settings: Unpack[PrepSettings],
) -> Summary:
    """Turn raw cases into one slice file.

    An interrupted build resumes. A finished file that is up to date is left alone; where source
    files have changed, were added or removed, only those cases are converted and all others are
    copied, with the same bytes as a build from scratch. The file appears under its name only when
    it is whole.

    Args:
        raw: folder or archive of cases, in any known layout.
        out: slice file to write.
        workers: threads; 0 uses every core.
        max_ram: bytes that the whole program may use; 0 for no limit. Lowers the workers.
        on_error: `stop` at the first faulty case, or `skip` faulty cases and list them.
        force: start again and replace the existing file.
        progress: show a bar on standard error where that is a terminal.
        **settings: keywords of `bratsprep.config.PrepConfig`; the defaults fit BraTS. `subjects`
            may also be a CSV file of cases and subjects, such as `twins` writes.

    Returns:
        Counts of what was read, stored, skipped and cropped away.

    Raises:
        BratsError: the data or the place for the output is at fault.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    started = time.monotonic()
    frame = _configure(settings)
    config = frame.config
    _check_call(workers, max_ram)
    skip = FaultConfig(on_error=on_error).skip
    raw, out = Path(raw), Path(out)
    with ExitStack() as later:
        previous = None
        if out.is_file() and not force:
            previous = later.enter_context(closing(Previous(out)))
            previous.refuse_other_settings(config)
        source = later.enter_context(open_source(raw))
        found = _find(source, frame, skip)
        inputs = Inputs(source, found, take_stamps(source, found.cases), frame)
        summary = summary_of(out, found)
        summary.changes = _changes(previous, inputs, workers or cores())
        if previous is not None and not summary.changes:
            renew_sidecar(previous, inputs)
            summary.take_over(previous)
            return summary
        with _journal(out) as journal, ThreadPoolExecutor(1, "warm") as aside:
            # The first cases are unpacked meanwhile. What goes wrong comes up again at first use.
            aside.submit(_warm, source, found)
            taken = Taken(previous, summary.changes or Changes())
            job = _job(inputs, taken, (workers or cores(), max_ram), summary)
            _run(job, journal, summary, skip=skip, force=force, progress=progress)
    summary.seconds = time.monotonic() - started
    summary.peak_bytes = peak_bytes()
    return summary


def summary_of(out: Path, found: Found) -> Summary:
    """Begin the summary of a build with what was found, and with what cannot be put together."""
    skipped = [*found.set_aside]
    return Summary(out, found.layout, found.notes, found.mapping, skipped=skipped)


def _configure(settings: PrepSettings) -> Frame:
    """Settings of a build, with the table of subjects and the label scheme that they name."""
    (own,) = take("build", settings, PrepConfig)
    people = table_for(own.pop("subjects", "auto"))
    labels, scheme = chosen_scheme(own.pop("labels", "auto"))
    if "modalities" in own:
        own["modalities"] = ",".join(canonical_names(own["modalities"]))
    if "spacing" in own:
        own["spacing"] = plain_spacing(own["spacing"])
    config = PrepConfig(subjects=people.key, labels=labels, **own)
    config.check_effects()
    return Frame(config, config.window, people, scheme)


def _check_call(workers: int, max_ram: int) -> None:
    """Refuse arguments of a build that are not allowed."""
    if workers < 0 or max_ram < 0:
        raise ValueError("workers and max_ram must be at least 0")


def _find(source: Source, frame: Frame, skip: bool) -> Found:
    """Find the cases that the settings ask for."""
    config = frame.config
    choice = scan_keywords(config.source, frame.scheme)
    return scan(source, unlabelled=config.unlabelled, skip=skip, **choice)


def _warm(source: Source, found: Found) -> None:
    """Load the kernels of a usual case; a worker that needs one sooner waits for it in Numba."""
    dtype = nifti.held_type(first_header(source, found.cases)).type
    n_modalities = len(found.cases[0].images)
    warm(n_modalities, dtype)
    fingerprint.warm(n_modalities, dtype)


def _journal(out: Path) -> Journal:
    if not out.parent.is_dir():
        raise BuildError(f"{out}: folder {out.parent} does not exist; make it first")
    if out.is_dir():
        raise BuildError(f"{out}: is a folder; name a file to write")
    return Journal(out)


def _changes(previous: Previous | None, inputs: Inputs, workers: int) -> Changes | None:
    """What has changed since a finished file was built; None where there is none."""
    if previous is None:
        return None
    changes = previous.changes(inputs, workers)
    if changes and previous.software != versions(inputs.frame.config):
        changes.rebuild_all("the file before was built with other software versions")
    return changes


def _job(inputs: Inputs, taken: Taken, limits: tuple[int, int], summary: Summary) -> Job:
    """Resolve all that has to be known before the first case is converted."""
    source, cases, config = inputs.source, inputs.found.cases, inputs.frame.config
    workers, max_ram = limits
    schemes = resolve(source, cases, inputs.frame.scheme)
    classes = common_classes(schemes.values())
    asked = Asked(config.channels, classes, config.background, config.voxel_mm)
    summary.schemes = tuple(sorted({scheme.name for scheme in schemes.values()}))
    fit, limit = share(source, cases, workers, max_ram, config)
    scans, cuts = pools(source, cases, fit, limit, config.voxel_mm)
    job = Job(inputs, taken, schemes, asked, fit, scans, cuts, Pages(), summary.geometries)
    if config.crop != "brain":
        return job
    window = brain_window(job)
    previous = taken.previous
    if previous is not None and window != previous.file.shape:
        height, width = previous.file.shape
        taken.changes.rebuild_all(
            f"the window that holds every brain is no longer {height}x{width}"
        )
    return replace(job, inputs=replace(inputs, frame=replace(inputs.frame, window=window)))


def brain_window(job: Job) -> tuple[int, int] | None:
    """Smallest window (y, x) that holds every brain; None where no case can be read."""
    kept = job.taken.changes.kept
    boxes = [] if job.taken.previous is None else job.taken.previous.boxes(kept)
    left = [files for files in job.inputs.found.cases if files.id not in kept]
    boxes += [box for _, box in in_order(left, job.boxed, job.workers) if isinstance(box, Box)]
    return smallest_window(boxes, _MULTIPLE) if boxes else None


def _run(
    job: Job, journal: Journal, summary: Summary, *, skip: bool, force: bool, progress: bool
) -> None:
    """Convert and write every case, finished ones first from the journal."""
    done = _resumed(job, journal, force)
    current = journal.begin(job.inputs.frame.config.to_json())
    columns = []
    with (
        _writer(current, job) as writer,
        closing(_all(job, journal, dict(done), summary)) as made,
        _bar(job, progress) as bar,
    ):
        for files, result in made:
            if isinstance(result, Converted):
                _write(writer, journal, result, job.inputs.stamps[files.id])
                job.pages.give_back(result.chunks)
                summary.add(result.tables, files.subject)
                columns.append(result.tables.case["source"])
            else:
                is_known = files.id in job.taken.changes.skipped
                summary.skipped.append(set_aside(files.id, result, skip=skip or is_known))
            if done.pop(files.id, None) and not done:
                journal.settle(current)
            _advance(bar, job, files)
        check_any_left(job.inputs.source.path, summary.cases, summary.skipped)
        _group(job, writer, summary)
        used = versions(job.inputs.frame.config)
        summary.digest = writer.finish([*map(asdict, summary.skipped)], used)
    summary.unusual = unusual_cases(job, writer)
    summary.written_bytes = current.stat().st_size
    skipped = {case.id for case in summary.skipped}
    stamps = with_checksums(job.inputs, skipped, job.taken.set_aside())
    write_sidecar(summary.out, content_key(summary.digest, columns), stamps)
    journal.finish(current)


def _writer(path: Path, job: Job) -> SliceWriter:
    """Begin a slice file for the cases of a build."""
    config, classes = job.inputs.frame.config, job.asked.classes
    return SliceWriter(path, config, classes, job.schemes.values(), plane_size(job))


def unusual_cases(job: Job, writer: SliceWriter) -> dict[str, tuple[str, ...]]:
    """What is unusual about the cases read now, and the intensities of all, by id."""
    mean, std, present = (
        np.array([row[name] for row in writer.cases]) for name in ("mean", "std", "present")
    )
    ids = [str(row["id"]) for row in writer.cases]
    far = intensity_notes(job.inputs.frame.config.channels, ids, mean, std, present)
    cases = sorted(job.unusual.keys() | far.keys())
    return {case: (*job.unusual.get(case, ()), *far.get(case, ())) for case in cases}


def _group(job: Job, writer: SliceWriter, summary: Summary) -> None:
    """Give cases that are certainly of one person one subject, whether new, kept or resumed."""
    named = {str(row["id"]): str(row["subject"]) for row in writer.cases}
    frame = job.inputs.frame
    summary.repeats = find_repeats(
        writer.cases, named, frame.config.repeats, pinned(frame.people, named), job.workers
    )
    writer.rename_subjects(summary.repeats.subjects)
    summary.people = {str(row["subject"]) for row in writer.cases}


def _resumed(job: Job, journal: Journal, force: bool) -> dict[str, Entry]:
    """Entries of the journal whose case has not changed since, by case id.

    Raises:
        BuildError: the interrupted build had other settings.
    """
    config = job.inputs.frame.config
    if force:
        journal.clear()
    elif journal.entries and journal.key != config.to_json():
        raise BuildError(
            f"{journal.path}: a build with other settings was interrupted here "
            f"({difference(PrepConfig.from_json(journal.key), config)}); run it with those to "
            "resume, or start over with --force"
        )
    entries = {str(entry.tables.case["id"]): entry for entry in journal.entries}
    left = [files for files in job.inputs.found.cases if files.id in entries]
    checked = in_order(left, lambda files: job.is_current(files, entries[files.id]), job.workers)
    return {files.id: entries[files.id] for files, is_current in checked if is_current is True}


def _all(
    job: Job, journal: Journal, done: dict[str, Entry], summary: Summary
) -> Generator[tuple[CaseFiles, Converted | BratsError], None, None]:
    """Every case in order: from the journal where it is done, else from the workers."""
    left = [files for files in job.inputs.found.cases if files.id not in done]
    fresh = in_order(left, job.converted, job.workers)
    with closing(fresh):
        for files in job.inputs.found.cases:
            if files.id not in done:
                yield next(fresh)
                continue
            chunks = journal.restore(done[files.id])
            if chunks is None:
                yield next(in_order([files], job.converted, 1))
                continue
            summary.resumed += 1
            yield files, job.inputs.renamed(files, Converted(done[files.id].tables, chunks))


def _write(writer: SliceWriter, journal: Journal, made: Converted, stamps: Stamps) -> None:
    """Put one case into the file, then into the journal."""
    box = made.tables.case["box"]
    size = tuple(int(side) for side in (box[1] - box[0])[1:])
    if size != writer.size:
        raise BuildError(
            f"{made.tables.case['id']}: plane is {size[0]} x {size[1]} but the file's are "
            f"{writer.size[0]} x {writer.size[1]}; give --crop a window"
        )
    extents = writer.add(made.tables, made.chunks)
    journal.add(writer.path, made, stamps, extents)


def _bar(job: Job, progress: bool) -> "tqdm[Any]":
    """A bar on standard error: cases, cases/s, time left, MB/s read and memory."""
    shown = progress and sys.stderr.isatty()
    return tqdm(
        total=len(job.inputs.found.cases), unit="case", disable=not shown, dynamic_ncols=True
    )


def _advance(bar: "tqdm[Any]", job: Job, files: CaseFiles) -> None:
    """Move the bar on by one case."""
    if bar.disable:
        return
    read = sum(stamp.size for stamp in job.inputs.stamps[files.id])
    bar.read_bytes = getattr(bar, "read_bytes", 0) + read
    pace = bar.read_bytes / max(bar.format_dict["elapsed"], 1e-3) / 1e6
    bar.set_postfix_str(f"{pace:.0f} MB/s, {peak_bytes() / 1e6:.0f} MB of memory")
    bar.update()


def plane_size(job: Job) -> tuple[int, int]:
    """(h, w) of the stored slices: the window, or the whole plane of the first case."""
    if job.inputs.frame.window is not None:
        return job.inputs.frame.window
    geometry = first_header(job.inputs.source, job.inputs.found.cases).geometry
    _, y, x = stored_grid(geometry, job.asked.spacing, "the first case").shape
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
            return nifti.read_header(source, files.first)
        except BratsError as error:
            faults.append(error)
    raise faults[0]
