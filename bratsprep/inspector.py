"""What a slice file, a raw data set or a folder of masks holds: class balance and odd cases."""

import json
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from bratsprep import kernels, layout, nifti
from bratsprep.balance import (
    CaseCount,
    ClassCount,
    Odd,
    Stored,
    class_counts,
    class_table,
    count_case,
    imbalance,
    modality_counts,
    modality_table,
    odd_cases,
    spread_table,
    spreads,
    whole,
)
from bratsprep.case import CaseFiles
from bratsprep.errors import LayoutError, NiftiError
from bratsprep.labels import CLASSES, Scheme
from bratsprep.layout import Found
from bratsprep.naming import is_nifti
from bratsprep.nifti import Buffers
from bratsprep.scan import as_axial, read_scan, recode
from bratsprep.schemes import resolve
from bratsprep.source import ARCHIVES, Source, open_source
from bratsprep.storage import Contents, read_contents
from bratsprep.workers import cores

_SHOWN: Final = 10
"""Ids listed of each kind of odd case."""
_WIDTH: Final = 96
"""Columns of the text."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found; all but the single cases follows from them."""

    path: Path
    kind: str
    """`slice file`, the layout of raw data, or `masks only`."""
    schemes: tuple[str, ...]
    """Label schemes of the source."""
    rows: tuple[CaseCount, ...]
    """One a case, by id; unlabelled ones included."""
    size_bytes: int
    """On disk."""
    stored: Stored | None = None
    """None where it is no slice file."""

    @property
    def classes(self) -> tuple[ClassCount, ...]:
        """Class balance over the labelled cases, background first."""
        return class_counts(self.rows)

    def to_json(self) -> dict[str, Any]:
        """Give everything, every case included, as what `json.dumps` takes."""
        large, small, ratio = imbalance(self.classes)
        return {
            **self.totals(),
            "classes": [asdict(found) for found in self.classes],
            "imbalance": {"largest": large, "smallest": small, "ratio": ratio},
            "spread": [asdict(found) for found in spreads(self.rows)],
            "modalities": [asdict(found) for found in modality_counts(self.rows)],
            "odd": {found.what: found.ids for found in odd_cases(self.rows)},
            **asdict(self),
            "path": str(self.path),
        }

    def totals(self) -> dict[str, int]:
        """Count cases, subjects, planes, and planes that hold tumour (`slices`)."""
        return {
            "cases": len(self.rows),
            "subjects": len({row.subject for row in self.rows}),
            "planes": sum(row.planes for row in self.rows),
            "slices": sum(row.tumour_planes for row in self.rows),
        }

    def lines(self) -> list[str]:
        """Give everything but the single cases as a text for a terminal."""
        blocks = [self._head()]
        if any(row.labelled for row in self.rows):
            blocks.append(class_table(self.classes, self.stored.voxels if self.stored else ()))
            blocks.append(spread_table(spreads(self.rows)))
        if modalities := modality_counts(self.rows):
            blocks.append(modality_table(modalities))
        if odd := odd_cases(self.rows):
            blocks.append([line for found in odd for line in odd_lines(found)])
        return [line for block in blocks for line in ["", *block]][1:]

    def _head(self) -> list[str]:
        """Counts and sizes."""
        total, size = self.totals(), f"{self.size_bytes / 1e6:,.1f} MB"
        named = f", labels {' + '.join(self.schemes)}" if self.schemes else ""
        lines = [
            f"{self.path}: {self.kind}{named}",
            f"cases   {total['cases']:,} of {total['subjects']:,} subjects",
            f"planes  {total['planes']:,}, of them {total['slices']:,} with tumour",
        ]
        if self.stored is None:
            return [*lines, f"size    {size}"]
        kept = self.stored
        parts = zip(("brain", *CLASSES[1:]), kept.lost, strict=True)
        return [
            *lines,
            f"stored  {kept.slices:,} slices of {kept.height} x {kept.width}",
            "lost    " + ", ".join(f"{name} {count:,}" for name, count in parts) + " voxels",
            f"size    {size}, of raw files with {kept.source_bytes / 1e6:,.1f} MB",
            f"packed  {kept.plain_bytes / self.size_bytes:.2f} : 1",
        ]


