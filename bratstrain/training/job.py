"""`Job`: a run, ready to begin or to be resumed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.config import Session, TrainConfig
from bratstrain.data.intake import planes_name
from bratstrain.data.loader import Loader
from bratstrain.data.neighbours import Samples, check_stored, neighbours_of
from bratstrain.data.patch_plan import PatchPlan, check_whole, make_patch_plan
from bratstrain.data.sampler import Plan, make_plan
from bratstrain.data.splits import Split
from bratstrain.data.twins import Twins, compared_validation_twins
from bratstrain.device import loader_threads
from bratstrain.ranks.group import Group
from bratstrain.training.here import Here
from bratstrain.training.predictions import Cases
from bratstrain.training.result import Progress
from bratstrain.training.schedule import FORWARD, time_to_learn

ENDLESS: Final = 1 << 40
"""Upper bound of the steps of a run whose length is in minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A run, ready to begin or to be resumed; `make_job` makes one."""

    folder: Path
    file: SliceFile
    config: TrainConfig
    """Settled: batch size and precision are those of the run's device."""
    here: Here
    """How this process fits it."""
    split: Split
    plan: Plan | PatchPlan
    """What every step reads."""
    validation: Samples | Cases
    """What is validated on."""
    voxels: NDArray[np.integer[Any]]
    """(n, classes) int, pixels of each class in each training slice, background first."""
    twins: Twins
    """Validation cases with a twin in training."""
    neighbours_lost: float | None = None
    """Share of the neighbours of training slices that are missing; None for single planes."""

    @property
    def session(self) -> Session:
        """How this session is done."""
        return self.here.session

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self.here.device

    @property
    def group(self) -> Group:
        """The ranks that fit the run."""
        return self.here.group

    @property
    def steps(self) -> int:
        """Steps of the whole run; 0 where the time decides."""
        if self.config.minutes:
            return 0
        return self.config.steps or self.config.epochs * self.plan.steps_per_epoch

    @property
    def validate_steps(self) -> int:
        """Steps between validations."""
        return self.config.validate_steps or self.plan.steps_per_epoch

    @property
    def planes(self) -> str:
        """Which planes validation scores."""
        return planes_name(self.file)

    def is_over(self, progress: Progress) -> bool:
        """Whether no step is left: by number, time or patience."""
        if self.config.patience and progress.since_best >= self.config.patience:
            return True
        if self.config.minutes:
            return progress.used_s >= self._learning_s(progress)
        return progress.step >= self.steps

    def is_finished(self, progress: Progress) -> bool:
        """Whether the run is over and its last weights are validated."""
        return self.is_over(progress) and progress.step == progress.validated

    def share_done(self, progress: Progress) -> float:
        """Share of the run that is over, 0 to 1; of its time where the length is in minutes."""
        if self.config.minutes:
            return min(1.0, progress.used_s / self._learning_s(progress))
        return progress.step / self.steps

    @property
    def n_own(self) -> int:
        """Samples of a step that this rank learns."""
        return self.config.batch_size // self.group.size

    @property
    def slices(self) -> int:
        """Slices that a step learns from; the planes of each patch."""
        model = self.config.model
        return self.config.batch_size * (model.patch_sides[0] if model.is_volumetric else 1)

    def _learning_s(self, progress: Progress) -> float:
        """Seconds for learning in a run whose length is in minutes.

        The rest is for the last validation. Before the first one its time is estimated from the
        steps so far.
        """
        n_batches = len(self.validation.rows) / self.slices
        estimated_s = FORWARD * n_batches * progress.used_s / max(progress.step, 1)
        return time_to_learn(60 * self.config.minutes, progress.validation_s or estimated_s)

    def load(self, first: int) -> Loader:
        """Start to read the batches, beginning with that of step `first`."""
        return Loader(
            self.file,
            self.plan,
            first=first,
            last=self.steps or ENDLESS,
            threads=self.session.threads or loader_threads(self.device, self.group.n_here),
            prefetch=self.session.prefetch,
            device=self.device,
        )

    def line(self, step: int, n_parameters: int) -> str:
        """Describe the run in one line; `step` is the one that it is resumed after, 0 for none."""
        config, split = self.config, self.split
        unit = "slices" if split.name == "slice" else "cases"
        return (
            f"{self.folder}: {f'resumes after step {step}' if step else 'begins'}; "
            f"{config.model.kind}, {n_parameters:,} parameters, {config.precision} on "
            f"{self.device}; {len(split.train)} training and {len(split.validation)} validation "
            f"{unit}, batches of {config.batch_size}{self._about_samples()}{self._about_ranks()}"
        )

    def _about_samples(self) -> str:
        """Say what a sample is: patches, or how many planes; empty for single slices."""
        model = self.config.model
        if model.is_volumetric:
            return f" patches of {model.patch}"
        if self.neighbours_lost is None:
            return ""
        return (
            f"; {model.context} planes a sample, neighbours: {1 - self.neighbours_lost:.1%} stored"
        )

    def _about_ranks(self) -> str:
        """Say how many ranks fit the run; empty for one."""
        return f"; {self.group.size} ranks" if self.group.size > 1 else ""


