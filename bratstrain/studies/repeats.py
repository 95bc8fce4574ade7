"""Runs that differ in their seed alone, and intervals that include what a seed does.

The mean of some runs over some cases is off for two reasons: other cases would have other scores,
and so would other seeds. How far runs of equal settings are apart is pooled over all settings that
are repeated. Both errors are joined by their intervals (Zou and Donner 2008, Statistics in Medicine
27:1693). A part of what a seed does differs from case to case, and is counted twice: the intervals
are rather too wide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bratstrain.scoring.intervals import student_quantile
from bratstrain.scoring.metric_registry import HEADLINE
from bratstrain.studies.outcomes import PART, UNKNOWN, Outcome, Score, Study, paired


@dataclass(frozen=True, slots=True)
class Repeats:
    """The runs of one choice of settings, by the seed."""

    name: str
    """That of the first."""
    by_seed: dict[int, Outcome]

    @property
    def values(self) -> NDArray[np.float64]:
        """(runs, cases) float64 held-out volume Dice; nan where a case is left out."""
        return np.array([one.held_out.values(HEADLINE, PART) for one in self.by_seed.values()])

    @property
    def means(self) -> NDArray[np.float64]:
        """(runs,) float64 means over the cases that every run has a score of."""
        values = self.values
        means: NDArray[np.float64] = values[:, np.isfinite(values).all(0)].mean(axis=1)
        return means


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """What a seed does to the mean of a run."""

    sd: float
    """Standard deviation between runs of equal settings, pooled; nan where none are repeated."""
    n_free: int
    """Degrees of freedom."""

    def reach(self, *n_runs: int) -> float:
        """Half of the 95 % interval of a difference between means of so many runs each."""
        if not self.n_free:
            return math.nan
        return student_quantile(self.n_free) * self.sd * math.sqrt(sum(1 / n for n in n_runs))


def repeats_of(study: Study) -> list[Repeats]:
    """Group the outcomes by their settings but the seed, in the order of the experiments."""
    groups: dict[tuple[str, str], Repeats] = {}
    for outcome in study.outcomes:
        experiment = outcome.experiment
        key = experiment.build.to_json(), replace(experiment.fit, seed=0).to_json()
        group = groups.setdefault(key, Repeats(experiment.name, {}))
        group.by_seed.setdefault(experiment.fit.seed, outcome)
    return [*groups.values()]


def spread_of(groups: Sequence[Repeats]) -> SeedSpread:
    """Pool the variance between the runs of each group."""
    repeated = [group.means for group in groups if len(group.by_seed) > 1]
    n_free = sum(len(means) - 1 for means in repeated)
    squares = sum(float(((means - means.mean()) ** 2).sum()) for means in repeated)
    return SeedSpread(math.sqrt(squares / n_free) if n_free else math.nan, n_free)


def difference_of(ours: Repeats, other: Repeats, spread: SeedSpread) -> Score:
    """Mean of some runs minus that of others, case by case, for other cases and other seeds.

    Returns:
        Unknown of a group to itself, or without a case that all runs have a score of.
    """
    if ours is other:
        return UNKNOWN
    found = paired(ours.values.mean(0) - other.values.mean(0))
    reach = spread.reach(len(ours.by_seed), len(other.by_seed))
    return replace(
        found,
        low=found.mean - math.hypot(found.mean - found.low, reach),
        high=found.mean + math.hypot(found.high - found.mean, reach),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One choice of settings, over its seeds."""

    name: str
    means: dict[int, float]
    """Held-out volume Dice of each run, by the seed."""
    gain: Score
    """On the baseline's settings."""


@lru_cache(maxsize=1)
def seed_rows(study: Study) -> tuple[SeedSpread, list[Row]]:
    """Compare all settings of a study over their seeds; kept, since each table asks for them.

    Returns:
        What a seed does, and a row for each choice of settings; no row where none is repeated.
    """
    groups = repeats_of(study)
    spread, first = spread_of(groups), study.named(study.plan.baseline)
    baseline = next((group for group in groups if first in group.by_seed.values()), None)
    rows = [
        Row(
            group.name,
            dict(zip(group.by_seed, group.means.tolist(), strict=True)),
            UNKNOWN if baseline is None else difference_of(group, baseline, spread),
        )
        for group in groups
    ]
    return spread, rows if spread.n_free else []
