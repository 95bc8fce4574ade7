"""Content of the section on volumes: limits of agreement, and a Bland-Altman plot of each part."""

from collections.abc import Mapping
from typing import Any, Final

from bratsprep.drawing.charts import CURVE_HEIGHT, CURVE_WIDTH, LEFT, RIGHT, TOP, levels
from bratsprep.drawing.svg import Axis, Drawing, Shape, axis_over, circle, line, text, tick_text
from bratstrain.evaluation.stored import Evaluation

DASH: Final = "\N{EN DASH}"
GROUND: Final = CURVE_HEIGHT - 46
"""Height of the horizontal axis, units; its numbers and its title are below it."""
SIDE: Final = CURVE_WIDTH - RIGHT - 58
"""Right end of the plot, units; the lines' names are beside it."""


def volumes(evaluation: Evaluation) -> dict[str, Any]:
    """Table of the agreement of the volumes, and a plot of each part with at least two cases.

    Args:
        evaluation: its record's `volume_agreement` is that of
            `bratstrain.evaluation.summaries.volume_agreement`.
    """
    found: Mapping[str, Mapping[str, Any]] = evaluation.record["volume_agreement"]
    rows = [
        [
            part,
            signed(row["mean_difference"]),
            between(row["mean_interval"]),
            between((row["low"], row["high"])),
            str(row["n"]),
            str(row["n_empty"]),
        ]
        for part, row in found.items()
    ]
    head = ["", "mean difference (ml)", "95 %", "limits of agreement (ml)", "cases", "left out"]
    charts = [plot(part, row) for part, row in found.items() if row["low"] is not None]
    return {"table": {"head": head, "rows": rows}, "charts": charts}


def signed(value: float | None) -> str:
    """A difference in ml with its sign, +0.0 for -0.0; a dash where there is none."""
    return DASH if value is None else f"{round(value, 1) + 0.0:+.1f}"


def between(ends: Any) -> str:  # noqa: ANN401  a pair from JSON, or None
    """Two differences in ml; a dash where there are none."""
    low, high = ends or (None, None)
    return DASH if low is None or high is None else f"{signed(low)} to {signed(high)}"


def plot(part: str, row: Mapping[str, Any]) -> Drawing:
    """Draw the difference of each case over the mean of both volumes, with mean and limits.

    Args:
        part: name of the class or region.
        row: its volume agreement, of at least two cases.
    """
    points = row["points"]
    limits = {"mean": row["mean_difference"], "+1.96 s.d.": row["high"], "-1.96 s.d.": row["low"]}
    reach = 1.05 * max(1e-3, *map(abs, limits.values()), *(abs(p["difference"]) for p in points))
    x = axis_over([1.06 * point["mean"] for point in points], LEFT, SIDE, 0.0)
    y = Axis(-reach, reach, GROUND, TOP)
    shapes = [*levels(y, SIDE), text(LEFT, TOP - 8, "predicted - true, ml", "unit")]
    shapes += [text(x.place(v), GROUND + 17, tick_text(v), "soft middle") for v in x.ticks(4)]
    shapes.append(text(SIDE, GROUND + 33, "mean of both volumes, ml", "soft end"))
    for name, value in limits.items():
        shapes += _level(name, y.place(value), "meanline" if name == "mean" else "best")
    shapes += [
        circle(
            x.place(point["mean"]),
            y.place(point["difference"]),
            4,
            "dot",
            title=f"{point['case']}: {signed(point['difference'])} ml of {point['mean']:.1f} ml",
        )
        for point in points
    ]
    return Drawing(f"{part}, {row['n']} cases", CURVE_WIDTH, CURVE_HEIGHT, tuple(shapes))


def _level(name: str, height: float, kind: str) -> list[Shape]:
    """A horizontal line over the plot, and its name beside it."""
    return [line((LEFT, height), (SIDE, height), kind), text(SIDE + 4, height + 4, name, "soft")]
