"""`bratstrain compare`: several runs on the same cases, as a table and as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Unpack

from bratsprep.config import FaultConfig
from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.atomic import replacing
from bratstrain.apply_config import ApplyConfig, PageSettings, Part, ReportConfig
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.evaluation.comparison import Comparison, compare_evaluations
from bratstrain.evaluation.stored import evaluation_of
from bratstrain.evaluation.tables import csv_text
from bratstrain.pages.case_views import ShownRun, views
from bratstrain.pages.compare_sections import page, telling
from bratstrain.pages.gallery import MOST_IMAGES, Gallery
from bratstrain.pages.html_file import write_page
from bratstrain.pages.sprites import packed_views
from bratstrain.runs.files import write_json

MOST_SHOWN: Final = 8
"""Runs that have a panel each on the page."""


def compare(
    runs: Sequence[Path | str],
    *,
    data: Path | str | None = None,
    raw: Path | str | None = None,
    split: Part = "validation",
    out: Path | str | None = None,
    progress: bool = False,
    **settings: Unpack[PageSettings],
) -> Comparison:
    """Compare runs on the same cases; `bratstrain.compare`.

    Evaluations in the run folders are reused if their inputs are unchanged. With `out`, a page is
    written, and the numbers beside it as JSON and CSV.

    Example:
        bratstrain.compare(["runs/a", "runs/b"], raw="Task01_BrainTumour.tar").table

    Args:
        runs: run folders, at least two.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of each run's split: `validation`, `test`, `train`, or `all` for every case.
        out: HTML file; without it only missing evaluations are written.
        progress: show bars on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig` and of
            `bratsprep.config.FaultConfig`.

    Raises:
        BratsError: a run or the data are at fault, or the runs' cases, planes, conventions or
            truth differ.
        TypeError: a keyword is unknown.
        ValueError: fewer than two runs are given, or a value is not allowed or has no effect.
    """
    own, on_fault = take("compare", settings, ApplyConfig, FaultConfig)
    folders, apply = [Path(run) for run in runs], ApplyConfig(**own)
    faults = FaultConfig(**on_fault)
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ValueError(f"give at least two runs, each once, got {len(folders)}")
    with open_cases(data, raw, apply) as where:
        return compared(folders, where, split, apply, faults=faults, out=out, progress=progress)


def compared(
    folders: Sequence[Path],
    where: SliceFile | Source,
    split: Part,
    apply: ApplyConfig,
    *,
    faults: FaultConfig | None = None,
    out: Path | str | None,
    progress: bool,
) -> Comparison:
    """Compare runs on the cases of an open source.

    Args:
        folders: run folders, at least two.
        where: slice file or raw cases, open.
        split: part of each run's split.
        apply: how the networks are applied.
        faults: how faulty cases are treated; None stops at the first.
        out: HTML file; None writes no page.
        progress: show bars.

    Raises:
        BratsError: a run or the data are at fault, or the evaluations are not comparable.
    """
    config = None if faults is None else ReportConfig(on_error=faults.on_error)
    evaluated = partial(
        evaluation_of, where=where, part=split, apply=apply, config=config, progress=progress
    )
    if out is None:
        return compare_evaluations([evaluated(folder) for folder in folders])
    shown = [ShownRun(folder, Gallery(0 if i else MOST_IMAGES)) for i, folder in enumerate(folders)]
    comparison = compare_evaluations(
        [evaluated(run.folder, watch=run.gallery.watch) for run in shown]
    )
    chosen = telling(comparison)
    shown_views = views(shown[:MOST_SHOWN], where, split, apply, [*chosen])
    pages = written(comparison, chosen, packed_views(shown_views), Path(out))
    return replace(comparison, pages=pages)


def written(
    comparison: Comparison,
    chosen: Mapping[str, str],
    shown: Sequence[Mapping[str, Any]],
    out: Path,
) -> tuple[Path, ...]:
    """Write the page, and beside it the numbers as JSON and CSV.

    Args:
        comparison: the numbers.
        chosen: titles of the cases that are shown, by id.
        shown: those cases as `sprites.packed` gives them, in the same order.
        out: HTML file.

    Raises:
        BratsError: a file cannot be written.
    """
    write_page(out, page(comparison, chosen, comparison.names[:MOST_SHOWN], shown))
    numbers = out.with_suffix(".json"), out.with_suffix(".csv")
    write_json(numbers[0], comparison.to_json())
    with replacing(numbers[1]) as file:
        file.write(csv_text(comparison.to_json()["differences"]).encode())
    return (out, *numbers)
