"""AdamW by torch's own fused kernel, without what `torch.optim` brings in.

`torch.optim.AdamW` imports torch's compiler when it is made: 72 MB and seconds that nothing here
needs. The function under it does not, and the weights are the same to the bit.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import torch
from torch import Tensor
from torch.optim.adamw import adamw

BETAS: Final = (0.9, 0.999)
"""Decay of the two moments: torch's defaults, as is EPSILON."""
EPSILON: Final = 1e-8
MOMENTS: Final = ("step", "exp_avg", "exp_avg_sq")
"""What is kept of each parameter, by the names that torch's optimiser gives it."""


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    `torch.amp.GradScaler` takes it for an optimiser: it reads `param_groups` and sets `found_inf`
    and `grad_scale` for the time of a step.

    Args:
        parameters: float32, on one device.
        weight_decay: at least 0.
    """

    _step_supports_amp_scaling: ClassVar = True
    found_inf: Tensor | None = None
    """() float32 on the device: 1 leaves the next step out, 0 or None makes it."""
    grad_scale: Tensor | None = None

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        mine = list(parameters)
        self.param_groups = [{"params": mine}]
        self.rate = 0.0
        """Learning rate of the next step."""
        self._parameters = mine
        self._weight_decay = weight_decay
        self._steps = [torch.zeros((), device=each.device) for each in mine]
        self._means, self._squares = ([torch.zeros_like(each) for each in mine] for _ in range(2))

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters, all of which have gradients, unless `found_inf` says no."""
        adamw(
            self._parameters,
            [each.grad for each in self._parameters if each.grad is not None],
            self._means,
            self._squares,
            [],
            self._steps,
            fused=True,
            grad_scale=self.grad_scale,
            found_inf=self.found_inf,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.rate,
            weight_decay=self._weight_decay,
            eps=EPSILON,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for each in self._parameters:
            each.grad = None

    def state(self) -> dict[int, dict[str, Tensor]]:
        """Give the moments of each parameter, by its number; they are not copied."""
        return dict(enumerate(self._moments()))

    @torch.no_grad()
    def load_state(self, state: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Take over what `state` gave.

        Raises:
            ValueError: a number or a shape is another.
        """
        mine = self.state()
        for number in sorted({*mine, *state}, key=str):
            found, wanted = (_shapes(each.get(number, {})) for each in (state, mine))
            if found != wanted:
                raise ValueError(f"moments of parameter {number} are {found}, expected {wanted}")
        for number, moments in mine.items():
            for name, each in moments.items():
                each.copy_(state[number][name])

    def _moments(self) -> Iterable[dict[str, Tensor]]:
        """What is kept of each parameter, by name."""
        for kept in zip(self._steps, self._means, self._squares, strict=True):
            yield dict(zip(MOMENTS, kept, strict=True))


def _shapes(moments: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shape of each moment by name."""
    return {name: tuple(each.shape) for name, each in moments.items()}
