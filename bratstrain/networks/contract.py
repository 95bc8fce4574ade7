"""Whether a custom network keeps its contract, tried on a tiny batch before a run begins.

A network that breaks it would fail hours later, or worse, train and give scores that no
checkpoint can reproduce.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from bratstrain.config import ModelConfig
from bratstrain.networks.blocks import pad_to_cells
from bratstrain.networks.custom import PaddedNetwork, custom_network

TRIED: Final = 2
"""Slices of the batch that is tried; batch norm needs more than one."""


def check_contract(config: ModelConfig, h: int, w: int) -> None:
    """Check the custom network of a config on slices of one size.

    Two networks are built for it, so the one that is trained is not touched, and torch's global
    generator is restored.

    Args:
        config: names a custom network.
        h: rows of the slices, pixels.
        w: columns of the slices, pixels.

    Raises:
        ValueError: the network breaks its contract; the message says how.
    """
    name = config.kind
    network, again = build_custom(config), build_custom(config)
    check_state(name, network.network, again.network)
    shape = (TRIED, config.channels, h, w)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=torch.channels_last)
    padded = pad_to_cells(image, (network.cell, network.cell))
    inner = network.network
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        check_training(name, inner.train(), padded, config.outputs)
        check_evaluation(name, inner.eval(), padded, config.outputs)


def build_custom(config: ModelConfig) -> PaddedNetwork:
    """Build a custom network from seed 0, with torch's global generator restored."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return custom_network(config)


def check_state(name: str, network: nn.Module, again: nn.Module) -> None:
    """Check what a checkpoint holds of a network, and that its seed decides it.

    Args:
        name: of the network, for errors.
        network: as built.
        again: built once more from the same seed.

    Raises:
        ValueError: there is nothing to train, a weight is no whole float32 tensor, something in
            the state is no tensor, or two builds differ.
    """
    parameters = dict(network.named_parameters())
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ValueError(f"{name}: has no parameter to train")
    for key, parameter in parameters.items():
        if isinstance(parameter, UninitializedParameter):
            raise ValueError(f"{name}: parameter {key} has no size until the first batch")
        if parameter.dtype != torch.float32:
            raise ValueError(f"{name}: parameter {key} is {parameter.dtype}, expected float32")
    state: Mapping[str, object] = network.state_dict()
    for key, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"{name}: {key} of its state is {type(value).__name__}; a checkpoint holds tensors"
            )
    check_equal(name, network.state_dict(), again.state_dict())


def check_equal(name: str, state: Mapping[str, Tensor], again: Mapping[str, Tensor]) -> None:
    """Check that two networks of one seed have the same names and numbers.

    Args:
        name: of the network, for errors.
        state: by name, tensors of any shape and dtype.
        again: the same of the second network.

    Raises:
        ValueError: they differ.
    """
    differing = [
        key
        for key in {**state, **again}
        if key not in state or key not in again or not torch.equal(state[key], again[key])
    ]
    if differing:
        raise ValueError(
            f"{name}: two networks of one seed differ in {differing[0]}; draw every weight from "
            "torch's global generator"
        )


def forward(name: str, network: nn.Module, image: Tensor) -> object:
    """Run a network on an image, (b, modalities, h, w) float32.

    Raises:
        ValueError: torch, or the network itself, refuses the image.
    """
    try:
        return network(image)
    except RuntimeError as error:
        raise ValueError(
            f"{name}: cannot process an image of {tuple(image.shape)}: {error}; if sides must be "
            "divisible by n, set its attribute cell to n"
        ) from error


def check_training(name: str, network: nn.Module, image: Tensor, classes: int) -> None:
    """Check logits and gradients in training mode.

    Args:
        name: of the network, for errors.
        network: in training mode; its gradients and running moments are changed.
        image: (b, modalities, h, w) float32, sides multiples of the network's cell.
        classes: channels that the logits must have.

    Raises:
        ValueError: a shape or type is another, or a parameter gets no finite gradient.
    """
    logits = forward(name, network, image)
    levels = [logits] if isinstance(logits, Tensor) else logits
    if not isinstance(levels, list | tuple) or not levels:
        raise ValueError(
            f"{name}: gives a {type(logits).__name__} in training, expected a tensor of logits "
            "or a list of them"
        )
    for k, level in enumerate(levels):
        sides = (-(-side // 2**k) for side in image.shape[2:])
        check_logits(f"{name}: level {k} in training", level, (len(image), classes, *sides))
    total = torch.stack([level.square().mean() for level in levels]).sum()
    if not total.requires_grad:
        raise ValueError(f"{name}: its logits depend on no parameter that is trained")
    total.backward()  # type: ignore[no-untyped-call]  # torch's stub
    for key, parameter in network.named_parameters():
        if parameter.requires_grad and parameter.grad is None:
            raise ValueError(
                f"{name}: no gradient reaches parameter {key}; use it, or set its requires_grad "
                "to False"
            )
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            raise ValueError(f"{name}: the gradient of parameter {key} is not finite")


@torch.no_grad()
def check_evaluation(name: str, network: nn.Module, image: Tensor, classes: int) -> None:
    """Check logits in evaluation mode, and that they are the same when asked for again.

    Args:
        name: of the network, for errors.
        network: in evaluation mode.
        image: (b, modalities, h, w) float32, sides multiples of the network's cell.
        classes: channels that the logits must have.

    Raises:
        ValueError: a shape or type is another, or a second pass gives other logits.
    """
    where, shape = f"{name}: output in evaluation", (len(image), classes, *image.shape[2:])
    first, again = (check_logits(where, forward(name, network, image), shape) for _ in range(2))
    if not torch.equal(first, again):
        raise ValueError(
            f"{name}: gives other logits for the same image in evaluation; its dropout must heed "
            "eval()"
        )


def check_logits(where: str, logits: object, shape: tuple[int, ...]) -> Tensor:
    """Check that logits are finite float32 numbers of a shape, (b, classes, h, w), and return them.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(logits, Tensor):
        raise ValueError(f"{where} is a {type(logits).__name__}, expected one tensor of logits")
    if logits.shape != shape or logits.dtype != torch.float32:
        raise ValueError(
            f"{where} is {tuple(logits.shape)} {logits.dtype}, expected {tuple(shape)} "
            "torch.float32 (batch, classes, height, width)"
        )
    if not bool(logits.isfinite().all()):
        raise ValueError(f"{where} is not finite")
    return logits
