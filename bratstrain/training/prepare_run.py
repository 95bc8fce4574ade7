"""Everything that a run needs before its first step, read from its folder or made there."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratsprep.system.atomic import replacing
from bratsprep.system.threads import cores
from bratstrain.config import TrainConfig
from bratstrain.data.augment import rare_classes
from bratstrain.data.splits import Split, enhancing_label, make_split
from bratstrain.data.trained_cases import (
    joined_rows,
    read_trained,
    trained_rows,
    write_trained,
)
from bratstrain.data.trained_spacings import trained_spacings
from bratstrain.data.twins import compared_validation_twins, leak_warning
from bratstrain.device import choose_precision, largest_batch, set_up
from bratstrain.networks.build import places_of
from bratstrain.networks.contract import check_contract
from bratstrain.networks.losses import LOSSES
from bratstrain.networks.outputs import nesting_of
from bratstrain.recipes import check_same, configure_like, depart
from bratstrain.runs.checkpoint import Checkpoint, Weights, load, read_config, save
from bratstrain.runs.files import (
    BEST,
    CONFIG,
    FACTS,
    LAST,
    SPLIT,
    START,
    TRAINED,
    read_json,
    read_text,
    versions,
    write_json,
)
from bratstrain.training.cpu_precision import Trial, needs_trial, try_steps
from bratstrain.training.here import Here
from bratstrain.training.job import Job, make_job
from bratstrain.training.result import Progress
from bratstrain.training.start import (
    Origin,
    learnt_before,
    start_facts,
    start_warning,
    taken_state,
)
from bratstrain.training.step import Trainer, class_weights, empty_batch

RUNS: Final = Path("runs")
"""Parent of the run folders that the caller does not name."""
RUN: Final = 4
"""Neighbouring slices read together where samples share planes; six planes give four samples of
three."""
Settings = Mapping[str, Any]


def run_folder(
    file: SliceFile,
    run: Path | str | None,
    config: TrainConfig | None,
    settings: Settings,
    origin: Origin | None = None,
) -> Path:
    """Name the folder of a run: the given one, or one derived from slice file and settings.

    Args:
        file: open slice file.
        run: the given one, or None.
        config: all settings at once, or None.
        settings: by name, as `bratstrain.recipes.configure` takes them.
        origin: the run that it begins from, whose weights decide about the name too.

    Raises:
        BratsError: the settings of that run cannot be read.
        ValueError: a setting is not allowed.
    """
    if run is not None:
        return Path(run)
    model = None if origin is None else origin.model
    requested = config or configure_like(model, settings)
    content = f"{file.digest}{requested.to_json()}{origin.digest if origin else ''}".encode()
    short = hashlib.sha256(content).hexdigest()[:8]
    return RUNS / f"{file.path.stem}-{requested.model.kind.replace(':', '.')}-{short}"


def prepare(
    file: SliceFile,
    folder: Path,
    here: Here,
    config: TrainConfig | None,
    settings: Settings,
    *,
    is_begun: bool,
    origin: Origin | None = None,
) -> Job:
    """Prepare a run: read it from its folder, or begin it there.

    The first of several ranks begins it, and the others read what it has written.

    Args:
        file: open slice file.
        folder: of the run; it exists.
        here: how this process fits it.
        config: all settings at once, or None.
        settings: by name, as `bratstrain.recipes.configure` takes them.
        is_begun: the folder holds a run, whose settings apply where no others are given.
        origin: the run that this one begins from; None where none is given.

    Raises:
        BratsError: the run was begun with another slice file, split or weights, its files are
            damaged, or its network is a custom one that `settings` do not name.
        ValueError: a setting is not allowed, or the run was begun with another.
    """
    device = here.device
    check_slices(file)
    settled = settings_of(folder, file, config, settings, is_begun=is_begun, origin=origin)
    if settled.model.is_custom:
        check_contract(settled.model, *file.shape)
    trial = None
    if not is_begun:
        if needs_trial(settled, device):
            trial = try_steps(settled, file, device)
            settled = replace(settled, precision=trial.precision)
        settled = on_device(settled, file, here)
    choose_precision(settled.precision, device)
    split = split_of(settled, file)
    job = make_job(folder, file, settled, here, split)
    if (warning := leak_warning(split, job.twins)) and here.group.is_first:
        warnings.warn(warning, stacklevel=3)
    if is_begun:
        check_origin(job, origin)
        return with_learnt_before(job, read_trained(folder / TRAINED))
    trained = trained_rows(file.path, split.trained_cases)
    if origin is not None and origin.trained is not None:
        trained = joined_rows(trained, origin.trained)
    job = with_learnt_before(job, trained)
    begin(job, trial, trained, origin)
    return job


def with_learnt_before(job: Job, trained: NDArray[np.void] | None) -> Job:
    """Count people whom an earlier run has learnt as learnt by the one that begins from it.

    Args:
        job: of the run.
        trained: (n,) structured `trained_cases.row_dtype` of it and of the earlier runs; None
            where they are not known.
    """
    if trained is None or len(trained) == len(job.split.trained_cases):
        return job
    return replace(job, twins=compared_validation_twins(job.split, job.file, trained))


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
    """The same settings for a network with the modalities, classes and voxels of a slice file.

    Raises:
        ValueError: the target is regions, and those of the file do not nest; or a difference is
            not of two of its modalities.
    """
    model = replace(
        config.model,
        modalities=len(file.modalities),
        classes=len(file.classes),
        nesting=nesting_of(file.classes) if config.model.target == "regions" else (),
        differences=places_of(config.model.difference, file.modalities),
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
    origin: Origin | None = None,
) -> TrainConfig:
    """Settings of a run: those given where it begins, its own where it is resumed.

    Its own are checked against those given. Code that a run folder names is not run unless the
    caller has named it too. A run that begins from another one has the network of that one, and
    what departs from it.

    Raises:
        BratsError: its own cannot be read, or name a custom network that the caller does not.
        ValueError: a given setting is not allowed, or differs.
    """
    if config is not None and settings:
        raise ValueError(f"give config or settings by name, got both: {', '.join(settings)}")
    if not is_begun:
        model = None if origin is None else origin.model
        settled = sized(config or configure_like(model, settings), file)
        if origin is not None:
            refuse_unnamed(settled, config, settings, "beginning from it", origin.name)
        return settled
    begun = read_config(folder / CONFIG, read_text(folder / CONFIG))
    check_same(str(folder), sized(config or depart(begun, settings), file), begun)
    refuse_unnamed(begun, config, settings, "resuming the run", str(folder))
    return begun


def refuse_unnamed(
    settled: TrainConfig,
    config: TrainConfig | None,
    settings: Settings,
    doing: str,
    run: str,
) -> None:
    """Refuse to run the code of a custom network that a run names and the caller does not.

    Args:
        settled: settings whose network would be made.
        config: all settings of the caller at once, or None.
        settings: of the caller, by name.
        doing: what would run the code.
        run: where the network is named.

    Raises:
        BratsError: the caller does not name it.
    """
    if settled.model.is_custom and config is None and "model" not in settings:
        raise BratsError(
            f"{run}: its network is made by {settled.model.kind}, and {doing} would execute that "
            f"code; if you trust it, add --model {settled.model.kind}"
        )


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


def check_origin(job: Job, origin: Origin | None = None) -> None:
    """Refuse to resume a run with another slice file, another split or from other weights.

    Args:
        job: of the run.
        origin: the run that it is to begin from; None takes the run's own.

    Raises:
        BratsError: a digest differs.
    """
    facts = read_json(job.folder / FACTS)
    start = facts.get("start") or {}
    if origin is not None and start.get("weights_digest") != origin.digest:
        raise BratsError(
            f"{job.folder}: the run was begun from {start.get('run', 'no other run')}, not from "
            f"these weights of {origin.name}; leave --from out, or name another --run"
        )
    for name, digest in (("data", job.file.digest), ("split", job.split.digest)):
        begun = facts.get(f"{name}_digest")
        if begun != digest:
            raise BratsError(
                f"{job.folder}: the run was begun with {name} {str(begun)[:16]}, "
                f"{job.file.path} gives {digest[:16]}; take the same, or name another --run"
            )


def begin(job: Job, trial: Trial | None, trained: NDArray[np.void], origin: Origin | None) -> None:
    """Write the files that stay the same during a run.

    The settings are written last: a folder with settings counts as a run.

    Args:
        job: the run.
        trial: what the precision was decided by, None where nothing was tried.
        trained: (n,) structured `trained_cases.row_dtype`, the cases that it and earlier runs are
            fitted on.
        origin: the run that it begins from, or None.

    Raises:
        BratsError: a file cannot be written, or no layer of the earlier run fits.
    """
    folder, file, split = job.folder, job.file, job.split
    start = None if origin is None else begin_from(job, origin)
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
    if start is not None:
        facts["start"] = start
    write_json(folder / FACTS, facts)
    write_trained(folder / TRAINED, trained)
    for name, text in ((SPLIT, split.to_json()), (CONFIG, job.config.to_json())):
        with replacing(folder / name) as out:
            out.write(f"{text}\n".encode())


def begin_from(job: Job, origin: Origin) -> dict[str, Any]:
    """Copy the weights of an earlier run, and warn of validation cases that it has learnt.

    Args:
        job: of the run that begins, whose twins are those in the training of both.
        origin: the earlier run.

    Returns:
        What `run.json` says of it.

    Raises:
        BratsError: no layer fits, or the weights cannot be written.
    """
    facts = start_facts(origin, job.file, job.config.model)
    facts["learnt"] = learnt_before(job.twins, job.split)
    if warning := start_warning(origin.name, facts["learnt"], job.twins.n_cases):
        warnings.warn(warning, stacklevel=5)
    save(job.folder / START, origin.weights)
    return facts


def scheme_of(file: SliceFile) -> str:
    """Name the label scheme of the labelled cases; empty where they have several."""
    names = {str(row["scheme"]) for row in file.cases if row["labelled"]}
    return names.pop() if len(names) == 1 else ""


def device_name(device: torch.device) -> str:
    """Name a device as its maker does, or by its kind: `cpu` or `mps`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def on_device(config: TrainConfig, file: SliceFile, here: Here) -> TrainConfig:
    """Settle what was left open: the precision, the batch size, and the slices read together.

    The batch is what fits the devices of all ranks, which are taken to be alike.

    Raises:
        ValueError: the network's lowest level would be one pixel under instance norm, or the
            precision needs another device.
    """
    model, device = config.model, here.device
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
        return replace(config, batch_size=here.group.size * largest_batch(attempt, device))


def make_trainer(job: Job) -> Trainer:
    """Make the trainer of a run at its beginning."""
    is_weighted = LOSSES[job.config.loss].is_weighted and not job.config.model.nesting
    weights = class_weights(job.voxels) if is_weighted else None
    return Trainer(job.config, job.device, weights, rare_classes(job.voxels), job.group)


def restore(job: Job, trainer: Trainer) -> Progress:
    """Bring a trainer to the last checkpoint of a run, or to its beginning.

    Raises:
        BratsError: the checkpoint is damaged, or of another run.
    """
    path = job.folder / LAST
    if not job.group.decide(path.exists):
        if start := read_json(job.folder / FACTS).get("start"):
            trainer.begin_with(taken_state(load(job.folder / START, Weights), start["taken"]))
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
