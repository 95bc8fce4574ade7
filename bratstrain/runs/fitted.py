"""`Fitted`: one or several finished runs, loaded to be applied to cases."""

import json
import operator
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from bratsprep.config import PrepConfig
from bratsprep.drawing.colours import shown_under
from bratsprep.errors import BratsError
from bratsprep.labels import ClassSet, Scheme
from bratsprep.volumes.case_volumes import Asked
from bratsprep.voxel_sizes import size_text
from bratstrain.config import ModelConfig
from bratstrain.data.splits import PARTS, Split
from bratstrain.data.trained_spacings import TrainedSpacings, read_spacings
from bratstrain.device import DTYPES, choose_device, choose_precision
from bratstrain.runs.checkpoint import Weights, assemble, load, load_network, read_config
from bratstrain.runs.ensemble import every_run
from bratstrain.runs.files import BEST, CONFIG, FACTS, SPLIT, read_json
from bratstrain.runs.published import WEIGHTS as PUBLISHED_WEIGHTS
from bratstrain.runs.published import is_published, read_published

MAX_SIDE: Final = 4096
"""Largest height or width of a slice, pixels."""
_SHOWN: Final = 3
"""Voxel sizes named in one message."""
Loaded = tuple[Path, nn.Module, Weights]
"""Run folder, its network on the CPU, and what its file of weights holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Networks that were fitted on slices of one preparation."""

    folders: tuple[Path, ...]
    networks: tuple[nn.Module, ...]
    """In evaluation mode, on the device."""
    device: torch.device
    precision: str
    """`fp32`, `bf16` or `fp16`."""
    preparation: PrepConfig
    size: tuple[int, int]
    """(h, w) of the slices."""
    spacings: tuple[TrainedSpacings, ...]
    """Voxel sizes of the training cases of each run."""
    classes: ClassSet
    """Of the labels that they give."""
    scheme: Scheme | None
    """Label scheme of the cases that they were fitted on; None where they had several."""
    survives_missing: bool
    """Whether they were fitted on cases without some modality, drawn or real."""
    data_digest: str
    """Digest of the first run's slice file."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """Of the first run; the others take samples of the same form."""

    @property
    def name(self) -> str:
        """The run folders, for messages."""
        return " + ".join(folder.name for folder in self.folders)

    @property
    def window(self) -> tuple[int, int] | None:
        """Crop (y, x), or None for whole planes."""
        return None if self.preparation.crop == "none" else self.size

    @property
    def asked(self) -> Asked:
        """What is read of a raw case for them."""
        config = self.preparation
        return Asked(config.channels, self.classes, config.background, config.voxel_mm)

    @property
    def shown(self) -> int:
        """Place of the modality that labels are shown over."""
        return shown_under(self.preparation.channels)

    def brain_mask(self, given: str) -> str:
        """Pattern of the brain masks of raw cases: the given one, or that of the preparation.

        Args:
            given: as in `ApplyConfig`; empty where none was given.
        """
        return given or self.preparation.brain_mask

    def autocast(self) -> torch.autocast:
        """Context in which convolutions run in the precision of the runs."""
        is_on = self.precision != "fp32"
        return torch.autocast(self.device.type, DTYPES[self.precision], enabled=is_on)


def load_fitted(
    runs: Sequence[Path], device: str = "auto", trusted: Collection[str] = ()
) -> Fitted:
    """Load the best weights of one run, or of several as an ensemble.

    Args:
        runs: run folders or folders of cross-validations, at least one.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        trusted: custom networks, as `package.module:function`, whose code may be imported.

    Raises:
        BratsError: a folder is no finished run, its network is a custom one that is not trusted,
            or the runs were fitted on slices of different preparation, size or spacing.
        ValueError: no run is given, or the device's name is wrong.
    """
    if not runs:
        raise ValueError("runs holds 0 folders; name at least one")
    runs, on = every_run(runs), choose_device(device)
    return fitted_of([(run, *network_of(run, trusted)) for run in runs], on)


def fitted_of(loaded: Sequence[Loaded], on: torch.device) -> Fitted:
    """Put networks that were read together, with all that their runs say about them.

    Args:
        loaded: at least one.
        on: the device to move them to.

    Raises:
        BratsError: a run is not as it should be, or the runs were fitted on slices of different
            preparation, size or spacing.
    """
    runs = [run for run, _, _ in loaded]
    facts = [read_json(run / FACTS) for run in runs]
    first, weights = loaded[0][0], loaded[0][2]
    preparation, size = preparation_of(first, weights)
    spacings = [
        read_spacings(fact.get("spacings"), run / FACTS)
        for run, fact in zip(runs, facts, strict=True)
    ]
    for (run, _, other), own in zip(loaded[1:], spacings[1:], strict=True):
        check_alike(first, weights, run, other)
        check_spacings(first, spacings[0], run, own)
    return Fitted(
        folders=tuple(runs),
        networks=tuple(network.to(on) for _, network, _ in loaded),
        device=on,
        precision=precision_of(first, weights, on),
        preparation=preparation,
        size=size,
        spacings=tuple(spacings),
        classes=classes_of(first, weights),
        scheme=scheme_of(loaded),
        survives_missing=all(survives_missing(run, other) for run, _, other in loaded),
        data_digest=weights.data_digest,
        model=model_of(loaded),
    )


def network_of(run: Path, trusted: Collection[str]) -> tuple[nn.Module, Weights]:
    """Load the network of a run folder, or of a published one.

    Raises:
        BratsError: the folder is neither, or its files are damaged.
    """
    if not is_published(run):
        return load_network(best_of(run), trusted)
    weights = weights_of(run)
    return assemble(run / PUBLISHED_WEIGHTS, weights, trusted), weights


def weights_of(run: Path) -> Weights:
    """Read the best weights of a run folder, or those of a published network.

    Raises:
        BratsError: the folder is neither, or its files are damaged.
    """
    return read_published(run) if is_published(run) else load(best_of(run), Weights)


def preparation_of(run: Path, weights: Weights) -> tuple[PrepConfig, tuple[int, int]]:
    """How the slices of a run were prepared, and their (h, w).

    Raises:
        BratsError: the preparation in the file is not valid.
    """
    try:
        preparation = PrepConfig.from_json(weights.preparation)
        h, w = (operator.index(side) for side in weights.shape)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BratsError(f"{run / BEST}: its preparation cannot be read: {error}") from error
    if not (1 <= h <= MAX_SIDE and 1 <= w <= MAX_SIDE) or preparation.window not in (None, (h, w)):
        raise BratsError(
            f"{run / BEST}: slices of {h} x {w} do not go with crop {preparation.crop}"
        )
    return preparation, (h, w)


def best_of(run: Path) -> Path:
    """Path of the best weights of a run.

    Raises:
        BratsError: the folder is no run, or no weights have been validated yet.
    """
    if not (run / CONFIG).is_file():
        raise BratsError(f"{run}: is no run folder; 'bratstrain fit' makes one")
    if not (run / BEST).is_file():
        raise BratsError(f"{run}: has no {BEST} yet; resume it with 'bratstrain fit'")
    return run / BEST


def check_alike(first: Path, weights: Weights, run: Path, other: Weights) -> None:
    """Refuse an ensemble of runs whose slices were prepared in different ways.

    Raises:
        BratsError: settings or sizes of the slices differ.
    """
    differing = differences(
        sliced(other.preparation, other.shape, other.classes),
        sliced(weights.preparation, weights.shape, weights.classes),
    )
    if differing:
        raise BratsError(
            f"{run}: was fitted on other slices than {first}: {'; '.join(differing)}; "
            "an ensemble needs one preparation"
        )


def sliced(preparation: str, shape: Sequence[int], classes: str) -> dict[str, Any]:
    """What makes slices what they are to a network, by name.

    Args:
        preparation: a `PrepConfig` as JSON.
        shape: (h, w) of the slices.
        classes: a `ClassSet` as JSON.
    """
    settings = json.loads(preparation)
    usual = PrepConfig()
    facts = {"modalities": usual.modalities, "spacing": usual.spacing, **settings}
    names = ("modalities", "normalise", "spacing", "crop", "dtype")
    return {name: facts.get(name) for name in names} | {
        "size": list(shape),
        "brain": "masked" if "brain_mask" in settings else "stripped",
        "classes": json.loads(classes)["classes"],
    }


def differences(slices: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Say in what slices differ from others, both as `sliced` describes them."""
    return [
        f"{name} {value}, not {others[name]}"
        for name, value in slices.items()
        if value != others[name]
    ]


