"""The ranks of `fit --gpus`: started here, attended, and ended together.

Each rank is a process, `bratstrain.training.rank_process`. They meet by a file in a folder of their
own, so that no port is open and no two runs get into each other's way.
"""

import json
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any, Final

from bratsprep.errors import BratsError
from bratsprep.system.threads import cores
from bratstrain.ranks.place import Place
from bratstrain.training import children
from bratstrain.training.children import Process
from bratstrain.training.result import Run
from bratstrain.training.signals import Signals, Stopped

LOOK_S: Final = 0.1
"""Between two looks at the ranks."""
GRACE_S: Final = 10.0
"""How long the others may go on, to say why, when one has ended."""
WAY_ON: Final = (
    "repeat the command to go on from the last checkpoint, with any number of ranks that divides "
    "the batch"
)
Message = tuple[int, dict[str, Any]]


@dataclass(slots=True, eq=False)
class Rank:
    """One rank, running or ended."""

    number: int
    process: Process
    reader: threading.Thread
    """Takes what it says."""
    last: dict[str, Any] = field(default_factory=dict)
    """Its last words: `done`, `stopped`, `failed` or `lost`; empty where it has said none."""
    is_killed: bool = False
    """Whether it was ended from here."""

    @property
    def has_gone(self) -> bool:
        """Whether the others cannot go on: it has failed, or has finished as the first rank."""
        code = self.process.poll()
        is_fine = code is None or "stopped" in self.last or (code == 0 and self.number > 0)
        return not is_fine

    def kill(self) -> None:
        """End it if it is still running."""
        if self.process.poll() is None:
            self.is_killed = True
            self.process.kill()
            self.process.wait()


def fit_over(
    devices: Sequence[str],
    data: Path,
    run: Path | None,
    call: Mapping[str, Any],
    tell: Callable[[str], None],
) -> Run:
    """Fit a network with a rank on each of some devices of this machine.

    Args:
        devices: names of devices, as `fit` takes them: GPUs, each once, or processors.
        data: slice file.
        run: run folder; None derives one.
        call: keywords of `fit`, as JSON can hold them.
        tell: receives what the first rank tells.

    Raises:
        BratsError: as of `fit`; or a rank was lost, and the others were ended.
        ValueError: as of `fit`; or the devices are not of one kind.
        Stopped: a signal was received, here or by any rank.
    """
    check_devices(devices)
    inbox: SimpleQueue[Message] = SimpleQueue()
    with TemporaryDirectory(prefix="bratstrain-") as meeting, Signals() as signals:
        ranks: list[Rank] = []
        try:
            for number, device in enumerate(devices):
                place = Place(
                    number, len(devices), number, len(devices), f"file://{meeting}/store", "fit"
                )
                task = {"place": asdict(place), "data": str(data), "run": run and str(run)}
                keywords = {**call, "gpus": "", "device": device}
                ranks.append(begin(number, {**task, "call": keywords}, devices, inbox))
            attend(ranks, inbox, signals, tell)
        finally:
            each(ranks, Rank.kill)
    return verdict(ranks, run or data, signals.number)


def check_devices(devices: Sequence[str]) -> None:
    """Refuse devices that cannot add up together.

    Raises:
        ValueError: there are GPUs and processors, or one GPU twice.
    """
    kinds = {device.partition(":")[0] for device in devices}
    twice = sorted({device for device in devices if devices.count(device) > 1} - {"cpu"})
    if len(kinds) > 1 or twice:
        raise ValueError(
            f"gpus are {', '.join(devices)}; a run is fitted on GPUs, each of them once, or on "
            "processors alone"
        )


