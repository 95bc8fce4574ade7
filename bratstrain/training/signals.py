"""SIGINT and SIGTERM as a request to stop, which the loop honours when its step is done.

The first signal is only recorded: the loop saves a checkpoint after the current step and raises
`Stopped`; a validation under way is abandoned and made when the run is resumed. A second signal
has the effect that it had before.
"""

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was stopped by a signal, and has left a checkpoint.

    It is a KeyboardInterrupt, so that a caller that fits several runs stops too.

    Args:
        where: run folder.
        step: of the checkpoint; None where there was none to save yet.
        number: of the signal.
    """

    def __init__(self, where: Path, step: int | None, number: int) -> None:
        when = "" if step is None else f" after step {step}"
        super().__init__(
            f"{where}: stopped by {signal.Signals(number).name}{when}; repeat the command to resume"
        )
        self.where = where
        self.step = step
        self.number = number


class Signals:
    """Records the first SIGINT or SIGTERM while it is entered.

    Outside the main thread, where Python allows no handlers, it records nothing.
    """

    def __init__(self) -> None:
        self.number = 0
        """Of the signal that was received; 0 for none."""
        self._before: dict[signal.Signals, Any] = {}

    def is_set(self) -> bool:
        """Whether a signal was received."""
        return self.number != 0

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._record) for number in STOPPING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _record(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.number = number
        self._restore()

    def _restore(self) -> None:
        """Restore the handlers that were set before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
