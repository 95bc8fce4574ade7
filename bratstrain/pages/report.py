"""`bratstrain report`: a run as one page that opens anywhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np

from bratsprep.config import FaultConfig
from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratstrain.apply_config import ApplyConfig, PageSettings, Part
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.evaluation.stored import Evaluation, evaluation_of
from bratstrain.pages import run_sections, score_sections, volume_section
from bratstrain.pages.case_views import ShownRun, views
from bratstrain.pages.gallery import Gallery
from bratstrain.pages.html_file import html, write_page
from bratstrain.pages.sprites import View, packed_views
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
    **settings: Unpack[PageSettings],
) -> Written:
    """Write a run's page: scores, curves, and cases to page through; `bratstrain.report`.

    The evaluation in the run folder is reused if its inputs are unchanged, and made anew otherwise.
    Of a reused one, the best, median and worst case are predicted again for the pictures.

    Example:
        bratstrain.report("runs/a", raw="Task01_BrainTumour.tar")

    Args:
        run: run folder.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of the run's split: `validation`, `test`, `train`, or `all` for every case.
        out: HTML file; `report.html` in the run folder by default.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig` and of
            `bratsprep.config.FaultConfig`.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    own, on_fault = take("report", settings, ApplyConfig, FaultConfig)
    folder, apply, faults = Path(run), ApplyConfig(**own), FaultConfig(**on_fault)
    with open_cases(data, raw, apply) as where:
        evaluation, chosen, shown = evaluated(
            folder, where, split, apply, faults=faults, progress=progress
        )
    path = folder / PAGE if out is None else Path(out)
    size = write_page(path, page(evaluation, chosen, packed_views(shown)))
    return Written(path, size, evaluation.title, evaluation.set_aside)


def evaluated(
    folder: Path,
    where: SliceFile | Source,
    split: Part,
    apply: ApplyConfig,
    *,
    faults: FaultConfig,
    progress: bool,
) -> tuple[Evaluation, dict[str, str], list[View]]:
    """Evaluate a run, and prepare its best, median and worst case to be shown.

    Args:
        folder: run folder.
        where: slice file or raw cases, open.
        split: part of the run's split.
        apply: how the run is applied.
        faults: how faulty cases are treated.
        progress: show a bar.

    Returns:
        The scores, the titles of the shown cases by id, and these cases in the same order.

    Raises:
        BratsError: run or cases are at fault, or do not go together.
    """
    shown = ShownRun(folder, Gallery())
    evaluation = evaluation_of(
        folder,
        where,
        split,
        apply,
        faults=faults,
        progress=progress,
        watch=shown.gallery.watch,
    )
    chosen = telling(evaluation)
    return evaluation, chosen, views([shown], where, split, apply, [*chosen])


def telling(evaluation: Evaluation) -> dict[str, str]:
    """Best, median and worst case, by id, with their titles."""
    values = evaluation.values(HEADLINE, RANKED_BY)
    order = [int(i) for i in np.argsort(-np.nan_to_num(values, nan=-math.inf), kind="stable")]
    places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    roles: dict[int, list[str]] = {}
    for role, i in places.items():
        roles.setdefault(i, []).append(role)
    return {
        evaluation.cases[i]: f"{', '.join(names)}: {evaluation.cases[i]} ({values[i]:.3f})"
        for i, names in roles.items()
    }


def page(
    evaluation: Evaluation, chosen: Mapping[str, str], shown: Sequence[Mapping[str, Any]]
) -> str:
    """Write the page.

    Args:
        evaluation: the scores.
        chosen: titles of the cases that are shown, by id.
        shown: those cases as `sprites.packed` gives them, in the same order.

    Returns:
        HTML that needs no other file.
    """
    run = evaluation.run
    sections: dict[str, object] = {
        "name": run.resolve().name,
        "title_of_cases": evaluation.title,
        "key_numbers": score_sections.key_numbers(evaluation),
        "notes": evaluation.notes,
        "scores": score_sections.scores(evaluation),
        "every_plane": "every plane" in str(evaluation.record["planes"]),
        "case_labels": list(chosen.values()),
        "runs": [run.name],
        "dots": score_sections.case_dots(evaluation),
        "volumes": volume_section.volumes(evaluation),
        "learning": run_sections.learning(run),
        "balance": score_sections.balance(evaluation),
        "split": run_sections.splitting(run, evaluation),
        "run": run_sections.run_facts(run, evaluation),
        "content": {
            "runs": [run.name],
            "classes": evaluation.classes.tumour,
            "viewers": {"cases": list(shown)},
        },
    }
    names = evaluation.classes, evaluation.modalities
    return html("report.html", f"{run.name}: bratstrain report", sections, names)
