"""Inspect something and write what was found as a page."""

import sys
from pathlib import Path
from typing import Unpack

from bratsprep.discovery.discover import LabelChoice
from bratsprep.inspection.inspector import inspect
from bratsprep.inspection.page import page
from bratsprep.inspection.results import Inspection
from bratsprep.inspection.voxel_statistics import Sketch, sketch_file
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.atomic import replacing
from bratsprep.system.threads import cores


def inspect_page(
    path: Path | str,
    out_html: Path | str,
    *,
    labels: Path | str = "auto",
    workers: int = 0,
    progress: bool = False,
    **choice: Unpack[LabelChoice],
) -> Inspection:
    """Write a page of what a slice file, a raw data set or a folder of masks holds.

    The page is self-contained and makes no network requests: class balance, histograms of each
    modality before and after normalisation, differences between cases, and pictures of unusual
    cases. All images are read.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        out_html: page to write.
        labels: scheme of raw labels, or `auto` to derive it from the evidence.
        workers: threads; 0 uses every core.
        progress: show a bar on standard error where that is a terminal.
        **choice: as in `bratsprep.inspect`.

    Returns:
        What `bratsprep.inspect` gives, the moments of each modality included.

    Raises:
        BratsError: there is nothing to inspect, or it is broken, or the page cannot be written.
        ValueError: the scheme is unknown, or `workers` is below 0.
    """
    inspection, sketch = _gathered(path, labels, workers, progress, choice)
    with replacing(Path(out_html)) as file:
        file.write(page(inspection, sketch).encode(errors="backslashreplace"))  # names are bytes
    return inspection


def _gathered(
    path: Path | str, labels: Path | str, workers: int, progress: bool, choice: LabelChoice
) -> tuple[Inspection, Sketch]:
    """Count the cases, and gather histograms and pictures; arguments as of `inspect_page`."""
    sketch = Sketch()
    inspection = inspect(
        path,
        labels=labels,
        images=True,
        workers=workers,
        progress=progress,
        watch=sketch.watch,
        **choice,
    )
    if inspection.stored is not None:
        with SliceFile(path) as file:
            shown = progress and sys.stderr.isatty()
            sketch = sketch_file(file, inspection.rows, workers or cores(), shown)
    return inspection, sketch
