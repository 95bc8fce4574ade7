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
    inspection, sketch = _gathered(path, workers, progress, settings)
    with replacing(Path(out_html)) as file:
        file.write(page(inspection, sketch).encode(errors="backslashreplace"))  # names are bytes
    return inspection


def _gathered(
    path: Path | str, workers: int, progress: bool, settings: RawSettings
) -> tuple[Inspection, Sketch]:
    """Count the cases, and gather histograms and pictures; arguments as of `inspect_page`."""
    sketch = Sketch()
    inspection = inspect(
        path,
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
