"""`Group`: the ranks that fit one run together, and this one's share of every batch.

A group of one does nothing: it adds up nothing, waits for nobody and imports nothing. Several ranks
are a `bratstrain.ranks.process_group.ProcessGroup`, which does the same by messages. The training
loop calls either and does not ask which it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Group:
    """One process that fits a run by itself."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Processes that fit the run."""
    n_here: int = 1
    """Of those, on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this is the rank that writes the run folder and speaks to the user."""
        return self.rank == 0

    def own(self, n_samples: int) -> slice:
        """Where this rank's samples lie in a whole batch.

        Args:
            n_samples: samples of the whole batch, a multiple of `size`.
        """
        n_own = n_samples // self.size
        return slice(self.rank * n_own, (self.rank + 1) * n_own)

    def deal(self, items: Sequence[Item]) -> Sequence[Item]:
        """Deal things to the ranks in turn; gives this rank's."""
        return items[self.rank :: self.size]

    def total(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Add up tensors over the ranks; gradients flow back to every rank's parts.

        Args:
            *parts: of any shapes, the same on every rank; of floating point where there are several
                ranks.

        Returns:
            A tensor of the shape and dtype of each.
        """
        return parts

    def average_(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Replace gradients by their mean over the ranks.

        Args:
            parameters: of any shape, of the network; those without a gradient are left out.
            loss: () float32, of this rank.

        Returns:
            () float32, mean of the losses.
        """
        return loss

    def add(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add up counts over the ranks.

        Args:
            counts: of any shape, int64.
        """
        return counts

    def highest(self, *numbers: float) -> tuple[float, ...]:
        """Give the highest of each number over the ranks."""
        return numbers

    def wait(self) -> None:
        """Wait until every rank has come here."""

    def in_turn(self, first: Callable[[], Made], others: Callable[[], Made]) -> Made:
        """Let the first rank make something, and then each of the others.

        Args:
            first: called on the first rank.
            others: called on the others when the first is done.

        Raises:
            BratsError or ValueError: `first` has raised it; the others raise an `Echo` of it.
        """
        return first()

    def decide(self, made: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever it makes
        """Call a function on the first rank and give what it returns on every rank.

        Raises:
            BratsError or ValueError: it has raised it; the others raise an `Echo` of it.
        """
        return made()

    def check_same(self, what: str, content: Callable[[], bytes]) -> None:
        """Refuse to go on where the ranks hold different things.

        Args:
            what: name of the thing, for the message.
            content: makes what is to be the same on every rank.

        Raises:
            BratsError: it differs.
        """


ALONE: Final = Group()
