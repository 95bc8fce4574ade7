"""The result of an audit: its numbers, as JSON and as lines for a terminal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bratstrain.leakage.estimates import Estimate
from bratstrain.leakage.exposure import Exposure, twin_counts
from bratstrain.leakage.pair_comparison import PairComparison
from bratstrain.leakage.size_model import Regression
from bratstrain.leakage.summaries import CrossValidation
from bratstrain.leakage.text import estimate_rows, means_table, pairs_table

MEAN: Final = "mean"
"""A case's mean over its scored parts; of a table, the mean of the means of the parts."""
INTERVALS: Final = "95 % intervals over persons; convention nnunet (absent on both sides: left out)"


@dataclass(frozen=True, slots=True)
class Inflation:
    """What twins in training add to the mean of all cases, estimated from pairs."""

    by_kind: Mapping[str, Estimate]
    """Of COPY and OTHER, where there are pairs on both sides to estimate it from."""
    total: Estimate | None
    """Their sum; None where the effect of an exposed kind cannot be estimated."""


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """Scores of a cross-validation, and what repeated patients do to them."""

    scores: CrossValidation
    exposure: Exposure
    identified: str
    """How persons were identified."""
    means: Mapping[str, Estimate]
    """Of each part and MEAN over all cases."""
    means_by_kind: Mapping[str, Mapping[str, Estimate]]
    """The same over the cases of each kind of exposure that has some."""
    comparisons: tuple[PairComparison, ...]
    inflation: Inflation
    regression: Regression | None
    notes: tuple[str, ...]
    """What the numbers do not show."""

    def lines(self) -> list[str]:
        """Summary for the terminal: means, exposure, pairs, inflation, caveats."""
        scores = self.scores
        people = f"{self.exposure.n_subjects} persons; {self.identified}"
        counts = {"all": len(scores.cases), **twin_counts(self.exposure)}
        lines = [f"{scores.path}: {len(scores.folds)} folds, {len(scores.cases)} cases of {people}"]
        lines += ["", f"Out-of-fold volume Dice, {INTERVALS}"]
        lines += means_table({"all": self.means, **self.means_by_kind}, counts)
        if self.comparisons:
            lines += ["", "Persons with two cases: split between folds, or both within one fold"]
            lines += pairs_table(self.comparisons)
        lines += ["", *self.inflation_lines(), *self.regression_lines(), ""]
        return lines + [f"note: {note}" for note in self.notes]

    def inflation_lines(self) -> list[str]:
        """Estimates of what twins in training add to the mean of all cases."""
        estimates = {f"from pairs: {kind}": own for kind, own in self.inflation.by_kind.items()}
        if self.inflation.total is not None:
            estimates["from pairs: total"] = self.inflation.total
        if self.regression is not None:
            estimates["from the regression: total"] = self.regression.inflation
        if not estimates:
            return ["Inflation of the mean of all cases: cannot be estimated from these cases"]
        return estimate_rows("Inflation of the mean of all cases", estimates)

    def regression_lines(self) -> list[str]:
        """Effect of each kind of exposure at equal sizes; nothing without a regression."""
        if self.regression is None:
            return []
        head = "Regression on size, against persons who occur once"
        fit = f"R2 {self.regression.r_squared:.2f}, {self.regression.n_cases} cases"
        return ["", *estimate_rows(head, self.regression.effects), fit]

    def to_json(self) -> dict[str, Any]:
        """Convert to plain dicts and lists."""
        regression = self.regression
        return {
            "path": str(self.scores.path),
            "folds": list(self.scores.folds),
            "cases": len(self.scores.cases),
            "subjects": self.exposure.n_subjects,
            "subjects_from": self.identified,
            "convention": "nnunet",
            "means": as_json(self.means),
            "exposure": {
                kind: {"cases": count, "means": as_json(self.means_by_kind.get(kind, {}))}
                for kind, count in twin_counts(self.exposure).items()
            },
            "pairs": [comparison.to_json() for comparison in self.comparisons],
            "persons_of_more_than_two_cases": self.exposure.n_larger,
            "inflation": {
                "by_kind": as_json(self.inflation.by_kind),
                "total": None if self.inflation.total is None else self.inflation.total.to_json(),
            },
            "regression": None if regression is None else {
                "effects": as_json(regression.effects),
                "inflation": regression.inflation.to_json(),
                "cases": regression.n_cases,
                "subjects": regression.n_subjects,
                "r_squared": regression.r_squared,
            },
            "notes": list(self.notes),
            "per_case": [
                {"case": case, "fold": int(fold), "subject": subject, "exposure": kind}
                for case, fold, subject, kind in zip(
                    self.scores.cases, self.scores.fold, self.exposure.subjects,
                    self.exposure.kinds, strict=True,
                )
            ],
        }  # fmt: skip


def as_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Convert estimates by name."""
    return {name: estimate.to_json() for name, estimate in estimates.items()}
