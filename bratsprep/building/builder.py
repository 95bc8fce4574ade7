"""Many cases -> one slice file: find them, convert them on threads, write them in order."""

import sys
import time
from collections.abc import Generator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from tqdm import tqdm

from bratsprep.building.convert import Converted, Frame
from bratsprep.building.job import (
    Job,
    Limits,
    Taken,
    check_size,
    make_job,
    plane_size,
)
from bratsprep.building.journal import Journal
from bratsprep.building.journal_lines import Entry
from bratsprep.building.part_writer import PartWriter, check_key
from bratsprep.building.parts import Parts, deal, open_parts
from bratsprep.building.previous import (
    Changes,
    Inputs,
    Previous,
    difference,
    renew_sidecar,
    with_checksums,
)
from bratsprep.building.source_stamps import content_key, take_stamps, write_sidecar
from bratsprep.building.subject_groups import find_repeats, pinned
from bratsprep.building.summary import Summary, versions
from bratsprep.case import CaseFiles
from bratsprep.config import FaultConfig, FaultSettings, PrepConfig, PrepSettings
from bratsprep.deflate import encoder
from bratsprep.discovery.discover import Found, scan
from bratsprep.discovery.filenames import canonical_names
from bratsprep.discovery.subject_tables import table_for
from bratsprep.errors import BratsError, BuildError
from bratsprep.part import Part, PartConfig, PartSettings
from bratsprep.settings import take
from bratsprep.slicefile.writer import SliceWriter
from bratsprep.sources.source import Source, open_source
from bratsprep.system.faulty_cases import check_any_left, set_aside
from bratsprep.system.memory import peak_bytes
from bratsprep.system.threads import in_order
from bratsprep.volumes.intensity_outliers import intensity_notes
from bratsprep.volumes.label_schemes import chosen_scheme, scan_keywords
from bratsprep.volumes.warm import warm_cases
from bratsprep.voxel_sizes import plain_spacing


class BuildSettings(PrepSettings, FaultSettings, PartSettings, total=False):
    """Keywords of `build` that are settings, for type checkers."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller of `build` asks for."""

    raw: Path
    out: Path
    frame: Frame
    skip: bool
    """Faulty cases are set aside."""
    force: bool
    progress: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """Cases that are finished before the first is written."""

    entries: dict[str, Entry]
    """By id."""
    in_parts: set[str]
    """Ids of those that lie in a part."""
    in_journal: set[str]
    """Ids of those that lie in the file of an interrupted build, and are not written anew yet."""

    def written(self, files: CaseFiles) -> bool:
        """Note that a case is written.

        Returns:
            Whether it was the last that needed the file of the interrupted build.
        """
        if files.id not in self.in_journal:
            return False
        self.in_journal.remove(files.id)
        return not self.in_journal


