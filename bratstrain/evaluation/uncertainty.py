"""How sure a network is of a case: the entropy of its mean probabilities.

The probabilities are averaged over flips and networks first, so the entropy holds what these
disagree about as well as what each is unsure of: the predictive entropy of Wang et al. 2019,
"Aleatoric uncertainty estimation with test-time augmentation for medical image segmentation with
convolutional neural networks", Neurocomputing 338. Its mean over a predicted structure says how far
to trust that structure (Roy et al. 2019, "Bayesian QuickNAT", NeuroImage 195). Softmax
probabilities are not calibrated: the number ranks cases, and is no chance of an error.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EXPLAINED: Final = (
    "Mean entropy of the class probabilities over the voxels that are predicted as tumour: 0 where "
    "the network is sure of every voxel, 1 where all classes are equally likely (Wang et al. 2019; "
    "Roy et al. 2019). It needs no truth, so it is known of new cases too."
)
STEPS: Final = 255
"""Stored value of an entropy of 1."""


def tumour_uncertainty(entropy: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> float | None:
    """Average the entropy over the predicted tumour.

    Args:
        entropy: (z, y, x) uint8, as `bratstrain.inference.segment.segment` fills it.
        predicted: (z, y, x) uint8 stored labels.

    Returns:
        0 to 1; None where nothing is predicted.
    """
    inside = entropy[predicted > 0]
    return float(inside.mean()) / STEPS if inside.size else None


def passes(tta: str) -> str:
    """What the probabilities were averaged over."""
    if tta == "none":
        return "one pass of the network; --tta lr or lr+ap averages over flips"
    return f"flips ({tta})"
