"""Intervals of many samples at once with SciPy, and how often they hold the true mean.

    python -m tests.helpers.interval_oracle

prints the coverage of every population at 5, 10, 25 and 80 cases. The formula is written anew from
its description; `tests/bratstrain/scoring/test_intervals.py` holds the package against it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

TAILS = {"share": 0.35, "positive": 1.3, "difference": 0.35}
SIZES = (5, 10, 25, 80)
DRAWS = 20_000


def intervals(samples, scale):
    """Ends of the 95 % interval of each row of (samples, n) values; nan where all are equal."""
    n = samples.shape[1]
    centre = samples.mean(axis=1)
    away = samples - centre[:, None]
    error = samples.std(axis=1, ddof=1) / np.sqrt(n)
    equal = error <= 1e-12
    with np.errstate(all="ignore"):
        skew = (away**3).sum(axis=1) / ((away**2).sum(axis=1)) ** 1.5 * (n - 1) ** 1.5 / n
        reach = stats.t.ppf(0.975, n - 1) * error
        wider = TAILS[scale] * np.abs(skew) / np.sqrt(n)
        below, above = reach * (1 + wider * (skew < 0)), reach * (1 + wider * (skew > 0))
        if scale == "difference":
            ends = centre - below, centre + above
        elif scale == "share":
            slope = centre * (1 - centre)
            ends = [special.expit(special.logit(centre) + side / slope) for side in (-below, above)]
        else:
            ends = [centre * np.exp(side / centre) for side in (-below, above)]
    return np.where(equal, np.nan, ends[0]), np.where(equal, np.nan, ends[1])


@dataclass(frozen=True)
class Population:
    """Values of cases, and their true mean."""

    scale: str
    draw: object
    """Of a generator and a shape."""
    mean: float


def beta(at_0, at_1, a, b):
    """Shares: a beta distribution with masses at 0 and 1."""

    def draw(rng, shape):
        place, values = rng.random(shape), rng.beta(a, b, shape)
        return np.where(place < at_0, 0.0, np.where(place > 1 - at_1, 1.0, values))

    return Population("share", draw, at_1 + (1 - at_0 - at_1) * a / (a + b))


def lognormal(middle, spread, penalty=0.0, share=0.0):
    """Lengths: log-normal, with a share of cases at a penalty."""

    def draw(rng, shape):
        values = rng.lognormal(np.log(middle), spread, shape)
        return np.where(rng.random(shape) < share, penalty, values)

    whole = middle * np.exp(spread**2 / 2)
    return Population("positive", draw, share * penalty + (1 - share) * whole)


def counts(mean):
    """Lesion counts: Poisson."""
    return Population("positive", lambda rng, shape: rng.poisson(mean, shape).astype(float), mean)


def difference(one):
    """Two runs of one population of shares."""
    return Population("difference", lambda rng, s: one.draw(rng, s) - one.draw(rng, s), 0.0)


def shifted(spread, bias):
    """Volume differences, ml: a Laplace distribution, whose tails are long."""
    return Population("difference", lambda rng, s: rng.laplace(bias, spread, s), bias)


CORE = beta(0.004, 0.0, 2.0, 1.33)
PENALISED = {
    f"HD95, {share} % penalties": lognormal(4.0, 0.8, 373.13, share / 100) for share in (1, 5, 20)
}
"""Distances with cases at the penalty, whose mean has no interval for this reason."""
POPULATIONS = {
    "Dice, oedema": beta(0.002, 0.0, 12.0, 2.8),
    "Dice, core": CORE,
    "Dice, enhancing": beta(0.035, 0.0, 4.6, 1.2),
    "Dice, enhancing, absent": beta(0.035, 0.02, 4.6, 1.2),
    "Dice near 1": beta(0.0, 0.0, 25.0, 1.8),
    "Dice near 0": beta(0.2, 0.0, 1.0, 2.0),
    "calibration error": beta(0.0, 0.0, 2.0, 150.0),
    "ASSD, no penalty": lognormal(1.2, 0.6),
    "HD95, no penalty": lognormal(4.0, 0.8),
    "lesions, 2 a case": counts(2.0),
    "difference of Dice": difference(CORE),
    "volume difference": shifted(8.0, -2.0),
}


def coverage(population, n, draws=DRAWS, seed=0):
    """Share of the intervals that hold the true mean, of the samples that have one."""
    rng = np.random.default_rng((seed, n))
    low, high = intervals(population.draw(rng, (draws, n)), population.scale)
    known = ~np.isnan(low)
    return float(np.mean((low <= population.mean) & (population.mean <= high), where=known))


if __name__ == "__main__":
    print(f"| population | {' | '.join(map(str, SIZES))} |")  # noqa: T201
    for name, population in (POPULATIONS | PENALISED).items():
        shares = (f"{coverage(population, n):.3f}" for n in SIZES)
        print(f"| {name} | {' | '.join(shares)} |")  # noqa: T201
