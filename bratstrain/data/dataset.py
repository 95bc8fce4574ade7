"""A slice file as a plain torch Dataset, for training loops other than `fit`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from bratsprep.slicefile.reader import SliceFile

Sample = tuple[Tensor, Tensor]


class SliceDataset(Dataset[Sample]):
    """Slices of a slice file by number.

    It can be pickled, and works in the workers of a DataLoader however they are started: forked
    ones share the open file, others open it again. A DataLoader's batch is read in one call.

    Args:
        file: open slice file, which the caller closes.
        rows: (n,) of any integer dtype, rows under /slice to take; None takes all.

    Raises:
        ValueError: a row is beyond the file.
        SchemaError: the first slice is damaged.
    """

    def __init__(self, file: SliceFile, rows: NDArray[np.integer[Any]] | None = None) -> None:
        self.file = file
        chosen = np.arange(len(file)) if rows is None else rows
        self.rows = np.ascontiguousarray(chosen, np.int64)
        file.check_rows(self.rows)
        # One read compiles the kernels here, so that no two workers do so at the same time.
        file.read(self.rows[:1])

    def __len__(self) -> int:
        """Number of slices."""
        return len(self.rows)

    def __getitem__(self, i: int) -> Sample:
        """Read one slice: (m, h, w) float32 image and (h, w) int64 label."""
        return self.__getitems__([i])[0]

    def __getitems__(self, places: Sequence[int]) -> list[Sample]:
        """Read the slices of a batch in one call; torch's DataLoader uses this method if it exists.

        Args:
            places: numbers of the slices.

        Returns:
            For each, an (m, h, w) float32 image and an (h, w) int64 label.
        """
        rows = self.rows[list(places)]
        image = np.empty((len(rows), len(self.file.modalities), *self.file.shape), np.float32)
        label = np.empty((len(rows), *self.file.shape), np.uint8)
        self.file.read_into(rows, image, label)
        # torch's cross-entropy needs int64 labels.
        return list(zip(torch.from_numpy(image), torch.from_numpy(label).long(), strict=True))
