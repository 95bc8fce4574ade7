"""`Here`: how this process fits a run, alone or as one of several ranks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from bratstrain.config import Session
from bratstrain.device import choose_device
from bratstrain.ranks.group import ALONE, Group
from bratstrain.ranks.place import Place
from bratstrain.ranks.process_group import joined
from bratstrain.training.signals import Stopped


@dataclass(frozen=True, slots=True)
class Here:
    """How this process fits a run."""

    session: Session
    device: torch.device
    group: Group = ALONE
    """The ranks, of which it is one."""


@contextmanager
def seated(session: Session, place: Place | None) -> Iterator[Here]:
    """Choose the device of this process, and meet the other ranks.

    Args:
        session: how the session is done.
        place: which rank this process is; None where it is the only one.

    Raises:
        BratsError: the device does not exist, or the others do not come.
        ValueError: the device is no name of one, or the ranks cannot be on it.
    """
    if place is None:
        yield Here(session, choose_device(session.device))
        return
    if session.gpus:
        raise ValueError(
            f"gpus {session.gpus} has no effect under {place.starter}, which has started "
            f"{place.size} ranks; leave it out"
        )
    device = choose_device(device_name(session.device, place, torch.cuda.device_count()))
    if place.size == 1:
        yield Here(session, device)
        return
    with joined(place, device) as group:
        try:
            yield Here(session, device, group)
        except Stopped:
            group.wait()  # whoever started the ranks may end the others as soon as one is gone
            raise


def device_name(asked: str, place: Place, n_gpus: int) -> str:
    """Name the device of a rank: a GPU of its own where there are GPUs, else the processor.

    Args:
        asked: `auto`, or what the user names.
        place: which rank it is.
        n_gpus: GPUs that this process sees; one where the scheduler shows each rank its own.

    Raises:
        ValueError: it is a device that ranks cannot be on.
    """
    if asked == "mps":
        raise ValueError("device mps fits a run in one process; take cpu for several ranks")
    if asked == "auto" and not n_gpus:
        return "cpu"
    if asked in ("auto", "cuda"):
        return f"cuda:{place.local if n_gpus > 1 else 0}"
    return asked
