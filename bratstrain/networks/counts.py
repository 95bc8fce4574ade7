"""Size and cost of a network: its parameters, and the multiply-adds of one slice."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_parameters(model: nn.Module) -> int:
    """Count the numbers that training changes; running moments are not among them."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def count_macs(model: nn.Module, *sides: int) -> int:
    """Count the multiply-adds of all convolutions in one forward pass of one slice or patch.

    Nothing is computed: a copy without values runs in evaluation mode.

    Args:
        model: any network of convolutions, the first of which takes the image.
        *sides: of the slice, rows and columns, or of the patch, with its depth before them.

    Returns:
        Multiply-adds, which other tools count as two operations.
    """
    ghost = copy.deepcopy(model).to("meta").eval()
    first = next(module for module in ghost.modules() if isinstance(module, nn.Conv2d | nn.Conv3d))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        ghost(torch.empty(1, first.in_channels, *sides, device="meta"))
    return counter.get_total_flops() // 2
