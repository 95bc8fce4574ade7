"""`bratstrain report`: a run as one page that opens anywhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Unpack

import numpy as np

from bratsprep.config import FaultConfig
from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratstrain.apply_config import (
    ApplyConfig,
    Part,
    ReportConfig,
    ReportPageSettings,
    ShownConfig,
)
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.evaluation.evaluator import EvaluationJob
from bratstrain.evaluation.stored import Evaluation, evaluation_of
from bratstrain.pages import calibration_section, run_sections, score_sections, volume_section
from bratstrain.pages.attention import attention
from bratstrain.pages.card_facts import card_facts
from bratstrain.pages.card_text import card_text
from bratstrain.pages.case_table import case_table, worst_line
from bratstrain.pages.case_views import ShownRun, views
from bratstrain.pages.gallery import Gallery
from bratstrain.pages.html_file import html, write_page
from bratstrain.pages.page_budget import Shown, images_note, within
from bratstrain.pages.size_section import sizes
from bratstrain.scoring.metric_registry import HEADLINE

PAGE: Final = "report.html"
RANKED_BY: Final = "mean of classes"


@dataclass(frozen=True, slots=True)
class Written:
    """Page that was written."""

    path: Path
    n_bytes: int
    title: str
    """Which cases and planes it is of."""
    set_aside: Mapping[str, str] = field(default_factory=dict)
    """Why a case could not be scored, by id."""

    def line(self) -> str:
        """Path, size and cases, for the terminal."""
        return f"{self.path}: {self.n_bytes / 1e6:.1f} MB, {self.title}"


def report(
    run: Path | str,
    *,
    data: Path | str | None = None,
    raw: Path | str | None = None,
    split: Part = "validation",
    out: Path | str | None = None,
    progress: bool = False,
    **settings: Unpack[ReportPageSettings],
) -> Written:
    """Write a run's page: scores, curves, and cases to page through; `bratstrain.report`.

    The evaluation in the run folder is reused if its inputs are unchanged, and made anew otherwise.
    Of a reused one, the cases that are shown are predicted again for the pictures.

    Example:
        bratstrain.report("runs/a", raw="Task01_BrainTumour.tar")

    Args:
        run: run folder.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of the run's split: `validation`, `test`, `train`, or `all` for every case.
        out: HTML file; `report.html` in the run folder by default.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig` and `ShownConfig`, and of
            `bratsprep.config.FaultConfig`.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    own, to_show, on_fault = take("report", settings, ApplyConfig, ShownConfig, FaultConfig)
    folder, apply, shown = Path(run), ApplyConfig(**own), ShownConfig(**to_show)
    config = ReportConfig(cases=shown.cases, **on_fault)
    with open_cases(data, raw, apply) as where:
        job = EvaluationJob(folder, split, apply, config)
        evaluation, found = evaluated(job, where, shown, progress=progress)
    path = folder / PAGE if out is None else Path(out)
    size = write_page(path, page(evaluation, found, shown))
    return Written(path, size, evaluation.title, evaluation.set_aside)


def evaluated(
    job: EvaluationJob, where: SliceFile | Source, shown: ShownConfig, *, progress: bool
) -> tuple[Evaluation, Shown]:
    """Evaluate a run, and prepare cases to be shown: best, median and worst, then the worst others.

    Args:
        job: run, part of its split, and how it is applied.
        where: slice file or raw cases, open.
        shown: how many cases are shown.
        progress: show a bar.

    Returns:
        The scores, and the images.

    Raises:
        BratsError: run or cases are at fault, or do not go together.
    """
    viewed = ShownRun(job.run, Gallery(most_thin=shown.images))
    evaluation = evaluation_of(
        job.run,
        where,
        job.part,
        job.apply,
        config=job.config,
        progress=progress,
        watch=viewed.gallery.watch,
    )
    first = list(dict.fromkeys(places(evaluation).values()))
    chosen = order(evaluation, first)[: shown.images]
    others = [case for case in chosen if case not in first]
    found = views([viewed], where, job.part, job.apply, chosen, thin=others)
    return evaluation, within(found, first[::-1], shown.megabytes)


def places(evaluation: Evaluation) -> dict[str, str]:
    """Best, median and worst case, by that word."""
    values = evaluation.values(HEADLINE, RANKED_BY)
    ranked = [int(i) for i in np.argsort(-np.nan_to_num(values, nan=-math.inf), kind="stable")]
    cases = evaluation.cases
    return {
        "best": cases[ranked[0]],
        "median": cases[ranked[len(ranked) // 2]],
        "worst": cases[ranked[-1]],
    }


def order(evaluation: Evaluation, first: Sequence[str]) -> list[str]:
    """All cases: some first, then the others from the worst on."""
    values = evaluation.values(HEADLINE, RANKED_BY)
    worst = np.argsort(np.nan_to_num(values, nan=-math.inf), kind="stable")
    return [*first, *(evaluation.cases[i] for i in worst if evaluation.cases[i] not in first)]


def titles(evaluation: Evaluation, cases: Sequence[str]) -> list[str]:
    """Titles of shown cases: id and score, and whether it is the best, median or worst one."""
    values = dict(zip(evaluation.cases, evaluation.values(HEADLINE, RANKED_BY), strict=True))
    roles: dict[str, list[str]] = {}
    for role, case in places(evaluation).items():
        roles.setdefault(case, []).append(role)
    return [
        f"{', '.join(roles[case])}: {case} ({values[case]:.3f})"
        if case in roles
        else f"{case} ({values[case]:.3f})"
        for case in cases
    ]


def page(evaluation: Evaluation, shown: Shown, config: ShownConfig) -> str:
    """Write the page.

    Args:
        evaluation: the scores.
        shown: the images.
        config: what was asked to be shown.

    Returns:
        HTML that needs no other file.
    """
    run = evaluation.run
    sections: dict[str, object] = {
        "name": run.resolve().name,
        "title_of_cases": evaluation.title,
        "key_numbers": score_sections.key_numbers(evaluation),
        "notes": evaluation.notes,
        "worst": worst_line(evaluation),
        "sizes": sizes(evaluation),
        "attention": attention(evaluation),
        "all_cases": case_table(evaluation, shown.cases),
        "scores": score_sections.scores(evaluation),
        "every_plane": "every plane" in str(evaluation.record["planes"]),
        "case_labels": titles(evaluation, shown.cases),
        "shown_cases": {case: i for i, case in enumerate(shown.cases)},
        "images_note": images_note(shown, len(evaluation.cases), config.images, config.megabytes),
        "runs": [run.name],
        "dots": score_sections.case_dots(evaluation),
        "volumes": volume_section.volumes(evaluation),
        "calibration": calibration_section.calibration(evaluation),
        "learning": run_sections.learning(run),
        "balance": score_sections.balance(evaluation),
        "split": run_sections.splitting(run, evaluation),
        "run": run_sections.run_facts(run, evaluation),
        "card": card_text(card_facts(run, config.data_license)),
        "content": {
            "runs": [run.name],
            "classes": evaluation.classes.tumour,
            "viewers": {"cases": list(shown.views)},
        },
    }
    names = evaluation.classes, evaluation.modalities
    return html("report.html", f"{run.name}: bratstrain report", sections, names)
