"""Inspect something and write what was found as a page."""

import sys
from pathlib import Path
from typing import Unpack

from bratsprep.config import RawSettings
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
    background: str = "auto",
    workers: int = 0,
    progress: bool = False,
    **settings: Unpack[RawSettings],
) -> Inspection:
    """Write a page of what a slice file, a raw data set or a folder of masks holds.

    The page is self-contained and makes no network requests: class balance, histograms of each
    modality before and after normalisation, differences between cases, and pictures of unusual
    cases. All images are read.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        out_html: page to write.
        background: as in `PrepConfig`; of raw images.
        workers: threads; 0 uses every core.
        progress: show a bar on standard error where that is a terminal.
        **settings: as in `bratsprep.inspect`.

    Returns:
        What `bratsprep.inspect` gives, the moments of each modality included.

    Raises:
        BratsError: there is nothing to inspect, or it is broken, or the page cannot be written.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect on a slice file.
    """
    inspection, sketch = _gathered(path, background, workers, progress, settings)
    with replacing(Path(out_html)) as file:
        file.write(page(inspection, sketch).encode(errors="backslashreplace"))  # names are bytes
    return inspection


def _gathered(
    path: Path | str, background: str, workers: int, progress: bool, settings: RawSettings
) -> tuple[Inspection, Sketch]:
    """Count the cases, and gather histograms and pictures.

    Args:
        path: as of `inspect_page`.
        background: as of `inspect_page`.
        workers: threads.
        progress: show a bar.
        settings: what raw files are taken for, and how faulty cases are treated.
    """
    sketch = Sketch()
    inspection = inspect(
        path,
        background=background,
        images=True,
        workers=workers,
        progress=progress,
        watch=sketch.watch,
        **settings,
    )
    if inspection.stored is not None:
        with SliceFile(path) as file:
            shown = progress and sys.stderr.isatty()
            sketch = sketch_file(file, inspection.rows, workers or cores(), shown)
    return inspection, sketch
