"""Python processes that do a part of a command's work, and end with it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

LOOK_S: Final = 0.5
"""Between two looks at the parent."""
Process = subprocess.Popen[bytes]


def start(
    module: str,
    task: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    fds: Collection[int] = (),
) -> Process:
    """Start a module as a process, away from the terminal's signals, and hand it a task.

    Ctrl-C reaches the parent alone, which passes it on once: a second signal would end the process
    before it has saved.

    Args:
        module: run as `python -m`; it reads one JSON object from standard input.
        task: what that object holds; the number of this process is added as `parent`.
        environment: variables beside those of this process.
        fds: open files that the process is given.
    """
    process = subprocess.Popen(  # noqa: S603  our own module
        [sys.executable, "-m", module], stdin=subprocess.PIPE, start_new_session=True,
        env={**os.environ, **(environment or {})}, pass_fds=tuple(fds),
    )  # fmt: skip
    if process.stdin is not None:
        with suppress(BrokenPipeError), process.stdin as pipe:  # its exit code says that it died
            pipe.write(json.dumps({**task, "parent": os.getpid()}, default=str).encode())
    return process


def task_of_parent() -> dict[str, Any]:
    """Read the task of this process, and stop it as SIGTERM does when its parent is gone."""
    task: dict[str, Any] = json.load(sys.stdin)
    threading.Thread(target=watch, args=(task["parent"],), daemon=True).start()
    return task


def leave(code: int) -> NoReturn:
    """End this process at once, and only write out what it has printed.

    The interpreter's own end is left out: torch's threads may hang in it after ranks have met
    (pytorch issue 190489), and did so in 3 of 45 trials.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def watch(parent: int) -> None:
    """Wait until the parent, a number of a process, is gone; then stop this process."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
