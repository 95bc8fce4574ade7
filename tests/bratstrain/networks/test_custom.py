"""A network of the user's own: how it is made, and what is wrong with one that is refused."""

import pytest
import torch

from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.networks.build import build_model
from bratstrain.networks.contract import check_contract
from bratstrain.recipes import check_same, configure, depart
from tests.helpers import customnets
from tests.helpers.customnets import GOOD, package  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("package")


def custom(name="build", **options):
    return ModelConfig(kind=f"{customnets.PACKAGE}.nets:{name}", model_options=options)


def test_slices_are_padded_to_cells_and_logits_cut():
    network = build_model(custom()).eval()
    image = torch.randn(2, 4, 10, 7)
    logits = network(image)
    padded = torch.zeros(2, 4, 12, 8)
    padded[..., :10, :7] = image
    assert torch.equal(logits, network.network(padded)[..., :10, :7])


def test_levels_of_deep_supervision_are_cut():
    shapes = [level.shape for level in build_model(custom("levels"))(torch.randn(2, 4, 9, 7))]
    assert shapes == [(2, 4, 9, 7), (2, 4, 5, 4)]


def test_options_reach_the_function():
    assert build_model(custom(width=3)).network.down.out_channels == 3


def test_seed_decides_the_weights_and_the_generator_is_restored():
    before = torch.get_rng_state()
    first, again, other = (build_model(custom(), seed).network.up.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["build", "frozen_encoder", "levels"])
def test_contract_holds(name):
    before = torch.get_rng_state()
    check_contract(custom(name), 10, 7)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "gives a int, expected a torch.nn.Module"),
        ("fewer_classes", r"level 0 in training is \(2, 3, 12, 8\).*expected \(2, 4, 12, 8\)"),
        ("half_size", r"level 0 in training is \(2, 4, 6, 4\).*expected \(2, 4, 12, 8\)"),
        ("double", "parameter down.weight is torch.float64, expected float32"),
        ("widened", "is .* torch.float64, expected .* torch.float32"),
        ("infinite", "level 0 in training is not finite"),
        ("mapping", "gives a dict in training"),
        ("nothing", "gives a list in training"),
        ("always_a_list", "output in evaluation is a list, expected one tensor"),
        ("restless", "gives other logits for the same image in evaluation"),
        ("detached", "its logits depend on no parameter"),
        ("root", "the gradient of parameter down.weight is not finite"),
        (
            "refusing",
            "image of .* divisible by 32; if sides must be divisible by n, set its .* cell",
        ),
        ("unused", "no gradient reaches parameter spare.weight"),
        ("all_frozen", "has no parameter to train"),
        ("lazy", "parameter down.weight has no size until the first batch"),
        ("other_generator", "two networks of one seed differ in .*up.bias"),
        ("noting", "_extra_state of its state is str; a checkpoint holds tensors"),
        ("odd_cell", "its cell is '4', expected a number of pixels"),
        ("not_a_function", "tiny_networks.nets has no function not_a_function"),
        ("missing", "tiny_networks.nets has no function missing"),
    ],
)
def test_contract_refuses(name, message):
    with pytest.raises(ValueError, match=f"^tiny_networks.nets:{name}: .*{message}"):
        check_contract(custom(name), 10, 7)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("no_such_package.nets:build", "no_such_package is missing"),
        ("tiny_networks.nowhere:build", "tiny_networks.nowhere is missing"),
        ("tiny_networks.needy:build", "a_package_that_is_not_installed is missing"),
    ],
)
def test_missing_import_is_named(kind, missing):
    with pytest.raises(ValueError, match=f"^{kind}: cannot be imported, {missing}"):
        build_model(ModelConfig(kind=kind))


def test_arguments_that_the_function_does_not_take_are_named():
    with pytest.raises(
        ValueError, match=r"cannot be called with modalities, classes, depth: .*depth"
    ):
        build_model(custom(depth=3))


@pytest.mark.parametrize("kind", ["eval", "a:b:c", ":f", "m:", "a b:c", "os.path/..:f", "a:f()"])
def test_name_of_another_form_is_refused(kind):
    with pytest.raises(ValueError, match=r"model must be one of .* or package.module:function"):
        ModelConfig(kind=kind)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": None}, "width must be a number"),
        ({"width": {"a": 1}}, "width must be a number"),
        ({"width": [[1]]}, "width must be a number"),
        ({"width": float("nan")}, "width must be finite"),
        ({"a b": 1}, "'a b' cannot be the name"),
        ({"classes": 1}, "'classes' cannot be the name"),
    ],
)
def test_option_of_another_form_is_refused(options, message):
    with pytest.raises(ValueError, match=f"model_options: {message}"):
        custom(**options)


def test_options_are_for_custom_networks_alone():
    with pytest.raises(ValueError, match=r"model_options .*; unet takes none, got width"):
        configure(model="unet", model_options={"width": 3})


def test_sizes_are_for_the_networks_of_bratstrain_alone():
    with pytest.raises(ValueError, match=rf"depth, width: of no effect on {GOOD}"):
        configure(model=GOOD, width=3, depth=2)


def test_settings_come_back_from_json():
    config = configure(model=GOOD, model_options={"widths": [1, 2], "name": "x", "scale": 0.5})
    assert TrainConfig.from_json(config.to_json()) == config
    assert hash(config) == hash(TrainConfig.from_json(config.to_json()))


def test_resumed_run_keeps_its_options():
    begun = configure(model=GOOD, model_options={"width": 3})
    check_same("run", depart(begun, {"model": GOOD}), begun)
    with pytest.raises(ValueError, match="model_options"):
        check_same("run", depart(begun, {"model_options": {"width": 4}}), begun)


def test_another_kind_drops_the_options():
    begun = configure(model=GOOD, model_options={"width": 3})
    assert depart(begun, {"model": "unet"}).model.model_options == {}


def test_settings_alone_import_nothing():
    configure(model=GOOD)
    assert not customnets.is_imported()
