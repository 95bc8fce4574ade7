"""Charts of both packages' pages: bars, histograms, dots of cases, curves and intervals.

Lines of the classes differ in their dashes as well as in colour; both are in the style sheet.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.drawing.svg import (
    Axis,
    Drawing,
    Shape,
    axis_over,
    bar,
    circle,
    line,
    path,
    sample,
    text,
    tick_text,
)
from bratsprep.labels import ClassSet

WIDTH: Final = 440
"""Units of a chart of bars, of a histogram, or of a strip."""
CURVE_WIDTH, CURVE_HEIGHT = 400, 234
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 18, 34
"""Margins of curves and of columns of dots."""
COLUMN: Final = 104
"""Least width of a column of dots."""
_LETTER: Final = 7
"""Width of a letter below a column."""
OFFSETS: Final = (0.0, 10.0, -10.0, 20.0, -20.0, 30.0, -30.0, 40.0, -40.0)
"""Places of a dot beside the middle of its column; it takes the first one that is free."""
_DOT: Final = 10.0
"""Width of a dot and the gap beside it."""
_GOLDEN: Final = 0.618033988749895
LINES: Final = ("edge", "class")
"""Lines of a class: its colour on an edge of ink."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(x, y), rising in x."""
    style: int = 0
    """Number of its colour and dashes in the style sheet."""


def histogram_key(classes: ClassSet) -> tuple[tuple[str, Drawing], ...]:
    """Legend of `density`."""
    return (
        ("whole brain", sample(bar(0, 0, 28, 10, "area"))),
        *(
            (name, sample(*(line((0, 5), (28, 5), f"{kind} k{k}") for kind in LINES)))
            for k, name in enumerate(classes.tumour, 1)
        ),
        ("median of one case", sample(*(line((x, 1), (x, 9), "rug") for x in (7, 12, 21)))),
    )


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> Drawing:
    """Draw a horizontal bar for each class; the longest one fills the chart.

    Args:
        title: title of the chart.
        rows: class, length in any unit, and the text beside the bar; of every class but the
            background, in the order of the labels.
    """
    high = max([length for _, length, _ in rows] + [1e-12])
    axis = Axis(0, high, 44, 300)
    shapes = [text(0, 14, title)]
    for i, (name, length, words) in enumerate(rows):
        y = 26 + 26 * i
        shapes += [
            text(38, y + 14, name, "end"),
            bar(44, y, axis.place(length) - 44, 19, f"bar k{i + 1}"),
            text(axis.place(length) + 7, y + 14, words),
        ]
    values = "; ".join(f"{name} {words}" for name, _, words in rows)
    return Drawing(f"{title}: {values}", WIDTH, 30 + 26 * len(rows), tuple(shapes))


def density(
    title: str,
    edges: NDArray[np.float64],
    shares: NDArray[np.float64],
    medians: Mapping[str, float],
    unit: str,
) -> Drawing:
    """Draw a histogram: the brain as an area, the classes as lines, the cases' medians below.

    Args:
        title: title of the chart.
        edges: (n + 1,) float64, any unit.
        shares: (1 + c, n) float64, shares of the voxels of the brain and of each stored class,
            as `Histogram.shown` gives them.
        medians: median of each case by its id, same unit.
        unit: name of the unit.
    """
    axis = Axis(float(edges[0]), float(edges[-1]), 6, WIDTH - 6)
    top = float(min(max(shares.max(), 1e-12), 4 * max(shares[0].max(), 1e-12)))
    up = Axis(0, top, 150, 26)
    shapes = [text(6, 14, title), path(outline(edges, shares[0], axis, up), "area")]
    for k in range(1, len(shares) - 1):
        if shares[k + 1].any():
            points = outline(edges, shares[k + 1], axis, up)
            shapes += [path(points, f"{kind} k{k}") for kind in LINES]
    shapes.append(line((axis.first, 150), (axis.last, 150), "axis"))
    for case, median in medians.items():
        x = axis.place(median)
        mark = line((x, 152), (x, 160), "rug")
        shapes.append(Shape(mark.tag, mark.attributes, title=f"{case}: median {median:,.4g}"))
    for tick in axis.ticks():
        x = axis.place(tick)
        align = "middle" if 16 < x < WIDTH - 16 else "end" if x > 16 else ""
        shapes += [line((x, 162), (x, 166), "axis"), text(x, 178, f"{tick:,g}", f"soft {align}")]
    shapes.append(text(axis.last, 192, unit, "soft end"))
    return Drawing(f"{title}, {unit}", WIDTH, 198, tuple(shapes))


