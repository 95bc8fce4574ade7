"""The registry of networks."""

import pytest
import torch

from bratstrain.config import MODELS, VOLUME_MODELS, ModelConfig
from bratstrain.networks import build
from bratstrain.networks.build import NETWORKS, as_input, build_model, places_of


def test_networks_are_those_that_the_settings_know():
    assert tuple(NETWORKS) == (*MODELS, *VOLUME_MODELS)


def test_network_can_be_added(monkeypatch):
    def flat(config):
        return torch.nn.Conv2d(config.modalities, config.classes, 1)

    monkeypatch.setattr("bratstrain.config.MODELS", (*MODELS, "flat"))
    monkeypatch.setattr(build, "NETWORKS", {**NETWORKS, "flat": flat})
    first, again = (build_model(ModelConfig(kind="flat"), seed=3) for _ in range(2))
    assert first(torch.ones(1, 4, 5, 6)).shape == (1, 4, 5, 6)
    assert torch.equal(first.weight, again.weight)


MODALITIES = ("flair", "t1w", "t1gd", "t2w")


def test_differences_are_of_the_named_modalities():
    assert places_of("", MODALITIES) == ()
    assert places_of("t1gd-t1w", MODALITIES) == (2, 1)
    assert places_of("t1gd-t1w,flair-t2w", MODALITIES) == (2, 1, 0, 3)
    assert places_of("t2-post-t2", ("t2", "t2-post")) == (1, 0)


@pytest.mark.parametrize("wrong", ["t1gd", "t1gd-adc", "t1w-t1w", "t1gd+t1w", "t1gd-t1w,"])
def test_differences_of_anything_else_are_refused(wrong):
    with pytest.raises(ValueError, match=r"^difference must be A-B of two of .* flair, t1w, t1gd"):
        places_of(wrong, MODALITIES)


def test_difference_is_a_further_channel_of_each_plane():
    flat = ModelConfig(difference="t1gd-t1w", differences=(2, 1))
    deep = ModelConfig(difference="t1gd-t1w", differences=(2, 1), context=3)
    volume = ModelConfig(difference="t1gd-t1w", differences=(2, 1), kind="unet3d")
    image = torch.randn(2, 4, 3, 8, 8)
    change = image[:, 2] - image[:, 1]
    assert (flat.channels, deep.channels, volume.channels) == (5, 15, 5)
    assert torch.equal(as_input(image[:, :, 1], flat)[:, :4], image[:, :, 1])
    assert torch.equal(as_input(image[:, :, 1], flat)[:, 4], change[:, 1])
    assert torch.equal(as_input(image, deep)[:, 12:], change)
    assert torch.equal(as_input(image, volume)[:, 4], change)
    assert build_model(flat)(as_input(image[:, :, 1], flat)).shape == (2, 4, 8, 8)
