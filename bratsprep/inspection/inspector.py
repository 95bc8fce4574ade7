"""What a slice file, a raw data set or a folder of masks holds: class balance and odd cases."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.case import CaseFiles, Geometry
from bratsprep.discovery.discover import Found, LabelChoice, find_cases_or_masks
from bratsprep.discovery.subject_tables import task01
from bratsprep.inspection.class_balance import CaseCount, Stored, count_case, whole
from bratsprep.inspection.results import Inspection as Inspection
from bratsprep.labels import ClassSet, Scheme
from bratsprep.settings import refuse_unknown
from bratsprep.slicefile.chunk_index import Contents, read_contents
from bratsprep.sources.source import ARCHIVES, Source, open_source
from bratsprep.system.memory import Buffers
from bratsprep.system.threads import cores
from bratsprep.volumes import nifti
from bratsprep.volumes.case_volumes import Asked, CaseVolumes, case_notes, read_scan
from bratsprep.volumes.geometries import read_geometries
from bratsprep.volumes.label import label_grid, read_label
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve, scheme_name
from bratsprep.volumes.warm import warm

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
    labels: Path | str = "auto",
    images: bool = False,
    workers: int = 0,
    progress: bool = False,
    watch: Watch | None = None,
    **choice: Unpack[LabelChoice],
) -> Inspection:
    """Count what a slice file, a raw data set or a folder of masks holds.

    Of a slice file only the tables are read, of raw data only the labels.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        labels: scheme of raw labels, by name or as a TOML file, or `auto` to derive it from the
            evidence.
        images: read the raw images too, for the moments of each modality.
        workers: threads; 0 uses every core.
        progress: show a bar on standard error where that is a terminal.
        watch: sees each raw case while it is in memory; several threads call it at once.
        **choice: `label_name`, a pattern of the names of raw label files; `same_grid`, whether
            raw labels lie on the grids of the images whatever their headers say; `modalities` and
            `missing` as in `bratsprep.config.PrepConfig`.

    Raises:
        BratsError: there is nothing to inspect, or it is broken.
        TypeError: a keyword is unknown.
        ValueError: there is no such scheme, or fewer than 0 workers.
    """
    refuse_unknown("inspect", choice, LabelChoice.__annotations__)
    if workers < 0:
        raise ValueError(f"workers must be at least 0, got {workers}")
    path = Path(path)
    if path.is_file() and not path.name.lower().endswith(ARCHIVES):
        check_no_labels(path, str(labels))
        return inspect_file(path)
    _, chosen = chosen_scheme(labels)
    with open_source(path) as source:
        found = find_cases_or_masks(source, scheme_name(chosen), **choice)
        schemes = resolve(source, found.cases, chosen)
        classes = common_classes(schemes.values())
        modalities = found.mapping.modalities
        one = count_images if images and found.cases[0].channels else count_label
        shown = progress and sys.stderr.isatty()
        work = partial(one, Counting(source, schemes, Asked(modalities, classes), watch))
        rows = counted(found, work, workers or cores(), shown)
        size_bytes = _size_bytes(source, found)
        geometries = read_geometries(source, found.cases)
    names = {scheme.name for scheme in schemes.values()}
    return Inspection(
        path,
        found.layout,
        tuple(sorted(names)),
        rows,
        size_bytes,
        mapping=found.mapping,
        geometries=geometries,
        class_set=classes,
        modalities=modalities,
    )


def _size_bytes(source: Source, found: Found) -> int:
    """Bytes of the files of all cases."""
    members = {channel.member for files in found.cases for channel in files.channels}
    members |= {files.label for files in found.cases if files.label is not None}
    return sum(source.members[member] for member in members)


def check_no_labels(path: Path, labels: str) -> None:
    """Refuse a label scheme for a slice file.

    Raises:
        ValueError: one is named.
    """
    if labels != "auto":
        raise ValueError(
            f"labels {labels} has no effect on {path}: a slice file stores classes, not the codes "
            "of a scheme; leave it out"
        )


def counted(
    found: Found, work: Callable[[CaseFiles, Buffers], CaseCount], workers: int, shown: bool
) -> tuple[CaseCount, ...]:
    """Count every case on threads.

    Raises:
        BratsError: the first case that cannot be counted.
    """
    warm(max(len(found.mapping.modalities), 1))
    free: SimpleQueue[Buffers] = SimpleQueue()
    for _ in range(workers):
        free.put(Buffers())

    def count(files: CaseFiles) -> CaseCount:
        buffers = free.get()
        try:
            return work(files, buffers)
        finally:
            free.put(buffers)

    with ThreadPoolExecutor(workers, "case") as threads:
        rows = threads.map(count, found.cases)
        return tuple(tqdm(rows, total=len(found.cases), unit="case", disable=not shown))


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


def inspect_file(path: Path) -> Inspection:
    """Count a slice file from its tables.

    Raises:
        SchemaError: it is none.
    """
    contents = read_contents(path)
    bounds = np.searchsorted(contents.planes["case"], np.arange(1, len(contents.cases)))
    planes = np.split(contents.planes["voxels"], bounds)
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
        )
        for case, voxels in zip(contents.cases, planes, strict=True)
    )
    schemes = tuple(sorted({str(name) for name in contents.cases["scheme"]} - {""}))
    size_bytes = path.stat().st_size
    described = contents.described
    return Inspection(
        path,
        "slice file",
        schemes,
        rows,
        size_bytes,
        class_set=described.classes,
        modalities=described.modalities,
        stored=stored(contents),
    )


def stored(contents: Contents) -> Stored:
    """Count what a slice file keeps."""
    storage, slices = contents.storage, contents.slices
    has_label = contents.cases["labelled"][slices["case"]] > 0
    sources = [part for text in contents.cases["source"] for part in json.loads(text)]
    return Stored(
        slices=len(slices),
        height=storage.shape[0],
        width=storage.shape[1],
        voxels=whole(slices["voxels"][has_label].sum(axis=0, dtype=np.int64)),
        lost=whole(contents.cases["lost_voxels"].sum(axis=0)),
        plain_bytes=len(slices) * (storage.image_bytes + storage.pixels),
        source_bytes=sum(part["size"] for part in sources),
    )
