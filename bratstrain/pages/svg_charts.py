"""Drawings of a page: curves, dots of cases, intervals. Plain SVG, coloured by the page's style.

Colours are classes of the style sheet (`s0`, `s1`, ...: after Okabe and Ito 2008), so that light,
dark and print have their own; lines differ by their dashes too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bratstrain.pages.markup import Markup, tag

WIDTH, HEIGHT = 400, 230
"""Of a curve's drawing, in units of its view box."""
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 14, 34
"""Margins of it."""
COLUMN: Final = 104
"""Least width of a column of dots."""
_LETTER: Final = 7
"""Width of a letter below it."""
BESIDE: Final = (0.0, 10.0, -10.0, 20.0, -20.0, 30.0, -30.0, 40.0, -40.0)
"""Where a dot may lie beside the middle of its column; the first place that is free is taken."""
_DOT: Final = 10.0
"""Width of a dot and the gap beside it."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a drawing."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(x, y), rising in x."""
    style: int = 0
    """Number of its colour and dashes in the style sheet."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers laid over a range of lengths."""

    low: float
    high: float
    first: float
    """Where `low` lies."""
    last: float

    def place(self, value: float) -> float:
        """Give the length of a number."""
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round numbers within the range, about as many as wanted."""
        rough = (self.high - self.low) / wanted
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * each for each in (1, 2, 5, 10) if power * each >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def axis(values: Sequence[float], first: float, last: float, low: float | None = None) -> Axis:
    """Make an axis that holds some numbers, and `low` at its beginning where that is given."""
    least = min(values) if low is None else low
    most = max(values)
    if most <= least:
        most = least + (abs(least) or 1.0)
    return Axis(least, most, first, last)


def curves(
    name: str,
    lines: Sequence[Curve],
    *,
    unit: str,
    top: float | None = None,
    best: float | None = None,
) -> Markup:
    """Draw curves over the steps of a run, with a legend where there are several.

    Args:
        name: of the drawing, read to those who cannot see it.
        lines: at least one, with at least one point each.
        unit: of the upright axis, said above it.
        top: highest number of that axis; that of the curves by default.
        best: step to mark.
    """
    x = axis([point[0] for line in lines for point in line.points], LEFT, WIDTH - RIGHT, 0.0)
    ys = [point[1] for line in lines for point in line.points]
    y = axis([*ys, *([] if top is None else [top])], HEIGHT - BOTTOM, TOP, min(0.0, *ys, 0.0))
    parts = [*_grid(x, y), tag("text", unit, x=LEFT, y=TOP - 8, class_="unit")]
    if best is not None:
        at = x.place(best)
        parts.append(tag("line", x1=at, x2=at, y1=TOP, y2=HEIGHT - BOTTOM, class_="best"))
    for line in lines:
        corners = " ".join(f"{x.place(a):.1f},{y.place(b):.1f}" for a, b in line.points)
        if len(line.points) == 1:
            corners = f"{corners} {corners}"
        parts.append(tag("polyline", points=corners, class_=f"curve s{line.style}"))
    drawing = tag(
        "svg", *parts, viewBox=f"0 -4 {WIDTH} {HEIGHT + 4}", role="img", aria_label=name
    )  # fmt: skip
    said = legend(lines) if len(lines) > 1 else ""
    return tag("figure", tag("figcaption", name), drawing, said, class_="chart")


def _grid(x: Axis, y: Axis) -> list[Markup]:
    """Lines and numbers of both axes."""
    parts = []
    for value in y.ticks():
        at = y.place(value)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", plain(value), x=LEFT - 6, y=at + 4, class_="tick end"))
    for value in x.ticks(4):
        at = x.place(value)
        parts.append(tag("text", plain(value), x=at, y=HEIGHT - BOTTOM + 17, class_="tick middle"))
    parts.append(
        tag("text", "step", x=WIDTH - RIGHT, y=HEIGHT - 2, class_="tick end")
    )  # fmt: skip
    return parts


def plain(value: float) -> str:
    """Write the number of a tick."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:,.10g}"


def legend(lines: Sequence[Curve]) -> Markup:
    """Name the curves beside a piece of each."""
    each = (
        tag(
            "li",
            tag(
                "svg",
                tag("line", x1=0, x2=28, y1=5, y2=5, class_=f"curve s{line.style}"),
                viewBox="0 0 28 10",
                class_="sample",
                aria_hidden="true",
            ),
            line.name,
        )
        for line in lines
    )
    return tag("ul", each, class_="legend")


