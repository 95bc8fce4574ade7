"""Figures by matplotlib, which comes with `pip install 'bratsprep[plot]'`.

Figures are separate objects on an Agg canvas: no pyplot, no window, no global state.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from bratsprep.drawing.colours import INK, UNDER, grey_limits, radiological, title
from bratsprep.drawing.figure_parts import class_legend, draw_label, mark_sides
from bratsprep.inspection.class_balance import CaseCount, ClassCount, class_counts, columns, percent
from bratsprep.labels import ClassSet
from bratsprep.system.atomic import replacing

_DPI: Final = 110
_OPACITY: Final = 0.5


class Counted(Protocol):
    """What a class balance is drawn from; `bratsprep.inspect` gives it."""

    @property
    def path(self) -> Path:
        """Of what was counted."""

    @property
    def rows(self) -> tuple[CaseCount, ...]:
        """One a case."""

    @property
    def class_set(self) -> ClassSet:
        """What the labels mean."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page of planes shows."""

    title: str
    image: NDArray[np.float32]
    """(p, m, h, w) any unit, RAS+."""
    label: NDArray[np.uint8] | None
    """(p, h, w), stored classes, RAS+; None for an unlabelled case."""
    z: tuple[int, ...]
    """Plane of each row in the uncropped volume."""
    modalities: tuple[str, ...]
    classes: ClassSet

    @property
    def over(self) -> list[int]:
        """Places of the modalities that are drawn once more, with the label over them."""
        if self.label is None:
            return []
        usual = [m for m, name in enumerate(self.modalities) if name in UNDER]
        return usual or [0]


def save(figure: Figure, out: Path) -> None:
    """Write a figure as PNG.

    Raises:
        BuildError: it cannot be written.
    """
    FigureCanvasAgg(figure)
    with replacing(out) as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name that the font cannot write
        figure.savefig(file, format="png", dpi=_DPI, facecolor=figure.get_facecolor())


def plot_balance(inspection: Counted, out_png: Path | str) -> None:
    """Draw the class balance: shares, planes, spread over cases, tumour volumes.

    Args:
        inspection: of anything with a labelled case.
        out_png: file to write.

    Raises:
        ValueError: no case is labelled.
        BuildError: the file cannot be written.
    """
    rows = [row for row in inspection.rows if row.labelled]
    if not rows:
        raise ValueError(f"{inspection.path}: holds no labelled case to draw")
    names = inspection.class_set
    classes = class_counts(rows, names)
    slices = sum(row.tumour_planes for row in rows)
    figure = Figure(figsize=(10, 6.6), layout="constrained", facecolor="white")
    figure.suptitle(
        f"{inspection.path.name}: {len(rows):,} cases, {slices:,} of "
        f"{sum(row.planes for row in rows):,} planes hold tumour",
        color=INK,
        fontsize=13,
    )
    (shares, planes), (spread, volumes) = figure.subplots(2, 2)
    draw_shares(shares, classes, names)
    draw_planes(planes, classes, slices, names)
    draw_spread(spread, columns(rows, lambda row: row.voxels, len(names)), names)
    draw_volumes(volumes, np.array([row.tumour_ml for row in rows]))
    for axes in (shares, planes, spread, volumes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=9)
        axes.title.set(color=INK, fontsize=11)
    save(figure, Path(out_png))


def bars(
    axes: Axes, heights: Sequence[float], colours: Mapping[str, str], texts: Sequence[str]
) -> None:
    """Draw a horizontal bar for each class, the first on top, with its value beside it.

    Args:
        axes: to draw on.
        heights: length of each bar.
        colours: by the names of the classes, in the order of the bars.
        texts: beside each bar.
    """
    names = list(colours)
    places = np.arange(len(names))
    axes.barh(
        places, heights, color=list(colours.values()), edgecolor=INK, linewidth=0.6, height=0.72
    )
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    for place, height, text in zip(places, heights, texts, strict=True):
        axes.annotate(
            text,
            (height, float(place)),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=9,
        )


def draw_shares(axes: Axes, classes: Sequence[ClassCount], names: ClassSet) -> None:
    """Share of each class of all voxels, on a log scale."""
    shares = [100 * count.share for count in classes]
    floor = min(share for share in shares if share) / 5
    texts = [
        percent(count.share)
        + (f"   1 : {count.background_ratio:,.0f}" if k and count.background_ratio else "")
        for k, count in enumerate(classes)
    ]
    colours = dict(zip(names.classes, names.colours, strict=True))
    bars(axes, [max(share, floor) for share in shares], colours, texts)
    axes.set_xscale("log")
    axes.set_xlim(floor, 3000)
    ticks = [10.0**power for power in range(-3, 3) if 10.0**power >= floor]
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title("Share of all voxels, and its ratio to background", loc="left")


