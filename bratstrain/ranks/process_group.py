"""Several ranks as a `Group`: what they add up goes through torch.distributed.

Tensors of a GPU go through NCCL. What decides about the loop (times, signals, counts) is on the
CPU and goes through gloo, so that no GPU is waited for. Floats are added up in an order that
depends on sizes alone, so the same number of ranks gives the same bits on CPUs.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from bratsprep.errors import BratsError
from bratstrain.ranks.group import Group, Made
from bratstrain.ranks.place import Place

PATIENCE: Final = timedelta(minutes=30)
"""How long a rank waits for the others: the first one may have to write or to try much."""
MEETING: Final = timedelta(minutes=5)
"""How long it waits for them at the start."""
TOLD: Final = (BratsError, ValueError)
"""Errors of the first rank that the others are told of."""


class LostRankError(BratsError):
    """Another rank has gone, so that nothing can be added up any more."""


class Echo(BratsError):  # noqa: N818  not an error of its own
    """An error of the first rank, which reports it, on another one."""

    is_echo = True


@dataclass(frozen=True, slots=True)
class ProcessGroup(Group):
    """One of several processes that fit a run; `joined` makes one."""

    def total(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Add up tensors of any shapes, float32 or float64, over the ranks in one message."""
        summed: Tensor = Total.apply(joint(parts))  # type: ignore[no-untyped-call]  # torch's stub
        return parted(summed, parts)

    def average_(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Replace gradients, float32 of any shapes, by their mean, in one message with the loss."""
        gradients = [each.grad for each in parameters if each.grad is not None]
        sent = (*gradients, loss)
        *means, mean_loss = parted(add_(joint(sent)) / self.size, sent)
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean)
        return mean_loss

    def add(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Add up counts of any shape, int64, over the ranks."""
        summed = torch.from_numpy(counts.copy())
        add_(summed)
        return summed.numpy()

    def highest(self, *numbers: float) -> tuple[float, ...]:
        """Give the highest of each number over the ranks."""
        found = torch.tensor(numbers, dtype=torch.float64)
        add_(found, distributed.ReduceOp.MAX)
        return tuple(found.tolist())

    def wait(self) -> None:
        """Wait until every rank has come here."""
        self.highest(0)

    def in_turn(self, first: Callable[[], Made], others: Callable[[], Made]) -> Made:
        """Let the first rank make something, and then each of the others."""
        made: list[Made] = []
        self.decide(lambda: made.append(first()))
        return made[0] if self.is_first else others()

    def decide(self, made: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever it makes
        """Call a function on the first rank and give what it returns on every rank."""
        message: list[Any] = [None, None]
        fault: Exception | None = None
        if self.is_first:
            try:
                message = [made(), None]
            except TOLD as error:
                message, fault = [None, str(error)], error
        with loss_explained():
            distributed.broadcast_object_list(message, src=0, device=torch.device("cpu"))
        if fault is not None:
            raise fault
        value, said = message
        if said is not None:
            raise Echo(said)
        return value

    def check_same(self, what: str, content: Callable[[], bytes]) -> None:
        """Refuse to go on where a checksum of the content is not the same on every rank."""
        checksum = zlib.crc32(content())
        if self.highest(checksum, -checksum) != (checksum, -checksum):
            raise BratsError(
                f"rank {self.rank} of {self.size}: {what} differ between the ranks; give all of "
                "them the same files and versions of the software"
            )


def joint(parts: Sequence[Tensor]) -> Tensor:
    """Join tensors of any shape and of one dtype into one, (n,), so that one message is enough."""
    return torch.cat([part.reshape(-1) for part in parts])


def parted(flat: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Undo `joint`: cut (n,) of any dtype into the shapes of some tensors."""
    pieces = torch.split(flat, [part.numel() for part in parts])
    return tuple(piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True))


class Total(torch.autograd.Function):
    """Sum of a tensor over the ranks; so is that of its gradient."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:  # noqa: ANN401  torch's own
        """Add up (n,) float over the ranks."""
        return add_(part.clone())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401  torch's own
        """Add up the (n,) float gradient: every rank's result depends on this rank's part."""
        return add_(gradients[0].clone(memory_format=torch.contiguous_format))


def add_(
    tensor: Tensor, how: "distributed.ReduceOp.RedOpType" = distributed.ReduceOp.SUM
) -> Tensor:
    """Reduce a contiguous tensor of any shape and dtype in place over the ranks, and return it.

    Raises:
        LostRankError: another rank has gone.
    """
    with loss_explained():
        distributed.all_reduce(tensor, how)
    return tensor


@contextmanager
def loss_explained() -> Iterator[None]:
    """Turn torch's error about a connection into a sentence.

    Raises:
        LostRankError: another rank has gone.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise LostRankError(
            f"another rank of the run was lost ({reason}); repeat the command to go on from the "
            "last checkpoint, with any number of ranks that divides the batch"
        ) from error


@contextmanager
def joined(place: Place, device: torch.device) -> Iterator[ProcessGroup]:
    """Meet the other ranks, and take leave together where nothing has gone wrong.

    After an error the others are not waited for; the process is to end.

    Args:
        place: which rank this process is.
        device: of the network.

    Raises:
        BratsError: the others do not come.
    """
    if device.type == "cuda":  # pragma: no cover  # needs a GPU
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            init_method=place.meeting,
            rank=place.rank,
            world_size=place.size,
            timeout=PATIENCE,
        )
    except (RuntimeError, ValueError) as error:
        raise BratsError(
            f"rank {place.rank} of {place.size}: the ranks do not meet at {place.meeting}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    group = ProcessGroup(place.rank, place.size, place.n_here)
    yield group
    group.wait()
    distributed.destroy_process_group()
