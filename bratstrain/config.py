"""Settings of a run: the network, the training, and how one session of it is done."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypedDict, get_args

from bratsprep.config import USUAL_CLASSES, USUAL_MODALITIES
from bratsprep.settings import ADVANCED, check, from_names, setting

ModelName = Literal["unet", "attention", "residual"]
"""Keys of `bratstrain.networks.build.NETWORKS`; stated here too, so that torch is not imported."""
VolumeModelName = Literal["unet3d", "attention3d", "residual3d"]
"""Keys of the same table for networks that take patches of a volume."""
Norm = Literal["batch", "instance"]
Target = Literal["classes", "regions"]
Recipe = Literal["strong", "deck"]
Loss = Literal["dice", "dice_ce", "ce", "focal", "tversky"]
Schedule = Literal["constant", "cosine", "poly"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Sampling = Literal["uniform", "foreground", "balanced"]
Augment = Literal["none", "rotation", "noise", "targeted", "combined", "modern"]
MODELS: Final[tuple[str, ...]] = get_args(ModelName)
VOLUME_MODELS: Final[tuple[str, ...]] = get_args(VolumeModelName)
PATCH: Final = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,3})x([1-9]\d{0,3})", re.ASCII)
"""Depth, height and width of a patch, voxels."""
GPUS: Final = re.compile(r"[1-9]\d{0,2}|cpu|(\d{1,3}|cpu)(,(\d{1,3}|cpu))+", re.ASCII)
"""A number of GPUs, or which they are."""
CUSTOM_MODEL: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""`package.module:function`, a network of the user's own."""
NORMS: Final[tuple[str, ...]] = get_args(Norm)
LOSSES: Final[tuple[str, ...]] = get_args(Loss)
AUGMENTS: Final[tuple[str, ...]] = get_args(Augment)
SPLITS: Final = ("subject", "nnunet", "slice")


