"""Pictures of predictions by matplotlib, which comes with `pip install 'bratsprep[plot]'`.

Figures are separate objects on an Agg canvas: no pyplot, no window, no global state.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bratsprep.drawing.colours import grey_limits, radiological
from bratsprep.drawing.figure_parts import ON_BLACK, class_legend, draw_label, mark_sides
from bratsprep.labels import ClassSet
from bratsprep.system.atomic import replacing
from bratstrain.evaluation.tables import Picture, Report
from bratstrain.pages.gallery import class_mean

PANELS: Final = ("Original", "Ground truth", "Prediction", "Overlay")
NOTE: Final = (
    "Radiological view: R is the patient's right side, front is up.  "
    "Overlay: prediction in colour, outline of the true tumour in white"
)
_DPI: Final = 110
_PANEL_INCHES: Final = 2.4
_TOP_INCHES: Final = 0.62
_BOTTOM_INCHES: Final = 0.5


def draw_report(path_png: Path | str, report: Report) -> None:
    """Draw the best, the median and the worst case of an evaluation.

    Args:
        path_png: file to write; replaced where it is there.
        report: of `bratstrain.evaluate` with `pictures`.

    Raises:
        ValueError: no picture was kept.
        BratsError: the file cannot be written.
    """
    if not report.pictures:
        raise ValueError("report holds no picture; evaluate with pictures=True")
    pictures = {picture.case: picture for picture in report.pictures}
    ranked = sorted(report.scores, key=class_mean, reverse=True)
    places = dict.fromkeys((0, len(ranked) // 2, len(ranked) - 1))
    words = ("best", "median", "worst") if len(places) == 3 else ("best", "worst")
    rows = []
    for word, i in zip(words, places, strict=False):
        picture, score = pictures[ranked[i].case], class_mean(ranked[i])
        text = f"{word}: {picture.case}, plane {picture.z}, volume Dice {score:.3f}"
        rows.append((f"{text} (mean of classes, whole case)", picture))
    draw_rows(path_png, rows, report.classes, title=report.title)


def draw_rows(
    path_png: Path | str,
    rows: Sequence[tuple[str, Picture]],
    classes: ClassSet,
    *,
    title: str = "",
) -> None:
    """Draw pictures in rows, with a line of text above each.

    Args:
        path_png: file to write; replaced where it is there.
        rows: text and picture, at least one.
        classes: of the labels.
        title: above everything.

    Raises:
        ValueError: there is no picture, or one's planes are not of one shape.
        BratsError: the file cannot be written.
    """
    if not rows:
        raise ValueError("rows holds no picture to draw")
    for _, picture in rows:
        _check(picture)
    height, width = np.max([picture.image.shape for _, picture in rows], axis=0)
    row_inches = _PANEL_INCHES * height / width + 0.3
    size = (
        _PANEL_INCHES * len(PANELS),
        row_inches * len(rows) + _TOP_INCHES + _BOTTOM_INCHES,
    )
    figure = Figure(figsize=size, facecolor="black")
    grid = figure.subplots(len(rows), len(PANELS), squeeze=False)
    edges = _BOTTOM_INCHES / size[1], 1 - (_TOP_INCHES + 0.24) / size[1]
    figure.subplots_adjust(0.004, edges[0], 0.996, edges[1], 0.015, 0.3 / row_inches)
    for axes_of_row, (text, picture) in zip(grid, rows, strict=True):
        draw_panels(list(axes_of_row), picture, classes)
        axes_of_row[0].text(
            0, 1.02, text, color="white", fontsize=10, transform=axes_of_row[0].transAxes
        )
    _write_around(figure, grid[0], title, classes)
    FigureCanvasAgg(figure)
    with replacing(Path(path_png)) as file:
        figure.savefig(file, format="png", dpi=_DPI, facecolor="black")


def _check(picture: Picture) -> None:
    """Refuse planes of different shapes."""
    shapes = {picture.image.shape, picture.truth.shape, picture.predicted.shape}
    if len(shapes) != 1 or picture.image.ndim != 2:
        raise ValueError(
            f"{picture.case}: image is {picture.image.shape}, truth {picture.truth.shape} and "
            f"predicted {picture.predicted.shape}; they must be (h, w) of one shape"
        )


def _write_around(figure: Figure, first_row: Sequence[Axes], title: str, classes: ClassSet) -> None:
    """Write the title, the names of the panels, the legend and the note."""
    height = figure.get_size_inches()[1]
    figure.text(0.006, 1 - 0.08 / height, title, color="white", fontsize=11, va="top")
    for axes, name in zip(first_row, PANELS, strict=True):
        axes.text(
            0.5, 1.12, name, color="white", fontsize=11, ha="center", transform=axes.transAxes
        )  # fmt: skip
    class_legend(figure, classes)
    figure.text(0.006, 0.12 / height, NOTE, color="white", fontsize=8)


def draw_panels(axes: Sequence[Axes], picture: Picture, classes: ClassSet) -> None:
    """Draw the four panels of one picture."""
    image = radiological(picture.image)
    truth, predicted = radiological(picture.truth), radiological(picture.predicted)
    low, high = grey_limits(image)
    grey = np.where(image != 0, image, low)
    for panel in axes:
        panel.imshow(grey, "gray", vmin=low, vmax=high)
        panel.set_axis_off()
    for panel, label, opacity in (
        (axes[1], truth, 1.0),
        (axes[2], predicted, 1.0),
        (axes[3], predicted, 0.5),
    ):
        draw_label(panel, label, opacity, classes)
    if truth.any() and not truth.all():
        axes[3].contour(truth > 0, levels=[0.5], colors=ON_BLACK, linewidths=1.0)
    mark_sides(axes[0])
