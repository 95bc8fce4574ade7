"""Settings of a run: the network, the augmentation, and the training itself."""

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

MODELS: Final = ("unet", "attention", "residual")
"""Names in `bratstrain.networks.build.NETWORKS`; written here too, so that no torch is imported."""
CUSTOM_MODEL: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
"""`package.module:function`, a network of the user's own."""
NORMS: Final = ("batch", "instance")
LOSSES: Final = ("dice", "dice_ce", "ce", "focal", "tversky")
SCHEDULES: Final = ("constant", "cosine", "poly")
PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")
SAMPLINGS: Final = ("uniform", "foreground", "balanced")
SPLITS: Final = ("subject", "nnunet", "slice")
AUGMENTS: Final = ("none", "rotation", "noise", "deck", "modern")
AT_LEAST_0: Final = (
    "batch_size",
    "steps",
    "minutes",
    "validate_steps",
    "patience",
    "weight_decay",
    "warmup",
    "clip",
    "seed",
)
"""Numbers of a `TrainConfig` that are 0 or more."""


def _among(where: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not on its list."""
    if value not in allowed:
        raise ValueError(f"{where} must be one of {', '.join(allowed)}, got {value!r}")


def _within(
    settings: object, names: tuple[str, ...], least: int, *, below: float = math.inf
) -> None:
    """Refuse numbers outside least <= number < below; nan is outside."""
    for name in names:
        value = getattr(settings, name)
        if not least <= value < below:
            limit = "" if below == math.inf else f" to below {below:g}"
            raise ValueError(f"{name} must be at least {least}{limit}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Sizes of a network."""

    kind: str = "residual"
    """One of `MODELS`, or `package.module:function`, see `bratstrain.networks.custom`."""
    modalities: int = 4
    classes: int = 4
    width: int = 64
    """Channels of the first level; each level below has twice as many."""
    depth: int = 5
    """Levels, the bottleneck included."""
    norm: str = "batch"
    dropout: float = 0.0
    """Share of the channels dropped in residual blocks."""
    deep_supervision: bool = False
    model_options: dict[str, Any] = field(default_factory=dict, hash=False)
    """Keyword arguments of a custom network's function: numbers, booleans, text, or lists of
    those. The other sizes are of the networks of `MODELS` alone."""

    @property
    def is_custom(self) -> bool:
        """Whether the network is made by a function outside of bratstrain."""
        return self.kind not in MODELS

    def __post_init__(self) -> None:
        if self.is_custom and not CUSTOM_MODEL.fullmatch(self.kind):
            raise ValueError(
                f"model must be one of {', '.join(MODELS)} or package.module:function, "
                f"got {self.kind!r}"
            )
        _check_options(self)
        _among("norm", self.norm, NORMS)
        _within(self, ("depth",), 2, below=11)
        _within(self, ("width",), 1, below=1025)
        _within(self, ("modalities", "classes"), 1, below=65)
        _within(self, ("dropout",), 0, below=1)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one training run; with the slice file they decide every weight on CPU."""

    model: ModelConfig = field(default_factory=ModelConfig)
    recipe: str = "strong"
    """Name of the recipe that the other settings began from."""
    loss: str = "dice_ce"
    augment: str = "modern"
    """`none`, `rotation`, `noise`, `deck` (both, and more noise on slices with rare classes) or
    `modern` (flip, scale, gamma ...)."""
    sampling: str = "foreground"
    """`uniform`, `foreground` (a third of each batch holds tumour) or `balanced` by class."""
    block: int = 1
    """Neighbouring slices read together; 1 is a full shuffle."""
    batch_size: int = 16
    """Slices in one optimiser step; 0 finds what fits the device."""
    epochs: int = 30
    steps: int = 0
    """Optimiser steps; 0 leaves it to `epochs` or `minutes`."""
    minutes: float = 0.0
    """Wall time to fit the schedule into, over all sittings; 0 leaves it to `epochs`."""
    validate_steps: int = 0
    """Steps between validations; 0 is an epoch. The last step is followed by one in any case."""
    patience: int = 0
    """Validations without a better score before stopping; 0 never stops early."""
    learning_rate: float = 5e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: int = 100
    """Steps over which the learning rate rises from 0, at most a tenth of the run."""
    clip: float = 12.0
    """Largest gradient norm; 0 does not clip."""
    ema: float = 0.999
    """Decay of the averaged weights that are evaluated; 0 keeps none."""
    precision: str = "auto"
    compile: bool = False
    split: str = "subject"
    """`subject`, `nnunet`, `slice` or the path of a JSON file."""
    fold: int = 0
    test_share: float = 0.0
    """Share of the subjects held out of every fold."""
    seed: int = 0
    """Of the first weights, the order, the augmentation and dropout; not of the split."""

    def __post_init__(self) -> None:
        for name, allowed in (
            ("loss", LOSSES),
            ("augment", AUGMENTS),
            ("sampling", SAMPLINGS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
        ):
            _among(name, getattr(self, name), allowed)
        if self.split not in SPLITS and not self.split.endswith(".json"):
            raise ValueError(f"split must be {', '.join(SPLITS)} or a .json, got {self.split!r}")
        _within(self, ("block", "epochs"), 1)
        _within(self, AT_LEAST_0, 0)
        _within(self, ("ema", "test_share"), 0, below=1)
        _within(self, ("fold",), 0, below=5)
        if self.steps and self.minutes:
            raise ValueError(f"give steps or minutes, got {self.steps} and {self.minutes:g}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")

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
        if not isinstance(names, dict) or not isinstance(names.get("model", {}), dict):
            raise ValueError("settings must be names and values")
        model = ModelConfig(**_known(ModelConfig, names.pop("model", {})))
        return cls(model=model, **_known(cls, names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """How one sitting of a run is done: it may differ from sitting to sitting."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    threads: int = 0
    """Threads that read slices; 0 is one for a CPU and up to four for a GPU."""
    prefetch: int = 4
    """Batches that are read ahead."""
    checkpoint_steps: int = 0
    """Steps between checkpoints; 0 leaves it to the time."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints, at most; 0 leaves it to the steps. Each validation makes one
    too."""

    def __post_init__(self) -> None:
        _within(self, ("threads", "checkpoint_steps", "checkpoint_minutes"), 0)
        _within(self, ("prefetch",), 1)


def _known(kind: type[ModelConfig | TrainConfig], names: dict[str, Any]) -> dict[str, Any]:
    """Refuse names that are no field, and values that are of another type than its default."""
    for name, value in names.items():
        default = getattr(kind(), name, None) if name in SETTINGS[kind] else None
        if default is None:
            raise ValueError(f"unknown setting {name}; known: {', '.join(SETTINGS[kind])}")
        fits = type(value) is type(default) or (type(default) is float and type(value) is int)
        if not fits:
            raise ValueError(f"{name} must be {type(default).__name__}, got {value!r}")
        if type(value) is int and abs(value) >= 2**53:
            raise ValueError(f"{name} must be below 2**53, got {value.bit_length()} bits")
    return names


SETTINGS: Final = {
    kind: tuple(known.name for known in fields(kind))
    for kind in (ModelConfig, TrainConfig, Sitting)
}
"""Names of the fields of each."""