class ModelSettings(TypedDict, total=False):
    """Keywords of `ModelConfig`, for type checkers."""

    model: str
    model_options: dict[str, Any]
    width: int
    depth: int
    context: int
    patch: str
    target: Target
    difference: str
    norm: Norm
    dropout: float
    deep_supervision: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Sizes of a network."""

    kind: str = setting(
        "residual",
        help="A U-Net: unet (plain blocks), attention or residual of slices; unet3d, attention3d "
        "or residual3d of patches of the volume; or package.module:function, a network of your "
        "own.",
        keyword="model",
        metavar="NAME",
        section="Network",
    )
    modalities: int = setting(
        len(USUAL_MODALITIES), help="Channels of an image.", minimum=1, maximum=64, is_fixed=True
    )
    classes: int = setting(
        len(USUAL_CLASSES),
        help="Classes of the labels, background included.",
        minimum=1,
        maximum=64,
        is_fixed=True,
    )
    nesting: Sequence[int] = setting(
        (),
        help="With target regions, the stored label that each region has and the next smaller one "
        "has not, from the outermost on.",
        is_fixed=True,
    )
    width: int = setting(
        64,
        help="Channels of the first level; each lower level has twice as many.",
        minimum=1,
        maximum=1024,
        section="Network",
    )
    depth: int = setting(
        5,
        help="Levels, the bottleneck included.",
        minimum=2,
        maximum=10,
        section="Network",
    )
    context: int = setting(
        1,
        help="Planes that the network is given, an odd number: the one that it labels, and as many "
        "neighbours below it as above.",
        minimum=1,
        maximum=7,
        section="Network",
    )
    patch: str = setting(
        "64x128x128",
        help="Depth, height and width of the patches of a 3D network, voxels.",
        metavar="DxHxW",
        section="Network",
    )
    target: Target = setting(
        "classes",
        help="What a logit is of: a class (softmax), or one of the nested regions of the label "
        "scheme (sigmoid), from which the classes follow.",
        section="Network",
    )
    difference: str = setting(
        "",
        help="Modalities whose difference the network is given as a further channel, such as "
        "t1gd-t1w; several are joined by commas.",
        metavar="A-B,...",
        section=ADVANCED,
    )
    differences: Sequence[int] = setting(
        (),
        help="With a difference, the places of its two modalities; those of several follow each "
        "other.",
        is_fixed=True,
    )
    thickness: float = setting(
        1.0, help="Height of a voxel over its width.", above=0, is_fixed=True
    )
    norm: Norm = setting("batch", help="Normalisation layer.", section=ADVANCED)
    dropout: float = setting(
        0.0,
        help="Share of the channels dropped in residual blocks.",
        minimum=0,
        below=1,
        section=ADVANCED,
    )
    deep_supervision: bool = setting(
        False, help="Add the loss of the lower levels.", section=ADVANCED
    )
    model_options: dict[str, Any] = setting(
        {},
        help="Argument of the function of a network of your own; repeat for several.",
        option="--model-option",
        metavar="NAME=VALUE",
        section=ADVANCED,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.is_custom and not CUSTOM_MODEL.fullmatch(self.kind):
            raise ValueError(
                f"model must be one of {', '.join((*MODELS, *VOLUME_MODELS))} or "
                f"package.module:function, got {self.kind!r}"
            )
        if not PATCH.fullmatch(self.patch):
            raise ValueError(f"patch must be three sides such as 64x128x128, got {self.patch!r}")
        if self.is_volumetric and self.context > 1:
            raise ValueError(f"context has no effect on model {self.kind}, which takes patches")
        if self.context % 2 == 0:
            raise ValueError(f"context must be odd, such as 1, 3, 5 or 7, got {self.context}")
        _check_options(self)

    @property
    def channels(self) -> int:
        """Channels that the network takes: each modality and difference of each plane."""
        return (self.modalities + len(self.differences) // 2) * self.context

    @property
    def outputs(self) -> int:
        """Channels of the logits: classes with the background, or regions without it."""
        return self.classes - (self.target == "regions")

    @property
    def is_custom(self) -> bool:
        """Whether the network is made by a function outside of bratstrain."""
        return self.kind not in (*MODELS, *VOLUME_MODELS)

    @property
    def is_volumetric(self) -> bool:
        """Whether the network takes patches of a volume."""
        return self.kind in VOLUME_MODELS

    @property
    def patch_sides(self) -> tuple[int, ...]:
        """Depth, height and width of a patch, voxels."""
        return tuple(map(int, self.patch.split("x")))


def _check_options(model: ModelConfig) -> None:
    """Refuse options that no function takes, or that JSON would not give back."""
    if model.model_options and not model.is_custom:
        raise ValueError(
            f"model_options are arguments of a package.module:function; {model.kind} takes none, "
            f"got {', '.join(map(str, model.model_options))}"
        )
    for name, value in model.model_options.items():
        values = value if isinstance(value, list) else [value]
        if not str(name).isidentifier() or name in ("modalities", "classes"):
            raise ValueError(f"model_options: {name!r} cannot be the name of an option")
        if not all(type(one) in (bool, int, float, str) for one in values):
            raise ValueError(
                f"model_options: {name} must be a number, true, false, text or a list of those, "
                f"got {value!r}"
            )
        if not all(math.isfinite(one) for one in values if type(one) is float):
            raise ValueError(f"model_options: {name} must be finite, got {value!r}")


class TrainSettings(TypedDict, total=False):
    """Keywords of `TrainConfig`, for type checkers."""

    recipe: Recipe
    epochs: int
    steps: int
    minutes: float
    batch_size: int
    learning_rate: float
    loss: Loss
    augment: Augment
    drop_modality: float
    sampling: Sampling
    patience: int
    split: str
    fold: int
    test_share: float
    seed: int
    block: int
    missing_neighbours: float
    schedule: Schedule
    warmup: int
    weight_decay: float
    ema: float
    swa: float
    clip: float
    validate_steps: int
    precision: Precision
    compile: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one training run; with the slice file they decide every weight on CPU."""

    model: ModelConfig = field(default_factory=ModelConfig)
    recipe: Recipe = setting(
        "strong",
        help="Named defaults of the settings below: strong is close to a 2D nnU-Net in size and "
        "loss, deck is the plain U-Net of the course project.",
        section="Run",
    )
    epochs: int = setting(30, help="Passes over the training slices.", minimum=1, section="Length")
    steps: int = setting(
        0,
        help="Optimiser steps, instead of epochs; 0 for none.",
        minimum=0,
        section="Length",
    )
    minutes: float = setting(
        0.0,
        help="Wall time over all sessions, instead of epochs; the learning rate follows the time.",
        minimum=0,
        section="Length",
    )
    batch_size: int = setting(
        16,
        help="Slices in one optimiser step; auto is what fits the device.",
        minimum=0,
        words={"auto": 0},
        option="--batch",
        metavar="N|auto",
        section="Learning",
    )
    learning_rate: float = setting(
        5e-3, help="Highest learning rate.", above=0, option="--lr", section="Learning"
    )
    loss: Loss = setting("dice_ce", help="Loss function.", section="Learning")
    augment: Augment = setting(
        "modern",
        help="Augmentation: rotation, noise, targeted (noise alone, stronger on slices with rare "
        "classes), combined (noise and targeted, as in the course project) or modern (flips, "
        "rotation, scale, gamma and more).",
        section="Learning",
    )
    drop_modality: float = setting(
        0.0,
        help="Chance of each modality to be left out of a training slice, so that the network can "
        "predict cases without it.",
        minimum=0,
        below=1,
        metavar="P",
        section=ADVANCED,
    )
    sampling: Sampling = setting(
        "foreground",
        help="Order of the slices: uniform, a third of each batch with tumour, or balanced by "
        "class.",
        section="Learning",
    )
    patience: int = setting(
        0,
        help="Stop after so many validations without a better score; 0 disables early stopping.",
        minimum=0,
        section="Length",
    )
    split: str = setting(
        "subject",
        help="subject, nnunet (published folds of Task01), slice (leaks between patients), or a "
        "JSON file of case ids.",
        metavar="NAME|JSON",
        section="Data split",
    )
    fold: int = setting(
        0, help="Fold that is validated on, 0 to 4.", minimum=0, below=5, section="Data split"
    )
    test_share: float = setting(
        0.0,
        help="Share of the subjects held out of every fold.",
        minimum=0,
        below=1,
        section="Data split",
    )
    seed: int = setting(
        0,
        help="Seed of the first weights, the order, the augmentation and dropout; not of the "
        "split.",
        minimum=0,
        section="Run",
    )
    block: int = setting(
        0,
        help="Neighbouring slices read together; 1 is a full shuffle. auto is 1, and 4 with "
        "--context, where neighbouring slices share planes.",
        minimum=0,
        words={"auto": 0},
        metavar="N|auto",
        section=ADVANCED,
    )
    missing_neighbours: float = setting(
        0.2,
        help="Largest share of the neighbours of the training slices that may be missing from the "
        "slice file, with --context.",
        minimum=0,
        maximum=1,
        section=ADVANCED,
    )
    schedule: Schedule = setting("cosine", help="Curve of the learning rate.", section=ADVANCED)
    warmup: int = setting(
        100,
        help="Steps over which the learning rate rises from 0, at most a tenth of the run.",
        minimum=0,
        section=ADVANCED,
    )
    weight_decay: float = setting(0.0, help="Weight decay of AdamW.", minimum=0, section=ADVANCED)
    ema: float = setting(
        0.999,
        help="Decay of the averaged weights that are validated; 0 keeps none.",
        minimum=0,
        below=1,
        section=ADVANCED,
    )
    swa: float = setting(
        0.0,
        help="Last share of the run over whose steps the weights are averaged alike, instead of by "
        "--ema; 0 for none. With --norm batch the running moments stay those of the last weights.",
        minimum=0,
        maximum=1,
        metavar="SHARE",
        section=ADVANCED,
    )
    clip: float = setting(
        12.0, help="Largest gradient norm; 0 disables clipping.", minimum=0, section=ADVANCED
    )
    validate_steps: int = setting(
        0,
        help="Steps between validations; 0 is an epoch. The last step is always validated.",
        minimum=0,
        section=ADVANCED,
    )
    precision: Precision = setting(
        "auto",
        help=(
            "Precision of the convolutions; auto is bf16 or fp16 on a GPU, and on a CPU fp32, or "
            "bf16 where the processor has it and two steps show that it is faster."
        ),
        section=ADVANCED,
    )
    compile: bool = setting(False, help="Compile the network.", section=ADVANCED)

    def __post_init__(self) -> None:
        check(self)
        if self.split not in SPLITS and not self.split.endswith(".json"):
            raise ValueError(f"split must be {', '.join(SPLITS)} or a .json, got {self.split!r}")
        if self.steps and self.minutes:
            raise ValueError(f"give steps or minutes, got {self.steps} and {self.minutes:g}")

    def to_json(self) -> str:
        """Write as indented JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Read what `to_json` wrote.

        Raises:
            ValueError: a name is unknown or a value is not allowed.
        """
        names = json.loads(text)
        if not isinstance(names, dict):
            raise ValueError("settings must be names and values")
        sizes = names.get("model", {})
        if isinstance(sizes, dict):
            sizes = {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in sizes.items()
            }
        model = from_names(ModelConfig, sizes)
        return from_names(cls, names | {"model": model})


