"""The optimiser of a run, and its state as a checkpoint keeps it."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def build_optimizer(parameters: Iterable[Tensor], weight_decay: float) -> torch.optim.AdamW:
    """Build AdamW (Loshchilov and Hutter 2019) with all of its state.

    torch makes the state at the first step. Here it exists from the start, so that a checkpoint of
    any step has the same entries. The learning rate is set before every step.

    Args:
        parameters: float32 tensors of any shape, on one device.
        weight_decay: at least 0.
    """
    optimizer = torch.optim.AdamW(parameters, lr=0.0, weight_decay=weight_decay, fused=True)
    for parameter in optimizer.param_groups[0]["params"]:
        optimizer.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
        }
    return optimizer


def moments(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """Give the steps and moments of each parameter, by its number; they are not copied."""
    state: dict[int, dict[str, Tensor]] = optimizer.state_dict()["state"]
    return state


@torch.no_grad()
def load_moments(
    optimizer: torch.optim.Optimizer, state: Mapping[int, Mapping[str, Tensor]]
) -> None:
    """Copy what `moments` gave into an optimiser of the same parameters.

    torch's own `load_state_dict` checks no shapes and shares the tensors.

    Args:
        optimizer: as `build_optimizer` returned it; its state is overwritten.
        state: by number and name, float32 tensors of the shapes of the parameters.

    Raises:
        ValueError: a number or a shape differs.
    """
    existing = moments(optimizer)
    for number in sorted({*existing, *state}, key=str):
        loaded, expected = (_shapes(part.get(number, {})) for part in (state, existing))
        if loaded != expected:
            raise ValueError(f"moments of parameter {number} are {loaded}, expected {expected}")
    for number, parts in existing.items():
        for name, part in parts.items():
            part.copy_(state[number][name])


def _shapes(parts: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor, of any shape and dtype, by name."""
    return {name: tuple(part.shape) for name, part in parts.items()}