def outline(edges: NDArray[np.float64], heights: NDArray[np.float64], axis: Axis, up: Axis) -> str:
    """Path along the top of a histogram, from its ground line to its ground line.

    Args:
        edges: (n + 1,) float64.
        heights: (n,) float64.
        axis: horizontal axis.
        up: vertical axis.
    """
    x = [axis.place(float(edge)) for edge in edges]
    y = [up.place(float(height)) for height in heights]
    steps = [f"V{y[i]:.1f}H{x[i + 1]:.1f}" for i in range(len(y))]
    return "".join([f"M{x[0]:.1f} {up.first:.1f}", *steps, f"V{up.first:.1f}"])


def strip(title: str, values: Mapping[str, Sequence[float]]) -> Drawing:
    """Draw a dot for each case on a logarithmic axis, with median and quartiles.

    Args:
        title: title of the chart.
        values: voxels of each class but the background, in the order of the labels, in every
            case that holds it, above 0; at least one in all.
    """
    numbers = [value for column in values.values() for value in column]
    low = math.floor(math.log10(min(numbers)))
    axis = Axis(low, max(math.log10(max(numbers)) + 0.1, low + 1), 44, WIDTH - 22)
    shapes = [text(0, 14, title)]
    for i, (name, column) in enumerate(values.items()):
        y = 40 + 40 * i
        shapes.append(text(38, y + 4, name, "end"))
        for n, value in enumerate(column):
            spread = (n * _GOLDEN % 1 - 0.5) * 26  # even, and the same in every run
            x = axis.place(math.log10(value))
            shapes.append(circle(x, y + spread, 2.6, f"bar k{i + 1}"))
        if len(column):
            ends = np.log10(np.percentile(column, (25, 50, 75))).tolist()
            quarter, median, three_quarters = map(axis.place, ends)
            shapes.append(line((quarter, y), (three_quarters, y), "quartiles"))
            shapes.append(circle(median, y, 5, "median"))
    bottom = 26 + 40 * len(values)
    shapes.append(line((44, bottom), (axis.last, bottom), "axis"))
    for power in range(int(axis.low), math.floor(axis.high) + 1):
        x = axis.place(power)
        shapes.append(line((x, bottom), (x, bottom + 4), "axis"))
        shapes.append(text(x, bottom + 16, f"{10**power:,}", "soft middle"))
    return Drawing(title, WIDTH, bottom + 22, tuple(shapes))


def curves(
    name: str,
    lines: Sequence[Curve],
    *,
    unit: str,
    top: float | None = None,
    best: float | None = None,
) -> Drawing:
    """Draw curves over the steps of a run, with a legend where there are several.

    Args:
        name: name of the chart.
        lines: at least one, with at least one point each.
        unit: unit of the vertical axis, written above it.
        top: upper end of that axis; that of the curves by default.
        best: step to mark.
    """
    right, ground = CURVE_WIDTH - RIGHT, CURVE_HEIGHT - BOTTOM
    x = axis_over([point[0] for curve in lines for point in curve.points], LEFT, right, 0.0)
    ys = [point[1] for curve in lines for point in curve.points]
    y = axis_over([*ys, *([] if top is None else [top])], ground, TOP, min(0.0, *ys, 0.0))
    shapes = [*levels(y, right), text(LEFT, TOP - 8, unit, "unit")]
    shapes += [
        text(x.place(step), ground + 17, tick_text(step), "soft middle") for step in x.ticks(4)
    ]
    shapes.append(text(right, CURVE_HEIGHT - 2, "step", "soft end"))
    if best is not None:
        shapes.append(line((x.place(best), TOP), (x.place(best), ground), "best"))
    for curve in lines:
        corners = [f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in curve.points]
        points = " ".join(corners * 2 if len(corners) == 1 else corners)  # a point is a line too
        shapes.append(Shape("polyline", {"points": points, "class": f"curve s{curve.style}"}))
    key = tuple(
        (curve.name, sample(line((0, 5), (28, 5), f"curve s{curve.style}"))) for curve in lines
    )
    return Drawing(
        name, CURVE_WIDTH, CURVE_HEIGHT, tuple(shapes), key=key if len(lines) > 1 else ()
    )


