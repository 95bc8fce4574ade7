"""What a run is to do: its settings, slice file, split and plan, made or found in its folder."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.atomic import replacing
from bratstrain.config import Sitting, TrainConfig
from bratstrain.data.intake import planes_name
from bratstrain.data.loader import Loader
from bratstrain.data.sampler import Plan
from bratstrain.data.splits import Split, make_split
from bratstrain.data.trained_cases import trained_rows, write_trained
from bratstrain.data.twins import Twins, compared_validation_twins, leak_warning
from bratstrain.device import (
    choose_device,
    choose_precision,
    cores,
    largest_batch,
    loader_threads,
    set_up,
)
from bratstrain.recipes import check_same, configure, depart
from bratstrain.runs.checkpoint import Checkpoint, load, read_config
from bratstrain.runs.files import (
    CONFIG,
    FACTS,
    LAST,
    SPLIT,
    TRAINED,
    read_json,
    read_text,
    versions,
    write_json,
)
from bratstrain.training.result import Progress
from bratstrain.training.step import WEIGHTED, Trainer, class_weights

RUNS: Final = Path("runs")
"""Folder of the run folders that nobody named."""
ENDLESS: Final = 1 << 40
"""Steps of a run that the time ends."""
Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Job:
    """A run, ready to be begun or gone on with."""

    folder: Path
    file: SliceFile
    config: TrainConfig
    """Settled: batch size and precision are those of the run's device."""
    sitting: Sitting
    split: Split
    device: torch.device
    plan: Plan = field(init=False)
    validation_rows: NDArray[np.int64] = field(init=False)
    """(n,) int64, rows under /slice."""

    def __post_init__(self) -> None:
        train, validation = (
            self.split.rows(part, self.file.slices, self.file.cases)
            for part in ("train", "validation")
        )
        if not len(validation):
            raise BratsError(
                f"{self.file.path}: holds no slice of the {len(self.split.validation)} validation "
                "cases; take another --fold or --split"
            )
        config = self.config
        plan = Plan(
            train,
            self.file.slices["voxels"][train],
            config.batch_size,
            config.sampling,
            config.block,
            config.seed,
        )
        object.__setattr__(self, "plan", plan)
        object.__setattr__(self, "validation_rows", validation)

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

    @cached_property
    def twins(self) -> Twins:
        """Which validation cases have a twin in training."""
        return compared_validation_twins(self.split, self.file)

    @property
    def planes(self) -> str:
        """Which planes validation looks at."""
        return planes_name(self.file)

    def load(self, first: int) -> Loader:
        """Start to read the batches from a step on."""
        return Loader(
            self.file,
            self.plan,
            first=first,
            last=self.steps or ENDLESS,
            threads=self.sitting.threads or loader_threads(self.device),
            prefetch=self.sitting.prefetch,
            device=self.device,
        )

    def line(self, step: int, n_parameters: int) -> str:
        """Say where the run lies, and what goes on from a step."""
        config, split = self.config, self.split
        unit = "slices" if split.name == "slice" else "cases"
        return (
            f"{self.folder}: {f'goes on after step {step}' if step else 'begins'}; "
            f"{config.model.kind}, {n_parameters:,} parameters, {config.precision} on "
            f"{self.device}; {len(split.train)} {unit} to learn from and "
            f"{len(split.validation)} to validate with, batches of {config.batch_size}"
        )


def run_folder(
    file: SliceFile, run: Path | str | None, config: TrainConfig | None, settings: Settings
) -> Path:
    """Name the folder of a run: the one that is given, or one that follows from its content."""
    if run is not None:
        return Path(run)
    asked = config or configure(**settings)
    content = f"{file.digest}{asked.to_json()}".encode()
    short = hashlib.sha256(content).hexdigest()[:8]
    return RUNS / f"{file.path.stem}-{asked.model.kind}-{short}"


def prepare(
    file: SliceFile,
    folder: Path,
    sitting: Sitting,
    config: TrainConfig | None,
    settings: Settings,
    *,
    is_there: bool,
) -> Job:
    """Find a run in its folder, or begin it there.

    Args:
        file: open slice file.
        folder: of the run; it exists.
        sitting: how this sitting is done.
        config: all settings at once, or None.
        settings: by name, as `bratstrain.recipes.configure` takes them.
        is_there: the folder holds a run, whose settings hold where nothing is said.

    Raises:
        BratsError: the run was begun with another slice file or split, or its files are damaged.
        ValueError: a setting is not allowed, or the run was begun with another.
    """
    device = choose_device(sitting.device)
    if config is not None and settings:
        raise ValueError(f"give config or settings by name, got both: {', '.join(settings)}")
    found = read_config(folder / CONFIG, read_text(folder / CONFIG)) if is_there else None
    if found is not None:
        asked = config or depart(found, settings)
        check_same(str(folder), asked, found)
        settled = found
    else:
        settled = on_device(config or configure(**settings), file, device)
    choose_precision(settled.precision, device)
    split = split_of(settled, file)
    job = Job(folder, file, settled, sitting, split, device)
    if warning := leak_warning(split, job.twins):
        warnings.warn(warning, stacklevel=3)
    if is_there:
        check_origin(job)
    else:
        begin(job)
    return job


