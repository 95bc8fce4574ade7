"""Sections of a page that come from a run folder: curves, split, facts."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bratstrain.data.splits import Split
from bratstrain.evaluation.stored import Evaluation
from bratstrain.pages.markup import Child, Markup, facts, joined, section, tag
from bratstrain.pages.svg_charts import Curve, curves
from bratstrain.runs.files import CONFIG, FACTS, LOG, read_json, read_log
from bratstrain.runs.fitted import read_split

MOST_POINTS: Final = 400
"""Of a curve: more cannot be told apart."""
STYLES: Final = {"NCR": 1, "ED": 0, "ET": 4, "TC": 3, "WT": 2}
"""Of the curves: the colours that the classes have in the pictures, as near as lines can be."""
MEAN_STYLE: Final = 5


def learning(run: Path) -> Markup:
    """Curves of the log: loss, validation volume Dice, learning rate."""
    log = read_log(run / LOG)
    train = [each for each in log if each["kind"] == "train"]
    checks = [each for each in log if each["kind"] == "validation"]
    best = read_json(run / FACTS).get("best_step")
    drawings = [
        *drawing("Training loss", [series("loss", train, "loss")], "loss"),
        *drawing(
            "Volume Dice on the validation cases", validation(checks), "volume Dice", 1.0, best
        ),
        *drawing("Learning rate", [series("rate", train, "learning_rate")], "rate"),
    ]
    if not drawings:
        return section("Learning", tag("p", "The run's log holds no step."), id_="learning")
    said = "Loss of the training batches; the run was not validated."
    if checks:
        last = checks[-1]
        said = (
            "Loss of the training batches; volume Dice of the validation cases over "
            f"{last['planes']} ({last['convention']} convention), which the run looked at while it "
            "was fitted: it chose the weights by them, at the dotted line."
        )
    shown = tag("div", drawings, class_="charts")
    return section("Learning", tag("p", said), shown, id_="learning")


def series(name: str, records: Sequence[Mapping[str, Any]], key: str, style: int = 0) -> Curve:
    """One value over the steps; those that are not numbers are left out."""
    points = [(each["step"], each[key]) for each in records if each.get(key) is not None]
    return Curve(name, tuple(thinned(points)), style)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means of neighbouring points, at most `MOST_POINTS` of them."""
    group = -(-len(points) // MOST_POINTS) or 1
    means = []
    for first in range(0, len(points), group):
        some = points[first : first + group]
        means.append((some[-1][0], sum(point[1] for point in some) / len(some)))
    return means


def validation(records: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """Volume Dice of each class and region over the steps, and the mean of the regions."""
    parts = list(records[-1]["volume_dice"]) if records else []
    lines = []
    for part in parts:
        flat = [{"step": each["step"], "value": each["volume_dice"].get(part)} for each in records]
        lines.append(series(part, flat, "value", STYLES.get(part, 0)))
    return [*lines, series("mean of regions", records, "mean_regions", MEAN_STYLE)]


def drawing(
    name: str, lines: Sequence[Curve], unit: str, top: float | None = None, best: int | None = None
) -> Iterator[Markup]:
    """Draw those of some curves that have points; nothing without any."""
    shown = [line for line in lines if line.points]
    if shown:
        yield curves(name, shown, unit=unit, top=top, best=best)


def splitting(run: Path, evaluation: Evaluation) -> Markup:
    """The split: sizes, digest, whether it leaks."""
    split = read_split(run)
    pairs: dict[str, Child] = {
        "split": f"{split.name}, fold {split.fold}",
        "training": counted(split.train),
        "validation": counted(split.validation),
        "test": counted(split.test),
        "leaks": "YES: a subject is on two sides" if split.leaks else "no subject is on two sides",
        "digest": tag("code", split.digest[:16]),
    }
    twins = evaluation.record.get("twins") or {}
    listed = [tag("details", tag("summary", "Ids of the parts"), parts_of(split))]
    if twins.get("cases"):
        lines = (
            tag("li", f"{case}: ", ", ".join(map(str, trained)))
            for case, trained in twins["cases"].items()
        )
        summary = tag("summary", "Cases with a twin in training, and their twins")
        listed.append(tag("details", summary, tag("ul", lines)))
    said = tag(
        "p",
        "Who was trained on, who chose the weights, who was never seen. The same digest means the "
        "same split, on any machine.",
    )
    return section("Split", said, facts(pairs), *listed, id_="split")


def counted(members: Sequence[object]) -> str:
    """How many, and of what."""
    kind = "slices" if members and isinstance(members[0], int) else "cases"
    return f"{len(members):,} {kind}"


def parts_of(split: Split) -> Markup:
    """Case ids of each part; slices are only counted."""
    shown: dict[str, Child] = {}
    for part in ("train", "validation", "test"):
        members = getattr(split, part)
        is_ids = all(isinstance(each, str) for each in members)
        shown[part] = ", ".join(members) if is_ids and members else counted(members)
    return facts(shown)


def run_facts(run: Path, evaluation: Evaluation) -> Markup:
    """Time, memory, waiting, versions, settings."""
    known, config = read_json(run / FACTS), read_json(run / CONFIG)
    about = dict(evaluation.record["about"])
    pairs = {name: value for name, value in told(known, config).items() if value}
    used = {
        name: str(value)[:16] if "digest" in name else str(value)
        for name, value in about.items()
        if not isinstance(value, dict)
    }
    versions = known.get("versions", {})
    software = ", ".join(f"{name} {each}" for name, each in versions.items()) or "not written down"
    parts = joined(
        facts(pairs),
        tag("h3", "Software"),
        tag("p", software),
        tag("h3", "How it was evaluated"),
        facts(dict(used)),
        tag("details", tag("summary", "Every setting of the run"),
            tag("pre", json.dumps(config, indent=1, sort_keys=True))),
    )  # fmt: skip
    return section("The run", parts, id_="run")


def told(known: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """Facts of a run in words; empty where the run did not write them down."""
    used, waited = known.get("used_s", 0.0), known.get("waited_s", 0.0)
    model = config.get("model", {})
    gpu = known.get("peak_gpu_memory_mb", 0.0)
    return {
        "network": f"{model.get('kind')}, width {model.get('width')}, depth {model.get('depth')}",
        "steps": f"{known['step']:,} of {config['batch_size']} slices" if "step" in known else "",
        "time": f"{used / 60:.1f} minutes" if used else "",
        "waiting for data": f"{waited / used:.1%} of the time" if used else "",
        "peak memory": f"{known['peak_memory_mb']:,.0f} MB" if "peak_memory_mb" in known else "",
        "peak memory of the GPU": f"{gpu:,.0f} MB" if gpu else "",
        "device": f"{known.get('device', '')}, {config.get('precision')}",
        "slice file": str(known.get("data", "")),
        "digest of the slice file": str(known.get("data_digest", ""))[:16],
        "finished": "yes" if known.get("finished") else "no: it was cut off, or goes on",
    }
