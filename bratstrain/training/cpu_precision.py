"""bf16 on a CPU: whether the processor computes with it, and whether a step is faster with it."""

from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Final

import torch

from bratsprep.slicefile.reader import SliceFile
from bratstrain.config import Precision, TrainConfig
from bratstrain.device import CPU_BATCH, set_up
from bratstrain.training.step import Trainer, empty_batch

NATIVE: Final = ("avx512_bf16", "amx_bf16")
"""Instructions without which torch converts to fp32 and back, which is slower than fp32."""
STEPS: Final = 2
"""Steps of each precision that are timed, after one that is not."""
FASTER: Final = 1.1
"""A step in bf16 must be this many times as fast: less is within the noise of two steps."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Seconds of the fastest of a few training steps in each precision."""

    fp32_s: float
    bf16_s: float

    @property
    def precision(self) -> Precision:
        """The one that a run should take."""
        return "bf16" if self.fp32_s >= FASTER * self.bf16_s else "fp32"

    def to_json(self) -> dict[str, float]:
        """Return the fields, as `run.json` keeps them."""
        return asdict(self)


def has_native_bf16() -> bool:
    """Whether the processor has instructions for bf16, as far as torch can tell.

    False where this version of torch, or the platform, does not say.
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(capabilities.get(name)) for name in NATIVE)


def needs_trial(config: TrainConfig, device: torch.device) -> bool:
    """Whether the precision is to be decided by steps of both kinds."""
    return config.precision == "auto" and device.type == "cpu" and has_native_bf16()


def try_steps(config: TrainConfig, file: SliceFile, device: torch.device) -> Trial:
    """Time a few steps in fp32 and in bf16, on empty images; a run's own weights are not touched.

    Args:
        config: of the run.
        file: open slice file, for the shape of a batch.
        device: a CPU.
    """
    with set_up(device):
        return Trial(*(_fastest(config, file, device, name) for name in ("fp32", "bf16")))


def _fastest(
    config: TrainConfig, file: SliceFile, device: torch.device, precision: Precision
) -> float:
    """Seconds of the fastest step in one precision."""
    tried = replace(config, precision=precision, compile=False)
    trainer = Trainer(tried, device)
    n_slices = config.batch_size or CPU_BATCH
    image, label = empty_batch(config.model, file.shape, n_slices, device)
    times = []
    for step in range(1 + STEPS):
        start = perf_counter()
        trainer.step(image, label, step, 0.0)
        times.append(perf_counter() - start)
    return min(times[1:])
