"""Outcomes of studies made of numbers by hand, and small studies that really run."""

import json
from pathlib import Path

import bratsprep
from bratstrain.config import TrainConfig
from bratstrain.evaluation.stored import Evaluation
from bratstrain.studies.outcomes import CLAIMED, Facts, Outcome, Study
from bratstrain.studies.study_file import Experiment, Plan, PrepConfig
from tests.helpers.class_sets import GLIOMA

FILE = """
baseline = "plain"

[build]
crop = "32x32"

[fit]
width = 2
depth = 2
steps = 4
batch_size = 4
split = "subject"
test_share = 0.3

[[experiment]]
name = "leaky"
fit.split = "slice"

[[experiment]]
name = "plain"
like = "leaky"
fit.split = "subject"

[[experiment]]
name = "case-norm"
about = "one spread for all modalities"
like = "plain"
build.normalise = "case"
"""
"""Three experiments of seconds on two slice files."""


def written(folder, text=FILE):
    """Write a study."""
    path = folder / "small.toml"
    path.write_text(text)
    return path


def phantoms(folder, **settings):
    """Six small phantoms."""
    return bratsprep.phantoms(
        folder / "raw", **{"cases": 6, "shape": (32, 32, 16), "workers": 1} | settings
    )


def evaluation(dice, *, claimed=0.5, run="run"):
    """An evaluation of cases a, b, ... whose three classes all have the given volume Dice."""
    names = "abcdefghijklmnop"
    mean = {"convention": "brats", "part": "mean of classes", "n_cases": len(dice)}
    mean["n_interval"] = len(dice)
    return Evaluation(
        Path(run),
        {
            "classes": json.loads(GLIOMA.to_json()),
            "headline": {"convention": "brats"},
            "per_case": [
                {"case": name, "convention": "brats", "part": part, "volume Dice": value}
                for name, value in zip(names, dice, strict=False)
                for part in ("NCR", "ED", "ET")
            ],
            "rows": [
                mean | {"metric": metric, "mean": value, "low": low, "high": high}
                for metric, value, low, high in (
                    ("volume Dice", sum(dice) / len(dice), min(dice), max(dice)),
                    (CLAIMED, claimed, None, None),
                    ("lesions FP", None, None, None),
                )
            ],
        },
    )


def experiment(name, *, like="", **fit):
    """An experiment that was never done."""
    return Experiment(
        name=name, about=f"about {name}", like=like, build=PrepConfig(), fit=TrainConfig(**fit)
    )


def outcome(name, dice, *, like="", leaks=False, claims=0.9, unseen=0.6, **fit):
    """An outcome with those honest scores."""
    facts = Facts(
        split="slice" if leaks else "subject", leaks=leaks, planes="tumour slices only",
        train_slices=1234, steps=10, best_step=5, own_loss=0.4, seconds=90.0, run=f"runs/{name}",
        slice_file="slices/0.h5", data_digest="d", split_digest="s",
    )  # fmt: skip
    own, held_out = evaluation([0.8], claimed=claims), evaluation(dice, claimed=unseen, run=name)
    return Outcome(experiment(name, like=like, **fit), facts, own, held_out)


def study(*outcomes, also=(), more=(), profile="demo"):
    """A study of those outcomes, the first being the baseline."""
    every = [each.experiment for each in outcomes] + [experiment(name) for name in more]
    plan = Plan(
        path=Path("deck.toml"), title="What helps", about="All of it.", profile=profile,
        baseline=outcomes[0].experiment.name, also=also, experiments=tuple(every),
    )  # fmt: skip
    return Study(plan, "raw", outcomes)
