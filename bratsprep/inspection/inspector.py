"""What a slice file, a raw data set or a folder of masks holds: class balance and odd cases."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.case import CaseFiles, Geometry
from bratsprep.config import FaultConfig, RawSettings, SourceConfig, check_background
from bratsprep.discovery.discover import Found, find_cases_or_masks
from bratsprep.discovery.subject_tables import task01
from bratsprep.inspection.class_balance import CaseCount, Stored, count_case, whole
from bratsprep.inspection.results import Inspection as Inspection
from bratsprep.inspection.stored_notes import file_notes
from bratsprep.labels import ClassSet, Scheme
from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import ARCHIVES, Source, open_source
from bratsprep.system.faulty_cases import SetAside, check_any_left, without_faulty
from bratsprep.system.memory import Buffers, Pool
from bratsprep.system.threads import cores, in_order
from bratsprep.volumes import nifti
from bratsprep.volumes.case_volumes import Asked, CaseVolumes, case_notes, read_scan
from bratsprep.volumes.geometries import read_geometries
from bratsprep.volumes.label import label_grid, read_label
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve, scan_keywords
from bratsprep.volumes.warm import warm_cases

Watch: TypeAlias = Callable[
    [CaseCount, NDArray[np.uint8] | None, CaseVolumes | None, ClassSet], None
]
"""Sees each raw case while its voxels are in memory, on the thread that read it: what was counted,
its (z, y, x) uint8 label in RAS+ order or None, its images where they were read, and the classes
of the set."""


@dataclass(frozen=True, slots=True)
class Counting:
    """What every raw case of a set is counted with."""

    source: Source
    schemes: dict[str, Scheme]
    """By case id; unlabelled cases have none."""
    asked: Asked
    watch: Watch | None

    def show(
        self, row: CaseCount, label: NDArray[np.uint8] | None, scan: CaseVolumes | None
    ) -> CaseCount:
        """Show a case, with its (z, y, x) uint8 label or None, to whoever watches."""
        if self.watch is not None:
            self.watch(row, label, scan, self.asked.classes)
        return row


def inspect(
    path: Path | str,
    *,
    images: bool = False,
    background: str = "auto",
    workers: int = 0,
    progress: bool = False,
    watch: Watch | None = None,
    **settings: Unpack[RawSettings],
) -> Inspection:
    """Count what a slice file, a raw data set or a folder of masks holds.

    Of a slice file only the tables are read, of raw data only the labels; with `images` all of
    both.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        images: read the images too: of raw data for the moments of each modality, of both for
            what is unusual about them.
        background: as in `PrepConfig`; of raw images.
        workers: threads; 0 uses every core.
        progress: show a bar on standard error where that is a terminal.
        watch: sees each raw case while it is in memory; several threads call it at once.
        **settings: keywords of `bratsprep.config.SourceConfig` and `FaultConfig`.

    Raises:
        BratsError: there is nothing to inspect, or it is broken.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect on a slice file.
    """
    labels, faults = take("inspect", settings, SourceConfig, FaultConfig)
    choice, skip = SourceConfig(**labels), FaultConfig(**faults).skip
    path = Path(path)
    if workers < 0:
        raise ValueError(f"workers must be at least 0, got {workers}")
    if path.is_file() and not path.name.lower().endswith(ARCHIVES):
        choice.refuse_for_slice_file(path, background=background)
        return inspect_file(path, images=images)
    check_background(background, choice, images=images)
    _, chosen = chosen_scheme(choice.labels)
    with open_source(path) as source:
        found = find_cases_or_masks(source, skip=skip, **scan_keywords(choice, chosen))
        schemes = resolve(source, found.cases, chosen)
        has_images = images and bool(found.cases[0].channels)
        check_background(background, choice, images=has_images)
        wanted = Asked(found.mapping.modalities, common_classes(schemes.values()), background)
        counting = Counting(source, schemes, wanted, watch)
        work = partial(count_images if has_images else count_label, counting)
        warm_cases(source, found.cases, images=has_images)
        faulty = [*found.set_aside]
        shown = progress and sys.stderr.isatty()
        rows = counted(found, work, faulty, workers or cores(), skip=skip, shown=shown)
        check_any_left(path, len(rows), faulty)
        return inspected(path, found, rows, faulty, counting)


def inspected(
    path: Path,
    found: Found,
    rows: tuple[CaseCount, ...],
    faulty: Sequence[SetAside],
    counting: Counting,
) -> Inspection:
    """Put together what an inspection of raw data found.

    Args:
        path: of the data.
        found: all of its cases.
        rows: of the cases that were counted.
        faulty: those that were set aside.
        counting: what they were counted with.
    """
    cases = without(found.cases, faulty)
    return Inspection(
        path,
        found.layout,
        tuple(sorted({scheme.name for scheme in counting.schemes.values()})),
        rows,
        bytes_of(counting.source, cases),
        mapping=found.mapping,
        geometries=read_geometries(counting.source, cases),
        skipped=tuple(sorted(faulty, key=lambda case: case.id)),
        class_set=counting.asked.classes,
        modalities=counting.asked.modalities,
    )


def without(cases: Sequence[CaseFiles], faulty: Sequence[SetAside]) -> list[CaseFiles]:
    """Leave out the cases that were set aside."""
    left_out = {case.id for case in faulty}
    return [files for files in cases if files.id not in left_out]


def bytes_of(source: Source, cases: Sequence[CaseFiles]) -> int:
    """Bytes on disk of the files of some cases."""
    members = {member for files in cases for member in files.members}
    return sum(source.members[member] for member in members)


def counted(
    found: Found,
    work: Callable[[CaseFiles, Buffers], CaseCount],
    faulty: list[SetAside],
    workers: int,
    *,
    skip: bool,
    shown: bool,
) -> tuple[CaseCount, ...]:
    """Count cases on threads.

    Args:
        found: the cases to count.
        work: counts a case in the memory of a worker.
        faulty: receives the cases that are set aside.
        workers: threads.
        skip: set faulty cases aside.
        shown: show a bar on standard error.

    Raises:
        BratsError: a case cannot be counted, and such cases are not set aside.
    """
    memory = Pool(workers, 2**62)

    def count(files: CaseFiles) -> CaseCount:
        with memory.borrow() as buffers:
            return work(files, buffers)

    with closing(in_order(found.cases, count, workers)) as made:
        results = tqdm(made, total=len(found.cases), unit="case", disable=not shown)
        return tuple(without_faulty(results, faulty, skip=skip))


def count_label(counting: Counting, files: CaseFiles, buffers: Buffers) -> CaseCount:
    """Count a raw case from its label alone.

    Raises:
        BratsError: a file is broken, or a label value is outside its scheme.
    """
    label, source = None, counting.source
    if files.label is None:
        geometry = nifti.read_header(source, files.first).geometry
        voxels = np.zeros((geometry.sides[0], len(counting.asked.classes)), np.int32)
    else:
        grid = label_grid(files, source)
        read = read_label(source, files.label, counting.schemes[files.id], buffers, grid)
        label, voxels, geometry = read.classes, read.plane_voxels, read.geometry
    return counting.show(counted_case(files, geometry, voxels, label is not None), label, None)


def counted_case(
    files: CaseFiles, geometry: Geometry, voxels: NDArray[np.int32], labelled: bool
) -> CaseCount:
    """Count a raw case from the (z, c) int32 voxels of each class in its planes.

    Its subject is that of its name or of the table for Task01, as in `build`.
    """
    volume_mm3 = float(geometry.spacing.prod())
    subject = task01().subject(files.id, files.subject, voxels.sum(axis=0).tolist())
    return count_case((files.id, subject), voxels, labelled, volume_mm3)


def count_images(counting: Counting, files: CaseFiles, buffers: Buffers) -> CaseCount:
    """Count a raw case and measure its brain; raises as `count_label` does."""
    scheme = counting.schemes.get(files.id)
    case = read_scan(files, counting.source, buffers, scheme, counting.asked)
    row = replace(
        counted_case(files, case.geometry, case.plane_voxels, case.label is not None),
        mean=tuple(case.measured.mean.tolist()),
        std=tuple(case.measured.std.tolist()),
        present=case.named.present,
        unusual=case_notes(case),
    )
    return counting.show(row, case.label, case)


def inspect_file(path: Path, *, images: bool = False) -> Inspection:
    """Count a slice file from its tables.

    Args:
        path: the file.
        images: read the stored slices too, for what is unusual about them.

    Raises:
        SchemaError: it is none, or a slice is damaged.
    """
    with SliceFile(path, prints=False) as file:
        return inspected_file(file, file_notes(file, images=images))


def inspected_file(file: SliceFile, unusual: Mapping[str, tuple[str, ...]]) -> Inspection:
    """Put together what the tables of a slice file say.

    Args:
        file: open.
        unusual: notes by case id.
    """
    bounds = np.searchsorted(file.planes["case"], np.arange(1, len(file.cases)))
    planes = np.split(file.planes["voxels"], bounds)
    rows = tuple(
        replace(
            count_case(
                (str(case["id"]), str(case["subject"])),
                voxels,
                bool(case["labelled"]),
                float(case["spacing"].prod()),
            ),
            mean=tuple(case["mean"].tolist()),
            std=tuple(case["std"].tolist()),
            present=tuple((case["present"] > 0).tolist()),
            lost=whole(case["lost_voxels"]),
            unusual=unusual[str(case["id"])],
        )
        for case, voxels in zip(file.cases, planes, strict=True)
    )
    return Inspection(
        file.path,
        "slice file",
        tuple(sorted({str(name) for name in file.cases["scheme"]} - {""})),
        rows,
        file.path.stat().st_size,
        class_set=file.classes,
        modalities=file.modalities,
        stored=stored(file),
    )


def stored(file: SliceFile) -> Stored:
    """Count what a slice file keeps."""
    has_label = file.cases["labelled"][file.slices["case"]] > 0
    sources = [part for text in file.cases["source"] for part in json.loads(text)]
    height, width = file.shape
    pixel_bytes = len(file.modalities) * file.dtype.itemsize + 1
    return Stored(
        slices=len(file),
        height=height,
        width=width,
        voxels=whole(file.slices["voxels"][has_label].sum(axis=0, dtype=np.int64)),
        lost=whole(file.cases["lost_voxels"].sum(axis=0)),
        plain_bytes=len(file) * height * width * pixel_bytes,
        source_bytes=sum(part["size"] for part in sources),
    )
