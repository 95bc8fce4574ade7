"""Charts of a page as SVG: bars, histograms, and one dot a case.

Colours of the page come from its style sheet, so that a chart follows light and dark; those of the
classes are the same everywhere and have an ink line behind them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.drawing.colours import COLOURS
from bratsprep.drawing.document import text
from bratsprep.labels import CLASSES

DASHES: Final = {"NCR": "7 3", "ED": "none", "ET": "2 2"}
"""Lines of the classes, told apart without their colours."""
_WIDTH: Final = 440
"""Units of a chart, about pixels."""
_GOLDEN: Final = 0.618033988749895


@dataclass(frozen=True, slots=True)
class Axis:
    """Where numbers lie along a chart."""

    low: float
    high: float
    left: float
    right: float

    def at(self, value: float) -> float:
        """Place of a number, held within the chart."""
        share = (value - self.low) / (self.high - self.low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)


def svg(height: float, title: str, parts: Sequence[str]) -> str:
    """A drawing that says what it is to who cannot see it.

    Args:
        height: units.
        title: plain text.
        parts: markup.
    """
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{text(title)}">'
        + "".join(parts)
        + "</svg>"
    )


def figure(drawing: str, caption: str) -> str:
    """A drawing with its caption, plain text."""
    return f"<figure>{drawing}<figcaption>{text(caption)}</figcaption></figure>"


def words(x: float, y: float, said: str, anchor: str = "start", kind: str = "") -> str:
    """Text in a drawing."""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{text(said)}</text>'


def line(start: tuple[float, float], stop: tuple[float, float], kind: str) -> str:
    """A straight line from (x, y) to (x, y)."""
    (x1, y1), (x2, y2) = start, stop
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """A bar for each class, the longest as long as there is room.

    Args:
        title: of the chart, plain text.
        rows: class, length in any unit, and what stands beside it.
    """
    high = max(max((length for _, length, _ in rows), default=0.0), 1e-12)
    axis = Axis(0, high, 44, 300)
    parts = [words(0, 14, title)]
    for i, (name, length, said) in enumerate(rows):
        y = 26 + 26 * i
        size = f'width="{axis.at(length) - 44:.1f}" height="19"'
        parts += [
            words(38, y + 14, name, "end"),
            f'<rect x="44" y="{y}" {size} fill="{COLOURS[name]}" class="edge"/>',
            words(axis.at(length) + 7, y + 14, said),
        ]
    told = "; ".join(f"{name} {said}" for name, _, said in rows)
    return svg(30 + 26 * len(rows), f"{title}: {told}", parts)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers between two others."""
    step = 10.0 ** math.floor(math.log10((high - low) / count))
    step *= next(times for times in (1, 2, 5, 10) if (high - low) / (step * times) <= count)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def density(
    title: str,
    edges: NDArray[np.float64],
    shares: NDArray[np.float64],
    medians: Sequence[float],
    unit: str,
) -> str:
    """A histogram: the brain as an area, each class as a line, the cases' medians below.

    Args:
        title: of the chart, plain text.
        edges: (n + 1,) float64, any unit.
        shares: (5, n) float64 of the brain's and each class's voxels, see `Histogram.shown`.
        medians: one a case, same unit.
        unit: plain text.
    """
    axis = Axis(float(edges[0]), float(edges[-1]), 6, _WIDTH - 6)
    top = float(min(max(shares.max(), 1e-12), 4 * max(shares[0].max(), 1e-12)))
    up = Axis(0, top, 150, 26)
    outline = steps(edges, shares[0], axis, up)
    parts = [words(6, 14, title), f'<path d="{outline}" class="area"/>']
    for k, name in enumerate(CLASSES[1:], 2):
        if shares[k].any():
            parts += [class_line(steps(edges, shares[k], axis, up), name)]
    parts.append(line((axis.left, 150), (axis.right, 150), "axis"))
    parts += [line((axis.at(m), 152), (axis.at(m), 160), "rug") for m in medians]
    for tick in ticks(axis.low, axis.high):
        parts.append(line((axis.at(tick), 162), (axis.at(tick), 166), "axis"))
        anchor = {True: "middle"}.get(16 < axis.at(tick) < _WIDTH - 16, "start")
        anchor = "end" if axis.at(tick) >= _WIDTH - 16 else anchor
        parts.append(words(axis.at(tick), 178, f"{tick:,g}", anchor, "soft"))
    parts.append(words(axis.right, 192, unit, "end", "soft"))
    return svg(198, f"{title}, {unit}", parts)


