"""Truth and prediction of one case, and the images that a page shows beside them.

Nothing here needs torch: label files can be scored where it is not installed.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratsprep.labels import ClassSet
from bratsprep.system.faulty_cases import SetAside
from bratstrain.evaluation.image_facts import ImageFacts
from bratstrain.evaluation.tables import Picture
from bratstrain.scoring.calibration import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Modalities of one case, as far as there is brain."""

    voxels: NDArray[Any]
    """(s, m, h, w) float, standard deviations; 0 outside the brain."""
    z: NDArray[np.int64]
    """(s,) planes of `voxels` in the uncropped volume."""
    box: Box
    """Window of `voxels` in every plane of that volume."""
    shape: tuple[int, int, int]
    """(z, y, x) of that volume."""
    shown: NDArray[np.int64]
    """(p,) planes to show, rising; those without voxels are black."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelPair:
    """One case: what is true and what was predicted, over its whole volume."""

    case: str
    truth: NDArray[np.uint8]
    """(z, y, x) stored labels in RAS+ order."""
    predicted: NDArray[np.uint8]
    """(z, y, x) stored labels."""
    spacing: tuple[float, float, float]
    """mm, along x, y, z."""
    classes: ClassSet
    """Of both sides."""
    orientation: str = "RAS"
    """Directions of the axes of the label files, such as `LPS`."""
    lost: int = 0
    """Tumour voxels of the truth that the network was not shown."""
    picture: Picture | None = None
    images: Images | None = None
    """Modalities of the case, where they were asked for."""
    fingerprint: NDArray[np.int8] | None = None
    """(1 + m, *BRAIN_CELLS) of the images; None where they are unknown or of too small a brain."""
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    """Of the predicted probabilities, by class and region; empty where there are none."""
    entropy: NDArray[np.uint8] | None = None
    """(z, y, x) of the mean probabilities, 255 where all classes are equally likely; None of label
    files."""
    facts: ImageFacts | None = None
    """Of the images; None of label files."""


Pairs: TypeAlias = Generator[LabelPair | SetAside, None, None]
"""Cases one after another; those that cannot be scored as `SetAside`, where faults are skipped."""