def levels(y: Axis, right: float) -> list[Shape]:
    """Horizontal lines at the ticks of a vertical axis, from `LEFT` to `right`, with numbers."""
    shapes = []
    for value in y.ticks():
        height = y.place(value)
        shapes.append(line((LEFT, height), (right, height), "grid"))
        shapes.append(text(LEFT - 6, height + 4, tick_text(value), "soft end"))
    return shapes


def interval(
    mean: float,
    low: float | None,
    high: float | None,
    mark: float | None,
    span: tuple[float, float] = (0.0, 1.0),
) -> Drawing:
    """Draw a mean with its interval, to stand in a table.

    Args:
        mean: the dot.
        low: lower end of the bar; None for no bar.
        high: upper end of the bar.
        mark: value to compare with, a vertical mark; None for none.
        span: ends of the axis.
    """
    axis = Axis(*span, 4.0, 156.0)
    shapes = [line((4, 8), (156, 8), "grid")]
    if mark is not None:
        shapes.append(line((axis.place(mark), 3), (axis.place(mark), 13), "mark"))
    if low is not None and high is not None:
        shapes.append(line((axis.place(low), 8), (axis.place(high), 8), "range"))
    shapes.append(circle(axis.place(mean), 8, 4, "mean"))
    return Drawing("", 160, 16, tuple(shapes), {"class": "interval"})


def dots(
    name: str,
    columns: Mapping[str, Sequence[tuple[str, float]]],
    *,
    label: Callable[[str, float], str],
    span: tuple[float, float] = (0.0, 1.0),
) -> Drawing:
    """Draw a dot for each case in each column; pointer and arrow keys show which case it is.

    Args:
        name: name of the chart.
        columns: case and value by the name of the column; nan is left out.
        label: text of a dot, from case and value.
        span: ends of the vertical axis.
    """
    width_of_one = column_width(list(columns))
    width, height = width_of_one * len(columns) + LEFT + RIGHT, 300
    y = Axis(*span, height - BOTTOM, TOP)
    shapes = levels(y, width - RIGHT)
    for i, (column, points) in enumerate(columns.items()):
        middle = LEFT + width_of_one * (i + 0.5)
        shapes.append(text(middle, height - 12, column, "soft middle"))
        scored = [(case, value) for case, value in points if not math.isnan(value)]
        titles = [f"{column}: {label(case, value)}" for case, value in scored]
        shapes += _column(middle, y, scored, titles)
    attributes: dict[str, str | float | None] = {
        "class": "dots", "width": width, "height": height, "tabindex": "0",
    }  # fmt: skip
    return Drawing(
        f"{name}; arrow keys move from case to case", width, height, tuple(shapes), attributes
    )


def column_width(names: Sequence[str]) -> int:
    """Width of every column of `dots`: that of the longest name."""
    return max([COLUMN, *(_LETTER * len(name) for name in names)])


def column_rows(names: Sequence[str], width: int) -> list[list[str]]:
    """Split columns of `dots` over drawings no wider than `width`, with a column at least each."""
    count = max(1, (width - LEFT - RIGHT) // column_width(names))
    return [list(names[first : first + count]) for first in range(0, len(names), count)]


def _column(
    middle: float, y: Axis, points: Sequence[tuple[str, float]], titles: Sequence[str]
) -> list[Shape]:
    """Dots of one column, and a line at their mean."""
    if not points:
        return []
    heights = [y.place(value) for _, value in points]
    shapes = [
        circle(middle + offset, height, 4.5, "dot", title=title, case=case)
        for (case, _), title, height, offset in zip(
            points, titles, heights, offsets(heights), strict=True
        )
    ]
    mean = y.place(sum(value for _, value in points) / len(points))
    return [*shapes, line((middle - 46, mean), (middle + 46, mean), "meanline")]


def offsets(heights: Sequence[float]) -> list[float]:
    """Offsets of dots from the middle, such that dots overlap only where the column is full."""
    offset = [0.0] * len(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for rank, i in enumerate(order):
        taken = set()
        for j in reversed(order[:rank]):
            if heights[i] - heights[j] >= _DOT:
                break
            taken.add(offset[j])
        free = (place for place in OFFSETS if place not in taken)
        offset[i] = next(free, OFFSETS[rank % len(OFFSETS)])
    return offset
