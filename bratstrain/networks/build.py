"""The registry of networks, and the one place that turns a config into a network.

To add a network: a module beside this one with a function of a `ModelConfig`, a line in
`NETWORKS`, and the same name in `bratstrain.config.ModelName` or `VolumeModelName`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

from bratstrain.config import ModelConfig
from bratstrain.networks.custom import custom_network
from bratstrain.networks.unet import attention_unet, plain_unet, residual_unet

Builder: TypeAlias = Callable[[ModelConfig], nn.Module]
"""Makes a network whose weights are drawn from torch's global generator. It maps (b, channels,
h, w) float32 to (b, classes, h, w) logits for any h and w, and in training it may give a list of
them, see `bratstrain.networks.losses.supervise`; one whose name ends in 3d has a depth before h."""
NETWORKS: Final[Mapping[str, Builder]] = MappingProxyType(
    {
        "unet": plain_unet,
        "attention": attention_unet,
        "residual": residual_unet,
        "unet3d": plain_unet,
        "attention3d": attention_unet,
        "residual3d": residual_unet,
    }
)


def build_model(config: ModelConfig, seed: int = 0) -> nn.Module:
    """Build the network that a config describes, with fresh weights.

    Where the config names a function outside of bratstrain, its module is imported and run:
    callers first make sure that the user has asked for that function.

    Args:
        config: kind and sizes.
        seed: equal seeds draw equal weights; torch's global generator is restored afterwards.

    Returns:
        A network on the CPU in float32, in training mode.

    Raises:
        ValueError: a custom network cannot be imported or made, or a patch is too small for the
            depth.
    """
    builder = custom_network if config.is_custom else NETWORKS[config.kind]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return builder(config)


def as_input(image: Tensor, config: ModelConfig) -> Tensor:
    """Lay out a batch as a network takes it, with the channels last in memory.

    Args:
        image: (b, m, h, w) or (b, m, k, h, w) float, k planes a sample, the lowest first.
        config: of the network.

    Returns:
        (b, m, h, w), or (b, m k, h, w): all planes of the first modality, then of the next;
        (b, m, k, h, w) for patches. Differences of modalities follow the modalities.
    """
    channels = as_channels(image, config)
    is_volume = config.is_volumetric
    return channels.to(memory_format=torch.channels_last_3d if is_volume else torch.channels_last)


def as_channels(image: Tensor, config: ModelConfig) -> Tensor:
    """Lay out a (b, m, h, w) or (b, m, k, h, w) float batch as `as_input` does, in any order."""
    if config.differences:
        first, second = config.differences[::2], config.differences[1::2]
        image = torch.cat([image, image[:, list(first)] - image[:, list(second)]], dim=1)
    if config.is_volumetric or image.dim() == 4:
        return image
    return image.flatten(1, 2)


def places_of(difference: str, modalities: Sequence[str]) -> tuple[int, ...]:
    """Find the modalities whose differences a network is given.

    Args:
        difference: `A-B` of two names, or several joined by commas; empty for none.
        modalities: names, in the order of the channels.

    Returns:
        Place of A and of B for each.

    Raises:
        ValueError: a difference is not of two of the modalities.
    """
    places: list[int] = []
    for pair in difference.split(",") if difference else ():
        named = [
            (modalities.index(pair[:at]), modalities.index(pair[at + 1 :]))
            for at, mark in enumerate(pair)
            if mark == "-" and pair[:at] in modalities and pair[at + 1 :] in modalities
        ]
        if not named or named[0][0] == named[0][1]:
            raise ValueError(
                f"difference must be A-B of two of the modalities {', '.join(modalities)}, got "
                f"{pair!r}"
            )
        places += named[0]
    return tuple(places)
