"""The random numbers of a batch's augmentation, for all of it or for one rank's share.

Where several ranks hold a batch, each draws for the whole batch and keeps what is drawn for its own
samples. What happens to a sample does not depend on the number of ranks, therefore.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bratstrain.ranks.group import ALONE, Group


@dataclass(frozen=True, slots=True)
class Draw:
    """How one number is drawn: with a given chance uniform between two ends, else `off`."""

    chance: float
    low: float
    high: float
    off: float = 0.0
    """The value that changes nothing."""
    share: float = 1.0
    """Chance of each modality of a chosen sample."""

    def sample(self, generator: np.random.Generator, n: int, m: int = 1) -> NDArray[np.float32]:
        """Draw for n samples of m modalities.

        The number of draws does not depend on their outcome.

        Returns:
            (n m,) float32.
        """
        value = generator.uniform(self.low, self.high, (n, m))
        is_chosen = generator.random((n, 1)) < self.chance
        is_shared = generator.random((n, m)) < self.share
        return np.where(is_chosen & is_shared, value, self.off).astype(np.float32).ravel()


@dataclass(frozen=True, slots=True)
class Chance:
    """What the numbers of one batch are drawn from, in turn."""

    generator: np.random.Generator
    """Of all decisions."""
    noise: torch.Generator
    """Of noise; it lies on the device."""
    group: Group = ALONE
    """The ranks that hold the batch."""

    def whole(self, draw: Draw, n: int, m: int = 1) -> NDArray[np.float32]:
        """Draw for the whole batch.

        Args:
            draw: how.
            n: samples of this rank.
            m: modalities.

        Returns:
            (ranks n m,) float32.
        """
        return draw.sample(self.generator, n * self.group.size, m)

    def own(self, draw: Draw, n: int, m: int = 1) -> NDArray[np.float32]:
        """Draw for the whole batch and keep what is of this rank: (n m,) float32."""
        drawn = self.whole(draw, n, m)
        return drawn[self.group.own(len(drawn))]

    def normal_like(self, rows: Tensor, drawn_for: NDArray[np.bool_]) -> Tensor:
        """Draw standard normal numbers for rows of the whole batch, and keep those of this rank.

        Args:
            rows: (k, ...) float32, the rows of this rank that are drawn for.
            drawn_for: (n,) bool, which rows of the whole batch are.

        Returns:
            (k, ...) float32, on the device of `rows`.
        """
        n_before = int(drawn_for[: self.group.own(len(drawn_for)).start].sum())
        shape = (int(drawn_for.sum()), *rows.shape[1:])
        normal = torch.randn(shape, generator=self.noise, device=rows.device)
        return normal[n_before : n_before + len(rows)]
