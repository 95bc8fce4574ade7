"""Tables of an audit as aligned lines for a terminal."""

import math
from collections.abc import Mapping, Sequence

from bratstrain.evaluation.formatting import aligned, number
from bratstrain.leakage.estimates import Estimate
from bratstrain.leakage.pair_comparison import PairComparison, kind_of_pairs


def means_table(
    means: Mapping[str, Mapping[str, Estimate]], counts: Mapping[str, int]
) -> list[str]:
    """Means of each set of cases.

    Args:
        means: by name of the set and of the score; the first score is the mean of the parts.
        counts: cases of each set.
    """
    names = list(next(iter(means.values())))
    rows = [["cases", "n", *names, f"95 % of {names[0]}"]]
    for kind, scores in means.items():
        values = [number(score.value) for score in scores.values()]
        rows.append([kind, str(counts[kind]), *values, ends(scores[names[0]])])
    return aligned(rows)


def pairs_table(comparisons: Sequence[PairComparison]) -> list[str]:
    """Split pairs beside pairs within one fold."""
    rows = [["pairs, score", "split", "n", "within", "n", "difference", "95 %", "p"]]
    for comparison in comparisons:
        test = comparison.test
        rows.append(
            [
                f"{kind_of_pairs(comparison.is_copy)}, {comparison.score}",
                number(comparison.split),
                str(comparison.n_split),
                number(comparison.within),
                str(comparison.n_within),
                signed(comparison.difference.value),
                ends(comparison.difference),
                "-" if test is None else f"{chance(test.p)} {test.method}",
            ]
        )
    return [*aligned(rows), "p: one-sided permutation test that split pairs score higher"]


def estimate_rows(head: str, estimates: Mapping[str, Estimate]) -> list[str]:
    """Table of estimates by name, four digits."""
    rows = [[head, "estimate", "95 %"]]
    rows += [[name, signed(own.value, 4), ends(own, 4)] for name, own in estimates.items()]
    return aligned(rows)


def chance(p: float) -> str:
    """Write a p value with four digits."""
    return "<0.0001" if p < 5e-5 else f"{p:.4f}"


def signed(value: float, digits: int = 3) -> str:
    """Write a difference with its sign; a dash for nan."""
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"


def ends(estimate: Estimate, digits: int = 3) -> str:
    """Write an interval; a dash where there is none."""
    if not math.isfinite(estimate.low):
        return "-"
    return f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"