def split_of(config: TrainConfig, file: SliceFile) -> Split:
    """Make the split that the settings name; the run's seed has no part in it.

    Runs of several seeds on one fold can be compared, and put together, only so.
    """
    return make_split(
        config.split, config.fold, file.slices, file.cases, test_share=config.test_share
    )


def check_origin(job: Job) -> None:
    """Refuse to go on with another slice file or another split.

    Raises:
        BratsError: a digest differs.
    """
    facts = read_json(job.folder / FACTS)
    for name, digest in (("data", job.file.digest), ("split", job.split.digest)):
        begun = facts.get(f"{name}_digest")
        if begun != digest:
            raise BratsError(
                f"{job.folder}: the run was begun with {name} {str(begun)[:16]}, "
                f"{job.file.path} gives {digest[:16]}; take the same, or name another --run"
            )


def begin(job: Job) -> None:
    """Write what stays the same in a run; the settings last, since they make it a run."""
    folder, file, split = job.folder, job.file, job.split
    facts = {
        "data": file.path.name,
        "data_digest": file.digest,
        "split_digest": split.digest,
        "split_leaks": split.leaks,
        "twins": job.twins.to_json(),
        "planes": job.planes,
        "scheme": scheme_of(file),
        "spacing": [float(side) for side in np.median(file.cases["spacing"], axis=0)],
        "device": device_name(job.device),
        "cores": cores(),
        "versions": versions(),
        "peak_memory_mb": 0.0,
        "finished": False,
    }
    write_json(folder / FACTS, facts)
    write_trained(folder / TRAINED, trained_rows(file.path, split.trained_cases))
    for name, text in ((SPLIT, split.to_json()), (CONFIG, job.config.to_json())):
        with replacing(folder / name) as out:
            out.write(f"{text}\n".encode())


def scheme_of(file: SliceFile) -> str:
    """Name the label scheme of the labelled cases; empty where there are several."""
    names = {str(row["scheme"]) for row in file.cases if row["labelled"]}
    return names.pop() if len(names) == 1 else ""


def device_name(device: torch.device) -> str:
    """Name a device for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def on_device(config: TrainConfig, file: SliceFile, device: torch.device) -> TrainConfig:
    """Settle what was left to the device: the precision, and the batch size where it is 0."""
    cell = 2 ** (config.model.depth - 1)
    if config.model.norm == "instance" and max(file.shape) <= cell:
        raise ValueError(
            f"depth {config.model.depth} leaves one pixel of {file.shape[0]} x {file.shape[1]}, "
            "of which instance norm knows no spread; take a smaller --depth or --norm batch"
        )
    config = replace(config, precision=choose_precision(config.precision, device))
    if config.batch_size:
        return config

    def attempt(n_slices: int) -> None:
        image = torch.zeros((n_slices, len(file.modalities), *file.shape), device=device)
        label = torch.zeros((n_slices, *file.shape), dtype=torch.uint8, device=device)
        Trainer(replace(config, compile=False), device).step(image, label, 0, 0.0)

    with set_up(device):
        return replace(config, batch_size=largest_batch(attempt, device))


def make_trainer(job: Job) -> Trainer:
    """Make the trainer of a run at its beginning."""
    weights = class_weights(job.plan.voxels) if job.config.loss in WEIGHTED else None
    return Trainer(job.config, job.device, weights)


def restore(job: Job, trainer: Trainer) -> Progress:
    """Put a trainer where the last checkpoint of a run was; without one it is at its beginning.

    Raises:
        BratsError: the checkpoint is damaged, or of another run.
    """
    path = job.folder / LAST
    if not path.exists():
        return Progress()
    found = load(path, Checkpoint)
    origin = (found.config, found.data_digest, found.split_digest)
    if origin != (job.config.to_json(), job.file.digest, job.split.digest):
        raise BratsError(f"{path}: is of another run; put the run's own file back")
    try:
        trainer.load_state({name: getattr(found, name) for name in trainer.state()})
        return Progress.from_plain(found.progress)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise BratsError(f"{path}: does not fit the run's network: {reason}") from error
