"""Sections of a page that come from an evaluation: key numbers, tables, dots, class balance."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from bratsprep.labels import CLASSES
from bratstrain.evaluation.published import PUBLISHED
from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.tables import HEADLINE, ORDER
from bratstrain.pages import svg_charts
from bratstrain.pages.case_viewer import swatch
from bratstrain.pages.markup import Child, Markup, facts, section, table, tag

DASH: Final = "\N{EN DASH}"
BESIDE: Final = ("HD95 (mm)", "surface Dice at 1 mm", "lesion-wise Dice")
"""Metrics that stand beside the headline."""
SHOWN_PARTS: Final = ("mean of classes", "NCR", "ED", "ET", "TC", "WT")
"""Columns of the dots."""
PART_NAMES: Final = {
    "NCR": "NCR (necrotic core)",
    "ED": "ED (oedema)",
    "ET": "ET (enhancing)",
    "TC": "TC (NCR + ET)",
    "WT": "WT (NCR + ED + ET)",
}
EXPLAINED: Final = {
    "volume Dice": "Overlap of prediction and truth over the whole case, 2 x shared / (true + "
    "predicted): 1 is perfect, 0 is nothing in common. One value a case, then the mean over the "
    "cases. This is the one number that may be called Dice here.",
    "95 %": "Where the mean would lie if other cases like these had been drawn: percentile "
    "bootstrap over the cases.",
    "nothing": "What a prediction without any tumour would score on these cases. It is above 0 "
    "where a case holds none of a class.",
    "HD95 (mm)": "95 % of the predicted surface lies at most this far from the true one, and the "
    "other way round; an empty side costs the convention's penalty.",
    "surface Dice at 1 mm": "Share of both surfaces that lie within 1 mm of each other.",
    "lesion-wise Dice": "As volume Dice, for each lesion; a missed or an invented lesion counts 0.",
    "present/absent/false": "Cases that hold the class, cases that do not, and cases of the latter "
    "in which it was predicted all the same.",
}


def digits(value: float | None, metric: str = "") -> str:
    """Three digits behind the point, one for mm; a dash where there is no number."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.1f}" if "(mm)" in metric else f"{value:.3f}"


def between(row: Mapping[str, Any]) -> str:
    """The interval of a row."""
    if row["low"] is None:
        return DASH
    return f"{digits(row['low'])} {DASH} {digits(row['high'])}"


def key_numbers(evaluation: Evaluation) -> Markup:
    """The few numbers that one looks for first."""
    rows = evaluation.rows()
    classes, whole = rows["mean of classes"], rows["WT"]
    away = evaluation.rows("HD95 (mm)").get("mean of classes")
    boxes = [
        ("volume Dice, mean of classes", classes, digits(classes["mean"]), between(classes)),
        ("volume Dice, whole tumour", whole, digits(whole["mean"]), between(whole)),
    ]
    made = [
        tag("div", tag("span", name), tag("b", value),
            tag("span", f"95 %: {span}; nothing predicted: {digits(row['nothing'])}"))
        for name, row, value, span in boxes
    ]  # fmt: skip
    if away is not None:
        told = tag("span", "HD95, mean of classes")
        value = tag("b", f"{digits(away['mean'], 'HD95 (mm)')} mm")
        made.append(tag("div", told, value, tag("span", "surface distance; less is better")))
    n = tag("div", tag("span", "cases scored"), tag("b", len(evaluation.cases)),
            tag("span", str(evaluation.record["planes"])))  # fmt: skip
    return tag("div", *made, n, class_="keys")


def notes(evaluation: Evaluation) -> Markup:
    """What has to be said beside the numbers."""
    said = [str(note) for note in evaluation.record["notes"]]
    return tag("ul", (tag("li", note) for note in said), class_="notes") if said else Markup("")


def headline_table(evaluation: Evaluation, which: str = "rows", caption: Child = "") -> Markup:
    """The headline under its convention, other metrics beside it, means first.

    Args:
        evaluation: the scores.
        which: `rows`, or `rows_without_twins`.
        caption: which cases.
    """
    rows = evaluation.rows(HEADLINE, which)
    others = {name: evaluation.rows(name, which) for name in BESIDE}
    others = {name: found for name, found in others.items() if found}
    head = ["", HEADLINE, "95 %", "0 to 1", "nothing", *others, "present/absent/false"]
    body = []
    for part in (name for name in ORDER if name in rows):
        row = rows[part]
        body.append([
            named(part),
            tag("strong", digits(row["mean"])),
            between(row),
            drawn(row),
            digits(row["nothing"]),
            *(digits(found[part]["mean"], name) for name, found in others.items()),
            f"{row['n_present']}/{row['n_absent']}/{row['n_false']}",
        ])  # fmt: skip
    return table(head, body, caption)


