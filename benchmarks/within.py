"""Parts of one process timed within it, and the processes that are timed like this.

Two whole runs cannot be compared to a few per cent on a machine that others use; what a part takes
of the run that it belongs to can be told. A benchmark names itself as the command of its processes.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.machine import answered, describe, markdown, versions

THREAD, PROCESS = time.thread_time, time.process_time


class Clock:
    """Seconds of processor time that each part has taken."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.seconds: dict[str, float] = {}

    def watch(
        self, module: ModuleType | type, name: str, what: str, clock: Callable[[], float]
    ) -> None:
        """Time every call of a function, under the name that a module knows it by."""
        inner = getattr(module, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = clock()
            try:
                return inner(*args, **kwargs)
            finally:
                # One addition: workers that finish at once may lose each other's microseconds only.
                self.seconds[what] = self.seconds.get(what, 0.0) + clock() - begun

        setattr(module, name, timed)


def parts(command: list[str]) -> dict[str, float]:
    """Run a process that prints the seconds of its parts as JSON in its last line.

    Raises:
        SystemExit: it failed; what it said stands on standard error.
    """
    found = answered(command)
    if "missing" in found:
        raise SystemExit(found["missing"])
    return found


def write(name: str, lines: list[str], runs: list[dict[str, float]], about: str, out: Path) -> None:
    """Write and print a table, and every single run as JSON.

    Args:
        name: of both files.
        lines: title and table, Markdown.
        runs: seconds of each process's parts.
        about: what was measured; machine and versions follow it.
        out: folder.
    """
    facts = describe() | versions(sys.executable, ("bratsprep", "torch", "numpy", "numba"))
    text = "\n".join([*lines, "", f"{about}. {markdown(facts)}"]) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    print(text)
