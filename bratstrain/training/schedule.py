"""Learning rate and decay of the averaged weights: pure functions of step and progress."""

import math
from typing import Final

POLY_POWER: Final = 0.9
"""Of nnU-Net's schedule (Isensee et al. 2021)."""
WARMUP_SHARE: Final = 0.1
"""The warm-up takes at most this part of a run, however short that is."""
FORWARD: Final = 1 / 3
"""Time of a forward pass over that of a step, whose backward pass takes two of them."""
MOST_KEPT: Final = 0.2
"""Part of a run's time that is kept for its last validation, at most."""


def learning_rate(peak: float, kind: str, warmup: int, step: int, progress: float) -> float:
    """Learning rate of a step: a linear rise to the peak, under a curve that falls to 0.

    Args:
        peak: highest learning rate.
        kind: `constant`, `cosine` (Loshchilov and Hutter 2017, no restart) or `poly`.
        warmup: steps of the rise, at least 0.
        step: counted from 0.
        progress: part of the run that is over, 0 to 1; of its steps, or of its time.

    Returns:
        At least 0; above 0 before the end.

    Raises:
        ValueError: `kind` is unknown or `progress` is outside 0 to 1.
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must be 0 to 1, got {progress}")
    if kind == "constant":
        curve = 1.0
    elif kind == "cosine":
        curve = (1 + math.cos(math.pi * progress)) / 2
    elif kind == "poly":
        curve = (1 - progress) ** POLY_POWER
    else:
        raise ValueError(f"schedule must be constant, cosine or poly, got {kind!r}")
    rise = 1.0
    if warmup:
        rise = min(1.0, max((step + 1) / warmup, progress / WARMUP_SHARE))
    return peak * rise * curve


def ema_decay(limit: float, step: int) -> float:
    """Decay of the averaged weights after a step; small at first, so that the start is forgotten.

    (1 + n) / (10 + n) after n updates, the rule of TensorFlow's ExponentialMovingAverage.

    Args:
        limit: largest decay, 0 to below 1.
        step: updates so far, at least 0.
    """
    return min(limit, (1 + step) / (10 + step))


def time_to_learn(whole_s: float, validation_s: float) -> float:
    """Seconds of a run that are for learning: all but its last validation.

    What is kept is bounded, since a validation that nobody has seen yet is reckoned from steps,
    the first of which is many times slower than the others.

    Args:
        whole_s: length of the run, above 0.
        validation_s: what a validation takes, as far as that is known.
    """
    return whole_s - min(validation_s, MOST_KEPT * whole_s)