def steps(edges: NDArray[np.float64], heights: NDArray[np.float64], axis: Axis, up: Axis) -> str:
    """Path of a histogram's outline, from the ground to the ground."""
    x = [axis.at(float(edge)) for edge in edges]
    y = [up.at(float(height)) for height in heights]
    path = [f"M{x[0]:.1f} {up.left:.1f}"]
    path += [f"V{y[i]:.1f}H{x[i + 1]:.1f}" for i in range(len(y))]
    return "".join([*path, f"V{up.left:.1f}"])


def class_line(path: str, name: str) -> str:
    """A path in the colour and dashes of a class, on ink."""
    dash = f'stroke-dasharray="{DASHES[name]}"'
    return (
        f'<path d="{path}" class="case" {dash}/>'
        f'<path d="{path}" class="class" stroke="{COLOURS[name]}" {dash}/>'
    )


def key() -> str:
    """What areas, lines and ticks of a histogram mean."""
    box = '<svg viewBox="0 0 30 12" aria-hidden="true">'
    items = [f'{box}<rect width="30" height="12" class="area"/></svg>whole brain']
    items += [f"{box}{class_line('M0 6H30', name)}</svg>{text(name)}" for name in CLASSES[1:]]
    ticked = "".join(line((x, 2), (x, 10), "rug") for x in (8, 13, 22))
    items.append(f"{box}{ticked}</svg>median of one case")
    return f'<ul class="key">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def strip(title: str, values: dict[str, Sequence[float]]) -> str:
    """One dot a case on a logarithmic axis, with median and quartiles.

    Args:
        title: of the chart, plain text.
        values: voxels of each class in every case that holds it, above 0; at least one.
    """
    some = [value for each in values.values() for value in each]
    low = math.floor(math.log10(min(some)))
    axis = Axis(low, max(math.log10(max(some)) + 0.1, low + 1), 44, _WIDTH - 22)
    parts = [words(0, 14, title)]
    for i, (name, each) in enumerate(values.items()):
        y = 40 + 40 * i
        parts.append(words(38, y + 4, name, "end"))
        for n, value in enumerate(each):
            spread = (n * _GOLDEN % 1 - 0.5) * 26  # even, and the same every time
            parts.append(
                f'<circle cx="{axis.at(math.log10(value)):.1f}" cy="{y + spread:.1f}" r="2.6" '
                f'fill="{COLOURS[name]}" class="edge"/>'
            )
        if len(each):
            quarter, median, three = (axis.at(math.log10(v)) for v in quartiles(each))
            parts.append(line((quarter, y), (three, y), "case"))
            parts.append(f'<circle cx="{median:.1f}" cy="{y}" r="5" fill="#fff" class="edge"/>')
    bottom = 26 + 40 * len(values)
    parts.append(line((44, bottom), (axis.right, bottom), "axis"))
    for power in range(int(axis.low), math.floor(axis.high) + 1):
        said = f"{10**power:,}"
        parts.append(line((axis.at(power), bottom), (axis.at(power), bottom + 4), "axis"))
        parts.append(words(axis.at(power), bottom + 16, said, "middle", "soft"))
    return svg(bottom + 22, title, parts)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """25 %, median and 75 %."""
    quarter, median, three = np.percentile(values, (25, 50, 75)).tolist()
    return quarter, median, three
