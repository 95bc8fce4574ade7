"""The run folder: its files, each written in one move, and its lock.

config.json     settings; batch size and precision as the device had them
run.json        slice file, split, versions, machine, memory, time and best score
split.json      case ids of training, validation and test
training.npy    image fingerprints of the training cases
start.pt        the weights that a fine-tuned run began with
log.jsonl       a line for every few steps and for every validation
last.pt         all that the run needs to go on
best.pt         the weights of the best validation
events/         the log for TensorBoard
"""

import json
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TextIO

from bratsprep.errors import BratsError
from bratsprep.system import unix
from bratsprep.system.atomic import replacing

CONFIG: Final = "config.json"


FACTS: Final = "run.json"


SPLIT: Final = "split.json"


TRAINED: Final = "training.npy"


START: Final = "start.pt"


LOG: Final = "log.jsonl"


LAST: Final = "last.pt"


BEST: Final = "best.pt"


EVENTS: Final = "events"


LOCK: Final = ".lock"


BEGINNINGS: Final = frozenset(
    {LOCK, *(name + end for name in (FACTS, SPLIT, TRAINED, START, CONFIG) for end in ("", ".new"))}
    - {CONFIG}
)
"""What a run that was killed at its very start may have left."""


SOFTWARE: Final = ("bratsprep", "torch", "numpy", "h5py")


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write facts as indented JSON in one move."""
    with replacing(path) as file:
        file.write(f"{json.dumps(facts, indent=1, allow_nan=False)}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Raises:
        BratsError: the file is missing or holds something else.
    """
    try:
        facts = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise BratsError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(facts, dict):
        raise BratsError(f"{path}: is no JSON object; the run folder is damaged")
    return facts


def read_text(path: Path) -> str:
    """Read a small file.

    Raises:
        BratsError: it is missing or holds no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BratsError(f"{path}: cannot be read: {error}") from error


def versions() -> dict[str, str]:
    """Versions of what decides the result."""
    return {"python": platform.python_version()} | {name: version(name) for name in SOFTWARE}


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Make a run folder and keep other processes out of it.

    Yields:
        Whether a run is there already.

    Raises:
        BratsError: the folder holds something else, cannot be made, or is in use.
    """
    with _locked(folder):
        strange = sorted({entry.name for entry in folder.iterdir()} - BEGINNINGS)
        is_there = (folder / CONFIG).is_file()
        if strange and not is_there:
            raise BratsError(f"{folder}: holds {strange[0]} and no run; name a new folder")
        yield is_there


def _locked(folder: Path) -> TextIO:
    """Make a run folder and take its lock, which goes when the file or the process is closed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise BratsError(f"{folder}: cannot be used: {error.strerror or error}") from error
    try:
        unix.lock(lock.fileno())
    except BlockingIOError as error:
        lock.close()
        raise BratsError(f"{folder}: another process is fitting this run; wait for it") from error
    return lock


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read the records of a log; a last line that was cut off is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def finite(value: float) -> float | None:
    """Give a number that JSON can hold; None for nan and infinity."""
    return value if math.isfinite(value) else None
