"""From stored images to the input of a network, and the name of the stored planes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bratsprep.slicefile.reader import SliceFile


class Intake:
    """Turns stored images into the input of a network.

    Args:
        file: slice file of the images.
        device: of the images.
    """

    def __init__(self, file: SliceFile, device: torch.device) -> None:
        self._is_raw = file.config.normalise == "none"
        present = file.cases["present"] > 0
        factor = present.shape[1] / np.maximum(present.sum(axis=1), 1)
        self._factor = None if present.all() else torch.from_numpy(factor.astype(np.float32))
        self._case = file.slices["case"]
        self._mean, self._std = (
            torch.from_numpy(file.cases[name].astype(np.float32)).to(device)
            for name in ("mean", "std")
        )

    def __call__(self, image: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Normalise a batch where the slice file is not normalised, and convert it to float32.

        Where a case lacks a modality, the others are scaled up, see `drop_modalities`.

        Args:
            image: (b, m, h, w) of any dtype, as stored.
            rows: (b,) int64, rows under /slice.

        Returns:
            (b, m, h, w) float32 standard deviations, 0 outside the brain.
        """
        image = image.float()
        if self._is_raw:
            image = self._normalised(image, rows)
        if self._factor is None:
            return image
        factor = self._factor[torch.from_numpy(self._case[rows].astype(np.int64))]
        return image * factor.to(image.device)[:, None, None, None]

    def _normalised(self, image: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Scale (b, m, h, w) float32 raw numbers of (b,) int64 rows by the moments of the case."""
        case = torch.from_numpy(self._case[rows].astype(np.int64)).to(image.device)
        brain = (image != 0).any(dim=1, keepdim=True)
        mean, std = (moment[case][:, :, None, None] for moment in (self._mean, self._std))
        return torch.where(brain, (image - mean) / std, 0)


def planes_name(file: SliceFile) -> str:
    """Name the planes that a slice file holds, as part of the name of a score."""
    only = file.config.slices == "tumour" and not file.config.negatives and not file.config.margin
    return "tumour slices only" if only else "stored planes"
