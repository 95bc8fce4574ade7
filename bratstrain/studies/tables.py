"""A study as files and as lines: terminal, Markdown, CSV and JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bratsprep.system.atomic import replacing
from bratstrain.evaluation.formatting import aligned, markdown_table, number
from bratstrain.evaluation.tables import csv_text
from bratstrain.scoring.metric_registry import HEADLINE
from bratstrain.studies.outcomes import CLAIMED, PART, Outcome, Score, Study, score_of
from bratstrain.studies.repeats import seed_rows

FEW: Final = 10
"""Number of held-out cases below which an interval is unreliable."""
MINUS: Final = "−"  # noqa: RUF001  a real minus, so that a range's dash cannot be taken for one
NAME: Final = "study"
"""Of the files, before their suffixes."""
HEADS: Final = {
    "experiment": "experiment",
    "split": "split",
    "slices": "training slices",
    "claims": "own protocol",
    "own_loss": "own soft-Dice loss",
    "unseen": "held-out, same metric",
    "honest": "held-out, volume Dice",
    "honest_span": "95 %",
    "baseline_span": "95 %",
    "like": "departs from",
    "gain": "gain",
    "gain_span": "95 %",
    "minutes": "minutes",
}
"""Heads of the columns by name; that of `baseline` has its name in it."""
SEEDED: Final = "95 %, other seeds too"
SCORES: Final = ("claims", "unseen", "honest", "honest_span")
BASELINE: Final = ("baseline", "baseline_span")
DEPARTURE: Final = ("like", "gain", "gain_span")


def write_study(study: Study, folder: Path) -> list[Path]:
    """Write `study.md`, `study.csv` and `study.json`.

    Raises:
        BratsError: a file cannot be written.
    """
    records = study.records()
    texts = {
        ".md": "\n".join(markdown(study)) + "\n",
        ".csv": csv_text(records),
        ".json": f"{json.dumps(to_json(study, records), indent=1, allow_nan=False)}\n",
    }
    for suffix, text in texts.items():
        with replacing(folder / f"{NAME}{suffix}") as file:
            file.write(text.encode())
    return [folder / f"{NAME}{suffix}" for suffix in texts]


def to_json(study: Study, records: list[dict[str, Any]]) -> dict[str, Any]:
    """Give everything as plain dicts and lists, with the settings of each experiment."""
    plan = study.plan
    return {
        "study": plan.path.name,
        "title": plan.title,
        "about": plan.about,
        "profile": plan.profile,
        "baseline": plan.baseline,
        "raw": study.source,
        "held_out": list(study.cases),
        "unfinished": unfinished(study),
        "what": dict(meanings(study)),
        "notes": notes(study),
        "rows": records,
        "seeds": seeds_to_json(study),
        "settings": {
            experiment.name: {"build": asdict(experiment.build), "fit": asdict(experiment.fit)}
            for experiment in plan.experiments
        },
    }


def terminal_lines(study: Study) -> list[str]:
    """Table of the study for a terminal, and how to read it."""
    head, rows = table(study, brief(study))
    shown = [(word, text) for word, text in meanings(study) if word != HEADS["own_loss"]]
    width = max(len(word) for word, _ in shown)
    legend = [f"{word:<{width}}  {text}" for word, text in shown]
    seeds = seed_table(study)
    return [
        title(study), "", *aligned([head, *rows]), "",
        *([*aligned(seeds), ""] if seeds else []), *legend,
        *(f"note: {note}" for note in notes(study)),
    ]  # fmt: skip


def markdown(study: Study) -> list[str]:
    """Write a page: the table, how to read it, and what each experiment is."""
    about = ["experiment", "departs from", "what is tried"]
    experiments, seeds = study.plan.experiments, seed_table(study)
    tried = [(planned.name, planned.like or "-", planned.about) for planned in experiments]
    return [
        f"# {study.plan.title}", "", title(study), "", study.plan.about, "",
        *markdown_table(*table(study, whole(study))), "",
        *(["## Seeds", "", *markdown_table(seeds[0], seeds[1:]), ""] if seeds else []),
        *(f"- **{word}**: {text}" for word, text in meanings(study)), "",
        *(f"- Note: {note}" for note in notes(study)), "",
        "## Experiments", "", *markdown_table(about, tried),
    ]  # fmt: skip


def title(study: Study) -> str:
    """Which study, on what."""
    plan, n = study.plan, len(study.cases)
    profile = f", profile {plan.profile}" if plan.profile else ""
    done = f"{len(study.outcomes)} of {len(plan.experiments)} experiments"
    held = f"{n} held-out case{'s' * (n != 1)}, used by no experiment for training or validation"
    return f"{plan.path.stem}{profile}: {done} on {study.source}; {held}"


def departs(study: Study) -> bool:
    """Whether an experiment departs from another one than the baseline."""
    bases = {experiment.like for experiment in study.plan.experiments}
    return not bases <= {"", study.plan.baseline}


def brief(study: Study) -> list[str]:
    """Columns of the terminal's table: what each step gains, or how far the baseline is."""
    compared = ("baseline", *DEPARTURE) if departs(study) else BASELINE
    return ["experiment", *SCORES, *compared, *study.plan.also]


