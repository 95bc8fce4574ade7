"""`bratstrain compare`: several runs on the same cases, as a table and as a page."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Unpack

from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.atomic import replacing
from bratstrain.apply_config import ApplyConfig, ApplySettings, Part
from bratstrain.evaluation.case_pairs import load_labeller
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.evaluation.comparison import Comparison, compare_evaluations
from bratstrain.evaluation.stored import evaluation_of
from bratstrain.evaluation.tables import csv_text
from bratstrain.pages.case_images import views
from bratstrain.pages.compare_sections import page, telling
from bratstrain.pages.markup import document, write_page
from bratstrain.pages.sprites import packed
from bratstrain.runs.files import write_json

MOST_SHOWN: Final = 8
"""Runs that have a panel each; more would not be seen."""


def compare(
    runs: Sequence[Path | str],
    *,
    data: Path | str | None = None,
    raw: Path | str | None = None,
    split: Part = "validation",
    out: Path | str | None = None,
    progress: bool = False,
    **settings: Unpack[ApplySettings],
) -> Comparison:
    """Hold runs against each other on the same cases; `bratstrain.compare`.

    Evaluations that lie in the run folders are taken where nothing that decides them has
    changed. With `out`, a page is written, and the numbers beside it as JSON and CSV.

    Example:
        bratstrain.compare(["runs/a", "runs/b"], raw="Task01_BrainTumour.tar").table

    Args:
        runs: run folders, at least two.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of each run's split: `validation`, `test`, `train`, or `all` cases there are.
        out: HTML file; without it nothing is written but evaluations that were missing.
        progress: show bars on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig`.

    Raises:
        BratsError: a run or the data are at fault, or the runs' cases, planes, conventions or
            truth differ.
        TypeError: a keyword is unknown.
        ValueError: there are fewer than two runs, or a value is not allowed or has no effect
            beside the others.
    """
    (own,) = take("compare", settings, ApplyConfig)
    folders, apply = [Path(run) for run in runs], ApplyConfig(**own)
    apply.check_effects(data)
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ValueError(f"give at least two runs, each once, got {len(folders)}")
    with open_cases(data, raw) as where:
        comparison = compare_evaluations(
            [evaluation_of(each, where, split, apply, progress=progress) for each in folders]
        )
        if out is None:
            return comparison
        return replace(comparison, pages=written(comparison, where, split, apply, Path(out)))


def written(
    comparison: Comparison, where: SliceFile | Source, split: Part, apply: ApplyConfig, out: Path
) -> tuple[Path, ...]:
    """Write the page, and beside it the numbers as JSON and CSV.

    Raises:
        BratsError: a file cannot be written, or a case cannot be predicted.
    """
    chosen = telling(comparison)
    shown = comparison.evaluations[:MOST_SHOWN]
    labellers = [load_labeller(each.run, apply) for each in shown]
    pictures = {view.case: packed(view) for view in views(labellers, where, split, [*chosen])}
    names = comparison.names[:MOST_SHOWN]
    content = {"runs": list(names), "viewers": {"cases": [pictures[case] for case in chosen]}}
    title = f"{' and '.join(comparison.names)}: bratstrain compare"
    write_page(out, document(title, page(comparison, chosen, names), content))
    numbers = out.with_suffix(".json"), out.with_suffix(".csv")
    write_json(numbers[0], comparison.to_json())
    with replacing(numbers[1]) as file:
        file.write(csv_text(comparison.to_json()["differences"]).encode())
    return (out, *numbers)
