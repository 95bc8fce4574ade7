"""The page of a cross-validation: every case scored out of fold, and how the folds differ."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bratstrain.evaluation.kept_scores import Kept
from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.tables import Report, to_json
from bratstrain.pages import score_sections
from bratstrain.pages.html_file import html, write_page
from bratstrain.pages.score_sections import between, digits
from bratstrain.runs.files import FACTS, read_json
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.metric_registry import HEADLINE

PAGE: Final = "crossval.html"


def write_crossval_page(
    report: Report, kept: Sequence[Kept], runs: Sequence[Path], folder: Path
) -> Path:
    """Write the page of a finished cross-validation.

    Args:
        report: scores of every case out of fold.
        kept: scores of each fold, in their order.
        runs: run folders, likewise.
        folder: of the cross-validation.

    Returns:
        The page.

    Raises:
        BratsError: it cannot be written.
    """
    evaluation = Evaluation(folder, json.loads(json.dumps(to_json(report))))
    about = {
        name: str(value)[:16] if "digest" in name else str(value)
        for name, value in evaluation.record["about"].items()
        if not isinstance(value, dict | list)
    }
    sections: dict[str, Any] = {
        "name": folder.resolve().name,
        "title_of_cases": evaluation.title,
        "key_numbers": score_sections.key_numbers(evaluation),
        "notes": evaluation.notes,
        "scores": score_sections.scores(evaluation),
        "folds": fold_table(report.conventions[0], kept, runs),
        "dots": score_sections.case_dots(evaluation),
        "balance": score_sections.balance(evaluation),
        "about": about,
        "content": {
            "runs": [folder.name],
            "classes": evaluation.classes.tumour,
            "viewers": {},
        },
    }
    names = evaluation.classes, evaluation.modalities
    text = html("crossval.html", f"{folder.name}: bratstrain crossval", sections, names)
    write_page(folder / PAGE, text)
    return folder / PAGE


def fold_table(convention: str, kept: Sequence[Kept], runs: Sequence[Path]) -> score_sections.Table:
    """Cases, score and length of each fold.

    Args:
        convention: of the headline.
        kept: scores of each fold, in their order.
        runs: run folders, likewise.
    """
    body = []
    for fold, run in zip(kept, runs, strict=True):
        facts = read_json(run / FACTS)
        table = summarise(
            fold.scores, cases=fold.cases, planes=fold.planes, conventions=[convention]
        )
        (mean,) = (
            row
            for row in table.to_rows()
            if row["metric"] == HEADLINE
            and row["convention"] == convention
            and row["part"] == score_sections.MEAN
        )
        body.append(
            [
                run.name,
                str(len(fold.scores)),
                digits(mean["mean"]),
                between(mean),
                f"{facts['step']:,}",
                f"{facts['best_step']:,}",
                f"{facts['used_s'] / 60:.1f}",
            ]
        )
    head = ["", "cases", HEADLINE, "95 %", "steps", "best step", "minutes"]
    return {"head": head, "rows": body}
