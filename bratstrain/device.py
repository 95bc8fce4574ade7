"""The device: its choice, precision, threads, and the largest batch that fits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor

from bratsprep.errors import BratsError
from bratsprep.system.threads import cores
from bratstrain.config import Precision

CPU_BATCH: Final = 8
"""Slices of a step on a CPU, where a larger batch is no faster."""
MAX_BATCH: Final = 64
"""Largest batch that is tried: published 2D recipes and their learning rates go no further."""
MEMORY_SHARE: Final = 0.9
"""Part of a GPU's memory that a batch may need; the rest is for validation and fragmentation."""
DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """Find a device.

    Args:
        name: `auto` for a GPU if one exists, `cpu`, `cuda`, `cuda:N`, or `mps` for Apple's.

    Raises:
        ValueError: the name is none of those.
        BratsError: the GPU does not exist.
    """
    if name == "auto":
        name = _best()
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdecimal())):
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, got {name!r}")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise BratsError("mps: torch finds no GPU of Apple's here; take --device cpu")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise BratsError(f"{name}: torch sees {torch.cuda.device_count()} GPUs; take --device cpu")
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind)


def _best() -> str:
    """Kind of device that `auto` takes."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def choose_precision(name: Precision, device: torch.device) -> Precision:
    """Choose the precision of the convolutions.

    `auto` is fp32 on Apple's GPU and on a CPU; a run on a processor with bf16 has tried both
    before (`bratstrain.training.cpu_precision`).

    Args:
        name: `auto`, `fp32`, `bf16` or `fp16`.
        device: where to compute.

    Returns:
        `fp32`, `bf16` or `fp16`.

    Raises:
        ValueError: fp16 is requested on a CPU, or less than fp32 on Apple's GPU, where torch lacks
            the scaling of gradients and no run was ever tried in bf16.
    """
    if device.type == "mps" and name in ("bf16", "fp16"):
        raise ValueError(f"precision {name} is not supported on mps; take fp32")
    if name == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if name == "fp16" and device.type == "cpu":
        raise ValueError("precision fp16 needs a GPU; take fp32 or bf16 on a CPU")
    return name


def loader_threads(device: torch.device, n_here: int = 1) -> int:
    """Threads that feed a device: one is enough for a CPU, a GPU needs up to four.

    Args:
        device: that is fed.
        n_here: processes of this machine that each feed one.
    """
    return 1 if device.type == "cpu" else max(1, min(4, cores() // n_here - 1))


@contextmanager
def set_up(device: torch.device) -> Iterator[None]:
    """Configure torch for training on a device, and restore its configuration afterwards.

    Training on a CPU keeps torch's own number of threads; beside a GPU the cores are left to the
    loader. The random generators are restored, since a run seeds them at every step.
    """
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    is_gpu = device.type == "cuda"
    devices = [device] if is_gpu else []
    torch.set_num_threads(1 if is_gpu else threads)
    torch.set_float32_matmul_precision("high" if is_gpu else precision)
    try:
        with (
            torch.random.fork_rng(devices),
            torch.backends.cudnn.flags(
                enabled=True, benchmark=True, deterministic=False, allow_tf32=True
            ),
        ):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def peak_device_bytes(device: torch.device) -> int:
    """Peak memory that torch has reserved on a GPU, bytes; 0 on a CPU."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0


class Arriving:
    """A number on its way from a device.

    `float` of a tensor waits for everything that was given to a GPU before, later steps too, so
    that the GPU then has nothing to do. This waits for the number alone.

    Args:
        value: () of any dtype, on any device.
    """

    def __init__(self, value: Tensor) -> None:
        self._value = value
        self._copied: torch.cuda.Event | None = None
        if value.device.type == "cuda":  # pragma: no cover  # needs a GPU
            self._value = torch.empty((), dtype=value.dtype, pin_memory=True)
            self._value.copy_(value, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch's stub
            self._copied.record(torch.cuda.current_stream(value.device))

    def __float__(self) -> float:
        """Wait for the number."""
        if self._copied is not None:  # pragma: no cover  # needs a GPU
            self._copied.synchronize()
        return float(self._value)


@contextmanager
def full_memory_explained(way_on: str) -> Iterator[None]:
    """Turn torch's error of a full GPU into a message of one sentence.

    Args:
        way_on: what to do about it.

    Raises:
        BratsError: the GPU's memory is full.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise BratsError(f"the memory of the GPU is full; {way_on}") from error


def largest_batch(attempt: Callable[[int], None], device: torch.device) -> int:
    """Find the largest power of two of slices that fits a device, by trying.

    Args:
        attempt: makes a full training step with a number of slices.
        device: nothing is tried unless it is a CUDA device, and `CPU_BATCH` returned.

    Raises:
        BratsError: not even one slice fits.
    """
    if device.type != "cuda":
        return CPU_BATCH
    torch.cuda.set_per_process_memory_fraction(MEMORY_SHARE, device)
    try:
        return _doubled(attempt)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
        torch.cuda.empty_cache()


def _doubled(attempt: Callable[[int], None]) -> int:
    """Double the batch until the memory is full."""
    fits, size = 0, 1
    while size <= MAX_BATCH:
        try:
            attempt(size)
        except torch.OutOfMemoryError:
            break
        fits, size = size, 2 * size
    if not fits:
        raise BratsError("batch: not even one slice fits the GPU; take a smaller --width")
    return fits
