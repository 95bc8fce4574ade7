"""Which patches a step sees: pure functions of seed and step, so a resumed run sees the same.

Every case comes once before one comes again. A share of the patches is around a voxel of a class:
first the class is drawn among those of the case, then the plane by its stored number of voxels, and
the voxel in that plane when it has been read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.patches import ANYWHERE, Aim, PatchReading
from bratstrain.data.sampler import FOREGROUND_SHARE, RowStream
from bratstrain.ranks.group import ALONE, Group

AIMED: Final = {"uniform": 0, "foreground": FOREGROUND_SHARE, "balanced": 1}
"""Of so many patches, each sampling has one around a voxel of a class; 0 has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The stored planes of one case."""

    rows: NDArray[np.int64]
    """(s,) int64, rows under /slice."""
    z: NDArray[np.int64]
    """(s,) int64, plane of each in the volume, rising."""
    voxels: NDArray[np.integer[Any]]
    """(s, classes) int, pixels of each class, background first."""

    def aim(self, depth: int, *, at_class: bool, generator: np.random.Generator) -> Aim:
        """Place a patch of so many planes, around a voxel of a class where it is to be so."""
        low, high = sorted((int(self.z[0]), int(self.z[-1]) - depth + 1))
        start = int(generator.integers(low, high + 1))
        draws = (float(generator.random()), float(generator.random()))
        present = np.flatnonzero(self.voxels[:, 1:].sum(axis=0)) + 1
        label, plane = ANYWHERE, start
        if at_class and len(present):
            label = int(generator.choice(present))
            counts = self.voxels[:, label].astype(np.float64)
            plane = int(generator.choice(self.z, p=counts / counts.sum()))
            start = min(max(plane - depth // 2, low), high)
        wanted = start + np.arange(depth)
        nearest = np.minimum(np.searchsorted(self.z, wanted), len(self.z) - 1)
        rows = np.where(self.z[nearest] == wanted, self.rows[nearest], -1)
        return Aim(rows, label, plane - start, draws)


@dataclass(frozen=True, slots=True, eq=False)
class PatchPlan:
    """The patches of every step of a run; `make_patch_plan` makes one."""

    batch_size: int
    """Patches of a step."""
    n_rows: int
    """Patches of an epoch: those that hold as many voxels as the stored planes."""
    sides: tuple[int, ...]
    """Depth, height and width of a patch."""
    stacks: tuple[Stack, ...]
    """One a case."""
    aimed: int
    """As in `AIMED`."""
    seed: int
    group: Group = ALONE
    """The ranks that each step is divided over; this one reads its share."""

    @property
    def most_rows(self) -> int:
        """Largest number of slices that a step reads here."""
        return self.batch_size // self.group.size * self.sides[0]

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which as many patches are drawn as an epoch has, rounded up."""
        return -(-self.n_rows // self.batch_size)

    def epoch(self, step: int) -> int:
        """Epoch that a step belongs to, counted from 0."""
        return step // self.steps_per_epoch

    def reading(self, step: int) -> PatchReading:
        """What a step reads here."""
        own = self.group.own(self.batch_size)
        first = step * self.batch_size + own.start
        order = RowStream(np.arange(len(self.stacks)), 1, (self.seed, 3))
        cases = order.take(first, first + own.stop - own.start).tolist()
        aims = tuple(self._aim(case, place) for place, case in enumerate(cases, first))
        wanted = np.array([aim.rows for aim in aims])
        rows = np.unique(wanted[wanted >= 0])
        places = np.where(wanted >= 0, np.searchsorted(rows, wanted), -1)
        return PatchReading(rows, places, aims, self.sides[1:])

    def _aim(self, case: int, place: int) -> Aim:
        """Place the patch at a place of the run in a case."""
        generator = np.random.default_rng((self.seed, 4, place))
        at_class = self.aimed > 0 and place % self.aimed == 0
        return self.stacks[case].aim(self.sides[0], at_class=at_class, generator=generator)


def make_patch_plan(
    file: SliceFile,
    rows: NDArray[np.int64],
    sides: Sequence[int],
    batch_size: int,
    sampling: str,
    seed: int,
) -> PatchPlan:
    """Plan the patches of every step.

    Args:
        file: open slice file.
        rows: (n,) int64, rows under /slice of the training cases, rising; at least one.
        sides: depth, height and width of a patch.
        batch_size: patches of a step, at least 1.
        sampling: a name in `AIMED`.
        seed: the run's seed, at least 0.

    Raises:
        BratsError: there is no tumour where the sampling needs some.
    """
    case = file.slices["case"][rows]
    parts = np.split(rows, np.flatnonzero(np.diff(case)) + 1)
    stacks = tuple(
        Stack(part, file.slices["z"][part].astype(np.int64), file.slices["voxels"][part])
        for part in parts
    )
    if AIMED[sampling] and not any(stack.voxels[:, 1:].any() for stack in stacks):
        raise BratsError(
            f"training: none of the {len(stacks)} cases holds tumour; sampling {sampling} needs "
            "some, take --sampling uniform"
        )
    share = len(rows) * math.prod(file.shape) / math.prod(sides)
    n_patches = max(len(stacks), math.ceil(share))
    return PatchPlan(batch_size, n_patches, tuple(sides), stacks, AIMED[sampling], seed)


def check_whole(file: SliceFile, rows: NDArray[np.int64]) -> None:
    """Refuse a slice file that does not hold every plane with brain of some cases.

    Args:
        file: open slice file.
        rows: (n,) int64, rows under /slice of the cases.

    Raises:
        BratsError: it lacks some.
    """
    planes, slices = file.planes, file.slices
    wanted = (planes["brain"] > 0) & np.isin(planes["case"], slices["case"][rows])
    first = np.searchsorted(planes["case"], slices["case"])
    is_stored = np.zeros(len(planes), bool)
    is_stored[first + slices["z"]] = True
    n_lost = int((wanted & ~is_stored).sum())
    if n_lost:
        raise BratsError(
            f"{file.path}: lacks {n_lost:,} of the {int(wanted.sum()):,} planes with brain, and a "
            "3D network needs all of them; build it with --slices brain"
        )
