"""The page of `bratstrain compare`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from bratstrain.evaluation.comparison import (
    LEAD,
    Comparison,
    Difference,
    chance,
    difference_span,
    short,
)
from bratstrain.evaluation.formatting import none_for_nan
from bratstrain.evaluation.tables import ORDER
from bratstrain.pages import svg_charts
from bratstrain.pages.case_viewer import viewer
from bratstrain.pages.markup import Child, Markup, facts, section, table, tag
from bratstrain.pages.score_sections import DASH, PART_NAMES, digits, named
from bratstrain.scoring.metric_registry import HEADLINE, compared_metrics, decimals

LINKS: Final = {
    "runs": "The runs", "differences": "Differences", "dots": "Every case", "cases": "Cases",
}  # fmt: skip
EXPLAINED: Final = {
    "rank": "As in the BraTS challenge (Bakas et al. 2018): on every case the runs are ranked for "
    "ET, TC and WT by Dice and by HD95; this is the mean of those ranks. 1 is best.",
    "difference": "Mean over the cases of the first run's value minus the second's, on the same "
    "case. Cases vary far more than runs do; pairing takes that out.",
    "95 %": "Where the mean difference would lie if other cases like these had been drawn: "
    "Student's t (1908), wider on the side of the longer tail. An interval with 0 inside says that "
    "these cases cannot tell the runs apart.",
    "p": "Wilcoxon's signed-rank test, two-sided (Wilcoxon 1945): how often signs drawn by a coin "
    "would favour one run as clearly as this.",
    "p (Holm)": "The same, corrected for the number of pairs of runs in this table (Holm 1979).",
}
MOST_COLUMNS: Final = 10
"""Of the dots of differences."""


def telling(comparison: Comparison) -> dict[str, str]:
    """Cases worth a look, by id, each with what to call it: disputed, typical and hardest."""
    cases = comparison.evaluations[0].cases
    values = np.array([each.values(HEADLINE, LEAD) for each in comparison.evaluations])
    values = np.nan_to_num(values)
    spread, mean = np.ptp(values, axis=0), values.mean(axis=0)
    places = {
        "runs differ most": int(spread.argmax()),
        "typical": int(np.argsort(mean, kind="stable")[len(cases) // 2]),
        "hardest": int(mean.argmin()),
    }
    named_cases: dict[int, list[str]] = {}
    for word, i in places.items():
        named_cases.setdefault(i, []).append(word)
    return {cases[i]: f"{', '.join(words)}: {cases[i]}" for i, words in named_cases.items()}


def page(comparison: Comparison, chosen: Mapping[str, str], shown: Sequence[str]) -> Markup:
    """Put the sections of the page together.

    Args:
        comparison: the numbers.
        chosen: what to call each case that is shown, by id.
        shown: names of the runs that have a panel.
    """
    links = (tag("a", text, href=f"#{name}") for name, text in LINKS.items())
    heading = f"{len(comparison.names)} runs on the same cases"
    return tag(
        "main",
        tag("header", tag("h1", heading), tag("p", comparison.title)),
        notes(comparison),
        tag("nav", links, aria_label="Sections"),
        runs(comparison),
        paired(comparison),
        every_case(comparison),
        cases(list(chosen.values()), shown, comparison),
        tag("footer", tag("p", "Made by bratstrain compare. Not a medical device.", class_="soft")),
    )


def notes(comparison: Comparison) -> Markup:
    """What has to be said beside the numbers, once for all runs that it is true of."""
    said: dict[str, list[str]] = {}
    for name, evaluation in zip(comparison.names, comparison.evaluations, strict=True):
        for note in evaluation.record["notes"]:
            said.setdefault(str(note), []).append(name)
    lines = (
        tag("li", note if len(names) == len(comparison.names) else f"{', '.join(names)}: {note}")
        for note, names in said.items()
    )
    return tag("ul", lines, class_="notes") if said else Markup("")


def runs(comparison: Comparison) -> Markup:
    """Means and ranks."""
    convention = comparison.evaluations[0].convention
    beside = [metric.name for metric in compared_metrics() if metric.name != HEADLINE]
    head = ["", "rank", HEADLINE, "95 %", "0 to 1", *beside]
    rows: list[Sequence[Child]] = []
    for each in sorted(comparison.standings, key=lambda standing: standing.rank):
        lead = each.means[HEADLINE][LEAD]
        drawing = DASH if lead is None else svg_charts.interval(lead, each.low, each.high, None)
        others = (digits(each.means[name].get(LEAD), name) for name in beside)
        span = f"{digits(each.low)} {DASH} {digits(each.high)} (n {each.n_interval})"
        mean = tag("strong", digits(lead))
        rows.append([each.run, short(each.rank, 2), mean, span, drawing, *others])
    said = tag(
        "p",
        f"Mean of classes, convention {convention} for empty masks, best rank first. The intervals "
        "are of each run by itself; whether runs differ is said below.",
    )
    parts = [name for name in ORDER if name != LEAD]
    detail = [[name, *(digits(each.means[HEADLINE].get(name)) for each in comparison.standings)]
              for name in parts]  # fmt: skip
    wide = table(
        ["", *comparison.names],
        ([named(name), *others] for name, *others in detail),
        f"{HEADLINE} of each class and region",
    )
    return section("The runs", said, table(head, rows, comparison.title), wide, id_="runs")


def paired(comparison: Comparison) -> Markup:
    """Differences in the headline, then in the other metrics."""
    said = tag("p", "The first run minus the second, case by case. In Dice more is better, in HD95 "
               "less is.")  # fmt: skip
    first = difference_table(comparison.chosen(), f"{HEADLINE}, {LEAD}")
    rest = [
        [tag("h3", metric.name), *_tables(comparison, metric.name)] for metric in compared_metrics()
    ]
    folded = tag("details", tag("summary", "Every class, region and metric"), rest)
    explained = tag("details", tag("summary", "What each number means"), facts(EXPLAINED))
    n = len(comparison.evaluations[0].cases)
    least = tag("p", f"With {n} cases p cannot fall below {chance(min(1.0, 2.0 ** (1 - n)))}, "
                "however clear the difference.")  # fmt: skip
    return section("Differences", said, first, least, explained, folded, id_="differences")


def _tables(comparison: Comparison, metric: str) -> Iterator[Markup]:
    """A table for each part that has differences."""
    for part in ORDER:
        rows = comparison.chosen(metric, part)
        if rows and (metric, part) != (HEADLINE, LEAD):
            yield difference_table(rows, f"{metric}, {PART_NAMES.get(part, part)}")


def difference_table(rows: Sequence[Difference], caption: str) -> Markup:
    """One metric of one part, every pair of runs."""
    head = ["", "difference", "95 %", "0 in the middle", "median", "better/worse", "cases", "p",
            "p (Holm)"]  # fmt: skip
    places = decimals(rows[0].metric)
    ends = [abs(end) for row in rows for end in (row.low, row.high) if math.isfinite(end)]
    reach = max([1e-9, *ends, *(abs(row.mean) for row in rows)]) * 1.05
    body = [
        [
            minus(row),
            tag("strong", f"{row.mean:+.{places}f}"),
            f"{difference_span(row, places)} (n {row.n_cases})",
            svg_charts.interval(
                row.mean, none_for_nan(row.low), none_for_nan(row.high), 0.0, (-reach, reach)
            ),
            f"{row.median:+.{places}f}",
            f"{row.n_better}/{row.n_worse}",
            str(row.n_cases),
            chance(row.p),
            chance(row.p_holm),
        ]
        for row in rows
    ]
    return table(head, body, caption)


def minus(row: Difference) -> str:
    """Name a difference."""
    return f"{row.run} \N{MINUS SIGN} {row.other}"


def every_case(comparison: Comparison) -> Markup:
    """Differences of every case, a column for each pair."""
    cases, columns = comparison.evaluations[0].cases, {}
    values = {
        name: each.values(HEADLINE, LEAD)
        for name, each in zip(comparison.names, comparison.evaluations, strict=True)
    }
    for row in comparison.chosen()[:MOST_COLUMNS]:
        both = values[row.run] - values[row.other]
        columns[minus(row)] = list(zip(cases, both.tolist(), strict=True))
    every = [abs(value) for points in columns.values() for _, value in points if value == value]  # noqa: PLR0124 (nan)
    reach = max([0.05, *every]) * 1.05
    drawing = svg_charts.dots(
        f"Difference in {HEADLINE}, {LEAD}, of each case; the line is the mean",
        columns,
        say=lambda case, value: f"{case}, difference {value:+.3f}",
        span=(-reach, reach),
    )
    more = len(comparison.chosen()) - MOST_COLUMNS
    rest = tag("p", f"{more} more pairs are in the table alone.") if more > 0 else ""
    return section("Every case", drawing, rest, id_="dots")


def cases(labels: Sequence[str], shown: Sequence[str], comparison: Comparison) -> Markup:
    """The section of the cases to page through."""
    left = len(comparison.names) - len(shown)
    said = (
        "The same plane as each run predicts it. Radiological view: the patient's right side (R) "
        "is on the left, front is up; planes run from the feet to the head. Above the slider the "
        "area of the true tumour in each plane is filled, and those of the predictions are lines."
    )
    rest = f" {left} more runs are in the tables alone." if left > 0 else ""
    return section("Cases", tag("p", said + rest), viewer("cases", labels, shown), id_="cases")