def build(
    raw: Path | str,
    out: Path | str,
    *,
    workers: int = 0,
    max_ram: int = 0,
    executor: Executor | None = None,
    force: bool = False,
    progress: bool = False,
    **settings: Unpack[BuildSettings],
) -> Summary:
    """Turn raw cases into one slice file.

    An interrupted build resumes. A finished file that is up to date is left alone; where source
    files have changed, were added or removed, only those cases are converted and all others are
    copied, with the same bytes as a build from scratch. The file appears under its name only when
    it is whole. Parts that lie beside it are joined, and what they lack is converted.

    Args:
        raw: folder or archive of cases, in any known layout.
        out: slice file to write.
        workers: threads; 0 uses every core. With an executor, how many workers it has; 0 asks it.
        max_ram: bytes that the whole program may use; 0 for no limit. Lowers the workers.
        executor: converts the cases in place of threads: any of `concurrent.futures`, such as that
            of a Dask client. Its workers must see `raw` at the same path. This process writes.
        force: start again and replace the existing file, and forget all parts.
        progress: show a bar on standard error where that is a terminal.
        **settings: keywords of `bratsprep.config.PrepConfig`, whose defaults fit BraTS, of
            `FaultConfig`, and of `bratsprep.part.PartConfig`. `subjects` may also be a CSV file of
            cases and subjects, such as `twins` writes.

    Returns:
        Counts of what was read, stored, skipped and cropped away.

    Raises:
        BratsError: the data or the place for the output is at fault.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    started = time.monotonic()
    own, faults, parted = take("build", settings, PrepConfig, FaultConfig, PartConfig)
    frame, part = _configure(own), PartConfig(**parted).chosen
    call = Call(Path(raw), Path(out), frame, FaultConfig(**faults).skip, force, progress)
    limits = Limits(workers, max_ram, executor)
    _check_call(limits, part, frame.config)
    with open_source(call.raw) as source:
        work = _whole if part is None else partial(_part, part)
        summary = work(call, limits, source)
    summary.seconds = 0.0 if summary.was_complete else time.monotonic() - started
    summary.peak_bytes = peak_bytes()
    return summary


def _whole(call: Call, limits: Limits, source: Source) -> Summary:
    """Build the whole file, from the parts that there are."""
    out, n_threads = call.out, limits.threads
    with ExitStack() as later:
        previous = None
        if out.is_file() and not call.force:
            previous = later.enter_context(closing(Previous(out)))
            previous.refuse_other_settings(call.frame.config)
        found = _find(source, call.frame, call.skip)
        inputs = Inputs(source, found, take_stamps(source, found.cases), call.frame)
        summary = summary_of(out, found)
        summary.changes = _changes(previous, inputs, n_threads)
        if previous is not None and not summary.changes:
            renew_sidecar(previous, inputs)
            summary.take_over(previous)
            return summary
        journal = later.enter_context(_journal(out))
        parts = later.enter_context(closing(open_parts(out)))
        aside = later.enter_context(ThreadPoolExecutor(1, "warm"))
        # The first cases are unpacked meanwhile. What goes wrong comes up again at first use.
        aside.submit(_warm, source, found)
        taken = Taken(previous, summary.changes or Changes())
        job = make_job(inputs, taken, limits, summary)
        _run(job, (journal, parts), summary, call)
    return summary


def _part(part: Part, call: Call, limits: Limits, source: Source) -> Summary:
    """Convert the cases of one part, and write them beside the output."""
    out = call.out
    _check_folder(out)
    if out.exists():
        raise BuildError(
            f"{out}: exists already; the command without --part converts what has changed, or "
            "remove the file to build it again in parts"
        )
    found = _find(source, call.frame, call.skip)
    own = deal(source, found.cases, part.of)[part.number - 1]
    inputs = Inputs(source, found, take_stamps(source, own), call.frame)
    summary = summary_of(out, found)
    summary.part = part
    with closing(PartWriter(out, part, call.frame.config, force=call.force)) as writer:
        job = make_job(inputs, Taken(None, Changes()), limits, summary)
        done = _current(job, writer.journal.entries)
        with closing(job.results([files for files in own if files.id not in done])) as made:
            for files in own:
                if files.id in done:
                    summary.resumed += 1
                    summary.add(done[files.id].tables, files.subject)
                    continue
                _, result = next(made)
                if isinstance(result, Converted):
                    check_size(result, plane_size(job))
                    writer.add(result, inputs.stamps[files.id])
                    job.bench.pages.give_back(result.chunks)
                    summary.add(result.tables, files.subject)
                else:
                    summary.skipped.append(set_aside(files.id, result, skip=call.skip))
        writer.journal.conclude()
    return summary


def summary_of(out: Path, found: Found) -> Summary:
    """Begin the summary of a build with what was found, and with what cannot be put together."""
    skipped = [*found.set_aside]
    return Summary(out, found.layout, found.notes, found.mapping, skipped=skipped)


def _configure(own: dict[str, Any]) -> Frame:
    """Settings of a build, with the table of subjects and the label scheme that they name."""
    people = table_for(own.pop("subjects", "auto"))
    labels, scheme = chosen_scheme(own.pop("labels", "auto"))
    if "modalities" in own:
        own["modalities"] = ",".join(canonical_names(own["modalities"]))
    if "spacing" in own:
        own["spacing"] = plain_spacing(own["spacing"])
    config = PrepConfig(subjects=people.key, labels=labels, **own)
    config.check_effects()
    return Frame(config, config.window, people, scheme)


def _check_call(limits: Limits, part: Part | None, config: PrepConfig) -> None:
    """Refuse arguments of a build that are not allowed."""
    if limits.workers < 0 or limits.max_ram < 0:
        raise ValueError("workers and max_ram must be at least 0")
    if limits.max_ram and limits.executor is not None:
        raise ValueError(
            "max_ram has no effect on the workers of an executor; limit the memory of its workers"
        )
    if part is not None and config.crop == "brain":
        raise ValueError(
            "crop brain has to read every case before it cuts the first, which one part cannot; "
            "give crop a window such as 192x160"
        )


def _find(source: Source, frame: Frame, skip: bool) -> Found:
    """Find the cases that the settings ask for."""
    config = frame.config
    choice = scan_keywords(config.source, frame.scheme)
    return scan(source, unlabelled=config.unlabelled, skip=skip, **choice)


def _warm(source: Source, found: Found) -> None:
    """Load the kernels of a usual case; a worker that needs one sooner waits for it in Numba."""
    warm_cases(source, found.cases)
    encoder.warm()


def _journal(out: Path) -> Journal:
    _check_folder(out)
    return Journal(out)


def _check_folder(out: Path) -> None:
    if not out.parent.is_dir():
        raise BuildError(f"{out}: folder {out.parent} does not exist; make it first")
    if out.is_dir():
        raise BuildError(f"{out}: is a folder; name a file to write")


def _changes(previous: Previous | None, inputs: Inputs, workers: int) -> Changes | None:
    """What has changed since a finished file was built; None where there is none."""
    if previous is None:
        return None
    changes = previous.changes(inputs, workers)
    if changes and previous.software != versions(inputs.frame.config):
        changes.rebuild_all("the file before was built with other software versions")
    return changes


def _run(job: Job, begun: tuple[Journal, Parts], summary: Summary, call: Call) -> None:
    """Convert and write every case, finished ones first from the journal and the parts.

    A case that lies in a part needs no line of the journal: the part stays until the file is whole.
    """
    journal, parts = begun
    joined = _joined(job, parts, summary, call)
    resumed = _resumed(job, journal, call.force)
    finished = Finished(joined | resumed, joined.keys() - resumed.keys(), set(resumed))
    current = journal.begin(job.inputs.frame.config.to_json())
    with (
        _writer(current, job) as writer,
        closing(_all(job, journal, finished, summary)) as made,
        _bar(job, call.progress) as bar,
    ):
        for files, result in made:
            if isinstance(result, Converted):
                check_size(result, writer.size)
                extents = writer.add(result.tables, result.chunks)
                if files.id not in finished.in_parts:
                    journal.add(current, result, job.inputs.stamps[files.id], extents)
                job.bench.pages.give_back(result.chunks)
                summary.add(result.tables, files.subject)
            else:
                is_known = files.id in job.taken.changes.skipped
                summary.skipped.append(set_aside(files.id, result, skip=call.skip or is_known))
            if finished.written(files):
                journal.settle(current)
            _advance(bar, job, files)
        check_any_left(job.inputs.source.path, summary.cases, summary.skipped)
        _group(job, writer, summary)
        used = versions(job.inputs.frame.config)
        summary.digest = writer.finish([*map(asdict, summary.skipped)], used)
    _publish(job, writer, journal, summary)
    parts.remove()


def _publish(job: Job, writer: SliceWriter, journal: Journal, summary: Summary) -> None:
    """Give the whole file its name, and write down beside it what its sources looked like."""
    summary.unusual = unusual_cases(job, writer)
    summary.written_bytes = writer.path.stat().st_size
    skipped = {case.id for case in summary.skipped}
    stamps = with_checksums(job.inputs, skipped, job.taken.set_aside())
    columns = [row["source"] for row in writer.cases]
    write_sidecar(summary.out, content_key(summary.digest, columns), stamps)
    journal.finish(writer.path)


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
    return _current(job, journal.entries)


def _joined(job: Job, parts: Parts, summary: Summary, call: Call) -> dict[str, Entry]:
    """Entries of the parts whose case has not changed since, by case id.

    Raises:
        BuildError: a part was built with other settings or software.
    """
    if call.force:
        parts.remove()
        return {}
    config = job.inputs.frame.config
    for journal in parts.journals.values():
        check_key(journal, config, "remove that part, or all with --force")
    done = _current(job, parts.entries())
    summary.parts = parts.lacking(job.inputs.source, job.inputs.found.cases, done)
    for line in summary.parts if call.progress else ():
        tqdm.write(f"parts    {line}", file=sys.stderr)
    return done


def _current(job: Job, entries: Iterable[Entry]) -> dict[str, Entry]:
    """Entries whose case has not changed since, by case id."""
    by_id = {str(entry.tables.case["id"]): entry for entry in entries}
    left = [files for files in job.inputs.found.cases if files.id in by_id]
    checked = in_order(left, lambda files: job.is_current(files, by_id[files.id]), job.workers)
    return {files.id: by_id[files.id] for files, is_current in checked if is_current is True}


def _all(
    job: Job, journal: Journal, finished: Finished, summary: Summary
) -> Generator[tuple[CaseFiles, Converted | BratsError], None, None]:
    """Every case in order: from the journal or a part where it is done, else from the workers."""
    cases, entries = job.inputs.found.cases, finished.entries

    def restored(files: CaseFiles) -> Converted:
        chunks = journal.restore(entries[files.id], job.bench.pages)
        if chunks is None:
            finished.in_parts.discard(files.id)
            return job.converted(files)
        summary.resumed += 1
        return job.inputs.renamed(files, Converted(entries[files.id].tables, chunks))

    left = [files for files in cases if files.id not in entries]
    kept = [files for files in cases if files.id in entries]
    with closing(job.results(left)) as fresh, closing(in_order(kept, restored, 1)) as again:
        for files in cases:
            yield next(again if files.id in entries else fresh)


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
