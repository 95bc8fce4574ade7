"""One optimiser step of a network and of its averaged weights, without any file."""

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.data.augment import augment, drop_modalities
from bratstrain.device import DTYPES
from bratstrain.networks.build import as_input, build_model
from bratstrain.networks.divided import divided
from bratstrain.networks.losses import build_loss
from bratstrain.networks.region_losses import build_region_loss
from bratstrain.ranks.group import ALONE, Group
from bratstrain.training.optimizer import build_optimizer, load_moments, moments
from bratstrain.training.recorded import RecordedPass
from bratstrain.training.schedule import ema_decay, learning_rate


class Trainer:
    """A network that learns batch by batch.

    Args:
        config: settled: its precision is one that the device supports.
        device: where to compute.
        weights: (classes,) float32 weight of each class in the loss, or None.
        rare: classes that targeted augmentation is stronger for.
        group: the ranks that learn each batch together; this one is given its share.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        weights: Tensor | None = None,
        rare: Sequence[int] = (),
        group: Group = ALONE,
    ) -> None:
        self.config = config
        self.device = device
        self.group = group
        network = divided(build_model(config.model, config.seed), group)
        last = torch.channels_last_3d if config.model.is_volumetric else torch.channels_last
        self.network = network.to(device, memory_format=last)  # type: ignore[call-overload]  # torch's stub
        self.average: nn.Module | None = None
        self.averaged = 0
        if config.ema or config.swa:
            self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        trained = [value for value in self.network.parameters() if value.requires_grad]
        self.optimizer = build_optimizer(trained, config.weight_decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._loss = build_loss(
            config.loss,
            config.model.classes,
            None if weights is None else weights.to(device),
            group,
        )
        if config.model.nesting:
            self._loss = build_region_loss(config.loss, config.model.nesting, group)
        self._rare = tuple(rare)
        self._sound = [buffer.clone() for buffer in self.network.buffers()]
        if config.compile:
            self.network.compile()
        is_recorded = can_be_recorded(config, device, group)
        self._recorded = RecordedPass(self.network) if is_recorded else None

    def step(self, image: Tensor, label: Tensor, step: int, progress: float) -> Tensor:
        """Learn one batch; a pure function of the state, the batch, the seed and the step.

        Of several ranks each learns its share, and all have the same weights afterwards.

        Where the loss or a gradient is not finite, the step is skipped: neither the weights nor
        their average change, and where the loss is not finite, the running moments of batch norm
        are restored. All of this is decided on the device, so that a GPU is not waited for.

        Args:
            image: (b, m, h, w) or (b, m, k, h, w) float32, standard deviations.
            label: (b, h, w) uint8, or (b, k, h, w) of patches.
            step: counted from 0.
            progress: part of the run that is over, 0 to 1.

        Returns:
            () float32 loss, on the device; nan where it is not finite, or a gradient in fp32 or
            bf16 is not. In fp16 the scaler skips a step with an infinite gradient by itself.
        """
        self._seed(step)
        self._set_rate(step, progress)
        loss = self._backward(image, label, step)
        loss = self.group.average_(self.network.parameters(), loss)
        self.scaler.unscale_(self.optimizer)
        parameters = self.network.parameters()
        norm = nn.utils.clip_grad_norm_(parameters, self.config.clip or math.inf)
        is_sound = loss.isfinite()
        is_learnt = is_sound & norm.isfinite()
        if not self.scaler.is_enabled():  # it checks the gradients by itself
            is_sound = is_learnt
            self.optimizer.found_inf = (~is_sound).float()  # type: ignore[attr-defined]  # read by the fused step
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self._recorded is None:  # a replay overwrites gradients where they are
            self.optimizer.zero_grad()
        self._restore_buffers(is_sound)
        self._average(self._decay(step, progress), is_learnt)
        return torch.where(is_sound, loss, math.nan)

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def segment(self, image: Tensor) -> Tensor:
        """Compute logits with the weights that are to be used: averaged ones, if they are kept.

        Args:
            image: (b, m, h, w) or (b, m, k, h, w) float32, standard deviations.

        Returns:
            (b, outputs, h, w) logits, or (b, outputs, k, h, w) of patches.
        """
        network = self.network if self.average is None else self.average
        was_training = network.training
        network.eval()
        with self._precision():
            logits: Tensor = network(self._as_input(image))
        network.train(was_training)
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Weights that are to be used, on the device: averaged ones, if they are kept."""
        return dict((self.network if self.average is None else self.average).state_dict())

    def begin_with(self, state: Mapping[str, Tensor]) -> None:
        """Begin with the weights of another run, before the first step.

        Args:
            state: by name, tensors of any dtype, of the shapes of the network's; others stay.

        Raises:
            RuntimeError: a shape is another.
        """
        for network in (self.network, self.average):
            if network is not None:
                network.load_state_dict({**network.state_dict(), **state})
        with torch.no_grad():
            _copy_all(self._sound, list(self.network.buffers()))

    def content(self) -> bytes:
        """Bytes of the weights and their average, which are to be the same on every rank."""
        networks = (self.network, self.average or nn.Module())
        values = (value for network in networks for value in network.state_dict().values())
        return b"".join(value.cpu().contiguous().numpy().tobytes() for value in values)

    def state(self) -> dict[str, Any]:
        """Everything that `load_state` needs, by the names of a `Checkpoint`'s fields."""
        return {
            "network": dict(self.network.state_dict()),
            "average": {} if self.average is None else dict(self.average.state_dict()),
            "averaged": self.averaged,
            "optimizer": moments(self.optimizer),
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned.

        Raises:
            RuntimeError, ValueError, KeyError, TypeError or AttributeError: it is the state of
                another kind of trainer.
        """
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.averaged = state["averaged"]
        load_moments(self.optimizer, state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        with torch.no_grad():
            _copy_all(self._sound, list(self.network.buffers()))

    def _seed(self, step: int) -> None:
        """Seed torch for a step, so that dropout does not depend on earlier steps."""
        words = np.random.SeedSequence((self.config.seed, step, 1)).generate_state(1, np.uint64)
        seed = int(words[0])
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _backward(self, image: Tensor, label: Tensor, step: int) -> Tensor:
        """Compute the gradients of a batch, scaled in fp16, and its loss.

        Args:
            image: (b, m, h, w) or (b, m, k, h, w) float32, standard deviations.
            label: (b, h, w) uint8, or (b, k, h, w) of patches.
            step: counted from 0.

        Returns:
            () float32 loss.
        """
        kind, seed = self.config.augment, self.config.seed
        image, label = augment(
            image, label, self._rare, kind=kind, seed=seed, step=step, group=self.group
        )
        image = drop_modalities(
            image, self.config.drop_modality, seed=seed, step=step, group=self.group
        )
        given = self._as_input(image)
        if self._recorded is None:
            return self._learn(given, label)
        return self._recorded(self._learn, given, label)  # pragma: no cover  # needs a GPU

    def _learn(self, image: Tensor, label: Tensor) -> Tensor:
        """Compute the gradients of a (b, channels, *sides) input and its () float32 loss."""
        with self._precision():
            logits = self.network(image)
        loss = self._loss(logits, label)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's stub
        return loss.detach()

    def _as_input(self, image: Tensor) -> Tensor:
        """Lay out a (b, m, h, w) or (b, m, k, h, w) float batch for the network."""
        return as_input(image, self.config.model)

    def _precision(self) -> torch.autocast:
        """Run convolutions in the run's precision."""
        name = self.config.precision
        return torch.autocast(self.device.type, DTYPES[name], enabled=name != "fp32")

    def _set_rate(self, step: int, progress: float) -> None:
        """Set the optimiser's learning rate for a step."""
        config = self.config
        self.optimizer.param_groups[0]["lr"] = learning_rate(
            config.learning_rate, config.schedule, config.warmup, step, progress
        )

    @torch.no_grad()
    def _restore_buffers(self, is_sound: Tensor) -> None:
        """Restore the buffers after a step that is not sound, () bool."""
        buffers = list(self.network.buffers())
        for buffer, sound in zip(buffers, self._sound, strict=True):
            sound.copy_(torch.where(is_sound, buffer, sound))
        _copy_all(buffers, self._sound)

    def _decay(self, step: int, progress: float) -> float:
        """Share of the averaged weights that stays: of EMA, or of an equal mean near the end.

        n / (n + 1) after n weights makes the average their mean (Izmailov et al. 2018, "Averaging
        weights leads to wider optima", eq. 1).

        Args:
            step: counted from 0.
            progress: part of the run that is over, 0 to 1.
        """
        if not self.config.swa or progress < 1 - self.config.swa:
            return ema_decay(self.config.ema, step)
        self.averaged += 1
        return (self.averaged - 1) / self.averaged

    @torch.no_grad()
    def _average(self, decay: float, is_learnt: Tensor) -> None:
        """Move the averaged weights towards the network's, unless the step was skipped.

        A skipped step moves them by 0 of the way, so that it needs no branch, for which a GPU would
        be waited for.

        Args:
            decay: share of the average that stays.
            is_learnt: () bool, on the device.
        """
        if self.average is None:
            return
        averages: list[Tensor] = list(self.average.parameters())
        weights: list[Tensor] = list(self.network.parameters())
        moves = list(torch._foreach_sub(weights, averages))
        torch._foreach_mul_(moves, is_learnt * (1 - decay))
        torch._foreach_add_(averages, moves)
        _copy_all(list(self.average.buffers()), list(self.network.buffers()))


def can_be_recorded(config: TrainConfig, device: torch.device, group: Group) -> bool:
    """Tell whether a step is recorded as a CUDA graph.

    Messages of several ranks, the scaler of fp16 and compiled networks have never been. A network
    of the user's own may decide something on the host, which a replay would repeat.
    """
    return (
        device.type == "cuda"
        and type(group) is Group
        and config.precision != "fp16"
        and not config.compile
        and not config.model.is_custom
    )


def _copy_all(targets: list[Tensor], sources: list[Tensor]) -> None:
    """Copy tensors of any dtype into others of the same shapes."""
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)


