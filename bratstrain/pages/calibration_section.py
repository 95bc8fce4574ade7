"""Content of the section on calibration: a reliability diagram of each class and region."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bratsprep.drawing.charts import CURVE_WIDTH, LEFT, RIGHT, TOP, levels
from bratsprep.drawing.svg import Axis, Drawing, Shape, bar, circle, line, path, text, tick_text
from bratstrain.evaluation.stored import Evaluation

DASH: Final = "\N{EN DASH}"
GROUND: Final = 210
"""Lower end of the diagram, units."""
COUNTS_TOP, COUNTS_GROUND, HEIGHT = 240, 290, 326
"""Ends of the bars of the counts, and height of the whole drawing, units."""
Bin = Mapping[str, Any]
"""One bin, as `bratstrain.scoring.calibration.Calibration.rows` gives it."""


def calibration(evaluation: Evaluation) -> dict[str, Any] | None:
    """Table of the calibration errors, and a diagram of each class and region.

    Args:
        evaluation: its record's `calibration` is that of
            `bratstrain.evaluation.summaries.calibration_record`.

    Returns:
        What the bins are over, table and diagrams; None where no voxel has a probability.
    """
    record = evaluation.record.get("calibration") or {}
    parts = {part: row for part, row in record.get("parts", {}).items() if row["error"] is not None}
    if not parts:
        return None
    rows = [[part, *numbers(row)] for part, row in parts.items()]
    head = ["", "ECE", "mean probability", "true share", "voxels"]
    return {
        "over": record["over"],
        "n_bins": record["n_bins"],
        "table": {"head": head, "rows": rows},
        "charts": [diagram(part, row) for part, row in parts.items()],
    }


def numbers(row: Mapping[str, Any]) -> list[str]:
    """Calibration error, mean probability, true share and voxels of a class or region."""
    filled = [each for each in row["bins"] if each["voxels"]]
    n = sum(each["voxels"] for each in filled)
    means = (
        math.fsum(each[name] * each["voxels"] for each in filled) / n
        for name in ("probability", "share")
    )
    return [f"{value:.4f}" for value in (row["error"], *means)] + [f"{n:,}"]


def diagram(part: str, row: Mapping[str, Any]) -> Drawing:
    """Draw the true share over the mean probability of each bin, and the voxels of the bins below.

    Args:
        part: name of the class or region.
        row: its error and bins.
    """
    right = CURVE_WIDTH - RIGHT
    x, y = Axis(0, 1, LEFT, right), Axis(0, 1, GROUND, TOP)
    filled = [each for each in row["bins"] if each["voxels"]]
    places = [(x.place(each["probability"]), y.place(each["share"])) for each in filled]
    shapes = [
        *levels(y, right),
        text(LEFT, TOP - 8, "true share", "unit"),
        line((LEFT, GROUND), (right, TOP), "best"),
        path("M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places), "curve s0"),
        *(circle(a, b, 4, "dot", title=said(each, len(row["bins"])))
          for (a, b), each in zip(places, filled, strict=True)),
        *counts(row["bins"], x),
    ]  # fmt: skip
    shapes += [
        text(x.place(value), COUNTS_GROUND + 17, tick_text(value), "soft middle")
        for value in x.ticks(4)
    ]
    shapes.append(text(right, HEIGHT - 3, "predicted probability", "soft end"))
    return Drawing(f"{part}, ECE {row['error']:.4f}", CURVE_WIDTH, HEIGHT, tuple(shapes))


def counts(bins: Sequence[Bin], x: Axis) -> list[Shape]:
    """Bars of the voxels of each bin, on a logarithmic axis, since most are background."""
    most = max(each["voxels"] for each in bins)
    powers = math.ceil(math.log10(max(most, 10)))
    up = Axis(0, powers, COUNTS_GROUND, COUNTS_TOP)
    shapes = [text(LEFT, COUNTS_TOP - 8, "voxels", "unit")]
    for power in {0, powers // 2, powers}:
        height = up.place(power)
        shapes.append(line((x.first, height), (x.last, height), "grid"))
        shapes.append(text(LEFT - 6, height + 4, count_text(10**power), "soft end"))
    width = (x.last - x.first) / len(bins)
    for i, each in enumerate(bins):
        if each["voxels"]:
            top = up.place(math.log10(each["voxels"]))
            height = max(COUNTS_GROUND - top, 1.0)
            drawn = bar(x.first + i * width + 1, COUNTS_GROUND - height, width - 2, height, "area")
            shapes.append(Shape(drawn.tag, drawn.attributes, title=said(each, len(bins))))
    return shapes


def count_text(n: int) -> str:
    """A power of ten, short: 1, 1k, 1M."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if n >= unit:
            return f"{n // unit}{name}"
    return str(n)


def said(one: Bin, n_bins: int) -> str:
    """What a bin holds, in words."""
    return (
        f"probability {one['from']:.2f} to {one['from'] + 1 / n_bins:.2f}: mean "
        f"{one['probability']:.3f}, truly {one['share']:.3f}, {one['voxels']:,} voxels"
    )
