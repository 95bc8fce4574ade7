"""`bratstrain report`: a run as one page that opens anywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Unpack

import numpy as np

from bratsprep.settings import take
from bratstrain.apply_config import ApplyConfig, ApplySettings, Part
from bratstrain.evaluation.case_pairs import load_labeller
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.evaluation.stored import Evaluation, evaluation_of
from bratstrain.pages import run_sections, score_sections
from bratstrain.pages.case_images import views
from bratstrain.pages.case_viewer import viewer
from bratstrain.pages.markup import Markup, document, section, tag, write_page
from bratstrain.pages.sprites import packed
from bratstrain.scoring.metric_registry import HEADLINE

PAGE: Final = "report.html"
RANKED_BY: Final = "mean of classes"
LINKS: Final = {
    "scores": "Scores", "cases": "Cases", "dots": "Every case", "learning": "Learning",
    "balance": "Class balance", "split": "Split", "run": "The run",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """A page that was written."""

    path: Path
    n_bytes: int
    title: str
    """Which cases and planes it is of."""

    def line(self) -> str:
        """Say it in a line."""
        return f"{self.path}: {self.n_bytes / 1e6:.1f} MB, {self.title}"


def report(
    run: Path | str,
    *,
    data: Path | str | None = None,
    raw: Path | str | None = None,
    split: Part = "validation",
    out: Path | str | None = None,
    progress: bool = False,
    **settings: Unpack[ApplySettings],
) -> Written:
    """Write a run's page: scores, curves, and cases to page through; `bratstrain.report`.

    The evaluation is the one in the run folder where nothing that decides it has changed, and
    is made anew otherwise. Best, median and worst case are predicted once more for the pictures.

    Example:
        bratstrain.report("runs/a", raw="Task01_BrainTumour.tar")

    Args:
        run: run folder.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of the run's split: `validation`, `test`, `train`, or `all` cases there are.
        out: HTML file; `report.html` in the run folder by default.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig`.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    (own,) = take("report", settings, ApplyConfig)
    folder, apply = Path(run), ApplyConfig(**own)
    apply.check_effects(data)
    with open_cases(data, raw) as where:
        evaluation = evaluation_of(folder, where, split, apply, progress=progress)
        chosen = telling(evaluation)
        labeller = load_labeller(folder, apply)
        shown = {view.case: packed(view) for view in views([labeller], where, split, [*chosen])}
    text = page(evaluation, chosen)
    content = {"runs": [folder.name], "viewers": {"cases": [shown[case] for case in chosen]}}
    path = folder / PAGE if out is None else Path(out)
    size = write_page(path, document(f"{folder.name}: bratstrain report", text, content))
    return Written(path, size, evaluation.title)


def telling(evaluation: Evaluation) -> dict[str, str]:
    """Best, median and worst case, by id, each with what to call it."""
    values = evaluation.values(HEADLINE, RANKED_BY)
    order = [int(i) for i in np.argsort(-np.nan_to_num(values, nan=-math.inf), kind="stable")]
    places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    named: dict[int, list[str]] = {}
    for word, i in places.items():
        named.setdefault(i, []).append(word)
    return {
        evaluation.cases[i]: f"{', '.join(words)}: {evaluation.cases[i]} ({values[i]:.3f})"
        for i, words in named.items()
    }


def page(evaluation: Evaluation, chosen: dict[str, str]) -> Markup:
    """Put the sections of the page together."""
    run = evaluation.run
    links = (tag("a", text, href=f"#{name}") for name, text in LINKS.items())
    return tag(
        "main",
        tag("header", tag("h1", f"Report of “{run.resolve().name}”"), tag("p", evaluation.title)),
        score_sections.key_numbers(evaluation),
        score_sections.notes(evaluation),
        tag("nav", links, aria_label="Sections"),
        score_sections.scores(evaluation),
        cases(list(chosen.values()), [run.name], evaluation),
        score_sections.case_dots(evaluation),
        run_sections.learning(run),
        score_sections.balance(evaluation),
        run_sections.splitting(run, evaluation),
        run_sections.run_facts(run, evaluation),
        tag("footer", tag("p", "Made by bratstrain report. Not a medical device.", class_="soft")),
    )


def cases(labels: Sequence[str], runs: Sequence[str], evaluation: Evaluation) -> Markup:
    """The section of the cases to page through."""
    said = (
        "Best, median and worst case by mean volume Dice of the classes, over the whole case. "
        "Radiological view: the patient's right side (R) is on the left, front is up; planes run "
        "from the feet to the head. The slider goes with the arrow keys too. Above it the area of "
        "the true tumour in each plane is filled, and that of the prediction is a line."
    )
    stored = "" if "every plane" in str(evaluation.record["planes"]) else (
        " Only planes that the slice file holds can be shown."
    )  # fmt: skip
    return section("Cases", tag("p", said + stored), viewer("cases", labels, runs), id_="cases")
