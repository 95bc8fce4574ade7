"""Scores as files and as lines: CSV for each case, JSON with everything, Markdown to read."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.aggregate import POOLED, Row, Table, case_rows
from bratstrain.metrics import MEANS, PARTS, CaseScores
from bratstrain.runlog import replacing

CASES: Final = "cases.csv"
PLANES: Final = "planes.csv"
EVERYTHING: Final = "evaluation.json"
SUMMARY: Final = "summary.md"
HEADLINE: Final = "volume Dice"
"""The one metric that is called Dice without a further word."""
ORDER: Final = (*MEANS, *PARTS)
"""Means first, then classes and regions."""
SHORT: Final = (HEADLINE, "HD95 (mm)", "surface Dice at 1 mm", "lesion-wise Dice")
"""Columns of the terminal's table."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One plane of a case, to be drawn."""

    case: str
    z: int
    """Plane in the uncropped volume, RAS+ order."""
    image: NDArray[np.float32]
    """(h, w) T1gd, standard deviations; 0 outside the brain."""
    truth: NDArray[np.uint8]
    """(h, w) stored labels."""
    predicted: NDArray[np.uint8]
    """(h, w) stored labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Scores of some cases, and all that has to be said beside them."""

    name: str
    """Of the evaluation, such as `validation`."""
    notes: tuple[str, ...]
    """What makes these numbers better or worse than they should be; stands in every table."""
    about: Mapping[str, Any]
    """Runs, source, split and settings, for the JSON."""
    scores: tuple[CaseScores, ...]
    """In the order of the case ids."""
    table: Table
    planes: tuple[Mapping[str, Any], ...] = ()
    """Counts of every plane, where they were asked for."""
    pictures: tuple[Picture, ...] = ()
    """The fullest plane of each case, where they were asked for."""

    @property
    def title(self) -> str:
        """Which cases and planes, and in which space."""
        n = len(self.scores)
        return f"{self.table.cases}: {n} case{'' if n == 1 else 's'}, {self.table.planes}"

    def lines(self) -> list[str]:
        """Say the scores in a few lines for a terminal, the headline first."""
        return terminal_lines(self)

    @property
    def conventions(self) -> tuple[str, ...]:
        """Conventions of the table, pooled rows aside."""
        names = dict.fromkeys(row.convention for row in self.table.rows)
        return tuple(name for name in names if name != "pooled")


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `cases.csv`, `evaluation.json`, `summary.md`, and `planes.csv` where there are counts.

    Raises:
        BratsError: a file cannot be written.
    """
    texts = {
        CASES: csv_text(per_case(report)),
        EVERYTHING: f"{json.dumps(to_json(report), indent=1, allow_nan=False)}\n",
        SUMMARY: "\n".join(markdown(report)) + "\n",
    }  # fmt: skip
    if report.planes:
        texts[PLANES] = csv_text(report.planes)
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows of the same keys as CSV with a header; None is an empty field."""
    listed = list(rows)
    out = io.StringIO()
    names = list(listed[0]) if listed else []
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return out.getvalue()


def to_json(report: Report) -> dict[str, Any]:
    """Give everything as plain dicts and lists: notes, every row, every case."""
    return {
        "name": report.name,
        "cases": report.table.cases,
        "planes": report.table.planes,
        "notes": list(report.notes),
        "about": dict(report.about),
        "bootstrap": {"resamples": report.table.resamples, "seed": report.table.seed},
        "headline": headline(report),
        "rows": report.table.to_rows(),
        "per_case": per_case(report),
        "confusion": {case.case: case.confusion.tolist() for case in report.scores},
    }


def per_case(report: Report) -> list[dict[str, Any]]:
    """Every metric of every case under every convention, with what the cases and planes are."""
    made_of = {"cases": report.table.cases, "planes": report.table.planes}
    return [
        made_of | row
        for name in report.conventions
        for case in report.scores
        for row in case_rows(case, name)
    ]


def headline(report: Report) -> dict[str, Any]:
    """Case-average volume Dice of each class and region, and its two means."""
    means = {row.part: row.mean for row in chosen(report, report.conventions[0], HEADLINE)}
    return {
        "what": f"case-average {HEADLINE}",
        "convention": report.conventions[0],
        "cases": report.table.cases,
        "planes": report.table.planes,
        "values": {name: none_for_nan(means.get(name, math.nan)) for name in ORDER},
    }