def check_spacings(
    first: Path, spacings: TrainedSpacings, run: Path, other: TrainedSpacings
) -> None:
    """Refuse an ensemble of runs that were fitted on voxels of different sizes.

    Args:
        first: folder of the first run.
        spacings: its voxel sizes.
        run: folder of another run.
        other: its voxel sizes.

    Raises:
        BratsError: they have no size in common.
    """
    if not spacings.shares_any(other):
        ours, theirs = (
            ", ".join(f"{size_text(size)} mm" for size in own.sizes[:_SHOWN]) or "unknown size"
            for own in (spacings, other)
        )
        raise BratsError(
            f"{run}: was fitted on voxels of {theirs}, {first} on {ours}; an ensemble needs a "
            "voxel size that all of its runs know"
        )


def classes_of(run: Path, weights: Weights) -> ClassSet:
    """Classes of the labels that a run gives.

    Raises:
        BratsError: they cannot be read, or the network has another number of them.
    """
    try:
        classes = ClassSet.from_json(weights.classes)
    except (ValueError, RecursionError) as error:
        raise BratsError(f"{run / BEST}: its classes cannot be read: {error}") from error
    model = read_config(run / BEST, weights.config).model
    if model.classes != len(classes):
        raise BratsError(
            f"{run / BEST}: its network gives {model.classes} classes, but it names {len(classes)}"
        )
    return classes