def begin(
    number: int, task: Mapping[str, Any], devices: Sequence[str], inbox: "SimpleQueue[Message]"
) -> Rank:
    """Start a rank, and a thread that puts what it says into the inbox."""
    here, there = os.pipe()
    process = children.start(
        "bratstrain.training.rank_process",
        {**task, "answers": there},
        surroundings(devices),
        [there],
    )
    os.close(there)

    def read() -> None:
        with os.fdopen(here, encoding="utf-8") as answers:
            for line in answers:
                inbox.put((number, json.loads(line)))

    reader = threading.Thread(target=read, name=f"rank-{number}", daemon=True)
    reader.start()
    return Rank(number, process, reader)


def surroundings(devices: Sequence[str]) -> dict[str, str]:
    """Variables of the ranks' environment that the user has not set.

    Ranks on the processor share its cores; without that each would start as many threads as there
    are cores. gloo looks for an interface by the host's name, which not every container has.
    """
    wanted = {}
    if devices[0] == "cpu":
        wanted["OMP_NUM_THREADS"] = str(max(1, cores() // len(devices)))
    loopback = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    if loopback:
        wanted["GLOO_SOCKET_IFNAME"] = loopback[0]
    return {name: value for name, value in wanted.items() if name not in os.environ}


def attend(
    ranks: Sequence[Rank],
    inbox: "SimpleQueue[Message]",
    signals: Signals,
    tell: Callable[[str], None],
) -> None:
    """Pass on what ranks say and what signals come, until all have ended.

    When one has failed the others wait for it in vain; they are ended after a moment.
    """
    passed_on, deadline = 0, float("inf")
    while any(rank.process.poll() is None for rank in ranks):
        with suppress(Empty):
            hear(ranks, inbox.get(timeout=LOOK_S), tell)
        if signals.number != passed_on:
            passed_on = signals.number
            each(ranks, partial(send, number=passed_on))
        if any(rank.has_gone for rank in ranks):
            deadline = min(deadline, time.monotonic() + GRACE_S)
        if time.monotonic() > deadline:
            each(ranks, Rank.kill)
    each(ranks, lambda rank: rank.reader.join(GRACE_S))
    while not inbox.empty():
        hear(ranks, inbox.get(), tell)


def send(rank: Rank, number: int) -> None:
    """Send a signal to a rank that is still running."""
    rank.process.send_signal(number)


def each(ranks: Sequence[Rank], act: Callable[[Rank], None]) -> None:
    """Do something to each rank."""
    for rank in ranks:
        act(rank)


def hear(ranks: Sequence[Rank], message: Message, tell: Callable[[str], None]) -> None:
    """Take one message of a rank."""
    number, said = message
    for kind, content in said.items():
        if kind == "tell":
            tell(content)
        elif kind == "warn":
            warnings.warn(content, stacklevel=2)
        else:
            ranks[number].last = said


def verdict(ranks: Sequence[Rank], where: Path, number: int) -> Run:
    """Say how the run has ended.

    Args:
        ranks: all of them, ended.
        where: run folder or slice file, for messages.
        number: of the signal that was received here; 0 for none.

    Raises:
        BratsError or ValueError: what a rank has raised, or that one was lost.
        Stopped: the ranks were stopped by a signal.
    """
    last = {kind: content for rank in reversed(ranks) for kind, content in rank.last.items()}
    if "failed" in last:
        kind, text, notes = last["failed"]
        error = BratsError(text) if kind == "BratsError" else ValueError(text)
        for note in notes:
            error.add_note(note)
        raise error
    if "stopped" in last:
        folder, step, number = last["stopped"]
        raise Stopped(Path(folder), step, number)
    if number and "done" not in last:
        raise Stopped(where, None, number)
    for rank in ranks:
        code = rank.process.returncode
        if code and not rank.is_killed and "lost" not in rank.last:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else "failed, see above"
            raise BratsError(f"{where}: rank {rank.number} of {len(ranks)} {how}; {WAY_ON}")
    if "done" not in last:
        raise BratsError(f"{where}: {last.get('lost', f'the ranks have ended; {WAY_ON}')}")
    return Run.from_plain(last["done"])
