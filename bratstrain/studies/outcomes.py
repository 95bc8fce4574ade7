"""What became of each experiment of a study: what its protocol claims, and what is honest.

`claims` is the score that the run's own protocol gives: slice-mean Dice over the tumour slices of
its own validation part. `unseen` is that same score on the cases that no experiment has seen.
`honest` is the case-average volume Dice over every brain plane of those cases.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratstrain.evaluation.formatting import none_for_nan
from bratstrain.evaluation.stored import Evaluation
from bratstrain.scoring.intervals import mean_interval
from bratstrain.scoring.metric_registry import HEADLINE
from bratstrain.studies.study_file import Experiment, Plan

CLAIMED: Final = "slice-mean Dice, tumour slices"
PART: Final = "mean of classes"
"""Of what is shown; all classes and regions are in the CSV and the JSON."""


@dataclass(frozen=True, slots=True)
class Score:
    """A mean over cases with its 95 % interval; nan where there is none."""

    mean: float
    low: float = math.nan
    high: float = math.nan
    n_cases: int = 0
    n_better: int = 0
    """Of a difference: cases in which it is above 0."""

    @property
    def is_known(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.mean)

    def to_json(self) -> dict[str, float | int | None]:
        """Every field, nan as None."""
        return {name: none_for_nan(value) for name, value in asdict(self).items()}


UNKNOWN: Final = Score(math.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """How an experiment was done."""

    split: str
    leaks: bool
    planes: str
    """Planes of its slice file: `tumour slices only` or `stored planes`."""
    train_slices: int
    """Slices learnt from."""
    steps: int
    best_step: int
    own_loss: float | None
    """Soft-Dice loss on the run's own validation part at the best step; None where it is not
    known."""
    seconds: float
    """Of fitting, over all sessions."""
    run: str
    """Run folder, in the study's."""
    slice_file: str
    """In the study's folder."""
    data_digest: str
    split_digest: str


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One finished experiment."""

    experiment: Experiment
    facts: Facts
    validation: Evaluation
    """Of its own protocol."""
    held_out: Evaluation
    """Of the cases that no experiment has seen."""

    @property
    def claims(self) -> Score:
        """What its own protocol reports."""
        return score_of(self.validation, CLAIMED, PART)

    @property
    def unseen(self) -> Score:
        """The same metric on unseen cases."""
        return score_of(self.held_out, CLAIMED, PART)

    @property
    def honest(self) -> Score:
        """Volume Dice of unseen cases, every brain plane."""
        return score_of(self.held_out, HEADLINE, PART)


def score_of(evaluation: Evaluation, metric: str, part: str) -> Score:
    """Take one row of an evaluation; unknown where it has none."""
    row = evaluation.rows(metric).get(part)
    if row is None or row["mean"] is None:
        return UNKNOWN
    low, high = (math.nan if row[end] is None else row[end] for end in ("low", "high"))
    return Score(row["mean"], low, high, row["n_interval"])


def difference(ours: Outcome, other: Outcome, part: str = PART) -> Score:
    """Honest score of one experiment minus that of another, case by case.

    Args:
        ours: over the same cases as `other`.
        other: what it is compared to.
        part: class, region or mean of several.
    """
    values = (outcome.held_out.values(HEADLINE, part) for outcome in (ours, other))
    return paired(np.subtract(*values))


def paired(apart: NDArray[np.float64]) -> Score:
    """Mean of a difference.

    Args:
        apart: (n,) float64, of each case; nan is left out.

    Returns:
        Unknown where there is no case.
    """
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return UNKNOWN
    interval = mean_interval(apart, "difference")
    return Score(float(apart.mean()), *interval, len(apart), int((apart > 0).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A study and its outcomes so far."""

    plan: Plan
    source: str
    """Name of the raw cases."""
    outcomes: tuple[Outcome, ...]
    """In the order of the experiments; at least one."""

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids of the cases that no experiment has seen."""
        return self.outcomes[0].held_out.cases

    def named(self, name: str) -> Outcome | None:
        """The outcome of an experiment; None where it is not finished."""
        matching = (outcome for outcome in self.outcomes if outcome.experiment.name == name)
        return next(matching, None)

    def gain(self, outcome: Outcome, over: str, part: str = PART) -> Score:
        """Honest difference to another experiment; unknown to itself or to an unfinished one."""
        other = self.named(over)
        return UNKNOWN if other is None or other is outcome else difference(outcome, other, part)

    def record(self, outcome: Outcome) -> dict[str, Any]:
        """Everything about an outcome as a flat dict for CSV or JSON; nan as None."""
        plan, experiment = self.plan, outcome.experiment
        row: dict[str, Any] = {
            "experiment": experiment.name,
            "about": experiment.about,
            "like": experiment.like,
            **asdict(outcome.facts),
            "part": PART,
            "claims_metric": CLAIMED,
            **_flat("claims", outcome.claims),
            **_flat("unseen", outcome.unseen),
            "honest_metric": f"case-average {HEADLINE}, convention {outcome.held_out.convention}",
            **_flat("honest", outcome.honest),
            **_difference("baseline", plan.baseline, self.gain(outcome, plan.baseline)),
            **_difference("like", experiment.like, self.gain(outcome, experiment.like)),
        }
        classes = outcome.held_out.classes
        for part in (*classes.parts, *classes.means):
            row[f"honest {part}"] = none_for_nan(score_of(outcome.held_out, HEADLINE, part).mean)
        for metric in plan.also:
            row[metric] = none_for_nan(score_of(outcome.held_out, metric, PART).mean)
        return row

    def records(self) -> list[dict[str, Any]]:
        """Everything about every outcome."""
        return [self.record(outcome) for outcome in self.outcomes]


def _flat(name: str, score: Score) -> dict[str, Any]:
    """Fields of a score."""
    return {
        name: none_for_nan(score.mean),
        f"{name}_low": none_for_nan(score.low),
        f"{name}_high": none_for_nan(score.high),
        f"{name}_cases": score.n_cases,
    }


def _difference(name: str, other: str, score: Score) -> dict[str, Any]:
    """Fields of a difference."""
    return {name: other} | {
        f"minus_{name}": none_for_nan(score.mean),
        f"minus_{name}_low": none_for_nan(score.low),
        f"minus_{name}_high": none_for_nan(score.high),
        f"minus_{name}_better_cases": score.n_better if score.is_known else None,
    }
