"""Learning rate and decay of the averaged weights: pure functions of step and progress."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

POLY_POWER: Final = 0.9
"""Of nnU-Net's schedule (Isensee et al. 2021)."""
WARMUP_SHARE: Final = 0.1
"""The warm-up takes at most this part of a run, however short that is."""
FORWARD: Final = 1 / 3
"""Time of a forward pass over that of a step, whose backward pass takes two of them."""
MAX_VALIDATION_SHARE: Final = 0.2
"""Largest part of a run's time that is reserved for its last validation."""


def constant(progress: float) -> float:
    """Stay at the highest rate."""
    return 1.0


def cosine(progress: float) -> float:
    """Fall as half a cosine, without restarts (Loshchilov and Hutter 2017, eq. 5)."""
    return (1 + math.cos(math.pi * progress)) / 2


def poly(progress: float) -> float:
    """Fall as a power of what is left of the run (Isensee et al. 2021)."""
    return math.pow(1 - progress, POLY_POWER)


SCHEDULES: Final[Mapping[str, Callable[[float], float]]] = MappingProxyType(
    {"constant": constant, "cosine": cosine, "poly": poly}
)
"""Share of the highest learning rate by progress, 0 to 1. To add one: a function like those above,
a line here, and the same name in `bratstrain.config.Schedule`."""


def learning_rate(peak: float, kind: str, warmup: int, step: int, progress: float) -> float:
    """Learning rate of a step: a linear rise to the peak, times a schedule.

    Args:
        peak: highest learning rate.
        kind: a name in `SCHEDULES`.
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
    if kind not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {kind!r}")
    rise = 1.0
    if warmup:
        rise = min(1.0, max((step + 1) / warmup, progress / WARMUP_SHARE))
    return peak * rise * SCHEDULES[kind](progress)


def ema_decay(limit: float, step: int) -> float:
    """Decay of the averaged weights after a step; small at first, to forget the fresh weights.

    (1 + n) / (10 + n) after n updates, the rule of TensorFlow's ExponentialMovingAverage.

    Args:
        limit: largest decay, 0 to below 1.
        step: updates so far, at least 0.
    """
    return min(limit, (1 + step) / (10 + step))


def time_to_learn(whole_s: float, validation_s: float) -> float:
    """Seconds of a run that are for learning: all but its last validation.

    The time for validation is bounded: before the first one it is estimated from the steps, the
    first of which is many times slower than the others.

    Args:
        whole_s: length of the run, s, above 0.
        validation_s: measured or estimated length of a validation, s.

    Returns:
        Seconds, above 0.
    """
    return whole_s - min(validation_s, MAX_VALIDATION_SHARE * whole_s)
