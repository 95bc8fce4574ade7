"""SIGINT and SIGTERM as a wish to stop, which the loop grants when its step is done."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, and has left a checkpoint.

    It is a KeyboardInterrupt, so that what fits several runs stops too.

    Args:
        message: for the user.
        number: of the signal.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class Signals:
    """Notes the first SIGINT or SIGTERM while it is entered; a second one acts as it always did.

    Outside the main thread, where Python allows no handlers, it notes nothing.
    """

    def __init__(self) -> None:
        self.number = 0
        """Of the signal that came; 0 for none."""
        self._before: dict[signal.Signals, Any] = {}

    def asked(self) -> bool:
        """Whether a signal came."""
        return self.number != 0

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in STOPPING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.number = number
        self._restore()

    def _restore(self) -> None:
        """Put the handlers back that were there before."""
        for each, handler in self._before.items():
            signal.signal(each, handler)
        self._before = {}
