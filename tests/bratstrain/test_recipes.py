import json
from typing import get_args

import pytest

from bratstrain.config import ModelConfig, Recipe, Session, TrainConfig
from bratstrain.recipes import RECIPES, check_same, configure, recipe_defaults


def test_strong_is_the_default():
    assert configure() == RECIPES["strong"]


def test_deck_is_the_course_project():
    deck = configure(recipe="deck", model="attention")
    assert deck.model == ModelConfig(kind="attention", width=64, depth=5, norm="batch", dropout=0.2)
    assert (deck.loss, deck.augment, deck.sampling, deck.ema) == (
        "dice",
        "combined",
        "uniform",
        0.0,
    )


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_knows_its_name(name):
    assert RECIPES[name].recipe == name


def test_settings_depart_from_the_recipe():
    config = configure(model="unet", width=8, learning_rate=0.1, steps=5)
    assert (config.model.kind, config.model.width, config.model.depth) == ("unet", 8, 6)
    assert (config.learning_rate, config.steps) == (0.1, 5)


def test_unknown_recipe_is_refused():
    with pytest.raises(ValueError, match="recipe must be one of strong, deck, got 'weak'"):
        configure(recipe="weak")


def test_what_is_left_to_the_device_may_be_anything():
    found = configure(batch_size=32, precision="bf16")
    check_same("run", configure(batch_size=0, precision="auto"), found)
    with pytest.raises(ValueError, match=r"run: .* begun with batch_size 32; .* batch_size 16; "):
        check_same("run", configure(batch_size=16), found)


def test_settings_of_both_calls_are_named_for_what_they_are():
    begun, asked = configure(batch_size=1, steps=4), configure(batch_size=4, steps=8, width=8)
    with pytest.raises(ValueError, match="the run was begun with") as refusal:
        check_same("run", asked, begun)
    was, now = str(refusal.value).split("; ")[:2]
    assert was.endswith("begun with steps 4, batch_size 1, width 32")
    assert now == "this call asks for steps 8, batch_size 4, width 8"


@pytest.mark.parametrize("name", RECIPES)
def test_config_comes_back_from_json(name):
    assert TrainConfig.from_json(RECIPES[name].to_json()) == RECIPES[name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "random"}, "split must be subject, nnunet, slice or a .json, got 'random'"),
        ({"steps": 3, "minutes": 1.0}, "give steps or minutes, got 3 and 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"minutes": float("nan")}, "minutes must be at least 0, got nan"),
        ({"fold": 5}, "fold must be at least 0 and below 5, got 5"),
        ({"ema": 1.0}, "ema must be at least 0 and below 1"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"loss": "l2"}, "loss must be one of dice, dice_ce, ce, focal, tversky, got 'l2'"),
    ],
)
def test_config_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "settings must be names and values"),
        ({"model": 3}, "settings must be names and values"),
        ({"lr": 3}, "unknown setting lr; "),
        ({"steps": 1.5}, "steps must be a whole number, got 1.5"),
        ({"model": {"width": True}}, "width must be a whole number, got True"),
    ],
)
def test_json_of_another_form_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_json(json.dumps(names))


def test_whole_number_may_stand_for_a_decimal_one():
    assert TrainConfig.from_json('{"clip": 3}').clip == 3


def test_session_reads_at_least_a_batch_ahead():
    with pytest.raises(ValueError, match="prefetch must be at least 1, got 0"):
        Session(prefetch=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 0.1, "model": "unet"}, "dropout has no effect on model unet"),
        ({"dropout": 0.1, "model": "attention"}, "dropout has no effect on model attention"),
        ({"test_share": 0.1, "split": "nnunet"}, "test_share has no effect with split nnunet"),
        ({"test_share": 0.1, "split": "a.json"}, "test_share has no effect with split a.json"),
        ({"epochs": 1, "steps": 2}, "give one length of a run, got epochs and steps"),
    ],
)
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        configure(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"recipe": "deck", "model": "unet"},
        {"dropout": 0.0, "model": "unet"},
        {"dropout": 0.1, "model": "residual"},
        {"test_share": 0.1, "split": "slice"},
    ],
)
def test_settings_of_the_recipe_may_be_without_effect(settings):
    assert configure(**settings).recipe == settings.get("recipe", "strong")


def test_unknown_keyword_is_a_type_error_with_a_suggestion():
    with pytest.raises(TypeError, match=r"unexpected keyword .* 'widht'; .* 'width'"):
        configure(widht=3)


def test_every_recipe_has_a_name_that_a_type_checker_knows():
    assert tuple(RECIPES) == get_args(Recipe)


def test_defaults_of_a_recipe_are_its_settings_by_keyword():
    strong, deck = recipe_defaults().values()
    assert (strong["recipe"], strong["model"], strong["width"]) == ("strong", "residual", 32)
    assert (deck["learning_rate"], deck["dropout"]) == (1e-4, 0.2)
    assert "recipe" not in deck
    assert not {"kind", "modalities", "classes"} & {*strong, *deck}
