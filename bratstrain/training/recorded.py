"""`RecordedPass`: the forward and backward pass of a batch, recorded once and replayed on a GPU.

A step of the default network is over a thousand small kernels. Issuing them one by one takes a
processor longer than a GPU takes to compute them; a CUDA graph issues all of them at once.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn

Pass: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Input of a network and label to a () float32 loss; the gradients are left at the parameters."""
WARM_PASSES: Final = 3
"""Before the recording, in which cuDNN chooses its kernels and lazy values are made."""


class RecordedPass:  # pragma: no cover  # needs a GPU: test_recorded_steps_are_the_steps
    """A pass whose work on a GPU is recorded at the first batch and replayed for every batch.

    Only what runs on the device is replayed, with the same addresses: a network must not decide
    anything on the host by chance or by its data, which is why custom networks are not recorded.
    Gradients stay where they are; a replay overwrites them, so nobody is to set them to None.

    Args:
        network: whose gradients the pass leaves; its buffers may change.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, compute: Pass, image: Tensor, label: Tensor) -> Tensor:
        """Compute the gradients of a batch.

        Args:
            compute: the pass; always the same. It is not kept, so that whoever calls can be freed.
            image: (b, channels, *sides) float32, as the network takes it; always of one shape.
            label: (b, *sides) uint8.

        Returns:
            () float32 loss.
        """
        if self._graph is None:
            self._graph = self._record(compute, image, label)
        self._image.copy_(image)
        self._label.copy_(label)
        self._graph.replay()
        return self._loss.clone()

    def _record(self, compute: Pass, image: Tensor, label: Tensor) -> torch.cuda.CUDAGraph:
        """Record the pass; weights, buffers and random generators stay as they are.

        Args:
            compute: the pass.
            image: (b, channels, *sides) float32.
            label: (b, *sides) uint8.
        """
        self._image, self._label = image.clone(), label.clone()
        before = [buffer.clone() for buffer in self._network.buffers()]
        current = torch.cuda.current_stream(image.device)
        aside = torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call]  # torch's stub
        aside.wait_stream(current)
        # What is drawn in a step follows from its seed alone, in the first one too.
        with torch.random.fork_rng([image.device]), torch.cuda.stream(aside):
            for _ in range(WARM_PASSES):
                compute(self._image, self._label)
                self._network.zero_grad()
        current.wait_stream(aside)
        with torch.no_grad():
            for buffer, value in zip(self._network.buffers(), before, strict=True):
                buffer.copy_(value)
        graph = torch.cuda.CUDAGraph()
        # Another thread, such as NCCL's watchdog, may ask the device something meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._loss = compute(self._image, self._label)
        return graph
