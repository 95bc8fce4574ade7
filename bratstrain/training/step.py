"""One optimiser step: a network, its averaged twin, its optimiser, and nothing of files."""

import copy
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bratstrain.config import TrainConfig
from bratstrain.data.augment import augment
from bratstrain.device import DTYPES
from bratstrain.networks.losses import build_loss
from bratstrain.networks.unet import build_model
from bratstrain.training.optimizer import build_optimizer, load_moments, moments
from bratstrain.training.schedule import ema_decay, learning_rate

WEIGHTED: Final = ("ce", "focal")
"""Losses that weigh the classes; the others measure overlap, which needs no weights."""


class Trainer:
    """A network that learns batch by batch.

    Args:
        config: settled: its precision is one that the device has.
        device: where to compute.
        weights: (classes,) float32 weight of each class in the loss, or None.
    """

    def __init__(
        self, config: TrainConfig, device: torch.device, weights: Tensor | None = None
    ) -> None:
        self.config = config
        self.device = device
        network = build_model(config.model, config.seed)
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self.average: nn.Module | None = None
        if config.ema:
            self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = build_optimizer(self.network.parameters(), config.weight_decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._loss = build_loss(
            config.loss, config.model.classes, None if weights is None else weights.to(device)
        )
        self._sound = [buffer.clone() for buffer in self.network.buffers()]
        if config.compile:
            self.network.compile()

    def step(self, image: Tensor, label: Tensor, step: int, progress: float) -> Tensor:
        """Learn one batch; a pure function of the state, the batch, the seed and the step.

        Where the loss or a gradient is not finite, nothing is learnt, and the running moments of
        batch norm are put back to what they were. All of that is decided on the device: a GPU
        is not waited for.

        Args:
            image: (b, m, h, w) float32, standard deviations.
            label: (b, h, w) uint8.
            step: counted from 0.
            progress: part of the run that is over, 0 to 1.

        Returns:
            () float32 loss, on the device; nan where nothing was learnt.
        """
        self._seed(step)
        self._set_rate(step, progress)
        loss = self._backward(image, label, step)
        self.scaler.unscale_(self.optimizer)
        parameters = self.network.parameters()
        norm = nn.utils.clip_grad_norm_(parameters, self.config.clip or math.inf)
        is_sound = loss.isfinite()
        if not self.scaler.is_enabled():  # which looks for gradients beyond fp16 by itself
            is_sound = is_sound & norm.isfinite()
            self.optimizer.found_inf = (~is_sound).float()  # type: ignore[attr-defined]  # read by the fused step
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self._settle(step, is_sound)
        return torch.where(is_sound, loss, math.nan)

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def segment(self, image: Tensor) -> Tensor:
        """Give the logits of the weights that would be used: the averaged ones, if there are any.

        Args:
            image: (b, m, h, w) float32, standard deviations.

        Returns:
            (b, classes, h, w) logits.
        """
        network = self.network if self.average is None else self.average
        was_training = network.training
        network.eval()
        with self._precision():
            logits: Tensor = network(image)
        network.train(was_training)
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Give the weights that would be used, as they lie on the device."""
        return dict((self.network if self.average is None else self.average).state_dict())

    def state(self) -> dict[str, Any]:
        """Give all that `load_state` needs, by the names of a `Checkpoint`'s fields."""
        return {
            "network": dict(self.network.state_dict()),
            "average": {} if self.average is None else dict(self.average.state_dict()),
            "optimizer": moments(self.optimizer),
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            RuntimeError, ValueError, KeyError, TypeError or AttributeError: it is not of such a
                trainer.
        """
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        load_moments(self.optimizer, state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        with torch.no_grad():
            _copy_all(self._sound, list(self.network.buffers()))

    def _seed(self, step: int) -> None:
        """Seed torch for a step, so that dropout does not depend on what went before."""
        words = np.random.SeedSequence((self.config.seed, step, 1)).generate_state(1, np.uint64)
        seed = int(words[0])
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _backward(self, image: Tensor, label: Tensor, step: int) -> Tensor:
        """Leave the gradients of a batch, scaled in fp16, and give its loss."""
        kind, seed = self.config.augment, self.config.seed
        image, label = augment(image, label, kind=kind, seed=seed, step=step)
        with self._precision():
            logits = self.network(image.to(memory_format=torch.channels_last))
        loss = self._loss(logits, label)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's stub
        return loss.detach()

    def _precision(self) -> torch.autocast:
        """Run convolutions in the run's precision."""
        name = self.config.precision
        return torch.autocast(self.device.type, DTYPES[name], enabled=name != "fp32")

    def _set_rate(self, step: int, progress: float) -> None:
        """Give the optimiser the learning rate of a step."""
        config = self.config
        self.optimizer.param_groups[0]["lr"] = learning_rate(
            config.learning_rate, config.schedule, config.warmup, step, progress
        )

    @torch.no_grad()
    def _settle(self, step: int, is_sound: Tensor) -> None:
        """Put the buffers back after a step that is not sound; average the weights."""
        buffers = list(self.network.buffers())
        for buffer, sound in zip(buffers, self._sound, strict=True):
            sound.copy_(torch.where(is_sound, buffer, sound))
        _copy_all(buffers, self._sound)
        if self.average is not None:
            mine = [each.detach() for each in self.network.parameters()]
            update = get_ema_multi_avg_fn(ema_decay(self.config.ema, step))  # type: ignore[no-untyped-call]  # torch's stub
            update(list(self.average.parameters()), mine, step)
            _copy_all(list(self.average.buffers()), buffers)


def _copy_all(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy tensors into others of the same shapes."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def class_weights(voxels: NDArray[np.integer[Any]]) -> Tensor:
    """Weigh classes by one over the square root of their pixels, the mean weight being 1.

    The root is between no weights, with which rare classes are not learnt, and the inverse
    itself, with which a pixel of a rare class outweighs a thousand of the background. A class
    that is absent weighs as the rarest one that is there.

    Args:
        voxels: (n, classes) int, pixels of each class in each slice of training.

    Returns:
        (classes,) float32, above 0.
    """
    pixels = voxels.sum(axis=0).astype(np.float64)
    pixels[pixels == 0] = pixels[pixels > 0].min()
    weights = pixels**-0.5
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))
