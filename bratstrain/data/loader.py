"""Batches from a slice file by threads, ready before they are asked for.

The threads wait for tasks in a pipe, outside the interpreter, fill a slot of a ring of buffers,
and answer in another pipe, so a busy main thread does not slow them down. The main thread sends
the next task of a slot when its batch has been used, so the ring bounds the memory, and puts the
answers into the order of the steps.
"""

import os
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bratsprep.errors import SchemaError
from bratsprep.slicefile.reader import UNUSED, SliceFile
from bratstrain.data.patch_plan import PatchPlan
from bratstrain.data.reading import Reading
from bratstrain.data.sampler import Plan

ENDED: Final = -1
"""Slot number of the answer of a thread that an error has ended, and of the task that ends one."""
CLOSED: Final = "the loader is closed; make another"


@dataclass(slots=True)
class Batch:
    """The slices of one step; its tensors are valid until the next batch is taken."""

    step: int
    rows: NDArray[np.int64]
    """(u,) int64, rows under /slice."""
    image: Tensor
    """(u, m, h, w) float32; float16 on a GPU where the file holds that."""
    label: Tensor
    """(u, h, w) uint8."""
    reading: Reading
    """How the samples are put together from the slices."""


class Ring:
    """Slots of batches, and the threads that fill them.

    Args:
        file: open slice file.
        size: slots.
        most: slices that a slot has room for.
        dtype: of the images: the stored one or float32.
        pinned: page-locked memory, from which a GPU copies by itself.
    """

    def __init__(
        self, file: SliceFile, size: int, most: int, dtype: torch.dtype, *, pinned: bool
    ) -> None:
        self.rows = np.zeros((size, most), np.int64)
        self.later = np.zeros((size, most), np.int64)
        shape = (size, most, len(file.modalities), *file.shape)
        self.image = torch.empty(shape, dtype=dtype, pin_memory=pinned)
        self.label = torch.empty((size, most, *file.shape), dtype=torch.uint8, pin_memory=pinned)
        self.errors: list[BaseException] = []
        """Errors that ended a thread."""
        self._file = file
        self._owner = os.getpid()
        self._threads: list[threading.Thread] = []
        self._serve_from, self._tasks = os.pipe()
        self._answers, self._serve_to = os.pipe()

    def start(self, threads: int) -> None:
        """Start the threads, as daemons, so that an open loader does not prevent the exit."""
        for _ in range(threads):
            thread = threading.Thread(target=self._serve, name="bratstrain-loader", daemon=True)
            thread.start()
            self._threads.append(thread)

    def send(self, slot: int, rows: NDArray[np.int64], later: NDArray[np.int64]) -> None:
        """Request that a slot is filled, and that the disk reads ahead for a later batch.

        Args:
            slot: number of the slot.
            rows: (u,) int64, rows under /slice for the slot, at most as many as it has room for.
            later: (v,) int64, rows under /slice of a later batch, likewise.

        Raises:
            ValueError: a row is beyond the file.
        """
        for target, source in ((self.rows, rows), (self.later, later)):
            self._file.check_rows(source)
            target[slot, : len(source)] = source
            target[slot, len(source) :] = UNUSED
        os.write(self._tasks, slot.to_bytes(8, "little"))

    def receive(self) -> tuple[int, SchemaError | None]:
        """Wait for the next answer.

        Returns:
            The slot that it is about, and the fault of one of its slices, if any.

        Raises:
            BaseException: the error that ended a thread.
        """
        slot, code, place = np.frombuffer(os.read(self._answers, 24), np.int64).tolist()
        if slot == ENDED:
            raise self.errors[0]
        error = self._file.fault(code, int(self.rows[slot, place])) if code else None
        return slot, error

    def stop(self) -> None:
        """End the threads, each after its current batch, and close the pipes."""
        # A forked process inherits the pipes, but not the threads.
        if os.getpid() != self._owner:
            return
        # Closing the pipe is not enough: a process forked meanwhile would hold it open.
        for _ in self._threads:
            os.write(self._tasks, ENDED.to_bytes(8, "little", signed=True))
        for thread in self._threads:
            thread.join()
        for end in (self._tasks, self._serve_from, self._answers, self._serve_to):
            os.close(end)

    def _serve(self) -> None:
        """Body of a thread; an error that ends it is passed to the thread that waits."""
        try:
            self._file.serve(
                (self._serve_from, self._serve_to),
                self.rows,
                self.later,
                self.image.numpy(),
                self.label.numpy(),
            )
        except BaseException as error:
            self.errors.append(error)
            os.write(self._serve_to, np.array([ENDED, 0, 0], np.int64).tobytes())