def schemes_of(run: Path, weights: Weights) -> dict[str, Scheme]:
    """Label schemes of the cases that a run was fitted on, by name.

    Raises:
        BratsError: they cannot be read.
    """
    try:
        content = json.loads(weights.schemes)
        return {name: Scheme.from_json(json.dumps(value)) for name, value in content.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BratsError(f"{run / BEST}: its label schemes cannot be read: {error}") from error


def scheme_of(loaded: Sequence[Loaded]) -> Scheme | None:
    """Label scheme that all runs were fitted on; None where there are several."""
    schemes = {scheme for run, _, weights in loaded for scheme in schemes_of(run, weights).values()}
    return schemes.pop() if len(schemes) == 1 else None


def model_of(loaded: Sequence[Loaded]) -> ModelConfig:
    """Settings of the first network; all have to take samples of its form.

    Raises:
        BratsError: they do not.
    """
    models = [read_config(run / BEST, weights.config).model for run, _, weights in loaded]
    for (run, _, _), model in zip(loaded, models, strict=True):
        if form_of(model) != form_of(models[0]):
            raise BratsError(
                f"{run}: takes {form_of(model)}, {loaded[0][0]} takes {form_of(models[0])}; an "
                "ensemble needs one"
            )
    return models[0]


def form_of(model: ModelConfig) -> str:
    """Say what a network takes as a sample, and what its logits are for."""
    planes = "single planes" if model.context == 1 else f"{model.context} planes"
    taken = f"patches of {model.patch}" if model.is_volumetric else planes
    more = f" with {model.difference}" if model.difference else ""
    return f"{taken}{more} for {model.target}"


def survives_missing(run: Path, weights: Weights) -> bool:
    """Whether a run was fitted on cases that lacked a modality."""
    return read_config(run / BEST, weights.config).drop_modality > 0


def precision_of(run: Path, weights: Weights, device: torch.device) -> str:
    """Precision in which a run is applied: with CUDA its own, else fp32."""
    if device.type != "cuda":
        return "fp32"
    return choose_precision(read_config(run / BEST, weights.config).precision, device)


def untold_start(run: Path) -> str:
    """Name of the run that a run began from, where nothing is known of who that was fitted on.

    Returns:
        Empty where it is known, or where the run began from no other.

    Raises:
        BratsError: the facts of the run cannot be read.
    """
    start = read_json(run / FACTS).get("start")
    return str(start.get("untold", "")) if isinstance(start, dict) else ""


def read_split(run: Path) -> Split:
    """Read the split of a run.

    Raises:
        BratsError: it is missing or not as `bratstrain fit` wrote it.
    """
    if is_published(run):
        raise BratsError(
            f"{run}: is published and names no training case, so that no split can be scored; "
            "label cases with 'bratstrain predict' and score them with 'evaluate --predictions'"
        )
    split = read_json(run / SPLIT)
    try:
        sides = {part: tuple(split[part]) for part in PARTS}
        return Split(
            str(split["name"]),
            int(split["fold"]),
            **sides,
            leaks=bool(split["leaks"]),
            subjects=dict(split.get("subjects", {})),
            sliced=tuple(split.get("sliced", ())),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BratsError(f"{run / SPLIT}: is no split of a run: {error}") from error