def class_weights(voxels: NDArray[np.integer[Any]]) -> Tensor:
    """Weight classes by one over the square root of their pixels; the mean weight is 1.

    The square root is a compromise: without weights rare classes are not learnt, and with the
    inverse itself one pixel of a rare class outweighs a thousand of the background. An absent
    class has the weight of the rarest one that occurs.

    Args:
        voxels: (n, classes) int, pixels of each class in each training slice.

    Returns:
        (classes,) float32, above 0.
    """
    pixels = voxels.sum(axis=0).astype(np.float64)
    pixels[pixels == 0] = pixels[pixels > 0].min()
    weights = pixels**-0.5
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))


def empty_batch(
    model: ModelConfig, plane: tuple[int, int], n_samples: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make a batch of zeros, as large as one that a network learns.

    Args:
        model: sized to the slice file: its modalities, and the planes or patches that it takes.
        plane: (h, w) of the slices.
        n_samples: samples of the batch.
        device: where to make it.

    Returns:
        (n, m, ...) float32 images and (n, ...) uint8 labels, of planes or patches.
    """
    around = (model.context,) if model.context > 1 else ()
    labelled = model.patch_sides if model.is_volumetric else plane
    sides = labelled if model.is_volumetric else (*around, *plane)
    image = torch.zeros((n_samples, model.modalities, *sides), device=device)
    return image, torch.zeros((n_samples, *labelled), dtype=torch.uint8, device=device)
