"""Scores as files and as lines: CSV for each case, JSON with everything, Markdown to read."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.labels import ClassSet
from bratsprep.system.atomic import replacing
from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.evaluation.formatting import (
    aligned,
    in_words,
    interval,
    markdown_table,
    none_for_nan,
    number,
)
from bratstrain.evaluation.nnunet_summary import nnunet_summary
from bratstrain.evaluation.summaries import (
    agreement_table,
    calibration_record,
    convention_facts,
    volume_agreement,
)
from bratstrain.scoring.aggregate import Row, Table, case_rows
from bratstrain.scoring.intervals import METHOD
from bratstrain.scoring.metric import Metric
from bratstrain.scoring.metric_registry import (
    EVALUATION_VERSION,
    HEADLINE,
    METRICS,
    POOLED,
    beside_headline,
)
from bratstrain.scoring.metrics import CaseScores

CASES: Final = "cases.csv"
PLANES: Final = "planes.csv"
EVERYTHING: Final = "evaluation.json"
SUMMARY: Final = "summary.md"
NNUNET: Final = "summary.json"
VERSION: Final = "evaluation version"
"""Key of the JSON that tells evaluations whose numbers follow the same rules."""

UNCERTAINTY: Final = "uncertainty"
"""Key of the JSON: mean entropy over the predicted tumour, by case."""
ODD: Final = "odd_images"
"""Key of the JSON: what is unusual about the images, by case."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One plane of a case, to be drawn."""

    case: str
    z: int
    """Plane in the uncropped volume, RAS+ order."""
    image: NDArray[np.float32]
    """(h, w) of the modality under the labels, standard deviations; 0 outside the brain."""
    truth: NDArray[np.uint8]
    """(h, w) stored labels."""
    predicted: NDArray[np.uint8]
    """(h, w) stored labels."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Scores of a set of cases, with the facts and caveats that belong to them."""

    name: str
    """Of the evaluation, such as `validation`."""
    notes: tuple[str, ...]
    """Caveats: what makes these numbers better or worse than those of new cases."""
    about: Mapping[str, Any]
    """Runs, source, split and settings, for the JSON."""
    scores: tuple[CaseScores, ...]
    """In the order of the case ids."""
    table: Table
    planes: tuple[Mapping[str, Any], ...] = ()
    """Counts of every plane, where they were asked for."""
    pictures: tuple[Picture, ...] = ()
    """The fullest plane of each case, where they were asked for."""
    repeats: Twins | None = None
    """Which of the cases have a twin in training; None where there was no training."""
    table_without_twins: Table | None = None
    """Of the cases without a twin in training; None where all have one, or none has."""
    shown: tuple[Metric, ...] = ()
    """Metrics beside the headline in the terminal's table; empty for the usual ones."""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    """Why a case could not be scored, by id."""
    uncertainty: Mapping[str, float | None] = field(default_factory=dict)
    """Mean entropy over the predicted tumour by case, None where nothing is predicted; empty of
    label files."""
    odd_images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What is unusual about the images of a case, by id."""
    folder: Path | None = None
    """Where the tables are; None before they are written."""

    @property
    def classes(self) -> ClassSet:
        """Of the labels."""
        return self.scores[0].classes

    @property
    def order(self) -> tuple[str, ...]:
        """Rows of every table: means first, then classes and regions."""
        return (*self.classes.means, *self.classes.parts)

    @property
    def twins(self) -> Mapping[str, tuple[str, ...]]:
        """Training cases of the same person, by the id of each case that has some."""
        return {} if self.repeats is None else self.repeats.cases

    @property
    def title(self) -> str:
        """Which cases and planes, and in which space."""
        n = len(self.scores)
        return f"{self.table.cases}: {n} case{'' if n == 1 else 's'}, {self.table.planes}"

    def lines(self) -> list[str]:
        """Summary for the terminal."""
        return terminal_lines(self)

    @property
    def conventions(self) -> tuple[str, ...]:
        """Conventions of the table, pooled rows aside."""
        names = dict.fromkeys(row.convention for row in self.table.rows)
        return tuple(name for name in names if name != "pooled")


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write the tables: `cases.csv`, `evaluation.json`, `summary.md`, and nnU-Net's `summary.json`.

    `planes.csv` is added where there are counts of planes.

    Raises:
        BratsError: a file cannot be written.
    """
    texts = {
        CASES: csv_text(per_case(report)),
        EVERYTHING: f"{json.dumps(to_json(report), indent=1, allow_nan=False)}\n",
        SUMMARY: "\n".join(markdown(report)) + "\n",
        NNUNET: f"{json.dumps(nnunet_summary(report.scores, report.title), indent=1)}\n",
    }  # fmt: skip
    if report.planes:
        texts[PLANES] = csv_text(report.planes)
    for name, text in texts.items():
        with replacing(folder / name) as file:
            file.write(text.encode())
    return [folder / name for name in texts]


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows of the same keys as CSV with a header; None is empty, claims are true or false."""
    listed = list(rows)
    out = io.StringIO()
    names = list(listed[0]) if listed else []
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {
            key: str(value).lower() if isinstance(value, bool) else value
            for key, value in row.items()
        }
        for row in listed
    )
    return out.getvalue()


def to_json(report: Report) -> dict[str, Any]:
    """Give everything as plain dicts and lists: notes, every row, every case."""
    second = report.table_without_twins
    return {
        "name": report.name,
        VERSION: EVALUATION_VERSION,
        "cases": report.table.cases,
        "planes": report.table.planes,
        "classes": json.loads(report.classes.to_json()),
        "notes": list(report.notes),
        "set_aside": dict(report.set_aside),
        "about": dict(report.about),
        "interval": METHOD,
        "conventions": convention_facts(report.conventions),
        "headline": headline(report, report.table),
        "headline_without_twins": None if second is None else headline(report, second),
        "twins": None if report.repeats is None else report.repeats.to_json(),
        "rows": report.table.to_rows(),
        "rows_without_twins": None if second is None else second.to_rows(),
        "volume_agreement": volume_agreement(report.scores),
        "calibration": calibration_record(report.scores),
        "per_case": per_case(report),
        UNCERTAINTY: dict(report.uncertainty),
        ODD: {case: list(notes) for case, notes in report.odd_images.items()},
        "confusion": {case.case: case.confusion.tolist() for case in report.scores},
    }


def per_case(report: Report) -> list[dict[str, Any]]:
    """Every metric of every case under every convention, with what the cases and planes are.

    `twin` says whether the case has a known twin in training; None where there was no training.
    """
    made_of = {"cases": report.table.cases, "planes": report.table.planes}
    otherwise = None if report.repeats is None else False
    return [
        made_of | {"twin": case.case in report.twins or otherwise} | row
        for name in report.conventions
        for case in report.scores
        for row in case_rows(case, name)
    ]


def headline(report: Report, table: Table) -> dict[str, Any]:
    """Case-average volume Dice of each class and region, and its two means."""
    means = {row.part: row.mean for row in chosen(report, table, report.conventions[0], HEADLINE)}
    return {
        "what": f"case-average {HEADLINE}",
        "convention": report.conventions[0],
        "cases": table.cases,
        "planes": table.planes,
        "values": {name: none_for_nan(means.get(name, math.nan)) for name in report.order},
    }


def chosen(report: Report, table: Table, convention: str, metric: str) -> list[Row]:
    """Rows of one metric under one convention, means first."""
    rows = {
        row.part: row for row in table.rows if row.convention == convention and row.metric == metric
    }
    return [rows[name] for name in report.order if name in rows]


def terminal_lines(report: Report) -> list[str]:
    """Summary for the terminal: the headline first, the folder of the tables last."""
    first = report.conventions[0]
    lines = [report.title, f"convention {first}; 'nothing' is what an empty prediction scores"]
    lines += terminal_table(report, report.table)
    lines += twin_lines(report)
    if report.table_without_twins is not None:
        lines += terminal_table(report, report.table_without_twins)
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"set aside: {case}: {reason}" for case, reason in report.set_aside.items()]
    return lines if report.folder is None else [*lines, f"written to {report.folder}"]


def terminal_table(report: Report, table: Table) -> list[str]:
    """The headline and the metrics beside it in aligned columns."""
    convention = report.conventions[0]
    rows = chosen(report, table, convention, HEADLINE)
    others = {
        metric: {row.part: row for row in chosen(report, table, convention, metric.name)}
        for metric in report.shown or beside_headline()
    }
    others = {metric: parts for metric, parts in others.items() if parts}
    headings = [metric.heading for metric in others]
    cells = [["case average", METRICS[HEADLINE].heading, "95 %", "nothing", *headings,
              "present/absent/false"]]  # fmt: skip
    cells += [
        [
            row.part,
            number(row.mean),
            interval(row),
            number(row.nothing),
            *(number(parts[row.part].mean, metric.name) for metric, parts in others.items()),
            f"{row.n_present}/{row.n_absent}/{row.n_false}",
        ]
        for row in rows
    ]
    return aligned(cells)


def twin_lines(report: Report) -> list[str]:
    """State which cases have a twin in training; nothing where no training is known."""
    if report.repeats is None:
        return []
    if report.table_without_twins is not None:
        n = len(report.scores) - len(report.twins)
        return [report.repeats.line(), f"{n} case{'' if n == 1 else 's'} {WITHOUT}"]
    if report.twins:
        return [f"{report.repeats.line()}: none is left to be scored without"]
    return [report.repeats.line()]


def markdown(report: Report) -> list[str]:
    """Write a page: notes, the headline, then every metric, conventions side by side."""
    page = [f"# Evaluation: {report.name}", "", report.title, ""]
    page += [f"- **{note}**" for note in report.notes]
    page += [f"- **set aside: {case}**: {reason}" for case, reason in report.set_aside.items()]
    page += [f"- {key}: {in_words(value)}" for key, value in report.about.items()]
    page += ["", f"## Case-average {HEADLINE}", "", *headline_table(report, report.table), ""]
    twins = twin_lines(report)
    if twins:
        page += [twins[0], ""]
    second = report.table_without_twins
    if second is not None:
        page += [f"### {twins[1]}", "", *headline_table(report, second), ""]
    page += ["## Volume agreement", "", "Predicted minus true volume (Bland and Altman 1986); "]
    page[-1] += "cases without a voxel on either side are left out."
    page += ["", *agreement_table(volume_agreement(report.scores)), ""]
    page += metric_sections(report, report.table, "Every metric", report.title)
    if second is not None:
        page += ["", *metric_sections(report, second, f"Every metric, {WITHOUT}", second.cases)]
    return page


def metric_sections(report: Report, table: Table, head: str, title: str) -> list[str]:
    """Markdown of every metric but the headline."""
    page = [f"## {head}", ""]
    page += [f"Mean over the cases ({title}); in brackets what an empty prediction scores."]
    for metric in dict.fromkeys(row.metric for row in table.rows):
        if metric != HEADLINE:
            page += ["", f"### {metric}", "", *metric_table(report, table, metric)]
    return page


def headline_table(report: Report, table: Table) -> list[str]:
    """Markdown of the headline under every convention, with intervals and counts of cases."""
    head = ["convention", "part", "mean", "95 % interval", "median", "nothing",
            "present", "absent", "absent but predicted", "scored"]  # fmt: skip
    alike: dict[str, list[str]] = {}
    for name in report.conventions:
        found = chosen(report, table, name, HEADLINE)
        rows = [f"| {' | '.join(headline_cells(row))} |" for row in found]
        alike.setdefault("\n".join(rows), []).append(name)
    lines = markdown_table(head, [])
    for text, names in alike.items():
        lines += [f"| {', '.join(names)} {row}" for row in text.splitlines()]
    return lines


def headline_cells(row: Row) -> list[str]:
    """One row of the headline's table, the convention aside."""
    values = (number(row.mean), interval(row), number(row.median), number(row.nothing))
    counts = (row.n_present, row.n_absent, row.n_false, row.n_scored)
    return [row.part, *values, *map(str, counts)]


def metric_table(report: Report, table: Table, metric: str) -> list[str]:
    """Markdown of one metric: conventions that know it, side by side where they agree."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name in ("pooled",) if metric == POOLED else report.conventions:
        rows = chosen(report, table, name, metric)
        cells = (f"{number(row.mean, metric)} ({number(row.nothing, metric)})" for row in rows)
        if rows:
            alike.setdefault(tuple(cells), []).append(name)
    lines = [[", ".join(names), *cells] for cells, names in alike.items()]
    return markdown_table(["convention", *report.order], lines)
