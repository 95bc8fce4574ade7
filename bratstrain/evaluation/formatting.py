"""Numbers, facts and rows as text: Markdown tables, and columns for a terminal."""

import math
from collections.abc import Iterable, Mapping, Sequence

from bratstrain.scoring.aggregate import Row
from bratstrain.scoring.metric_registry import decimals


def in_words(value: object) -> str:
    """Write a fact on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return str(value)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def number(value: float, metric: str = "") -> str:
    """Three digits after the point, one for mm; a dash for nan."""
    if math.isnan(value):
        return "-"
    return f"{value:.{decimals(metric)}f}"


def interval(row: Row) -> str:
    """The interval of a mean with its number of cases, or why there is none."""
    if math.isfinite(row.low):
        ends = f"{number(row.low, row.metric)}-{number(row.high, row.metric)}"
        return f"{ends} (n {row.n_interval})"
    return f"none: {row.no_interval}" if row.n_interval else "-"


def none_for_nan(value: float) -> float | None:
    """Give None for nan, which JSON cannot hold."""
    return None if math.isnan(value) else value
