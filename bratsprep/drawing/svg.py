"""Drawings as data: shapes and axes, which a template writes as SVG.

A shape carries a class of the style sheet and no colour, so that a drawing follows light, dark and
print. Text of a shape is escaped by the template as all other text is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from bratsprep.drawing.document import environment

Attribute = str | float | None


@dataclass(frozen=True, slots=True)
class Shape:
    """One element of a drawing."""

    tag: str
    attributes: dict[str, Attribute]
    """None for one that is left out."""
    text: str = ""
    title: str = ""
    """What a pointer over the shape shows."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes in a box of `width` x `height` units, about pixels."""

    name: str
    """What the drawing shows, for its caption and for screen readers; empty for decoration."""
    width: float
    height: float
    shapes: tuple[Shape, ...]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    """Further attributes of the `<svg>` element."""
    key: tuple[tuple[str, "Drawing"], ...] = ()
    """Legend: names, and a sample of each."""

    def __html__(self) -> str:
        """SVG of the drawing; templates call this."""
        return environment().get_template("drawing/svg.html").render(drawing=self)


def text(x: float, y: float, words: str, kind: str = "") -> Shape:
    """Text at (x, y).

    Args:
        x: units.
        y: units, of the baseline.
        words: plain text.
        kind: classes of the style sheet; `middle` and `end` align it, the default is its start.
    """
    return Shape("text", {"x": _short(x), "y": _short(y), "class": kind or None}, words)


def line(start: tuple[float, float], stop: tuple[float, float], kind: str) -> Shape:
    """Straight line between two points (x, y)."""
    ends = {"x1": start[0], "y1": start[1], "x2": stop[0], "y2": stop[1]}
    return Shape("line", {**{name: _short(place) for name, place in ends.items()}, "class": kind})


def circle(
    x: float, y: float, radius: float, kind: str, *, title: str = "", case: str = ""
) -> Shape:
    """Dot around (x, y); `case` is what the page's script knows it by."""
    place: dict[str, Attribute] = {"cx": _short(x), "cy": _short(y), "r": f"{radius:g}"}
    return Shape("circle", {**place, "class": kind, "data-case": case or None}, title=title)


def bar(x: float, y: float, width: float, height: float, kind: str) -> Shape:
    """Rectangle whose upper left corner is at (x, y)."""
    sides = {"x": x, "y": y, "width": width, "height": height}
    return Shape("rect", {**{name: _short(side) for name, side in sides.items()}, "class": kind})


def path(points: str, kind: str) -> Shape:
    """Path of SVG commands."""
    return Shape("path", {"d": points, "class": kind})


def sample(*shapes: Shape) -> Drawing:
    """Sample of 28 x 10 units for a legend."""
    return Drawing("", 28, 10, shapes, {"class": "sample"})


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of numbers laid over a range of lengths."""

    low: float
    high: float
    """Above `low`."""
    first: float
    """Place of `low`, units of the drawing."""
    last: float
    """Place of `high`."""

    def place(self, value: float) -> float:
        """Place of a number; of one beyond the axis, the nearer end."""
        share = (value - self.low) / (self.high - self.low)
        return self.first + min(max(share, 0.0), 1.0) * (self.last - self.first)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers on the axis, about `count` of them."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * 0.999)
        start = math.ceil(self.low / step - 1e-9)
        stop = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(start, stop + 1)]


def axis_over(values: Sequence[float], first: float, last: float, low: float | None = None) -> Axis:
    """Axis from the least of some numbers, or from `low`, to the largest.

    Args:
        values: at least one number.
        first: place of the lower end.
        last: place of the upper end.
        low: lower end; None for the least of the values.
    """
    least = min(values) if low is None else low
    most = max(values)
    if most <= least:
        most = least + (abs(least) or 1.0)
    return Axis(least, most, first, last)


def tick_text(value: float) -> str:
    """Number of a tick, short."""
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:,.10g}"


def _short(length: float) -> str:
    """Length with a digit after the point at most."""
    return f"{length:.1f}".removesuffix(".0")