def make_job(
    folder: Path,
    file: SliceFile,
    config: TrainConfig,
    here: Here,
    split: Split,
) -> Job:
    """Choose the slices of a run.

    Args:
        folder: of the run.
        file: open slice file.
        config: settled on the device.
        here: how this process fits it.
        split: whose training and validation cases are taken.

    Raises:
        BratsError: the slice file holds no slice of the training or of the validation cases, or
            lacks too many of the planes around them.
        ValueError: the ranks cannot share a batch.
    """
    check_divides(config.batch_size, here.group.size)
    check_compiles(config, here.group.size)
    train, validation = (
        split.rows(part, file.slices, file.cases) for part in ("train", "validation")
    )
    if not len(validation):
        raise BratsError(
            f"{file.path}: holds no slice of the {len(split.validation)} validation cases; take "
            "another --fold or --split"
        )
    voxels = file.slices["voxels"][train]
    plan, samples, lost = dealt(file, config, train, validation)
    plan, samples = replace(plan, group=here.group), replace(samples, group=here.group)
    twins = compared_validation_twins(split, file)
    return Job(folder, file, config, here, split, plan, samples, voxels, twins, lost)


def check_divides(batch_size: int, n_ranks: int) -> None:
    """Refuse a batch that the ranks cannot share.

    Raises:
        ValueError: it cannot be divided.
    """
    if batch_size % n_ranks:
        lower = batch_size - batch_size % n_ranks
        batches = " or ".join(str(size) for size in (lower, lower + n_ranks) if size)
        ranks = ", ".join(str(n) for n in range(1, n_ranks) if not batch_size % n)
        raise ValueError(
            f"batch {batch_size} cannot be divided over {n_ranks} ranks; begin a run with a batch "
            f"of {batches}, or take {ranks} ranks"
        )


def check_compiles(config: TrainConfig, n_ranks: int) -> None:
    """Refuse to compile a network whose layers send messages, which nobody has tried.

    Raises:
        ValueError: it is such a network.
    """
    if config.compile and n_ranks > 1 and config.model.norm == "batch":
        raise ValueError(
            f"compile has not been tried with batch norm over {n_ranks} ranks; leave it out, or "
            "take --norm instance"
        )


def dealt(
    file: SliceFile,
    config: TrainConfig,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
) -> tuple[Plan | PatchPlan, Samples | Cases, float | None]:
    """Plan what every step reads, and what is validated on.

    Args:
        file: open slice file.
        config: settled on the device.
        train: (n,) int64, rows under /slice of the training cases.
        validation: (v,) int64, rows under /slice of the validation cases.

    Returns:
        Plan, validation, and the share of the neighbours of training slices that is missing; None
        where a sample is one plane or a patch.

    Raises:
        BratsError: there is no slice, or the file lacks too many planes around the slices.
    """
    model, voxels = config.model, file.slices["voxels"][train]
    if model.is_volumetric:
        check_whole(file, np.concatenate([train, validation]))
        sides = model.patch_sides
        patches = make_patch_plan(
            file, train, sides, config.batch_size, config.sampling, config.seed
        )
        return patches, Cases(validation, sides), None
    neighbours, lost = None, None
    if model.context > 1:
        neighbours = neighbours_of(file, model.context)
        lost = neighbours.lost_share(train)
        check_stored(file, lost, config.missing_neighbours, model.context // 2)
    plan = make_plan(
        train,
        voxels,
        config.batch_size,
        config.sampling,
        config.block,
        config.seed,
        neighbours=neighbours,
    )
    return plan, Samples(validation, neighbours), lost
