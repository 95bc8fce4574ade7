"""Which slices a step sees: pure functions of seed and step, so a resumed run sees the same."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError

SAMPLINGS: Final = ("uniform", "foreground", "balanced")


def epoch_order(n_slices: int, block: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Shuffle the blocks of a file, then the slices inside each block.

    Neighbours in the order stay neighbours on disk, so a block is read once. Every seed and
    every epoch draws its own order; a resumed run draws the one it would have drawn.

    Args:
        n_slices: slices to order, at least 1.
        block: slices that are read together, at least 1; 1 is a full shuffle.
        seed: the run's seed, at least 0.
        epoch: counted from 0.

    Returns:
        (n_slices,) int64, each of 0 to n_slices - 1 exactly once; read-only.

    Raises:
        ValueError: `n_slices` or `block` is below 1.
    """
    return _order(n_slices, block, (seed, epoch))


@lru_cache(maxsize=16)
def _order(n_slices: int, block: int, entropy: tuple[int, ...]) -> NDArray[np.int64]:
    """Shuffle as `epoch_order` does; kept, since every step of an epoch asks for it."""
    if n_slices < 1 or block < 1:
        raise ValueError(f"n_slices and block must be at least 1, got {n_slices} and {block}")
    generator = np.random.default_rng(entropy)
    if block == 1:
        order = generator.permutation(n_slices)
    else:
        blocks = np.array_split(np.arange(n_slices), range(block, n_slices, block))
        order = np.concatenate(
            [generator.permutation(blocks[i]) for i in generator.permutation(len(blocks))]
        )
    order.flags.writeable = False
    return order


@dataclass(frozen=True, slots=True)
class Deck:
    """Some rows in an endless order: a new shuffle each time that all have been dealt."""

    rows: NDArray[np.int64]
    """(n,) int64, rows under /slice, at least one."""
    block: int
    entropy: tuple[int, ...]
    """Seed, and what tells this deck from others of the same seed."""

    def deal(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows at places `start` to `stop` of the order, (stop - start,) int64."""
        size = len(self.rows)
        parts = []
        for epoch in range(start // size, (stop - 1) // size + 1):
            order = _order(size, self.block, (*self.entropy, epoch))
            low, high = max(start - epoch * size, 0), min(stop - epoch * size, size)
            parts.append(self.rows[order[low:high]])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


@dataclass(frozen=True, eq=False)
class Plan:
    """The slices of every step of a run.

    `uniform` visits every row once an epoch; a batch that an epoch cannot fill is filled from
    the next, so that no batch is smaller (batch norm of a batch of one is undefined).
    `foreground` is the same with a third of each batch, rounded up, drawn from the rows that
    hold tumour. `balanced` deals in turn from the rows of each class that occurs, those without
    tumour being one more class.
    """

    rows_allowed: NDArray[np.int64]
    """(n,) int64, rows under /slice that may be drawn, rising: those of training."""
    voxels: NDArray[np.integer[Any]]
    """(n, classes) int, pixels of each class in those rows, background first."""
    batch_size: int
    sampling: str = "uniform"
    block: int = 1
    """Neighbouring slices kept together; 1 is a full shuffle."""
    seed: int = 0
    decks: tuple[Deck, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise ValueError(
                f"sampling must be one of {', '.join(SAMPLINGS)}, got {self.sampling!r}"
            )
        if self.batch_size < 1 or self.block < 1 or self.seed < 0:
            raise ValueError(
                "batch_size and block must be at least 1 and seed at least 0, "
                f"got {self.batch_size}, {self.block} and {self.seed}"
            )
        if len(self.voxels) != len(self.rows_allowed):
            raise ValueError(f"{len(self.rows_allowed)} rows but voxels of {len(self.voxels)}")
        if len(self.rows_allowed) == 0:
            raise BratsError("training: no slice is left; check the split and the slice file")
        object.__setattr__(self, "decks", tuple(self._decks()))

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which as many slices are drawn as there are rows, rounded up."""
        return -(-len(self.rows_allowed) // self.batch_size)

    def epoch(self, step: int) -> int:
        """Epoch that a step belongs to, counted from 0."""
        return step // self.steps_per_epoch

    def rows(self, step: int) -> NDArray[np.int64]:
        """Draw the slices of a step.

        Args:
            step: counted from 0 over the whole run.

        Returns:
            (batch_size,) int64, rows under /slice.
        """
        if self.sampling == "balanced":
            return self._dealt_in_turn(step)
        shares = self._shares()
        return np.concatenate(
            [
                deck.deal(step * share, (step + 1) * share)
                for deck, share in zip(self.decks, shares, strict=True)
            ]
        )

    def _shares(self) -> tuple[int, ...]:
        """Slices of a batch from each deck."""
        if self.sampling == "uniform":
            return (self.batch_size,)
        tumour = -(-self.batch_size // 3)
        return tumour, self.batch_size - tumour

    def _dealt_in_turn(self, step: int) -> NDArray[np.int64]:
        """Give place p of the run to deck p modulo decks."""
        start, n_decks = step * self.batch_size, len(self.decks)
        batch = np.empty(self.batch_size, np.int64)
        for i in range(min(n_decks, self.batch_size)):
            place = start + i
            count = len(range(i, self.batch_size, n_decks))
            batch[i::n_decks] = self.decks[place % n_decks].deal(
                place // n_decks, place // n_decks + count
            )
        return batch

    def _decks(self) -> list[Deck]:
        """Decks of this sampling; none is empty."""
        tumour = self.voxels[:, 1:].sum(axis=1) > 0
        everything = Deck(self.rows_allowed, self.block, (self.seed,))
        if self.sampling == "uniform":
            return [everything]
        if not tumour.any():
            raise BratsError(
                f"training: none of the {len(tumour)} slices holds tumour; "
                f"sampling {self.sampling} needs some, take --sampling uniform"
            )
        if self.sampling == "foreground":
            return [Deck(self.rows_allowed[tumour], self.block, (self.seed, 1)), everything]
        groups = [~tumour, *(self.voxels[:, k] > 0 for k in range(1, self.voxels.shape[1]))]
        return [
            Deck(self.rows_allowed[group], self.block, (self.seed, 2, k))
            for k, group in enumerate(groups)
            if group.any()
        ]
