"""Everything that a run needs before its first step, read from its folder or made there."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.atomic import replacing
from bratsprep.system.threads import cores
from bratstrain.config import Session, TrainConfig
from bratstrain.data.augment import rare_classes
from bratstrain.data.splits import Split, enhancing_label, make_split
from bratstrain.data.trained_cases import trained_rows, write_trained
from bratstrain.data.trained_spacings import trained_spacings
from bratstrain.data.twins import leak_warning
from bratstrain.device import (
    choose_device,
    choose_precision,
    largest_batch,
    set_up,
)
from bratstrain.networks.contract import check_contract
from bratstrain.networks.losses import LOSSES
from bratstrain.recipes import check_same, configure, depart
from bratstrain.runs.checkpoint import Checkpoint, load, read_config
from bratstrain.runs.files import (
    BEST,
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
from bratstrain.training.cpu_precision import Trial, needs_trial, try_steps
from bratstrain.training.job import Job, make_job
from bratstrain.training.result import Progress
from bratstrain.training.step import Trainer, class_weights, empty_batch

RUNS: Final = Path("runs")
"""Parent of the run folders that the caller does not name."""
RUN: Final = 4
"""Neighbouring slices read together where samples share planes; six planes give four samples of
three."""
Settings = Mapping[str, Any]


def run_folder(
    file: SliceFile, run: Path | str | None, config: TrainConfig | None, settings: Settings
) -> Path:
    """Name the folder of a run: the given one, or one derived from slice file and settings."""
    if run is not None:
        return Path(run)
    requested = config or configure(**settings)
    content = f"{file.digest}{requested.to_json()}".encode()
    short = hashlib.sha256(content).hexdigest()[:8]
    return RUNS / f"{file.path.stem}-{requested.model.kind.replace(':', '.')}-{short}"


def prepare(
    file: SliceFile,
    folder: Path,
    session: Session,
    config: TrainConfig | None,
    settings: Settings,
    *,
    is_begun: bool,
) -> Job:
    """Prepare a run: read it from its folder, or begin it there.

    Args:
        file: open slice file.
        folder: of the run; it exists.
        session: how this session is done.
        config: all settings at once, or None.
        settings: by name, as `bratstrain.recipes.configure` takes them.
        is_begun: the folder holds a run, whose settings apply where no others are given.

    Raises:
        BratsError: the run was begun with another slice file or split, its files are damaged, or
            its network is a custom one that `settings` do not name.
        ValueError: a setting is not allowed, or the run was begun with another.
    """
    device = choose_device(session.device)
    check_slices(file)
    settled = settings_of(folder, file, config, settings, is_begun=is_begun)
    if settled.model.is_custom:
        check_contract(settled.model, *file.shape)
    trial = None
    if not is_begun:
        if needs_trial(settled, device):
            trial = try_steps(settled, file, device)
            settled = replace(settled, precision=trial.precision)
        settled = on_device(settled, file, device)
    choose_precision(settled.precision, device)
    split = split_of(settled, file)
    job = make_job(folder, file, settled, session, split, device)
    if warning := leak_warning(split, job.twins):
        warnings.warn(warning, stacklevel=3)
    if is_begun:
        check_origin(job)
    else:
        begin(job, trial)
    return job


def check_slices(file: SliceFile) -> None:
    """Refuse a slice file without slices, for which no split or fold can help.

    Raises:
        BratsError: it holds none.
    """
    if not len(file.slices):
        raise BratsError(
            f"{file.path}: holds no slice, since none of its {len(file.cases)} cases has tumour; "
            "check the labels with 'bratsprep inspect', or build with --slices brain"
        )


def sized(config: TrainConfig, file: SliceFile) -> TrainConfig:
    """The same settings for a network with the modalities, classes and voxels of a slice file."""
    model = replace(
        config.model,
        modalities=len(file.modalities),
        classes=len(file.classes),
        thickness=thickness(file) if config.model.is_volumetric else 1.0,
    )
    return replace(config, model=model)


def thickness(file: SliceFile) -> float:
    """Height of a voxel over its width, the median of the cases of a slice file."""
    x, y, z = file.cases["spacing"].astype(float).T
    return float(np.round(np.median(z / np.sqrt(x * y)), 2))


def settings_of(
    folder: Path,
    file: SliceFile,
    config: TrainConfig | None,
    settings: Settings,
    *,
    is_begun: bool,
) -> TrainConfig:
    """Settings of a run: those given where it begins, its own where it is resumed.

    Its own are checked against those given. Code that a run folder names is not run unless the
    caller has named it too.

    Raises:
        BratsError: its own cannot be read, or name a custom network that the caller does not.
        ValueError: a given setting is not allowed, or differs.
    """
    if config is not None and settings:
        raise ValueError(f"give config or settings by name, got both: {', '.join(settings)}")
    if not is_begun:
        return sized(config or configure(**settings), file)
    begun = read_config(folder / CONFIG, read_text(folder / CONFIG))
    check_same(str(folder), sized(config or depart(begun, settings), file), begun)
    if begun.model.is_custom and config is None and "model" not in settings:
        raise BratsError(
            f"{folder}: its network is made by {begun.model.kind}, and resuming the run would "
            f"execute that code; if you trust it, add --model {begun.model.kind}"
        )
    return begun


def split_of(config: TrainConfig, file: SliceFile) -> Split:
    """Make the split that the settings name.

    It does not depend on the run's seed, so that runs of several seeds on one fold have the same
    validation cases.
    """
    return make_split(
        config.split,
        config.fold,
        file.slices,
        file.cases,
        test_share=config.test_share,
        enhancing=enhancing_label(file.classes.classes),
    )


def check_origin(job: Job) -> None:
    """Refuse to resume a run with another slice file or another split.

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


