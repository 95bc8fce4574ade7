"""Recipes: named settings to begin from; and settings by name, as a command gives them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Final, Unpack

from bratsprep.settings import facts_of, is_setting, keyword_of, keywords, take
from bratstrain.config import MODELS, VOLUME_MODELS, ModelConfig, RunSettings, TrainConfig

RECIPES: Final[Mapping[str, TrainConfig]] = MappingProxyType(
    {
        "strong": TrainConfig(
            model=ModelConfig(width=32, depth=6, norm="instance", deep_supervision=True)
        ),
        "deck": TrainConfig(
            recipe="deck",
            model=ModelConfig(width=64, depth=5, norm="batch", dropout=0.2),
            loss="dice",
            augment="combined",
            sampling="uniform",
            learning_rate=1e-4,
            schedule="constant",
            warmup=0,
            clip=0.0,
            ema=0.0,
        ),
    }
)
"""`strong`, the default, is close to a 2D nnU-Net in size and loss. `deck` is the course project:
plain Dice loss, levels of 64 to 512 and 1024 at the bottom, batch norm, no averaging."""
AUTO: Final = MappingProxyType({"batch_size": 0, "block": 0, "precision": "auto"})
"""Values that are settled when a run begins."""
PATCHES: Final = 2
"""Patches in a step of a 3D network, where no number is given; each is as large as many slices."""
LENGTHS: Final = ("epochs", "steps", "minutes")
"""Settings of which a call gives one at most."""


def recipe_defaults() -> dict[str, dict[str, object]]:
    """List the settings of each recipe by keyword, for help texts and docs."""
    defaults: dict[str, dict[str, object]] = {}
    for recipe, config in RECIPES.items():
        values: dict[str, object] = {}
        for part in (config, config.model):
            values |= {
                name: getattr(part, member.name) for name, member in keywords(type(part)).items()
            }
        defaults[recipe] = values
    for values in list(defaults.values())[1:]:
        del values["recipe"]  # the default recipe is the first one, whatever the others are called
    return defaults


def configure(**settings: Unpack[RunSettings]) -> TrainConfig:
    """Make the settings of a run: a recipe, and what departs from it.

    Args:
        **settings: keywords of `TrainConfig` and of `ModelConfig`.

    Raises:
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed or has no effect, or two lengths are given.
    """
    return configure_like(None, settings)


def configure_like(model: ModelConfig | None, settings: Mapping[str, Any]) -> TrainConfig:
    """Make the settings of a run as `configure` does, but with the sizes of another network.

    Args:
        model: of the network; None for that of the recipe.
        settings: as `configure` takes them.

    Raises:
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed or has no effect, or two lengths are given.
    """
    recipe = settings.get("recipe", "strong")
    if recipe not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {recipe!r}")
    base = RECIPES[recipe]
    if model is not None:
        batch_size = PATCHES if model.is_volumetric else base.batch_size
        base = replace(base, model=model, batch_size=batch_size)
    return depart(base, settings)


def depart(base: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """Change settings by name.

    Args:
        base: values of the settings that are not named.
        settings: as `configure` takes them; a recipe is only a name here.

    Raises:
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed or has no effect, or two lengths are given.
    """
    own, sizes = take("fit", settings, TrainConfig, ModelConfig)
    lengths = [name for name in LENGTHS if name in settings]
    if len(lengths) > 1:
        raise ValueError(f"give one length of a run, got {' and '.join(lengths)}")
    if "epochs" in own:
        own |= {"steps": 0, "minutes": 0.0}
    model = replace(base.model, **_fitting(base.model, sizes))
    if model.is_volumetric and not base.model.is_volumetric:
        own = {"batch_size": PATCHES} | own
    config = replace(base, model=model, **own)
    check_effects(config, settings)
    return config


def _fitting(model: ModelConfig, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Check changes of a model against its kind; options of another kind are not kept.

    Raises:
        ValueError: a custom network is given a size that only those of bratstrain take.
    """
    kind = sizes.get("kind", model.kind)
    unused = sorted(set(sizes) - {"kind", "modalities", "classes", "context", "model_options"})
    if kind not in (*MODELS, *VOLUME_MODELS) and unused:
        raise ValueError(
            f"{', '.join(unused)}: of no effect on {kind}; give its function's own arguments as "
            "model_options"
        )
    return ({"model_options": {}} if kind != model.kind else {}) | dict(sizes)


def check_effects(config: TrainConfig, settings: Mapping[str, Any]) -> None:
    """Refuse settings that were given and change nothing.

    What a recipe brings along is not refused: a network without residual blocks ignores its
    dropout.

    Args:
        config: all settings.
        settings: those that were given, by keyword.

    Raises:
        ValueError: a given setting has no effect beside the others.
    """
    if settings.get("dropout") and config.model.kind not in ("residual", "residual3d"):
        raise ValueError(
            f"dropout has no effect on model {config.model.kind}: it drops channels of residual "
            "blocks; leave it out, or take model residual"
        )
    if "missing_neighbours" in settings and config.model.context == 1:
        raise ValueError("missing_neighbours has no effect without context; give context 3, 5 or 7")
    if "patch" in settings and not config.model.is_volumetric:
        raise ValueError(
            f"patch has no effect on model {config.model.kind}, which takes whole planes; leave it "
            f"out, or take {', '.join(VOLUME_MODELS)}"
        )
    if config.model.is_volumetric and (settings.get("block") or config.split == "slice"):
        raise ValueError(
            f"block and split slice are of slices, but model {config.model.kind} takes patches of "
            "whole cases; leave them out"
        )
    if settings.get("test_share") and config.split not in ("subject", "slice"):
        raise ValueError(
            f"test_share has no effect with split {config.split}, which fixes its test part; leave "
            "it out, or take split subject or slice"
        )


def check_same(where: str, asked: TrainConfig, begun: TrainConfig) -> None:
    """Refuse to resume with other settings; those that a run settles itself are not compared.

    Args:
        where: the run folder, for the message.
        asked: settings of this call.
        begun: settings that the run was begun with.

    Raises:
        ValueError: a setting differs.
    """
    left = {
        name: getattr(begun, name) for name, auto in AUTO.items() if getattr(asked, name) == auto
    }
    asked = replace(asked, **left)
    every = [
        (member, getattr(now, member.name), getattr(then, member.name))
        for now, then in ((asked, begun), (asked.model, begun.model))
        for member in fields(now)
        if is_setting(member) and getattr(now, member.name) != getattr(then, member.name)
    ]
    # What follows from a setting that differs is not named beside it.
    given = [each for each in every if not facts_of(each[0]).is_fixed]
    differing = [(keyword_of(member), now, then) for member, now, then in given or every]
    if differing:
        was = ", ".join(f"{name} {then}" for name, _, then in differing)
        now = ", ".join(f"{name} {value}" for name, value, _ in differing)
        raise ValueError(
            f"{where}: the run was begun with {was}; this call asks for {now}; "
            "repeat the first settings, or name another --run"
        )
