"""Which slices a step sees: pure functions of seed and step, so a resumed run sees the same.

To add a sampling: a function of `Candidates` and a batch size that gives a `Draw`, a line in
`SAMPLINGS`, and the same name in `bratstrain.config.Sampling`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratstrain.data.neighbours import Neighbours
from bratstrain.data.reading import Reading
from bratstrain.ranks.group import ALONE, Group

FOREGROUND_SHARE: Final = 3
"""Of so many slices, `foreground` draws one from those that hold tumour."""


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
class RowStream:
    """Rows in an endless order: a new shuffle each time that all have been taken."""

    rows: NDArray[np.int64]
    """(n,) int64, rows under /slice, at least one."""
    block: int
    """Neighbouring rows kept together; 1 is a full shuffle."""
    entropy: tuple[int, ...]
    """Seed, and what distinguishes this stream from others of the same seed."""

    def take(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows at places `start` to `stop` of the order, (stop - start,) int64."""
        size = len(self.rows)
        parts = []
        for epoch in range(start // size, (stop - 1) // size + 1):
            order = _order(size, self.block, (*self.entropy, epoch))
            low, high = max(start - epoch * size, 0), min(stop - epoch * size, size)
            parts.append(self.rows[order[low:high]])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


Draw: TypeAlias = Callable[[int], NDArray[np.int64]]
"""The slices of a step, counted from 0: (batch_size,) int64, rows under /slice."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The slices that a run may draw: those of training."""

    rows: NDArray[np.int64]
    """(n,) int64, rows under /slice, rising."""
    voxels: NDArray[np.integer[Any]]
    """(n, classes) int, pixels of each class in those rows, background first."""
    block: int
    """Neighbouring slices kept together; 1 is a full shuffle."""
    seed: int

    def all(self) -> RowStream:
        """Order all of them."""
        return RowStream(self.rows, self.block, (self.seed,))

    def only(self, chosen: NDArray[np.bool_], *entropy: int) -> RowStream:
        """Order some of them.

        Args:
            chosen: (n,) bool, at least one of them true.
            *entropy: numbers that no other stream of this seed has.
        """
        return RowStream(self.rows[chosen], self.block, (self.seed, *entropy))

    def holds_tumour(self, sampling: str) -> NDArray[np.bool_]:
        """Mark the slices that hold tumour, (n,) bool.

        Raises:
            BratsError: none does, which the sampling needs.
        """
        tumour: NDArray[np.bool_] = self.voxels[:, 1:].sum(axis=1) > 0
        if not tumour.any():
            raise BratsError(
                f"training: none of the {len(tumour)} slices holds tumour; "
                f"sampling {sampling} needs some, take --sampling uniform"
            )
        return tumour


def uniform(candidates: Candidates, batch_size: int) -> Draw:
    """Visit every slice once an epoch.

    A batch that an epoch cannot fill is filled from the next, so that no batch is smaller: batch
    norm of a batch of one is undefined.
    """
    stream = candidates.all()
    return lambda step: stream.take(step * batch_size, (step + 1) * batch_size)


def foreground(candidates: Candidates, batch_size: int) -> Draw:
    """Draw a third of each batch, rounded up, from the slices that hold tumour, the rest from all.

    Batches below three cannot hold a third each: there, every third slice of the run is one that
    holds tumour.
    """
    tumour = candidates.only(candidates.holds_tumour("foreground"), 1)
    everything = candidates.all()
    per_batch = -(-batch_size // FOREGROUND_SHARE)

    def n_tumour(step: int) -> int:
        """Slices with tumour in all steps before one."""
        if batch_size < FOREGROUND_SHARE:
            return -(-step * batch_size // FOREGROUND_SHARE)
        return step * per_batch

    def draw(step: int) -> NDArray[np.int64]:
        start, stop = n_tumour(step), n_tumour(step + 1)
        others = everything.take(step * batch_size - start, (step + 1) * batch_size - stop)
        return np.concatenate([tumour.take(start, stop), others])

    return draw


def balanced(candidates: Candidates, batch_size: int) -> Draw:
    """Draw in turn from the slices of each class; those without tumour are one more class."""
    tumour = candidates.holds_tumour("balanced")
    n_classes = candidates.voxels.shape[1]
    groups = [~tumour, *(candidates.voxels[:, k] > 0 for k in range(1, n_classes))]
    streams = [candidates.only(group, 2, k) for k, group in enumerate(groups) if group.any()]

    def draw(step: int) -> NDArray[np.int64]:
        start, n_streams = step * batch_size, len(streams)
        batch = np.empty(batch_size, np.int64)
        for i in range(min(n_streams, batch_size)):  # place p of the run is of stream p % n_streams
            place = start + i
            count = len(range(i, batch_size, n_streams))
            first = place // n_streams
            batch[i::n_streams] = streams[place % n_streams].take(first, first + count)
        return batch

    return draw


SAMPLINGS: Final[Mapping[str, Callable[[Candidates, int], Draw]]] = MappingProxyType(
    {"uniform": uniform, "foreground": foreground, "balanced": balanced}
)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The slices of every step of a run; `make_plan` makes one."""

    batch_size: int
    """Slices of a step."""
    n_rows: int
    """Slices that may be drawn."""
    rows: Draw
    """The slices of a step: (batch_size,) int64, rows under /slice."""
    neighbours: Neighbours | None = None
    """The planes around each slice; None where a sample is one plane."""
    group: Group = ALONE
    """The ranks that each step is divided over; this one reads its share."""

    @property
    def most_rows(self) -> int:
        """Largest number of slices that a step reads here."""
        planes = 1 if self.neighbours is None else self.neighbours.context
        return self.batch_size // self.group.size * planes

    def reading(self, step: int) -> Reading:
        """What a step reads here."""
        rows = self.rows(step)[self.group.own(self.batch_size)]
        return Reading(rows) if self.neighbours is None else self.neighbours.reading(rows)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which as many slices are drawn as there are rows, rounded up."""
        return -(-self.n_rows // self.batch_size)

    def epoch(self, step: int) -> int:
        """Epoch that a step belongs to, counted from 0."""
        return step // self.steps_per_epoch


def make_plan(
    rows: NDArray[np.int64],
    voxels: NDArray[np.integer[Any]],
    batch_size: int,
    sampling: str = "uniform",
    block: int = 1,
    seed: int = 0,
    *,
    neighbours: Neighbours | None = None,
) -> Plan:
    """Plan the slices of every step.

    Args:
        rows: (n,) int64, rows under /slice that may be drawn, rising: those of training.
        voxels: (n, classes) int, pixels of each class in those rows, background first.
        batch_size: slices of a step, at least 1.
        sampling: a name in `SAMPLINGS`.
        block: neighbouring slices kept together, at least 1; 1 is a full shuffle.
        seed: the run's seed, at least 0.
        neighbours: the planes around each slice of the file; None where a sample is one plane.

    Raises:
        ValueError: an argument is out of its range, or `rows` and `voxels` differ in length.
        BratsError: there is no row, or no tumour where the sampling needs some.
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
    if batch_size < 1 or block < 1 or seed < 0:
        raise ValueError(
            "batch_size and block must be at least 1 and seed at least 0, "
            f"got {batch_size}, {block} and {seed}"
        )
    if len(voxels) != len(rows):
        raise ValueError(f"{len(rows)} rows but voxels of {len(voxels)}")
    if len(rows) == 0:
        raise BratsError("training: no slice is left; check the split and the slice file")
    draw = SAMPLINGS[sampling](Candidates(rows, voxels, block, seed), batch_size)
    return Plan(batch_size, len(rows), draw, neighbours)