class SessionSettings(TypedDict, total=False):
    """Keywords of `Session`, for type checkers."""

    device: str
    gpus: str
    threads: int
    prefetch: int
    checkpoint_steps: int
    checkpoint_minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How one session of a run is done; it may differ from session to session."""

    device: str = setting(
        "auto", help="auto, cpu, cuda, cuda:N or mps.", metavar="NAME", section="Run"
    )
    gpus: str = setting(
        "",
        help="Several GPUs of this machine: how many, such as 4, or which, such as 0,2 (one alone "
        "is --device cuda:N). fit divides every batch over them; crossval fits folds side by side, "
        "one at a time on each.",
        metavar="N|A,B,...",
        section="Run",
    )
    threads: int = setting(
        0,
        help="Threads that read slices; 0 is one for a CPU and up to four for a GPU.",
        minimum=0,
        section=ADVANCED,
    )
    prefetch: int = setting(4, help="Batches read ahead.", minimum=1, section=ADVANCED)
    checkpoint_steps: int = setting(
        0, help="Steps between checkpoints; 0 for none by steps.", minimum=0, section=ADVANCED
    )
    checkpoint_minutes: float = setting(
        5.0,
        help="Minutes between checkpoints; 0 for none by time. Each validation writes one too.",
        minimum=0,
        section=ADVANCED,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.gpus and self.device != "auto":
            raise ValueError("device has no effect beside gpus; leave one of them out")
        if self.gpus and not GPUS.fullmatch(self.gpus):
            raise ValueError(
                f"gpus must be a number of GPUs such as 4, or which such as 0,2, got {self.gpus!r}"
            )

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices that `gpus` asks for; empty where it asks for none.

        `cpu` is one too: several processes on the processor, for trials without a GPU.
        """
        parts = self.gpus.split(",") if self.gpus else []
        if len(parts) == 1 and parts[0].isdigit():
            parts = [str(number) for number in range(int(parts[0]))]
        return tuple(f"cuda:{part}" if part.isdigit() else part for part in parts)


class FitSettings(ModelSettings, TrainSettings, SessionSettings, total=False):
    """Keywords of `bratstrain.fit`."""


class RunSettings(ModelSettings, TrainSettings, total=False):
    """Keywords of `bratstrain.recipes.configure`: those that stay the same in a run."""
