"""Content of the sections that come from an evaluation: key numbers, tables, dots, balance."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from bratsprep.drawing.charts import dots, interval
from bratsprep.drawing.svg import Drawing
from bratstrain.evaluation.published import PUBLISHED
from bratstrain.evaluation.stored import Evaluation
from bratstrain.scoring.metric_registry import HEADLINE, METRICS, beside_headline, decimals

DASH: Final = "\N{EN DASH}"
MEAN: Final = "mean of classes"
COLUMNS_EXPLAINED: Final = {
    "95 %": "Range of the mean to expect if other cases like these were drawn, and n, the number "
    "of cases that it is computed from: Student's t on the logit, wider on the side of the longer "
    "tail.",
    "nothing": "Score of a prediction without any tumour on these cases. It is above 0 where a "
    "case does not contain a class.",
    "present/absent/false": "Cases that contain the class, cases that do not, and cases of the "
    "latter in which it was predicted.",
}
"""Columns that are no metric."""


def explanations() -> dict[str, str]:
    """Explain every metric and column of the headline's table, by its heading."""
    shown = (METRICS[HEADLINE], *beside_headline())
    return {metric.name: metric.explained for metric in shown} | COLUMNS_EXPLAINED


Table = dict[str, list[Any]]
"""`head`, and `rows` of text or drawings whose first cell is the name of the row."""


def digits(value: float | None, metric: str = "") -> str:
    """Number with three decimals, or one for millimetres; a dash where there is none."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.{decimals(metric)}f}"


def between(row: Mapping[str, Any]) -> str:
    """95 % interval of a row as text, with the number of cases."""
    n = row["n_interval"]
    if row["low"] is None:
        return DASH if not n else "none: 1 case" if n == 1 else f"none: {n} equal cases"
    return f"{digits(row['low'])} {DASH} {digits(row['high'])} (n {n})"


def key_numbers(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Numbers at the top of the page: name, value, and a remark."""
    rows = evaluation.rows()
    numbers = []
    whole = evaluation.classes.nested[0][0]
    for name, part in ((f"{HEADLINE}, {MEAN}", MEAN), (f"{HEADLINE}, {whole}", whole)):
        row = rows[part]
        remark = f"95 %: {between(row)}; empty prediction: {digits(row['nothing'])}"
        numbers.append((name, digits(row["mean"]), remark))
    distance = evaluation.rows("HD95 (mm)").get(MEAN)
    if distance is not None:
        value = f"{digits(distance['mean'], 'HD95 (mm)')} mm"
        numbers.append((f"HD95, {MEAN}", value, "surface distance; lower is better"))
    n_cases = str(len(evaluation.cases))
    return [*numbers, ("cases scored", n_cases, str(evaluation.record["planes"]))]


def headline_table(evaluation: Evaluation, which: str = "rows") -> Table:
    """Headline under its convention with other metrics beside it, means first.

    Args:
        evaluation: the scores.
        which: `rows`, or `rows_without_twins`.
    """
    headline = evaluation.rows(HEADLINE, which)
    others = {metric.name: evaluation.rows(metric.name, which) for metric in beside_headline()}
    others = {name: rows for name, rows in others.items() if rows}
    body = []
    for part in (name for name in evaluation.order if name in headline):
        row = headline[part]
        means = [digits(rows[part]["mean"], name) for name, rows in others.items()]
        counts = f"{row['n_present']}/{row['n_absent']}/{row['n_false']}"
        body.append([part, digits(row["mean"]), between(row), drawn(row), digits(row["nothing"]),
                     *means, counts])  # fmt: skip
    head = ["", HEADLINE, "95 %", "0 to 1", "nothing", *others, "present/absent/false"]
    return {"head": head, "rows": body}


def drawn(row: Mapping[str, Any]) -> Drawing | str:
    """Interval of a row as a drawing; a dash where there is no mean."""
    if row["mean"] is None:
        return DASH
    return interval(row["mean"], row["low"], row["high"], row["nothing"])


def scores(evaluation: Evaluation) -> dict[str, Any]:
    """Content of the section of the scores."""
    record = evaluation.record
    mean = digits(evaluation.rows()[MEAN]["mean"])
    without = None
    if record.get("twins") and record.get("rows_without_twins"):
        without = headline_table(evaluation, "rows_without_twins")
    return {
        "convention": evaluation.convention,
        "table": headline_table(evaluation),
        "twins": record.get("twins"),
        "table_without_twins": without,
        "explained": explanations(),
        "mean": mean,
        "published": PUBLISHED,
    }


def case_dots(evaluation: Evaluation) -> Drawing:
    """A dot for each case, in each class and region."""
    columns = {
        part: list(zip(evaluation.cases, evaluation.values(HEADLINE, part).tolist(), strict=True))
        for part in (MEAN, *evaluation.classes.parts)
    }
    return dots(
        f"{HEADLINE} of each case",
        columns,
        label=lambda case, value: f"{case}, {HEADLINE} {value:.3f}",
    )


def balance(evaluation: Evaluation) -> Table:
    """Voxels of each class in the scored cases, true and predicted."""
    confusion = evaluation.confusion()
    true, predicted = confusion.sum(axis=(0, 2)), confusion.sum(axis=(0, 1))
    present = np.count_nonzero(confusion.sum(axis=2), axis=0)
    rows = []
    for i, name in enumerate(evaluation.classes.classes):
        ratio = f"{true[0] / true[i]:,.0f} : 1" if i and true[i] else DASH
        times = f"{predicted[i] / true[i]:.2f}" if true[i] else DASH
        share = f"{true[i] / max(true.sum(), 1):.3%}"
        cases = f"{present[i]} of {len(confusion)}"
        rows.append([name, f"{true[i]:,}", share, ratio, cases, f"{predicted[i]:,}", times])
    head = ["", "true voxels", "share", "background : 1", "cases", "predicted voxels",
            "predicted / true"]  # fmt: skip
    return {"head": head, "rows": rows}
