"""Recipes: named settings to begin from; and settings by name, as a command gives them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Final

from bratstrain.config import MODELS, SETTINGS, ModelConfig, TrainConfig

RECIPES: Final[Mapping[str, TrainConfig]] = MappingProxyType(
    {
        "strong": TrainConfig(
            model=ModelConfig(width=32, depth=6, norm="instance", deep_supervision=True)
        ),
        "deck": TrainConfig(
            recipe="deck",
            model=ModelConfig(width=64, depth=5, norm="batch", dropout=0.2),
            loss="dice",
            augment="deck",
            sampling="uniform",
            learning_rate=1e-4,
            schedule="constant",
            warmup=0,
            clip=0.0,
            ema=0.0,
        ),
    }
)
"""`strong`, the default, is near a 2D nnU-Net in size and loss. `deck` is the course project:
plain Dice loss, levels of 64 to 512 and 1024 at the bottom, batch norm, no averaging."""
AUTO: Final = MappingProxyType({"batch_size": 0, "precision": "auto"})
"""Values that are settled on the device."""


def configure(**settings: Any) -> TrainConfig:  # noqa: ANN401  the fields of the two configs
    """Make the settings of a run: a recipe, and what departs from it.

    Args:
        **settings: fields of `TrainConfig` and of `ModelConfig` by name; `model` is its kind.

    Raises:
        ValueError: a name is unknown, a value is not allowed, or two lengths are given.
    """
    recipe = settings.get("recipe", "strong")
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    return depart(RECIPES[recipe], settings)


def depart(base: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """Change settings by name.

    Args:
        base: what holds where nothing is said.
        settings: as `configure` takes them; a recipe is only a name here.

    Raises:
        ValueError: a name is unknown, a value is not allowed, or two lengths are given.
    """
    known = {*SETTINGS[TrainConfig], *SETTINGS[ModelConfig]} - {"kind"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(f"unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    lengths = [name for name in ("epochs", "steps", "minutes") if name in settings]
    if len(lengths) > 1:
        raise ValueError(f"the length of a run is given once, got {' and '.join(lengths)}")
    own = {name: settings[name] for name in SETTINGS[TrainConfig] if name in settings}
    sizes = {name: settings[name] for name in SETTINGS[ModelConfig] if name in settings}
    if "epochs" in own:
        own |= {"steps": 0, "minutes": 0.0}
    if isinstance(own.get("model"), str):
        sizes["kind"] = own.pop("model")
    model = own.pop("model", base.model)
    model = replace(model, **_fitting(model, sizes))
    return replace(base, model=model, **own)


def _fitting(model: ModelConfig, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Check changes of a model against its kind; options of another kind are not kept.

    Raises:
        ValueError: a custom network is given a size that only those of bratstrain take.
    """
    kind = sizes.get("kind", model.kind)
    unused = sorted(set(sizes) - {"kind", "modalities", "classes", "model_options"})
    if kind not in MODELS and unused:
        raise ValueError(
            f"{', '.join(unused)}: of no effect on {kind}; give its function's own arguments as "
            "model_options"
        )
    return ({"model_options": {}} if kind != model.kind else {}) | dict(sizes)


def check_same(where: str, asked: TrainConfig, found: TrainConfig) -> None:
    """Refuse to go on with other settings; what is left to the device may be anything.

    Args:
        where: the run folder, for the message.
        asked: settings now.
        found: settings that the run was begun with.

    Raises:
        ValueError: a setting differs.
    """
    left = {
        name: getattr(found, name) for name, auto in AUTO.items() if getattr(asked, name) == auto
    }
    asked = replace(asked, **left)
    pairs: list[tuple[str, Any, Any]] = []
    for one, other in ((asked, found), (asked.model, found.model)):
        pairs += [
            (known.name, getattr(one, known.name), getattr(other, known.name))
            for known in fields(one)
            if known.name != "model"
        ]
    differing = [f"{name} {now}, not {then}" for name, now, then in pairs if now != then]
    if differing:
        raise ValueError(
            f"{where}: the run was begun with other settings: {'; '.join(differing)}; "
            "leave them as they were, or name another --run"
        )
