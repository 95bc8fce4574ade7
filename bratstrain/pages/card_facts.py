"""What a run folder says of itself, as a model card takes it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bratsprep.labels import ClassSet
from bratsprep.voxel_sizes import size_text
from bratstrain.data.splits import Split
from bratstrain.data.trained_spacings import TrainedSpacings, read_spacings
from bratstrain.evaluation.folders import sha256
from bratstrain.pages.card_scores import score_sets
from bratstrain.pages.card_text import CardFacts
from bratstrain.pages.run_sections import counted, summary
from bratstrain.runs.checkpoint import Weights, load
from bratstrain.runs.files import CONFIG, FACTS, read_json
from bratstrain.runs.fitted import (
    best_of,
    classes_of,
    preparation_of,
    read_split,
    untold_start,
)

RUNNING: Final = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the names of moments, which training does not fit."""
SHOWN: Final = ("normalise", "crop", "slices", "margin", "negatives", "dtype", "background",
                "brain_mask", "missing")  # fmt: skip
"""Settings of the build that a reader of a card needs."""


def card_facts(run: Path, data_license: str = "", *, weights: Weights | None = None) -> CardFacts:
    """Read a run folder and its evaluations.

    Args:
        run: run folder.
        data_license: as the user states it; empty where nothing is stated.
        weights: of the run, where they have been read; None reads them.

    Raises:
        BratsError: the folder is no finished run.
    """
    weights = weights or load(best_of(run), Weights)
    record, config, split = read_json(run / FACTS), read_json(run / CONFIG), read_split(run)
    preparation, (h, w) = preparation_of(run, weights)
    classes = classes_of(run, weights)
    spacings = read_spacings(record.get("spacings"), run / FACTS)
    settings = json.loads(preparation.to_json())
    digest = sha256(best_of(run).read_bytes())
    evaluations, said = score_sets(run, split.digest, digest)
    modalities = ", ".join(preparation.channels)
    about = (
        f"A network that labels every axial plane of a brain MRI ({modalities}) as "
        f"{', '.join(described(classes))}. Fitted with bratstrain on a slice file of "
        "bratsprep."
    )
    return CardFacts(
        name=run.resolve().name,
        about=about,
        data=data_facts(record, split, weights, spacings),
        split=split_facts(split, record),
        preparation={
            "modalities, in order": modalities,
            "size of a slice": f"{h} x {w} pixels",
            **{name: str(settings[name]) for name in SHOWN if name in settings},
        },
        network=network_facts(config, weights, digest),
        training=training_facts(record, config),
        scores=evaluations,
        limits=[*said, *started(run), *limits(spacings, split, evaluations=len(evaluations))],
        usage=f"bratstrain predict {run.resolve().name} RAW -o OUT",
        data_license=data_license,
        data_name=Path(str(record.get("data", ""))).name,
    )


def described(classes: ClassSet) -> list[str]:
    """Classes with what they mean."""
    titles = classes.titles[1:]
    return [
        name if title == name else f"{name} ({title})"
        for name, title in zip(classes.tumour, titles, strict=True)
    ]


def data_facts(
    record: Mapping[str, Any], split: Split, weights: Weights, spacings: TrainedSpacings
) -> dict[str, str]:
    """The slice file, and the people in it."""
    schemes = json.loads(weights.schemes)
    n_cases = sum(len(part) for part in (split.train, split.validation, split.test))
    n_subjects = len(set(split.subjects.values()))
    is_cases = not split.sliced and n_subjects
    return {
        "slice file": Path(str(record.get("data", ""))).name,
        "digest of the slice file": weights.data_digest,
        "cases": f"{n_cases:,}" if is_cases else "",
        "subjects": f"{n_subjects:,}" if n_subjects else "",
        "label schemes": ", ".join(schemes),
        "voxel sizes of the training cases (x, y, z)": ", ".join(
            f"{size_text(size)} mm" for size in spacings.sizes
        ),
        "scanners, sites, age and sex of the subjects": "",
    }


def split_facts(split: Split, record: Mapping[str, Any]) -> dict[str, str]:
    """Which cases did what, and whether a person is on two sides."""
    said = (record.get("twins") or {}).get("said", "")
    return {
        "rule": f"{split.name}, fold {split.fold}",
        "training": counted(split.train),
        "validation, which chose the weights": counted(split.validation),
        "test": counted(split.test),
        "leaks": "a subject is on two sides" if split.leaks else "no subject is on two sides",
        "repeated patients": said,
        "digest": split.digest,
    }


def network_facts(config: Mapping[str, Any], weights: Weights, digest: str) -> dict[str, str]:
    """Kind and size of the network."""
    model = config.get("model", {})
    seen = (
        "patches of the volume"
        if str(model.get("kind")).endswith("3d")
        else (
            f"{model.get('context', 1)} planes around each plane"
            if model.get("context", 1) > 1
            else "each plane alone"
        )
    )
    count = sum(
        value.numel() for name, value in weights.network.items() if not name.endswith(RUNNING)
    )
    shown = ("kind", "width", "depth", "norm", "dropout", "deep_supervision")
    kind = ", ".join(f"{name} {model[name]}" for name in shown if name in model)
    return {
        "network": kind,
        "sees": seen,
        **({"differences of modalities": model["difference"]} if model.get("difference") else {}),
        "gives": given_by(model),
        "parameters": f"{count:,}",
        "weights": f"step {weights.step:,}, the best validation",
        "digest of the weights": digest,
    }


def given_by(model: Mapping[str, Any]) -> str:
    """What the logits of a network are of."""
    if model.get("target", "classes") == "classes":
        return "classes (softmax); the most likely one is taken"
    return (
        "nested regions (sigmoid); a voxel is in a region that is likelier than not, and its class "
        "follows from the innermost one"
    )


def training_facts(record: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    """How the network was fitted, and with what software."""
    used = summary(record, config)
    names = ("recipe", "loss", "augment", "sampling", "learning_rate", "schedule", "seed")
    software = ", ".join(f"{name} {value}" for name, value in record.get("versions", {}).items())
    begun = {"begun from": used["begun from"]} if used["begun from"] else {}
    return {
        **{name: used[name] for name in ("steps", "time", "device", "finished")},
        **begun,
        **{name: str(config[name]) for name in names if name in config},
        "software": software,
    }


def started(run: Path) -> Iterator[str]:
    """What is not known of the people whom an earlier run has learnt."""
    if start := untold_start(run):
        yield (
            f"The run began from {start}, whose training cases are unknown: people of the "
            "validation and test cases may be among them."
        )


def limits(spacings: TrainedSpacings, split: Split, *, evaluations: int) -> Iterator[str]:
    """What these weights cannot do, as far as the run tells."""
    sizes = "; ".join(f"{size_text(size)} mm" for size in spacings.sizes) or "none is recorded"
    yield f"Only voxel sizes of the training cases are accepted ({sizes}), to a tenth."
    if not split.test:
        yield (
            "No test cases were held out; scores on validation cases are of those that chose the "
            "weights."
        )
    if not evaluations:
        yield "No scores are known."
    yield "Nothing is known of other scanners, sites, ages or kinds of tumour than those above."