def interval(
    mean: float,
    low: float | None,
    high: float | None,
    mark: float | None,
    span: tuple[float, float] = (0.0, 1.0),
) -> Markup:
    """Draw a mean with its interval.

    Args:
        mean: the dot.
        low: lower end of the bar; None for no bar.
        high: upper end of it.
        mark: what to compare with, an upright mark; None for none.
        span: ends of the line.
    """
    scale = Axis(*span, 4.0, 156.0)
    parts = [tag("line", x1=4, x2=156, y1=8, y2=8, class_="grid")]
    if mark is not None:
        at = scale.place(mark)
        parts.append(tag("line", x1=at, x2=at, y1=3, y2=13, class_="nothing"))
    if low is not None and high is not None:
        ends = [scale.place(each) for each in (low, high)]
        parts.append(tag("line", x1=ends[0], x2=ends[1], y1=8, y2=8, class_="range"))
    parts.append(tag("circle", cx=scale.place(mean), cy=8, r=4, class_="mean"))
    return tag("svg", parts, viewBox="0 0 160 16", class_="interval", aria_hidden="true")


def dots(
    name: str,
    columns: Mapping[str, Sequence[tuple[str, float]]],
    *,
    say: Callable[[str, float], str],
    span: tuple[float, float] = (0.0, 1.0),
) -> Markup:
    """Draw a dot for each case in each column; pointer and arrow keys tell which it is.

    Args:
        name: of the drawing.
        columns: case and value by the name of the column; nan is left out.
        say: text of a dot, from case and value.
        span: ends of the upright axis.
    """
    each = max([COLUMN, *(_LETTER * len(column) for column in columns)])
    wide, high = each * len(columns) + LEFT + RIGHT, 300
    y = Axis(*span, high - BOTTOM, TOP)
    parts = []
    for value in y.ticks():
        at = y.place(value)
        parts.append(tag("line", x1=LEFT, x2=wide - RIGHT, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", plain(value), x=LEFT - 6, y=at + 4, class_="tick end"))
    for i, (column, points) in enumerate(columns.items()):
        middle = LEFT + each * (i + 0.5)
        parts.append(tag("text", column, x=middle, y=high - 12, class_="tick middle"))
        known = [point for point in points if not math.isnan(point[1])]
        texts = [f"{column}: {say(*point)}" for point in known]
        parts += _column(middle, y, known, texts)
    drawing = tag(
        "svg", parts, viewBox=f"0 0 {wide} {high}", width=wide, height=high, class_="dots",
        tabindex="0", role="group", aria_label=f"{name}; arrow keys go from case to case",
    )  # fmt: skip
    told = tag("output", "Point at a dot, or use the arrow keys, to see its case.", class_="told")
    scrolled = tag("div", drawing, class_="scroll")
    return tag("figure", tag("figcaption", name), scrolled, told, class_="chart wide")


def _column(
    middle: float, y: Axis, points: Sequence[tuple[str, float]], texts: Sequence[str]
) -> list[Markup]:
    """Dots of one column, and a line at their mean."""
    if not points:
        return []
    heights = [y.place(min(max(value, y.low), y.high)) for _, value in points]
    parts = [
        tag("circle", tag("title", text), cx=middle + beside, cy=at, r=4.5, class_="dot",
            data_case=case)
        for (case, _), text, at, beside in zip(points, texts, heights, places(heights), strict=True)
    ]  # fmt: skip
    mean = y.place(sum(value for _, value in points) / len(points))
    ends = {"x1": middle - 46, "x2": middle + 46}
    return [*parts, tag("line", **ends, y1=mean, y2=mean, class_="meanline")]


def places(heights: Sequence[float]) -> list[float]:
    """Where to put dots beside the middle, so that they lie on each other only where it is full."""
    beside = [0.0] * len(heights)
    order = sorted(range(len(heights)), key=heights.__getitem__)
    for place, i in enumerate(order):
        taken = set()
        for j in reversed(order[:place]):
            if heights[i] - heights[j] >= _DOT:
                break
            taken.add(beside[j])
        beside[i] = next(
            (each for each in BESIDE if each not in taken), BESIDE[place % len(BESIDE)]
        )
    return beside
