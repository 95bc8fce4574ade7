"""Published scores to stand beside ours, each with the protocol that it came from."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Published:
    """One system's mean volume Dice over the three classes on the Decathlon's Task01."""

    system: str
    mean: float
    protocol: str


PUBLISHED: Final = (
    Published("course project, plain 2D U-Net", 0.53, "convention unknown"),
    Published("course project, residual 2D U-Net", 0.58, "convention unknown"),
    Published("course project, attention 2D U-Net", 0.64, "convention unknown"),
    Published(
        "NVIDIA's 2D nnU-Net (DeepLearningExamples)",
        0.732,
        "5 folds, best epoch chosen on the validation fold that is scored, truth outside a centred "
        "192 \N{MULTIPLICATION SIGN} 160 window ignored; repeated patients on both sides",
    ),
    Published(
        "NVIDIA's 3D nnU-Net (DeepLearningExamples)",
        0.7435,
        "as the 2D nnU-Net above",
    ),
)
"""484 cases with four modalities, classes ED, NCR and ET."""
