"""What a build is to do, resolved; and its cases converted, on threads or by an executor."""

from collections.abc import Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from bratsprep.building.case_work import Bench, Made, Order, brain_box, convert
from bratsprep.building.convert import Converted
from bratsprep.building.far import box_far, convert_far, errand, far_results, width_of
from bratsprep.building.journal_lines import Entry
from bratsprep.building.memory_budget import pools, share
from bratsprep.building.previous import Changes, Inputs, Previous, scheme_change
from bratsprep.building.source_stamps import Stamps
from bratsprep.building.summary import Summary
from bratsprep.case import Box, CaseFiles
from bratsprep.errors import BratsError, BuildError
from bratsprep.labels import Scheme
from bratsprep.slicefile.chunks import Pages
from bratsprep.system.threads import caught, cores, in_order
from bratsprep.volumes.case_volumes import Asked
from bratsprep.volumes.crop import smallest_window
from bratsprep.volumes.geometries import Geometries, first_header
from bratsprep.volumes.grids import stored_grid
from bratsprep.volumes.label_schemes import common_classes, resolve

_MULTIPLE: Final = 16
"""`--crop brain` rounds its window up to this, so that networks can halve it four times."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a build may use."""

    workers: int = 0
    """Threads, or workers of the executor; 0 for as many as there are."""
    max_ram: int = 0
    """Bytes of the whole program; 0 for no limit."""
    executor: Executor | None = None

    @property
    def threads(self) -> int:
        """Threads of this process."""
        return cores() if self.executor is not None else self.workers or cores()


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
    bench: Bench
    """Where cases are converted in this process."""
    geometries: Geometries
    """Of the cases built; threads add remarks on their files."""
    executor: Executor | None = None
    """What converts cases instead of threads."""
    unusual: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about each case converted, by id; written by threads."""

    @property
    def order(self) -> Order:
        """How cases are converted."""
        return Order(self.inputs.frame, self.asked)

    def boxes(self, cases: Iterable[CaseFiles]) -> list[Box]:
        """Brain boxes of the cases that can be read."""
        work = partial(brain_box, self.bench, self.order)
        if self.executor is None:
            results = in_order(cases, work, self.workers)
        else:
            sent, submit = errand(self._path, self.order), self.executor.submit
            results = far_results(
                cases, lambda files: submit(box_far, sent, files), self.workers, self._path
            )
        return [box for _, box in results if isinstance(box, Box)]

    def results(
        self, cases: Iterable[CaseFiles]
    ) -> Generator[tuple[CaseFiles, Converted | BratsError], None, None]:
        """Rows and chunks of some cases in their order, or why there are none."""
        executor = self.executor
        if executor is None:
            yield from in_order(cases, self.converted, self.workers)
            return
        sent, changes = errand(self._path, self.order), self.taken.changes
        with ThreadPoolExecutor(1, "case") as near:

            def submit(files: CaseFiles) -> Future[Made | Converted | BratsError]:
                if files.id in changes.skipped or files.id in changes.kept:
                    return near.submit(caught, self.converted, files)
                return executor.submit(convert_far, sent, files, self.schemes.get(files.id))

            with closing(far_results(cases, submit, self.workers, self._path)) as results:
                for files, result in results:
                    yield files, self.noted(files, result) if isinstance(result, Made) else result

    @property
    def _path(self) -> Path:
        return self.inputs.source.path

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
        return self.noted(files, convert(self.bench, self.order, files, self.schemes.get(files.id)))

    def noted(self, files: CaseFiles, made: Made) -> Converted:
        """Keep what is unusual about a case, and give its rows and chunks."""
        if made.notes:
            self.unusual[files.id] = made.notes
        self.geometries.remarks.extend(made.remarks)
        return made.converted

    def is_current(self, files: CaseFiles, entry: Entry) -> bool:
        """Whether a journal's entry is what converting the case would give now."""
        row = entry.tables.case
        sides = tuple((row["box"][1] - row["box"][0])[1:].tolist())
        if self.inputs.frame.window not in (None, sides):
            return False
        changed = self.inputs.change(files, row, entry.stamps)
        return not (changed or scheme_change(files, row, self.schemes))


def make_job(inputs: Inputs, taken: Taken, limits: Limits, summary: Summary) -> Job:
    """Resolve all that has to be known before the first case is converted.

    Raises:
        BratsError: label schemes cannot be resolved, or not even one case fits into memory.
    """
    source, cases, config = inputs.source, inputs.found.cases, inputs.frame.config
    schemes = resolve(source, cases, inputs.frame.scheme)
    classes = common_classes(schemes.values())
    asked = Asked(config.channels, classes, config.background, config.voxel_mm)
    summary.schemes = tuple(sorted({scheme.name for scheme in schemes.values()}))
    fit, limit = share(source, cases, limits.threads, limits.max_ram, config)
    bench = Bench(source, *pools(source, cases, fit, limit, config.voxel_mm), Pages())
    executor = limits.executor
    width = fit if executor is None else width_of(executor, limits.workers)
    job = Job(inputs, taken, schemes, asked, width, bench, summary.geometries, executor)
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
    boxes += job.boxes(left)
    return smallest_window(boxes, _MULTIPLE) if boxes else None


def plane_size(job: Job) -> tuple[int, int]:
    """(h, w) of the stored slices: the window, or the whole plane of the first case."""
    if job.inputs.frame.window is not None:
        return job.inputs.frame.window
    geometry = first_header(job.inputs.source, job.inputs.found.cases).geometry
    _, y, x = stored_grid(geometry, job.asked.spacing, "the first case").shape
    return y, x


def check_size(made: Converted, size: tuple[int, int]) -> None:
    """Refuse a case whose planes are of another size.

    Args:
        made: the case.
        size: (h, w) of the file's slices.

    Raises:
        BuildError: they are.
    """
    box = made.tables.case["box"]
    own = tuple(int(side) for side in (box[1] - box[0])[1:])
    if own != size:
        raise BuildError(
            f"{made.tables.case['id']}: plane is {own[0]} x {own[1]} but the file's are "
            f"{size[0]} x {size[1]}; give --crop a window"
        )