def draw_planes(axes: Axes, classes: Sequence[ClassCount], slices: int, names: ClassSet) -> None:
    """Planes that hold each tumour class, of the `slices` planes that hold any."""
    counts = [float(count.planes) for count in classes[1:]]
    texts = [f"{count:,.0f}   {100 * count / max(slices, 1):.0f} %" for count in counts]
    bars(axes, counts, {name: names.colour(name) for name in names.tumour}, texts)
    axes.set_xlim(0, 1.3 * max(*counts, 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_title("Planes with the class, of all tumour planes", loc="left")


def draw_spread(axes: Axes, voxels: NDArray[np.int64], classes: ClassSet) -> None:
    """Voxels of the tumour classes: a dot for every case that holds the class, quartiles as a bar.

    Args:
        axes: to draw on.
        voxels: (cases, c) int64, voxels of every class in every labelled case.
        classes: of the labels.
    """
    generator = np.random.default_rng(0)
    for k in range(1, len(classes)):
        values = voxels[voxels[:, k] > 0, k]
        if not values.size:
            continue
        jitter = k + generator.uniform(-0.3, 0.3, values.size)
        axes.scatter(values, jitter, s=9, color=classes.colours[k], edgecolor=INK, linewidth=0.25)
        quarter, median, three = np.percentile(values, (25, 50, 75))
        axes.plot([quarter, three], [k, k], color=INK, linewidth=3, solid_capstyle="butt")
        axes.plot([median], [k], "o", color="white", markeredgecolor=INK, markersize=7)
    absent = (voxels[:, 1:] == 0).sum(axis=0)
    names = [
        f"{name}\n({count} without)" if count else name
        for name, count in zip(classes.tumour, absent, strict=True)
    ]
    axes.set_yticks(range(1, len(classes)), names)
    axes.set_ylim(len(classes) - 0.4, 0.4)
    axes.set_xscale("log")
    present = voxels[:, 1:][voxels[:, 1:] > 0]
    low, high = (present.min(), present.max()) if present.size else (1, 10)
    axes.set_xlim(10.0 ** np.floor(np.log10(low)), 10.0 ** np.ceil(np.log10(high + 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title("Voxels in the cases with the class, median and quartiles", loc="left")


def draw_volumes(axes: Axes, volumes: NDArray[np.float64]) -> None:
    """Histogram of tumour volumes, (c,) float64, ml."""
    counted = int(np.clip(np.sqrt(volumes.size) * 1.5, 5, 40))
    axes.hist(volumes, bins=counted, color="#009E73", edgecolor="white", linewidth=0.6)
    median = float(np.median(volumes))
    axes.axvline(median, color=INK, linewidth=1.2, linestyle="--")
    axes.set_xlabel("ml", color=INK, fontsize=9)
    axes.set_ylabel("cases", color=INK, fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_title(f"Tumour volume, median {median:,.1f} ml", loc="left")


def plot_page(page: Page, out_png: Path) -> None:
    """Draw planes as rows: each modality, then the label where there is one.

    The label is over FLAIR and T1gd, or over the first modality of a set without those.

    Radiological view, from the feet: front up, the patient's left on the right side.

    Args:
        page: what to show.
        out_png: file to write.

    Raises:
        BuildError: the file cannot be written.
    """
    n_planes, n_modalities, height, width = page.image.shape
    over = page.over
    n_columns = n_modalities + len(over)
    panel = 1.75
    size = (panel * n_columns, panel * height / width * n_planes + 0.85)
    figure = Figure(figsize=size, facecolor="black")
    grid = figure.subplots(n_planes, n_columns, squeeze=False)
    top, bottom = 1 - 0.5 / size[1], 0.33 / size[1]
    figure.subplots_adjust(0.004, bottom, 0.996, top, 0.015, 0.015)
    limits = [grey_limits(page.image[:, m]) for m in range(n_modalities)]
    for row, axes_of_row in enumerate(grid):
        draw_row(axes_of_row[:n_modalities], page, row, [*range(n_modalities)], limits)
        draw_row(axes_of_row[n_modalities:], page, row, over, limits, labelled=True)
        mark_sides(axes_of_row[0])
        place = {"transform": axes_of_row[0].transAxes, "color": "white", "fontsize": 9}
        axes_of_row[0].text(0.03, 0.03, f"z {page.z[row]}", **place)
    figure.text(0.006, 1 - 0.06 / size[1], page.title, color="white", fontsize=10, va="top")
    if page.label is not None:
        class_legend(figure, page.classes)
    note = "Radiological view: R is the patient's right side, front is up"
    figure.text(0.006, 0.1 / size[1], note, color="white", fontsize=9)
    save(figure, out_png)


def draw_row(
    row_axes: Sequence[Axes],
    page: Page,
    row: int,
    modalities: Sequence[int],
    limits: Sequence[tuple[float, float]],
    *,
    labelled: bool = False,
) -> None:
    """Draw some modalities of one plane, with titles above the first row.

    Args:
        row_axes: one for each modality.
        page: what to show.
        row: plane of the page.
        modalities: places in `page.modalities`.
        limits: black and white of every modality of the page.
        labelled: draw the label over them.
    """
    for axes, m in zip(row_axes, modalities, strict=True):
        low, high = limits[m]
        grey = np.where(page.image[row].any(axis=0), page.image[row, m], low)
        axes.imshow(radiological(grey), "gray", vmin=low, vmax=high)
        axes.set_axis_off()
        if labelled and page.label is not None:
            draw_label(axes, radiological(page.label[row]), _OPACITY, page.classes)
        if row == 0:
            text = title(page.modalities[m]) + (" + label" if labelled else "")
            axes.set_title(text, color="white", fontsize=10, pad=3)
