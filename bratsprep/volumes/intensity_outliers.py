"""Cases whose intensities lie far from those of the other cases, from their moments alone."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FENCED: Final = 8
"""Least number of cases among which intensities can be called unusual."""
BRIGHT: Final = 30.0
"""Least factor between an outlier's mean and the median: among usual cases of BraTS it is up to
20, since scanners and their software differ in gain, which the z-score removes."""
VARIED: Final = 3.0
"""Least factor between an outlier's standard deviation, as a share of its mean, and the median:
among usual cases of BraTS it is up to 2."""
_REACH: Final = 3.0
"""Interquartile ranges beyond the quartiles: Tukey's outer fences."""


def intensity_notes(
    modalities: Sequence[str],
    ids: Sequence[str],
    mean: NDArray[np.floating[Any]],
    std: NDArray[np.floating[Any]],
    present: NDArray[Any],
) -> dict[str, tuple[str, ...]]:
    """Describe the cases whose brain is far brighter, darker or more varied than the others'.

    Far is beyond Tukey's outer fences, and by a factor that usual cases do not reach. Means that
    are not all positive are compared in standard deviations.

    Args:
        modalities: names of m of them.
        ids: of the c cases.
        mean: (c, m) float of each modality over the brain, source units.
        std: (c, m) float of each modality over the brain, source units, above 0.
        present: (c, m) of any dtype: not 0 where the case has the modality; others do not count.

    Returns:
        Notes by id; of a modality only where at least `FENCED` cases have it.
    """
    notes: dict[str, list[str]] = {}
    for m, modality in enumerate(modalities):
        having = np.flatnonzero(present[:, m])
        if len(having) < FENCED:
            continue
        for c, note in _notes(modality, mean[having, m], std[having, m]).items():
            notes.setdefault(ids[having[c]], []).append(note)
    return {case: tuple(listed) for case, listed in notes.items()}


def _notes(
    modality: str, mean: NDArray[np.floating[Any]], std: NDArray[np.floating[Any]]
) -> dict[int, str]:
    """Note on each outlier of a modality, by its place; arrays are (c,) float, source units."""
    if (mean <= 0).any():
        middle = float(np.median(mean))
        return {
            c: f"{modality} has a mean of {mean[c]:.3g}, the median case of {middle:.3g}"
            for c in _far(mean / np.median(std), 1.0)
        }
    bright, varied = (
        values - np.median(values) for values in (np.log(mean), np.log(std) - np.log(mean))
    )
    notes = {
        c: f"{modality} varies {np.exp(varied[c]):.2g} times as much for its brightness as in the "
        "median case"
        for c in _far(varied, np.log(VARIED))
    }
    return notes | {
        c: f"{modality} is {np.exp(bright[c]):.2g} times as bright as in the median case"
        for c in _far(bright, np.log(BRIGHT))
    }


def _far(values: NDArray[np.floating[Any]], least: float) -> list[int]:
    """Places of the values beyond Tukey's outer fences, and by `least` from the median.

    Args:
        values: (c,) float.
        least: distance, in their unit.
    """
    low, middle, high = np.percentile(values, (25, 50, 75))
    reach = _REACH * (high - low)
    is_far = (values < low - reach) | (values > high + reach)
    return [int(place) for place in np.flatnonzero(is_far & (np.abs(values - middle) >= least))]
