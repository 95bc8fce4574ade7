"""Scores of a model card: the evaluations of a run that are of these very weights."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bratsprep.errors import BratsError
from bratstrain.evaluation.evaluator import WEIGHTS
from bratstrain.evaluation.stored import Evaluation
from bratstrain.evaluation.tables import EVERYTHING, VERSION
from bratstrain.pages.card_text import ScoreSet
from bratstrain.pages.score_sections import DASH, between, digits
from bratstrain.runs.files import read_json
from bratstrain.scoring.metric_registry import EVALUATION_VERSION, HEADLINE, beside_headline

CHOSEN: Final = re.compile(r"-case-|-\d+-cases-")
"""In the name of the folder of an evaluation of chosen cases."""
SEEN: Final = re.compile(r"^evaluation-train-")
"""Beginning of the name of the folder of an evaluation of the training cases."""


def score_sets(
    run: Path, split_digest: str, weights_digest: str
) -> tuple[list[ScoreSet], list[str]]:
    """Evaluations in a run folder, but those of chosen cases and of the training cases.

    Args:
        run: run folder.
        split_digest: of the run.
        weights_digest: SHA-256 of its weights.

    Returns:
        The evaluations by the names of their folders, and a sentence on each that was left out
        because it is of other weights, of another split or of other rules.
    """
    sets, said = [], []
    for path in sorted(run.glob(f"evaluation-*/{EVERYTHING}")):
        name = path.parent.name
        if CHOSEN.search(name) or SEEN.search(name):
            continue
        try:
            evaluation = Evaluation(run, read_json(path))
            fault = why_left_out(evaluation.record, split_digest, weights_digest)
        except BratsError as error:
            fault = f"it cannot be read: {error}"
        if fault:
            said.append(f"The evaluation in {name} is left out: {fault}.")
        else:
            sets.append(score_set(evaluation))
    return sets, said


def why_left_out(record: Mapping[str, Any], split_digest: str, weights_digest: str) -> str:
    """Why an evaluation does not speak of these weights; empty where it does."""
    about = record.get("about", {})
    version = record.get(VERSION)
    if version != EVALUATION_VERSION:
        return f"its scores follow version {version} of the rules, not {EVALUATION_VERSION}"
    if WEIGHTS not in about:
        return "it does not say which weights it is of; evaluate again"
    if about[WEIGHTS] != weights_digest:
        return "it is of other weights"
    return "" if about.get("split digest") == split_digest else "it is of another split"


def score_set(evaluation: Evaluation) -> ScoreSet:
    """Headline with the metrics beside it, and what is known of repeated patients."""
    headline = evaluation.rows(HEADLINE)
    beside = [metric for metric in beside_headline() if evaluation.rows(metric.name)]
    rows = []
    for part in (name for name in evaluation.order if name in headline):
        row = headline[part]
        others = [digits(evaluation.rows(each.name)[part]["mean"], each.name) for each in beside]
        rows.append([part, digits(row["mean"]), between(row), digits(row["nothing"]), *others])
    twins = evaluation.record.get("twins") or {}
    without = evaluation.record.get("headline_without_twins")
    notes = [*evaluation.notes, *filter(None, [twins.get("said", "")])]
    if without:
        values = without["values"].items()
        shown = ", ".join(f"{part} {digits(value)}" for part, value in values)
        notes.append(f"Without the cases of repeated patients, {without['what']}: {shown}")
    about = evaluation.record["about"]
    applied = f"flips {about.get('tta', DASH)}, clean-up {'on' if about.get('cleanup') else 'off'}"
    return ScoreSet(
        title=evaluation.title,
        convention=evaluation.convention,
        head=["", HEADLINE, "95 %", "empty prediction", *(each.heading for each in beside)],
        rows=rows,
        said=[f"Applied with {applied}.", *notes],
        metrics={
            f"{HEADLINE}, {part}": row["mean"]
            for part, row in headline.items()
            if row["mean"] is not None
        },
    )
