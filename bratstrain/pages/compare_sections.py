"""Content of the page of `bratstrain compare`, which `templates/compare.html` shows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from bratsprep.drawing.charts import column_rows, dots, interval
from bratsprep.drawing.svg import Drawing
from bratstrain.evaluation.comparison import (
    LEAD,
    Comparison,
    Difference,
    chance,
    difference_span,
    short,
)
from bratstrain.evaluation.formatting import none_for_nan
from bratstrain.pages.html_file import html
from bratstrain.pages.score_sections import DASH, Table, digits
from bratstrain.scoring.metric_registry import HEADLINE, compared_metrics, decimals

EXPLAINED: Final = {
    "rank": "As in the BraTS challenge (Bakas et al. 2018): on every case the runs are ranked for "
    "ET, TC and WT by Dice and by HD95; this is the mean of those ranks. 1 is best.",
    "difference": "Mean over the cases of the first run's value minus the second's, on the same "
    "case. Cases vary far more than runs do; pairing removes that variation.",
    "95 %": "Range of the mean difference to expect if other cases like these were drawn: "
    "Student's t (1908), wider on the side of the longer tail. An interval that contains 0 means "
    "that these cases cannot distinguish the runs. Distances have none where an empty side costs "
    "the convention's penalty, since a rare case decides their mean.",
    "p": "Wilcoxon's signed-rank test, two-sided (Wilcoxon 1945): probability of a difference at "
    "least as large as this one if neither run were better.",
    "p (Holm)": "The same, corrected for the number of pairs of runs in this table (Holm 1979).",
}
MOST_COLUMNS: Final = 10
"""Columns of the dots of differences."""
CHART_WIDTH: Final = 540
"""Units that a chart of such columns may take, of which two stand side by side."""


def telling(comparison: Comparison) -> dict[str, str]:
    """Cases to show, by id, with their titles: largest difference, typical and hardest case."""
    cases = comparison.evaluations[0].cases
    values = np.array([evaluation.values(HEADLINE, LEAD) for evaluation in comparison.evaluations])
    values = np.nan_to_num(values)
    spread, mean = np.ptp(values, axis=0), values.mean(axis=0)
    places = {
        "runs differ most": int(spread.argmax()),
        "typical": int(np.argsort(mean, kind="stable")[len(cases) // 2]),
        "hardest": int(mean.argmin()),
    }
    roles: dict[int, list[str]] = {}
    for role, i in places.items():
        roles.setdefault(i, []).append(role)
    return {cases[i]: f"{', '.join(names)}: {cases[i]}" for i, names in roles.items()}


def page(
    comparison: Comparison,
    chosen: Mapping[str, str],
    shown: Sequence[str],
    views: Sequence[Mapping[str, Any]],
) -> str:
    """Write the page.

    Args:
        comparison: the numbers.
        chosen: titles of the cases that are shown, by id.
        shown: names of the runs that have a panel.
        views: packed cases, as `sprites.packed` gives them, in the order of `chosen`.

    Returns:
        HTML that needs no other file.
    """
    sections: dict[str, object] = {
        "title_of_cases": comparison.title,
        "names": comparison.names,
        "convention": comparison.evaluations[0].convention,
        "headline": HEADLINE,
        "lead": LEAD,
        "notes": notes(comparison),
        "standings": standings(comparison),
        "parts": part_table(comparison),
        "first": difference_table(comparison.chosen()),
        "least_p": chance(min(1.0, 2.0 ** (1 - len(comparison.evaluations[0].cases)))),
        "n_cases": len(comparison.evaluations[0].cases),
        "tables": {
            metric.name: list(tables(comparison, metric.name)) for metric in compared_metrics()
        },
        "explained": EXPLAINED,
        "dots": case_dots(comparison),
        "n_pairs_left": max(len(comparison.chosen()) - MOST_COLUMNS, 0),
        "case_labels": list(chosen.values()),
        "runs": list(shown),
        "content": {
            "runs": list(shown),
            "classes": comparison.evaluations[0].classes.tumour,
            "viewers": {"cases": list(views)},
        },
    }
    first = comparison.evaluations[0]
    title = f"{' and '.join(comparison.names)}: bratstrain compare"
    return html("compare.html", title, sections, (first.classes, first.modalities))


def notes(comparison: Comparison) -> list[str]:
    """Caveats of the numbers; one that holds for all runs stands once."""
    runs: dict[str, list[str]] = {}
    for name, evaluation in zip(comparison.names, comparison.evaluations, strict=True):
        for note in evaluation.notes:
            runs.setdefault(str(note), []).append(name)
    return [
        note if len(names) == len(comparison.names) else f"{', '.join(names)}: {note}"
        for note, names in runs.items()
    ]


def standings(comparison: Comparison) -> Table:
    """Ranks and means of the runs, best rank first."""
    beside = [metric.name for metric in compared_metrics() if metric.name != HEADLINE]
    rows = []
    for run in sorted(comparison.standings, key=lambda standing: standing.rank):
        mean = run.means[HEADLINE][LEAD]
        drawing = DASH if mean is None else interval(mean, run.low, run.high, None)
        others = [digits(run.means[name].get(LEAD), name) for name in beside]
        span = f"{digits(run.low)} {DASH} {digits(run.high)} (n {run.n_interval})"
        rows.append([run.run, short(run.rank, 2), digits(mean), span, drawing, *others])
    return {"head": ["", "rank", HEADLINE, "95 %", "0 to 1", *beside], "rows": rows}


def part_table(comparison: Comparison) -> Table:
    """Headline of each class and region, a column for each run."""
    rows = [
        [part, *(digits(run.means[HEADLINE].get(part)) for run in comparison.standings)]
        for part in comparison.evaluations[0].order
        if part != LEAD
    ]
    return {"head": ["", *comparison.names], "rows": rows}


def tables(comparison: Comparison, metric: str) -> Iterator[tuple[str, Table]]:
    """Class or region, and the table of its differences in one metric; the first table aside."""
    for part in comparison.evaluations[0].order:
        rows = comparison.chosen(metric, part)
        if rows and (metric, part) != (HEADLINE, LEAD):
            yield part, difference_table(rows)


def difference_table(rows: Sequence[Difference]) -> Table:
    """Every pair of runs in one metric of one part."""
    places = decimals(rows[0].metric)
    ends = [abs(end) for row in rows for end in (row.low, row.high) if math.isfinite(end)]
    reach = max([1e-9, *ends, *(abs(row.mean) for row in rows)]) * 1.05
    body = [
        [
            minus(row),
            f"{row.mean:+.{places}f}",
            f"{difference_span(row, places)} (n {row.n_cases})",
            interval(row.mean, none_for_nan(row.low), none_for_nan(row.high), 0.0, (-reach, reach)),
            f"{row.median:+.{places}f}",
            f"{row.n_better}/{row.n_worse}",
            str(row.n_cases),
            chance(row.p),
            chance(row.p_holm),
        ]
        for row in rows
    ]
    head = ["", "difference", "95 %", "0 in the middle", "median", "better/worse", "cases", "p",
            "p (Holm)"]  # fmt: skip
    return {"head": head, "rows": body}


def minus(row: Difference) -> str:
    """Name of a difference."""
    return f"{row.run} \N{MINUS SIGN} {row.other}"


def case_dots(comparison: Comparison) -> list[Drawing]:
    """Difference of every case, a column for each pair of runs; as many columns as fit a page."""
    cases, columns = comparison.evaluations[0].cases, {}
    values = {
        name: evaluation.values(HEADLINE, LEAD)
        for name, evaluation in zip(comparison.names, comparison.evaluations, strict=True)
    }
    for row in comparison.chosen()[:MOST_COLUMNS]:
        difference = values[row.run] - values[row.other]
        columns[minus(row)] = list(zip(cases, difference.tolist(), strict=True))
    sizes = np.abs([value for points in columns.values() for _, value in points])
    reach = 1.05 * max(0.05, float(np.max(sizes, initial=0.0, where=~np.isnan(sizes))))
    return [
        dots(
            f"Difference in {HEADLINE}, {LEAD}, of each case",
            {name: columns[name] for name in row_of_columns},
            label=lambda case, value: f"{case}, difference {value:+.3f}",
            span=(-reach, reach),
        )
        for row_of_columns in column_rows(list(columns), CHART_WIDTH)
    ]
