"""Picture of a prediction without truth by matplotlib, which comes with `bratsprep[plot]`."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bratsprep.drawing.colours import grey_limits, radiological, title
from bratsprep.drawing.figure_parts import ON_BLACK, class_legend, draw_label, mark_sides
from bratsprep.system.atomic import replacing
from bratstrain.inference.case_output import PredictedPlane

NOTE: Final = (
    "Radiological view: R is the patient's right side, front is up.  Research use only; not a "
    "medical device"
)
_DPI: Final = 110
_PANEL_INCHES: Final = 2.4
_MOST_COLUMNS: Final = 5
_LEAST_WIDTH: Final = 7.2
"""Inches that the lines of text need."""
_TOP_INCHES: Final = 0.7
_BOTTOM_INCHES: Final = 0.56


def draw_case(path_png: Path, plane: PredictedPlane) -> None:
    """Draw every modality of a plane, and the prediction over one of them.

    Args:
        path_png: file to write; replaced where it is there.
        plane: of `bratstrain.predict`.

    Raises:
        BratsError: the file cannot be written.
    """
    height, width = plane.label.shape
    names = [
        *map(title, plane.modalities),
        f"Prediction over {title(plane.modalities[plane.shown])}",
    ]
    columns = min(len(names), _MOST_COLUMNS)
    rows = -(-len(names) // columns)
    row_inches = _PANEL_INCHES * height / width + 0.28
    size = (
        max(_PANEL_INCHES * columns, _LEAST_WIDTH),
        row_inches * rows + _TOP_INCHES + _BOTTOM_INCHES,
    )
    figure = Figure(figsize=size, facecolor="black")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(
        0.004, _BOTTOM_INCHES / size[1], 0.996, 1 - _TOP_INCHES / size[1], 0.015, 0.12
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for m, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
        draw_panel(axes, plane, m, name)
    mark_sides(grid.flat[0])
    write_around(figure, plane)
    FigureCanvasAgg(figure)
    with replacing(path_png) as file:
        figure.savefig(file, format="png", dpi=_DPI, facecolor="black")


def draw_panel(axes: Axes, plane: PredictedPlane, m: int, name: str) -> None:
    """Draw modality `m`; behind the last one, the prediction over the one that is chosen."""
    is_overlay = m == len(plane.modalities)
    image = radiological(plane.images[plane.shown if is_overlay else m])
    low, high = grey_limits(image)
    axes.imshow(np.where(image != 0, image, low), "gray", vmin=low, vmax=high)
    axes.set_title(name, color=ON_BLACK, fontsize=10, pad=3)
    if is_overlay:
        draw_label(axes, radiological(plane.label), 0.6, plane.classes)


def write_around(figure: Figure, plane: PredictedPlane) -> None:
    """Write case, plane and volumes above the panels, note and legend below them."""
    height = figure.get_size_inches()[1]
    has_tumour = bool(plane.label.any())
    which = "most predicted tumour" if has_tumour else "middle plane; no tumour is predicted"
    head = f"{plane.case}, plane {plane.z} ({which})\n{plane.volumes}"
    figure.text(0.006, 1 - 0.06 / height, head, color=ON_BLACK, fontsize=10, va="top")
    figure.text(0.006, 0.3 / height, NOTE, color=ON_BLACK, fontsize=8)
    class_legend(figure, plane.classes)