def odd_lines(odd: Odd) -> list[str]:
    """One kind of odd case, a few by id."""
    more = len(odd.ids) - _SHOWN
    ids = ", ".join(odd.ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    text = f"{odd.what} ({len(odd.ids)}): {ids}"
    return textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def inspect(
    path: Path | str,
    *,
    labels: str = "auto",
    images: bool = False,
    workers: int = 0,
    progress: bool = False,
) -> Inspection:
    """Count what a slice file, a raw data set or a folder of masks holds.

    Of a slice file only the tables are read, of raw data only the labels.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        labels: scheme of raw labels, or `auto` to tell it from the evidence.
        images: read the raw images too, for the moments of each modality.
        workers: threads; 0 uses every core.
        progress: show a bar on standard error where that is a terminal.

    Raises:
        BratsError: there is nothing to inspect, or it is broken.
        ValueError: there is no such scheme, or fewer than 0 workers.
    """
    if workers < 0:
        raise ValueError(f"workers must be at least 0, got {workers}")
    path = Path(path)
    if path.is_file() and not path.name.lower().endswith(ARCHIVES):
        return inspect_file(path)
    with open_source(path) as source:
        found = find(source)
        schemes = resolve(source, found.cases, labels)
        work = count_images if images and found.cases[0].images else count_label
        shown = progress and sys.stderr.isatty()
        rows = counted(found, partial(work, source, schemes), workers or cores(), shown)
        members = {channel.member for files in found.cases for channel in files.images}
        members |= {files.label for files in found.cases if files.label is not None}
        size_bytes = sum(source.members[member] for member in members)
    names = {scheme.name for scheme in schemes.values()}
    return Inspection(path, found.layout, tuple(sorted(names)), rows, size_bytes)


def find(source: Source) -> Found:
    """Find the cases of a source, or its masks where it holds nothing else.

    Raises:
        LayoutError: it holds neither.
    """
    try:
        return layout.scan(source, unlabelled=True)
    except LayoutError:
        scans = sum(map(is_nifti, source.members))
        masks = layout.mask_files(source) if scans else None
        if masks is None or len(masks.cases) != scans:
            raise
        return masks


def counted(
    found: Found, work: Callable[[CaseFiles, Buffers], CaseCount], workers: int, shown: bool
) -> tuple[CaseCount, ...]:
    """Count every case on threads.

    Raises:
        BratsError: the first case that cannot be counted.
    """
    kernels.warm()
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


def count_label(
    source: Source, schemes: dict[str, Scheme], files: CaseFiles, buffers: Buffers
) -> CaseCount:
    """Count a raw case from its label alone.

    Raises:
        BratsError: a file is broken, or a label value is outside its scheme.
    """
    if files.label is None:
        geometry = nifti.read_header(source, files.images[0].member).geometry
        sides = zip(geometry.orientation, geometry.shape, strict=True)
        depth = next(side for code, side in sides if code in "IS")
        voxels = np.zeros((depth, len(CLASSES)), np.int32)
    else:
        where = source.where(files.label)
        header, label, _ = nifti.load(source, files.label, buffers, "label")
        if label.ndim != 3:
            raise NiftiError(f"{where}: holds {len(label)} volumes; a label is one")
        geometry = header.geometry
        codes = as_axial(nifti.codes(label, header, where), geometry)
        voxels = recode(codes, schemes[files.id], where)
    volume = float(geometry.spacing.prod())
    return count_case((files.id, files.subject), voxels, files.label is not None, volume)


def count_images(
    source: Source, schemes: dict[str, Scheme], files: CaseFiles, buffers: Buffers
) -> CaseCount:
    """Count a raw case and measure its brain; raises as `count_label` does."""
    case = read_scan(files, source, buffers, schemes.get(files.id))
    name, volume = (files.id, files.subject), float(case.geometry.spacing.prod())
    return replace(
        count_case(name, case.plane_voxels, case.label is not None, volume),
        mean=tuple(case.measured.mean.tolist()),
        std=tuple(case.measured.std.tolist()),
    )


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
            lost=whole(case["lost_voxels"]),
        )
        for case, voxels in zip(contents.cases, planes, strict=True)
    )
    schemes = tuple(sorted({str(name) for name in contents.cases["scheme"]} - {""}))
    size_bytes = path.stat().st_size
    return Inspection(path, "slice file", schemes, rows, size_bytes, stored(contents))


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
