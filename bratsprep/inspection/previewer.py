"""Preview of one case of a slice file: its modalities, and its label in colour."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import SchemaError
from bratsprep.inspection.figures import Page, plot_page
from bratsprep.inspection.figures import plot_balance as plot_balance
from bratsprep.slicefile.reader import SliceFile

_LISTED = 5
"""Ids that are listed where the requested case is missing."""


def preview(
    path: Path | str, case: str | None, out_png: Path | str, planes: int = 4
) -> tuple[str, tuple[int, ...]]:
    """Draw a few planes of a case, spread over its tumour.

    Args:
        path: slice file.
        case: id; None takes the first case with the last class, such as ET, else with any tumour,
            else the first.
        out_png: picture to write.
        planes: rows of the page; fewer where the case holds fewer.

    Returns:
        The case, and its planes in the uncropped volume.

    Raises:
        SchemaError: it is no slice file, or one without slices.
        BuildError: the picture cannot be written.
        ValueError: there is no such case, it has no slice, or `planes` is below 1.
    """
    if planes < 1:
        raise ValueError(f"planes must be at least 1, got {planes}")
    with SliceFile(path) as file:
        c = first_case(file) if case is None else named_case(file, case)
        rows = spread_rows(file, c, planes)
        image, label = file.read(rows)
        case_row = file.cases[c]
        z = tuple(int(place) for place in file.slices["z"][rows])
        name, is_labelled = str(case_row["id"]), bool(case_row["labelled"])
        modalities, classes = file.modalities, file.classes
    title = name if is_labelled else f"{name}, unlabelled"
    shown = label if is_labelled else None
    drawn = Page(title, image.astype(np.float32), shown, z, modalities, classes)
    plot_page(drawn, Path(out_png))
    return name, z


def first_case(file: SliceFile) -> int:
    """Row of the first case with a slice of the last class, else of any tumour, else any slice.

    Raises:
        SchemaError: the file holds no slice.
    """
    voxels = file.slices["voxels"]
    for has in (voxels[:, -1] > 0, voxels[:, 1:].any(axis=1), np.ones(len(file), bool)):
        if has.any():
            return int(file.slices["case"][has][0])
    raise SchemaError(f"{file.path}: holds no slice to show")


def named_case(file: SliceFile, case: str) -> int:
    """Row of a case.

    Raises:
        ValueError: there is none of that id.
    """
    places = np.flatnonzero(file.cases["id"] == case)
    if places.size:
        return int(places[0])
    ids = [str(name) for name in file.cases["id"]]
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    raise ValueError(
        f"{file.path}: holds no case {case!r}; it has {', '.join(ids[:_LISTED])}{more}"
    )


def spread_rows(file: SliceFile, c: int, planes: int) -> NDArray[np.int64]:
    """Rows under /slice of a few planes of a case, spread evenly over those with tumour.

    Raises:
        ValueError: the case has no slice.
    """
    rows = np.flatnonzero(file.slices["case"] == c)
    if not rows.size:
        name = file.cases["id"][c]
        raise ValueError(
            f"{file.path}: case {name} has no slice; build with --slices brain to see it"
        )
    tumour = rows[file.slices["voxels"][rows][:, 1:].any(axis=1)]
    rows = tumour if tumour.size else rows
    count = min(planes, len(rows))
    places = (np.arange(count) + 0.5) / count * len(rows)
    return rows[places.astype(np.int64)]
