"""The registry of networks."""

import torch

from bratstrain.config import MODELS, VOLUME_MODELS, ModelConfig
from bratstrain.networks import build
from bratstrain.networks.build import NETWORKS, build_model


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