def whole(study: Study) -> list[str]:
    """Columns of the page's table."""
    compared = (*BASELINE, *DEPARTURE) if departs(study) else BASELINE
    scores = [SCORES[0], "own_loss", *SCORES[1:]]
    return ["experiment", "split", "slices", *scores, *compared, *study.plan.also, "minutes"]


def table(study: Study, names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of some columns."""
    heads = HEADS | {"baseline": f"{MINUS} {study.plan.baseline}"}
    rows = [row_cells(study, outcome) for outcome in study.outcomes]
    return [heads.get(name, name) for name in names], [
        [row[name] for name in names] for row in rows
    ]


def row_cells(study: Study, outcome: Outcome) -> dict[str, str]:
    """Every cell of a row, by the name of its column."""
    plan, experiment, facts = study.plan, outcome.experiment, outcome.facts
    over, gain = (study.gain(outcome, name) for name in (plan.baseline, experiment.like))
    cells = {
        "experiment": experiment.name + (" (LEAKS)" if facts.leaks else ""),
        "split": facts.split,
        "slices": f"{facts.train_slices:,}",
        "minutes": f"{facts.seconds / 60:.1f}",
        "claims": number(outcome.claims.mean),
        "own_loss": number(math.nan if facts.own_loss is None else facts.own_loss),
        "unseen": number(outcome.unseen.mean),
        "honest": number(outcome.honest.mean),
        "honest_span": span(outcome.honest),
        "baseline": signed(over.mean),
        "baseline_span": signed_span(over),
        "like": experiment.like or "-",
        "gain": signed(gain.mean),
        "gain_span": signed_span(gain),
    }
    return cells | {name: number(score_of(outcome.held_out, name, PART).mean) for name in plan.also}


def seed_table(study: Study) -> list[list[str]]:
    """Head and rows of the settings over their seeds; nothing where none are repeated."""
    _, rows = seed_rows(study)
    head = ["settings of", "seeds", "held-out", "mean", f"{MINUS} {study.plan.baseline}", SEEDED]
    cells = [
        [
            row.name,
            " ".join(map(str, row.means)),
            " ".join(map(number, row.means.values())),
            number(sum(row.means.values()) / len(row.means)),
            signed(row.gain.mean),
            signed_span(row.gain),
        ]
        for row in rows
    ]
    return [head, *cells] if rows else []


def seeds_to_json(study: Study) -> dict[str, Any]:
    """The settings over their seeds as plain dicts and lists; empty where none are repeated."""
    spread, rows = seed_rows(study)
    if not rows:
        return {}
    groups = [
        {"experiment": row.name, "means": row.means, "minus_baseline": row.gain.to_json()}
        for row in rows
    ]
    return {"sd": spread.sd, "degrees_of_freedom": spread.n_free, "groups": groups}


def span(score: Score) -> str:
    """The interval of a score."""
    if not math.isfinite(score.low):
        return "-"
    return f"{number(score.low)}-{number(score.high)} (n {score.n_cases})"


def signed_span(score: Score) -> str:
    """The interval of a difference."""
    if not math.isfinite(score.low):
        return "-"
    return f"{signed(score.low)} to {signed(score.high)} (n {score.n_cases})"


def signed(value: float) -> str:
    """Three digits behind the point, with a sign; 0 has none, and a dash stands for no number."""
    text = number(abs(value))
    if text == "-" or float(text) == 0:
        return text
    return f"{MINUS if value < 0 else '+'}{text}"


def meanings(study: Study) -> list[tuple[str, str]]:
    """Meaning of the columns, by their heads."""
    plan, convention = study.plan, study.outcomes[0].held_out.convention
    own = f"{CLAIMED}, of the run's own validation part, which chose its weights"
    loss = (
        "one minus the soft Dice of the probabilities on that part, all of its planes as one "
        "batch, mean of the classes without the background"
    )
    same = (
        "the same metric on the held-out cases: different patients, so sampling variation applies"
    )
    dice = f"case-average {HEADLINE} of the held-out cases, every brain plane, raw files"
    difference = "held-out volume Dice minus that of this baseline, case by case"
    lines = [
        (HEADS["claims"], own),
        (HEADS["own_loss"], loss),
        (HEADS["unseen"], same),
        (HEADS["honest"], dice),
        (f"{MINUS} {plan.baseline}", difference),
    ]
    if departs(study):
        lines.append(("gain", "the same, minus that of the experiment that it departs from"))
    lines += [(name, "of the held-out cases, mean of a case") for name in plan.also]
    spread, repeated = seed_rows(study)
    if repeated:
        pooled = f"SD {number(spread.sd)}, {spread.n_free} degrees of freedom"
        lines.append((SEEDED, f"the spread between seeds is pooled over all settings: {pooled}"))
    chance = "of n cases, by Student's t; a difference whose interval contains 0 may be chance"
    lines.append(("95 %", chance))
    lines.append(("scores", f"are the {PART} (NCR, ED, ET), convention {convention}"))
    return lines


def notes(study: Study) -> list[str]:
    """Caveats of the numbers, leaks first."""
    caveats = []
    for outcome in study.outcomes:
        scores = outcome.claims, outcome.unseen, outcome.honest
        claims, unseen, honest = (score.mean for score in scores)
        if outcome.facts.leaks:
            caveats.append(
                f"{outcome.experiment.name} scores {number(claims)} on patients whose other slices "
                f"are in its training set; on held-out patients the same metric is "
                f"{number(unseen)}, and volume Dice is {number(honest)}"
            )
    best = max(study.outcomes, key=lambda outcome: outcome.honest.mean)
    caveats.append(
        f"{best.experiment.name} has the best held-out volume Dice, {number(best.honest.mean)}; it "
        "is the best of several on these cases, so expect a slightly lower score on others"
    )
    if len(study.cases) < FEW:
        caveats.append(f"intervals over only {len(study.cases)} held-out cases are unreliable")
    _, repeated = seed_rows(study)
    caveats.append(
        f"of the intervals, those under '{SEEDED}' alone include the variation between seeds"
        if repeated
        else "one run each: the intervals do not include the variation between seeds"
    )
    if unfinished(study):
        caveats.append(f"not finished yet: {', '.join(unfinished(study))}")
    return caveats


def unfinished(study: Study) -> list[str]:
    """Names of the experiments without an outcome."""
    names = [experiment.name for experiment in study.plan.experiments]
    return [name for name in names if study.named(name) is None]