def chosen(report: Report, convention: str, metric: str) -> list[Row]:
    """Rows of one metric under one convention, means first."""
    rows = {
        row.part: row
        for row in report.table.rows
        if row.convention == convention and row.metric == metric
    }
    return [rows[name] for name in ORDER if name in rows]


def terminal_lines(report: Report) -> list[str]:
    """Say the scores in a few lines for a terminal, the headline first."""
    first = report.conventions[0]
    rows = chosen(report, first, HEADLINE)
    names = [name for name in SHORT if chosen(report, first, name)]
    others = {name: {row.part: row for row in chosen(report, first, name)} for name in names[1:]}
    table = [["case average", HEADLINE, "95 %", "nothing", *names[1:], "present/absent/false"]]
    table += [
        [
            row.part,
            number(row.mean),
            interval(row),
            number(row.nothing),
            *(number(others[name][row.part].mean, name) for name in names[1:]),
            f"{row.n_present}/{row.n_absent}/{row.n_false}",
        ]
        for row in rows
    ]
    said = [report.title, f"convention {first}; 'nothing' is what an empty prediction scores"]
    return [*said, *aligned(table), *(f"note: {note}" for note in report.notes)]


def markdown(report: Report) -> list[str]:
    """Write a page: notes, the headline, then every metric, conventions side by side."""
    page = [f"# Evaluation: {report.name}", "", report.title, ""]
    page += [f"- **{note}**" for note in report.notes]
    page += [f"- {key}: {in_words(value)}" for key, value in report.about.items()]
    page += ["", f"## Case-average {HEADLINE}", "", *headline_table(report), ""]
    page += ["## Every metric", ""]
    page += [f"Mean over the cases ({report.title}); in brackets what an empty prediction scores."]
    for metric in dict.fromkeys(row.metric for row in report.table.rows):
        if metric != HEADLINE:
            page += ["", f"### {metric}", "", *metric_table(report, metric)]
    return page


def in_words(value: object) -> str:
    """Write a fact on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)


def headline_table(report: Report) -> list[str]:
    """Markdown of the headline under every convention, with intervals and counts of cases."""
    head = ["convention", "part", "mean", "95 % interval", "median", "nothing",
            "present", "absent", "absent but predicted", "scored"]  # fmt: skip
    alike: dict[str, list[str]] = {}
    for name in report.conventions:
        rows = [f"| {' | '.join(headline_cells(row))} |" for row in chosen(report, name, HEADLINE)]
        alike.setdefault("\n".join(rows), []).append(name)
    table = markdown_table(head, [])
    for text, names in alike.items():
        table += [f"| {', '.join(names)} {row}" for row in text.splitlines()]
    return table


def headline_cells(row: Row) -> list[str]:
    """One row of the headline's table, the convention aside."""
    values = (number(row.mean), interval(row), number(row.median), number(row.nothing))
    counts = (row.n_present, row.n_absent, row.n_false, row.n_scored)
    return [row.part, *values, *map(str, counts)]


def metric_table(report: Report, metric: str) -> list[str]:
    """Markdown of one metric: conventions that know it, side by side where they agree."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in ("pooled",) if metric == POOLED else report.conventions:
        found = chosen(report, name, metric)
        cells = (f"{number(row.mean, metric)} ({number(row.nothing, metric)})" for row in found)
        if found:
            alike.setdefault(tuple(cells), []).append(name)
    rows = [[", ".join(names), *cells] for cells, names in alike.items()]
    return markdown_table(["convention", *ORDER], rows)


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
    """Three digits behind the point, one for millimetres; a dash where there is none."""
    if math.isnan(value):
        return "-"
    return f"{value:.1f}" if "(mm)" in metric else f"{value:.3f}"


def interval(row: Row) -> str:
    """The bootstrap's interval."""
    return f"{number(row.low)}-{number(row.high)}" if math.isfinite(row.low) else "-"


def none_for_nan(value: float) -> float | None:
    """None where there is no number, which JSON has no word for."""
    return None if math.isnan(value) else value
