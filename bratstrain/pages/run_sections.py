"""Content of the sections that come from a run folder: curves, split, facts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bratsprep.drawing.charts import Curve, curves
from bratsprep.drawing.svg import Drawing
from bratstrain.config import VOLUME_MODELS
from bratstrain.data.splits import Split
from bratstrain.evaluation.stored import Evaluation
from bratstrain.runs.files import CONFIG, FACTS, LOG, read_json, read_log
from bratstrain.runs.fitted import read_split

MOST_POINTS: Final = 400
"""Points of a curve; more cannot be distinguished."""
STYLES: Final = (1, 0, 4, 3, 2)
"""Styles of the curves of classes and regions, in their order: for gliomas those nearest to the
colours of the classes in the pictures."""
MEAN_STYLE: Final = 5
SPLIT_PARTS: Final = ("train", "validation", "test")


def learning(run: Path) -> dict[str, Any]:
    """Curves of the log, and the last validation: None where there was none."""
    log = read_log(run / LOG)
    train = [record for record in log if record["kind"] == "train"]
    checks = [record for record in log if record["kind"] == "validation"]
    best = read_json(run / FACTS).get("best_step")
    title = "Volume Dice on the validation cases"
    charts = [
        *drawing("Training loss", [series("loss", train, "loss")], "loss"),
        *drawing(title, validation(checks), "volume Dice", 1.0, best),
        *drawing(
            "Soft-Dice loss on the validation cases",
            [series("soft-Dice loss", checks, "soft_dice_loss")],
            "loss",
            1.0,
            best,
        ),
        *drawing("Learning rate", [series("rate", train, "learning_rate")], "rate"),
    ]
    return {"charts": charts, "last_validation": checks[-1] if checks else None}


def series(name: str, records: Sequence[Mapping[str, Any]], key: str, style: int = 0) -> Curve:
    """One value over the steps; records in which it is no number are left out."""
    points = [(record["step"], record[key]) for record in records if record.get(key) is not None]
    return Curve(name, tuple(thinned(points)), style)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbouring points, at most `MOST_POINTS` of them."""
    size = -(-len(points) // MOST_POINTS) or 1
    groups = (points[first : first + size] for first in range(0, len(points), size))
    return [(group[-1][0], sum(point[1] for point in group) / len(group)) for group in groups]


def validation(records: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """Volume Dice of each class and region over the steps, and the mean of the regions."""
    parts = list(records[-1]["volume_dice"]) if records else []
    lines = []
    for i, part in enumerate(parts):
        values = [
            {"step": record["step"], "value": record["volume_dice"].get(part)} for record in records
        ]
        lines.append(series(part, values, "value", STYLES[i % len(STYLES)]))
    return [*lines, series("mean of regions", records, "mean_regions", MEAN_STYLE)]


def drawing(
    name: str, lines: Sequence[Curve], unit: str, top: float | None = None, best: int | None = None
) -> Iterator[Drawing]:
    """Draw those curves that have points; no drawing without any."""
    shown = [curve for curve in lines if curve.points]
    if shown:
        yield curves(name, shown, unit=unit, top=top, best=best)


def splitting(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Split of the run: sizes, digest, leaks, ids, and repeated patients."""
    split = read_split(run)
    twins = evaluation.record.get("twins") or {}
    leaks = "YES: a subject is on two sides" if split.leaks else "no subject is on two sides"
    facts = {
        "split": f"{split.name}, fold {split.fold}",
        "training": counted(split.train),
        "validation": counted(split.validation),
        "test": counted(split.test),
        "leaks": leaks,
        "digest": split.digest[:16],
    }
    ids = {part: parts_of(split, part) for part in SPLIT_PARTS}
    return {"facts": facts, "ids": ids, "twins": twins.get("cases") or {}}


def counted(members: Sequence[object]) -> str:
    """Number of cases, or of slices."""
    kind = "slices" if members and isinstance(members[0], int) else "cases"
    return f"{len(members):,} {kind}"


def parts_of(split: Split, part: str) -> str:
    """Case ids of a part of the split; slices are only counted."""
    members = getattr(split, part)
    is_ids = all(isinstance(member, str) for member in members)
    return ", ".join(members) if is_ids and members else counted(members)


def run_facts(run: Path, evaluation: Evaluation) -> dict[str, Any]:
    """Time, memory, versions and settings of the run, and how it was evaluated."""
    record, config = read_json(run / FACTS), read_json(run / CONFIG)
    versions = record.get("versions", {})
    about = {
        name: str(value)[:16] if "digest" in name else str(value)
        for name, value in evaluation.record["about"].items()
        if not isinstance(value, dict)
    }
    return {
        "facts": {name: value for name, value in summary(record, config).items() if value},
        "software": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "about": about,
        "config": json.dumps(config, indent=1, sort_keys=True),
    }


def begun_from(record: Mapping[str, Any]) -> str:
    """The run that a run began from, and how much of it; empty where it began from none.

    Args:
        record: content of `run.json`.
    """
    start = record.get("start")
    if not isinstance(start, Mapping):
        return ""
    taken, left = len(start["taken"]), len(start["left"])
    return f"{start['run']}, step {start['step']:,}: {taken} of {taken + left} tensors"


def summary(record: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Facts of a run as text; empty where the run did not record them.

    Args:
        record: content of `run.json`.
        config: content of `config.json`.
    """
    used, waited = record.get("used_s", 0.0), record.get("waited_s", 0.0)
    model, memory = config.get("model", {}), record.get("peak_memory_mb")
    gpu = record.get("peak_gpu_memory_mb", 0.0)
    unit = f"patches of {model.get('patch')}" if model.get("kind") in VOLUME_MODELS else "slices"
    steps = f"{record['step']:,} of {config['batch_size']} {unit}" if "step" in record else ""
    lost = record.get("neighbours_lost")
    planes = "" if lost is None else f"{model['context']}, neighbours: {1 - lost:.1%} stored"
    return {
        "network": f"{model.get('kind')}, width {model.get('width')}, depth {model.get('depth')}",
        "logits": f"of {model.get('target', 'classes')}",
        "begun from": begun_from(record),
        "differences of modalities": str(model.get("difference", "")),
        "planes a sample": planes,
        "steps": steps,
        "time": f"{used / 60:.1f} minutes" if used else "",
        "waiting for data": f"{waited / used:.1%} of the time" if used else "",
        "peak memory": "" if memory is None else f"{memory:,.0f} MB",
        "peak memory of the GPU": f"{gpu:,.0f} MB" if gpu else "",
        "device": f"{record.get('device', '')}, {config.get('precision')}",
        "threads": str(record.get("threads", "")),
        "slice file": str(record.get("data", "")),
        "digest of the slice file": str(record.get("data_digest", ""))[:16],
        "finished": "yes" if record.get("finished") else "no: interrupted, or still running",
    }