class Loader:
    """Batches of a plan in order, read ahead by threads.

    Use it as a context manager and iterate once. On a GPU the copy runs beside the computation.

    Args:
        file: open slice file; it stays the caller's to close, after the loader.
        plan: the slices of every step.
        first: step of the first batch.
        last: step after the last batch.
        threads: that read and inflate, at least 1.
        prefetch: batches ahead of the one in use, at least 1.
        device: of the batches; None is the CPU.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        file: SliceFile,
        plan: Plan | PatchPlan,
        *,
        first: int,
        last: int,
        threads: int = 4,
        prefetch: int = 4,
        device: torch.device | None = None,
    ) -> None:
        if threads < 1 or prefetch < 1:
            raise ValueError(
                f"threads and prefetch must be at least 1, got {threads} and {prefetch}"
            )
        if not 0 <= first <= last:
            raise ValueError(f"first must be 0 to last, got {first} and {last}")
        self.waited_s = 0.0
        """Seconds that the consumer has waited for data."""
        self._steps = range(first, last)
        self._device = device or torch.device("cpu")
        is_gpu = self._device.type == "cuda"
        dtype = torch.float16 if is_gpu and file.dtype == np.float16 else torch.float32
        self._size = min(prefetch + 1, max(last - first, 1))
        self._ring = Ring(file, self._size, plan.most_rows, dtype, pinned=is_gpu)
        self._stop = weakref.finalize(self, self._ring.stop)
        self._ahead = min(threads, self._size)
        # Each step is requested for the disk, for the ring, and when it is there.
        self._reading = lru_cache(2 * self._ahead + self._size + 2)(plan.reading)
        self._ring.start(self._ahead)
        self._ready: dict[int, SchemaError | None] = {}
        self._copies = (StreamCopy if is_gpu else DirectCopy)(self._device)

    def __len__(self) -> int:
        """Batches from first to last."""
        return len(self._steps)

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the batches in the order of the steps.

        Raises:
            SchemaError: a chunk is damaged.
            ValueError: the loader is closed.
        """
        if not self._stop.alive:
            raise ValueError(CLOSED)
        for step in self._steps[: self._size]:
            self._send(step)
        for step in self._steps:
            slot = step % self._size
            self._wait(slot)
            yield self._batch(step, slot)
            if not self._stop.alive:
                raise ValueError(CLOSED)
            self._copies.wait()
            if step + self._size in self._steps:
                self._send(step + self._size)

    def close(self) -> None:
        """End the threads; a batch taken before stays readable."""
        self._stop()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, step: int) -> None:
        """Request the batch of a step, and let the disk read as many steps ahead as threads."""
        later = min(step + self._ahead, self._steps[-1])
        self._ring.send(step % self._size, self._reading(step).rows, self._reading(later).rows)

    def _wait(self, slot: int) -> None:
        """Receive answers until a slot is filled.

        Raises:
            SchemaError: one of its slices is damaged.
        """
        begin = time.perf_counter()
        while slot not in self._ready:
            answered, error = self._ring.receive()
            self._ready[answered] = error
        self.waited_s += time.perf_counter() - begin
        error = self._ready.pop(slot)
        if error is not None:
            raise error

    def _batch(self, step: int, slot: int) -> Batch:
        """View of a slot, or its copy on the device."""
        reading = self._reading(step)
        used = slice(len(reading.rows))
        reading = reading.settled(self._ring.label[slot, used].numpy())
        image = self._copies.copy(self._ring.image[slot, used])
        label = self._copies.copy(self._ring.label[slot, used])
        return Batch(step, reading.rows.copy(), image, label, reading)


class DirectCopy:
    """Copies that complete at once, and none at all on the CPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def copy(self, tensor: Tensor) -> Tensor:
        """Copy a tensor of any shape and dtype to the device; on the CPU, return it itself."""
        return tensor.to(self._device)

    def wait(self) -> None:
        """Return at once: no copy is pending."""


class StreamCopy:  # pragma: no cover  # needs a GPU: test_gpu_batches_equal_the_file
    """Copies to a GPU, concurrent with its computation."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's stub

    def copy(self, tensor: Tensor) -> Tensor:
        """Start to copy a page-locked tensor of any shape and dtype.

        Only the current stream waits for the copy.
        """
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            copied = tensor.to(self._device, non_blocking=True)
        current.wait_stream(self._stream)
        copied.record_stream(current)
        return copied

    def wait(self) -> None:
        """Wait for the copies; their sources may be overwritten afterwards."""
        self._stream.synchronize()