def begin(job: Job, trial: Trial | None) -> None:
    """Write the files that stay the same during a run.

    The settings are written last: a folder with settings counts as a run.

    Args:
        job: the run.
        trial: what the precision was decided by, None where nothing was tried.
    """
    folder, file, split = job.folder, job.file, job.split
    facts = {
        "data": file.path.name,
        "data_digest": file.digest,
        "split_digest": split.digest,
        "split_leaks": split.leaks,
        "twins": job.twins.to_json(),
        "planes": job.planes,
        "neighbours_lost": job.neighbours_lost,
        "scheme": scheme_of(file),
        "spacings": trained_spacings(file.path, split.trained_cases).to_json(),
        "device": device_name(job.device),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "precision_trial": trial and trial.to_json(),
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
    """Name the label scheme of the labelled cases; empty where they have several."""
    names = {str(row["scheme"]) for row in file.cases if row["labelled"]}
    return names.pop() if len(names) == 1 else ""


def device_name(device: torch.device) -> str:
    """Name a device as its maker does, or by its kind: `cpu` or `mps`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def on_device(config: TrainConfig, file: SliceFile, device: torch.device) -> TrainConfig:
    """Settle what was left open: the precision, the batch size, and the slices read together.

    Raises:
        ValueError: the network's lowest level would be one pixel under instance norm, or the
            precision needs another device.
    """
    model = config.model
    if (
        not (model.is_custom or model.is_volumetric)
        and model.norm == "instance"
        and max(file.shape) <= 2 ** (model.depth - 1)
    ):
        raise ValueError(
            f"depth {model.depth} leaves one pixel of {file.shape[0]} x {file.shape[1]}, which "
            "has no standard deviation for instance norm; take a smaller --depth or --norm batch"
        )
    config = replace(config, precision=choose_precision(config.precision, device))
    config = replace(config, block=config.block or (RUN if model.context > 1 else 1))
    if config.batch_size:
        return config

    def attempt(n_slices: int) -> None:
        image, label = empty_batch(model, file.shape, n_slices, device)
        Trainer(replace(config, compile=False), device).step(image, label, 0, 0.0)

    with set_up(device):
        return replace(config, batch_size=largest_batch(attempt, device))


def make_trainer(job: Job) -> Trainer:
    """Make the trainer of a run at its beginning."""
    is_weighted = LOSSES[job.config.loss].is_weighted
    weights = class_weights(job.voxels) if is_weighted else None
    return Trainer(job.config, job.device, weights, rare_classes(job.voxels))


def restore(job: Job, trainer: Trainer) -> Progress:
    """Bring a trainer to the last checkpoint of a run; without one it stays at the beginning.

    Raises:
        BratsError: the checkpoint is damaged, or of another run.
    """
    path = job.folder / LAST
    if not path.exists():
        return Progress()
    try:
        checkpoint = load(path, Checkpoint)
    except BratsError as error:
        raise BratsError(f"{error}; {way_on(job.folder)}") from error
    origin = (checkpoint.data_digest, checkpoint.split_digest)
    is_ours = origin == (job.file.digest, job.split.digest)
    if not is_ours or read_config(path, checkpoint.config) != job.config:
        raise BratsError(f"{path}: is of another run; put the run's own file back")
    try:
        trainer.load_state({name: getattr(checkpoint, name) for name in trainer.state()})
        return Progress.from_plain(checkpoint.progress)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise BratsError(f"{path}: does not fit the run's network: {reason}") from error


def way_on(folder: Path) -> str:
    """Name the ways on for a run whose last checkpoint cannot be read."""
    restart = f"delete {LAST} to start the run over from step 0"
    if not (folder / BEST).is_file():
        return restart
    return f"{restart}; until then evaluate and predict still use {BEST}"
