"""Scatter of cases: two numbers of each, on axes of even steps or of powers of ten."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bratsprep.drawing.svg import Axis, Drawing, Shape, circle, line, text, tick_text

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 22, 44
_ROOM: Final = 0.04
"""Share of an axis that is free on either side of its numbers."""


@dataclass(frozen=True, slots=True)
class Point:
    """One case."""

    case: str
    x: float
    y: float
    title: str
    """What is shown when it is pointed at."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What an axis is of."""

    title: str
    is_log: bool = False
    """Powers of ten; numbers must be above 0."""
    span: tuple[float, float] | None = None
    """Ends of the axis; None for those of the numbers."""

    def of(self, value: float) -> float:
        """Number to be placed for a value."""
        return math.log10(value) if self.is_log else value

    def axis(self, values: Sequence[float], first: float, last: float) -> Axis:
        """Axis over some values, units of the drawing."""
        ends = self.span or (min(values), max(values))
        low, high = self.of(ends[0]), self.of(ends[1])
        room = 0.0 if self.span else max((high - low) * _ROOM, 1e-3)
        return Axis(low - room, high + room, first, last)

    def ticks(self, axis: Axis) -> list[tuple[float, str]]:
        """Place and text of the ticks of an axis."""
        if not self.is_log:
            return [(axis.place(value), tick_text(value)) for value in axis.ticks(4)]
        steps = (1, 2, 5) if axis.high - axis.low < 2 else (1,)
        powers = range(math.floor(axis.low), math.ceil(axis.high) + 1)
        values = [step * 10.0**power for power in powers for step in steps]
        shown = [value for value in values if axis.low <= math.log10(value) <= axis.high]
        return [(axis.place(math.log10(value)), f"{value:g}") for value in shown]


def scatter(
    name: str, points: Sequence[Point], x: Scale, y: Scale, *, equal: bool = False
) -> Drawing:
    """Draw a dot for each case; pointer and arrow keys show which case it is.

    Args:
        name: name of the chart.
        points: at least one.
        x: horizontal scale.
        y: vertical scale.
        equal: both scales are of one quantity: they get the same ends, and a line where both
            numbers are equal.
    """
    xs, ys = [point.x for point in points], [point.y for point in points]
    right, ground = WIDTH - RIGHT, HEIGHT - BOTTOM
    across = x.axis([*xs, *ys] if equal else xs, LEFT, right)
    up = y.axis([*xs, *ys] if equal else ys, ground, TOP)
    shapes = frame(x, y, across, up)
    if equal:
        shapes.append(line((LEFT, ground), (right, TOP), "best"))
    ordered = sorted(points, key=lambda point: point.x)
    shapes += [
        circle(
            across.place(x.of(point.x)), up.place(y.of(point.y)), 4.5, "dot",
            title=point.title, case=point.case,
        )
        for point in ordered
    ]  # fmt: skip
    attributes: dict[str, str | float | None] = {"class": "dots scatter", "tabindex": "0"}
    return Drawing(
        f"{name}; arrow keys move from case to case", WIDTH, HEIGHT, tuple(shapes), attributes
    )


def frame(x: Scale, y: Scale, across: Axis, up: Axis) -> list[Shape]:
    """Grid, numbers and titles of both axes."""
    right, ground = WIDTH - RIGHT, HEIGHT - BOTTOM
    shapes = []
    for place, words in y.ticks(up):
        shapes.append(line((LEFT, place), (right, place), "grid"))
        shapes.append(text(LEFT - 6, place + 4, words, "soft end"))
    for place, words in x.ticks(across):
        shapes.append(line((place, TOP), (place, ground), "grid"))
        shapes.append(text(place, ground + 17, words, "soft middle"))
    shapes.append(text(LEFT, TOP - 9, y.title, "unit"))
    shapes.append(text(right, HEIGHT - 6, x.title, "soft end"))
    return shapes
