"""Sums of predicted probabilities and true pixels, which losses and validation make scores of."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SMOOTH: Final = 1e-5
"""Pixels above and below the line, so that a class absent from both sides gives no 0 / 0."""


def one_hot(label: Tensor, n_classes: int) -> Tensor:
    """Turn (b, ...) uint8 or int64 labels into (b, n_classes, ...) bool."""
    codes = torch.arange(n_classes, dtype=label.dtype, device=label.device)
    return label[:, None] == codes.view(-1, *(1,) * (label.dim() - 1))


def overlap_sums(probability: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Add up predicted and true pixels of each channel over a batch.

    Args:
        probability: (b, c, ...) float32.
        truth: (b, c, ...) bool.

    Returns:
        Three of (c,) float32, pixels: sum of the probability where the truth is, sum of the
        probability, and true pixels.
    """
    # Elementwise on purpose: autocast would turn an einsum back into half precision.
    axes = (0, *range(2, probability.dim()))
    return (probability * truth).sum(axes), probability.sum(axes), truth.sum(axes)


def soft_dice_loss(overlap: NDArray[np.float64]) -> float:
    """One minus the soft Dice of the probabilities over all validation planes, mean of classes.

    It is the Dice part of `--loss dice_ce` with all planes as one batch, so it does not depend on
    the size of a batch. The background is left out, as from the Dice beside it.

    Args:
        overlap: (3, classes) float64, pixels: sums of `overlap_sums` over all planes.
    """
    shared, predicted, truth = overlap[:, 1:]
    return float(1 - np.mean((2 * shared + SMOOTH) / (predicted + truth + SMOOTH)))
