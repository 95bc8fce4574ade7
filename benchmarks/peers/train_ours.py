"""Ours: `bratstrain.networks.unet` with batch norm, as the peers' networks have it."""

from functools import partial

from torch import nn

from benchmarks.peers.train_runner import CLASSES, LEVELS, MODALITIES, run
from bratstrain.config import MODELS, ModelConfig
from bratstrain.networks.build import build_model


def network(kind: str, width: int) -> nn.Module:
    """One of our networks, without deep supervision."""
    return build_model(
        ModelConfig(kind=kind, modalities=MODALITIES, classes=CLASSES, width=width, depth=LEVELS)
    )


if __name__ == "__main__":
    run({kind: partial(network, kind) for kind in MODELS})
