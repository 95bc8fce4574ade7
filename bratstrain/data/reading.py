"""What a step reads from a slice file, and how its samples are put together from that."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The slices that a step reads.

    Samples of several planes share those that lie next to each other. A plane is read once, and
    the samples are put together on the device.
    """

    rows: NDArray[np.int64]
    """(u,) int64, rows under /slice."""
    places: NDArray[np.int64] | None = None
    """(b, k) int64, places in `rows` of the planes of each sample, lowest first; None where each
    slice is a sample."""

    def settled(self, label: NDArray[np.uint8]) -> Self:
        """Choose what depends on the labels that were read; nothing does for whole planes.

        Args:
            label: (u, h, w) uint8 of the planes that were read.
        """
        return self

    def gather(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Put the samples together; of several planes, the one in the middle has the label.

        Args:
            image: (u, m, h, w) of any dtype, the planes that were read.
            label: (u, h, w) uint8.

        Returns:
            (b, m, k, h, w) image and (b, h, w) label; image and label themselves where each slice
            is a sample.
        """
        if self.places is None:
            return image, label
        chosen = torch.from_numpy(self.places).to(image.device, non_blocking=True)
        middle = chosen[:, chosen.shape[1] // 2].to(label.device)
        return image[chosen].transpose(1, 2), label[middle]


def united(planes: NDArray[np.int64]) -> Reading:
    """Read the planes of some samples, each of them once.

    Args:
        planes: (b, k) int64, rows under /slice of the planes of each sample.
    """
    rows, places = np.unique(planes, return_inverse=True)
    return Reading(rows, places.reshape(planes.shape))