def drawn(row: Mapping[str, Any]) -> Child:
    """The interval of a row as a drawing."""
    if row["mean"] is None:
        return DASH
    return svg_charts.interval(row["mean"], row["low"], row["high"], row["nothing"])


def named(part: str) -> Child:
    """Name a part, with its colour where it is a class."""
    if part in CLASSES[1:]:
        return [swatch(part), PART_NAMES[part]]
    return PART_NAMES.get(part, part)


def scores(evaluation: Evaluation) -> Markup:
    """The headline's section."""
    record = evaluation.record
    bootstrap = record["bootstrap"]
    parts: list[Child] = [
        tag("p", f"Convention for empty masks: {evaluation.convention}. In the drawing the dot is "
            "the mean, the bar its 95 % interval, the upright mark what an empty prediction "
            f"scores; {bootstrap['resamples']:,} resamples of the cases."),
        headline_table(evaluation, caption=evaluation.title),
        *without_twins(evaluation),
        tag("details", tag("summary", "What each number means"), facts(EXPLAINED)),
        *published(evaluation),
    ]  # fmt: skip
    return section("Scores", *parts, id_="scores")


def without_twins(evaluation: Evaluation) -> Iterator[Markup]:
    """Say which cases have a twin in training; and the headline without them."""
    twins = evaluation.record.get("twins")
    if not twins:
        return
    yield tag("h3", "Repeated patients")
    yield tag("p", twin_text(twins))
    if evaluation.record.get("rows_without_twins"):
        n = twins["of"] - twins["n"]
        kept = f"The {n} cases without a twin in training; the table above is of all {twins['of']}"
        yield headline_table(evaluation, "rows_without_twins", kept)


def twin_text(twins: Mapping[str, Any]) -> str:
    """The twin warning in a sentence or two."""
    if twins["n"] == 0:
        said = str(twins["said"])
        return f"{said[:1].upper()}{said[1:]}."
    share = f"{twins['n']} of {twins['of']} cases ({twins['share']:.0%})"
    return (
        f"{share} have a twin in training: the network has seen this person. Their scores are "
        "better than those of a new patient will be; the honest figure is that of the others."
    )


def published(evaluation: Evaluation) -> Iterator[Markup]:
    """Published figures beside ours."""
    mean = evaluation.rows()["mean of classes"]["mean"]
    ours: list[Child] = ["this run", tag("strong", digits(mean)), evaluation.title]
    apart = tag("em", "other data, other convention")
    others = [[row.system, f"{row.mean:g}", [apart, f": {row.protocol}"]] for row in PUBLISHED]
    rows: list[Sequence[Child]] = [ours, *others]
    yield tag("h3", "Published scores, to stand beside and not to rank by")
    yield tag("p", "Mean of the three classes on the Decathlon's Task01, 484 cases, as published: "
              "a hint of the size that such numbers have, not a ranking.")  # fmt: skip
    yield table(["", "mean of classes", "what it is"], rows, class_="prose")


def case_dots(evaluation: Evaluation) -> Markup:
    """A dot for each case, in each class and region."""
    columns = {
        part: list(zip(evaluation.cases, evaluation.values(HEADLINE, part).tolist(), strict=True))
        for part in SHOWN_PARTS
    }
    drawing = svg_charts.dots(
        "Volume Dice of each case; the line is the mean",
        columns,
        say=lambda case, value: f"{case}, volume Dice {value:.3f}",
    )
    said = tag("p", "A mean hides its worst cases. Each dot is one case; the same case is marked "
               "in every column.")  # fmt: skip
    return section("Every case", said, drawing, id_="dots")


def balance(evaluation: Evaluation) -> Markup:
    """Voxels of each class in the scored cases, true and predicted."""
    confusion = evaluation.confusion()
    true, predicted = confusion.sum(axis=(0, 2)), confusion.sum(axis=(0, 1))
    present = np.count_nonzero(confusion.sum(axis=2), axis=0)
    rows: list[Sequence[Child]] = []
    for i, name in enumerate(CLASSES):
        ratio = f"{true[0] / true[i]:,.0f} : 1" if i and true[i] else DASH
        times = f"{predicted[i] / true[i]:.2f}" if true[i] else DASH
        share = f"{true[i] / max(true.sum(), 1):.3%}"
        rows.append([named(name) if i else name, f"{true[i]:,}", share, ratio,
                     f"{present[i]} of {len(confusion)}", f"{predicted[i]:,}", times])  # fmt: skip
    head = ["", "true voxels", "share", "background : 1", "cases", "predicted voxels",
            "predicted / true"]  # fmt: skip
    said = tag("p", "Tumour is rare: a network that never predicts it is right nearly everywhere, "
               "which is why no score here counts background.")  # fmt: skip
    return section("Class balance", said, table(head, rows, evaluation.title), id_="balance")
