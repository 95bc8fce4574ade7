"""Folds fitted side by side, each by a process of its own on a device of its own."""

import signal
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bratsprep.errors import BratsError
from bratstrain.training import children
from bratstrain.training.children import Process
from bratstrain.training.signals import Signals

LOOK_S: Final = 0.1
"""Between two looks at the processes."""
Settings = Mapping[str, Any]


class StoppedFolds(KeyboardInterrupt):
    """Folds were stopped by a signal, and have left checkpoints.

    Args:
        where: folder of the cross-validation.
        number: of the signal.
    """

    def __init__(self, where: Path, number: int) -> None:
        super().__init__(
            f"{where}: stopped by {signal.Signals(number).name}; repeat the command to resume"
        )
        self.number = number


def fit_side_by_side(
    data: Path,
    runs: Mapping[Path, Settings],
    devices: Sequence[str],
    tell: Callable[[str], None],
) -> None:
    """Fit runs on several devices, one at a time on each.

    Args:
        data: slice file.
        runs: settings of each run by its folder.
        devices: names of devices, as `fit` takes them.
        tell: receives a line for each run that begins.

    Raises:
        BratsError: a run failed; the others were fitted.
        StoppedFolds: a signal was received.
    """
    waiting, failed = deque(runs.items()), []
    busy: dict[str, tuple[Path, Process]] = {}
    with Signals() as signals:
        try:
            while busy or (waiting and not signals.number):
                for device in devices:
                    if device not in busy and waiting and not signals.number:
                        run, settings = waiting.popleft()
                        tell(f"{run.name} begins on {device.rpartition('#')[0]}")
                        busy[device] = run, start(data, run, settings, device)
                time.sleep(LOOK_S)
                failed += finished(busy)
                if signals.number:
                    pass_on(busy, signals.number)
        finally:
            for _, process in busy.values():
                process.kill()
    if signals.number:
        raise StoppedFolds(next(iter(runs)).parent, signals.number)
    if failed:
        raise BratsError(
            f"{', '.join(run.name for run in failed)} of {failed[0].parent} failed, see above; "
            "repeat the command when that is mended, finished folds are kept"
        )


def named_apart(devices: Sequence[str]) -> list[str]:
    """Give every place on a device a name of its own: the device, `#` and a number."""
    return [f"{device}#{i}" for i, device in enumerate(devices)]


def start(data: Path, run: Path, settings: Settings, place: str) -> Process:
    """Start the process of a run."""
    settings = {**settings, "device": place.rpartition("#")[0]}
    task = {"data": str(data), "run": str(run), "settings": settings}
    return children.start("bratstrain.studies.fold_process", task)


def finished(busy: dict[str, tuple[Path, Process]]) -> list[Path]:
    """Take processes that have ended from those that are busy; gives the runs that failed."""
    ended = {place: run for place, (run, process) in busy.items() if process.poll() is not None}
    return [run for place, run in ended.items() if busy.pop(place)[1].returncode]


def pass_on(busy: Mapping[str, tuple[Path, Process]], number: int) -> None:
    """Send a signal on to every process, and wait until each has saved."""
    for _, process in busy.values():
        process.send_signal(number)
    for _, process in busy.values():
        process.wait()
