"""Settings of a run: the network, the augmentation, and the training itself."""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

MODELS: Final = ("unet", "attention", "residual")
NORMS: Final = ("batch", "instance")
LOSSES: Final = ("dice", "dice_ce", "ce", "focal", "tversky")
SCHEDULES: Final = ("constant", "cosine", "poly")
PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")
SAMPLINGS: Final = ("uniform", "foreground", "balanced")
SPLITS: Final = ("subject", "nnunet", "slice")
AUGMENTS: Final = ("none", "deck", "modern")


def _among(where: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a word that is not on its list."""
    if value not in allowed:
        raise ValueError(f"{where} must be one of {', '.join(allowed)}, got {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Sizes of a network."""

    kind: str = "residual"
    """`unet`, `attention` or `residual`."""
    modalities: int = 4
    classes: int = 4
    width: int = 64
    """Channels of the first level; each level below has twice as many."""
    depth: int = 5
    """Levels, the bottleneck included."""
    norm: str = "batch"
    dropout: float = 0.0
    """Share of channels dropped in residual blocks."""
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        _among("model", self.kind, MODELS)
        _among("norm", self.norm, NORMS)
        if self.depth < 2:
            raise ValueError(f"depth must be at least 2, got {self.depth}")
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be 0 to below 1, got {self.dropout}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Settings of one training run; with the slice file they decide every weight on CPU."""

    model: ModelConfig = field(default_factory=ModelConfig)
    recipe: str = "strong"
    """Name of the recipe that the other settings began from."""
    loss: str = "dice_ce"
    augment: str = "modern"
    """`none`, `deck` (rotations, noise, targeted noise) or `modern` (flip, scale, gamma ...)."""
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
    patience: int = 0
    """Validations without a better score before stopping; 0 never stops early."""
    learning_rate: float = 8e-4
    weight_decay: float = 0.0
    schedule: str = "cosine"
    warmup: int = 100
    """Steps over which the learning rate rises from 0."""
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

    def __post_init__(self) -> None:
        _among("loss", self.loss, LOSSES)
        _among("augment", self.augment, AUGMENTS)
        _among("sampling", self.sampling, SAMPLINGS)
        _among("schedule", self.schedule, SCHEDULES)
        _among("precision", self.precision, PRECISIONS)
        if self.split not in SPLITS and not self.split.endswith(".json"):
            raise ValueError(f"split must be {', '.join(SPLITS)} or a .json, got {self.split!r}")
        if not 0 <= self.fold < 5:
            raise ValueError(f"fold must be 0 to 4, got {self.fold}")
        for name in ("block", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("batch_size", "steps", "minutes", "patience", "warmup", "clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if not 0 <= self.ema < 1 or not 0 <= self.test_share < 1:
            raise ValueError("ema and test_share must be 0 to below 1")

    def to_json(self) -> str:
        """Write as indented JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Read what `to_json` wrote.

        Raises:
            ValueError: a name is unknown or a value is not allowed.
        """
        names: dict[str, Any] = json.loads(text)
        unknown = sorted(set(names) - {known.name for known in fields(cls)})
        if unknown:
            raise ValueError(f"unknown setting {', '.join(unknown)}")
        model = ModelConfig(**names.pop("model", {}))
        return cls(model=model, **names)
