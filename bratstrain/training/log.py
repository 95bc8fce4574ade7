"""The run folder: its files, each written in one move, its log, and its progress bar.

config.json     settings; batch size and precision as the device had them
run.json        slice file, split, versions, machine, memory, time and best score
split.json      case ids of training, validation and test
log.jsonl       a line for every few steps and for every validation
last.pt         all that the run needs to go on
best.pt         the weights of the best validation
events/         the log for TensorBoard
"""

import fcntl
import json
import math
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from bratsprep.errors import BratsError
from bratsprep.system.atomic import replacing as replacing

CONFIG: Final = "config.json"
FACTS: Final = "run.json"
SPLIT: Final = "split.json"
LOG: Final = "log.jsonl"
LAST: Final = "last.pt"
BEST: Final = "best.pt"
EVENTS: Final = "events"
LOCK: Final = ".lock"
BEGINNINGS: Final = frozenset({LOCK, FACTS, SPLIT, f"{FACTS}.new", f"{SPLIT}.new", f"{CONFIG}.new"})
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
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


@contextmanager
def saying(path: Path | str) -> Iterator[None]:
    """Turn what the system says of a file that cannot be written into our own error."""
    try:
        yield
    except OSError as error:
        raise BratsError(f"{path}: cannot be written: {error.strerror or error}") from error


class RunLog:
    """The log of a run, open for more records; TensorBoard gets the same.

    Args:
        folder: of the run.
        step: the run goes on after this one; records of later steps are dropped.
        validated: step of the last validation that counts; later ones are dropped too.
    """

    def __init__(self, folder: Path, step: int, validated: int) -> None:
        path = folder / LOG
        kept = [
            record
            for record in read_log(path)
            if record["step"] <= (validated if record["kind"] == "validation" else step)
        ]
        with replacing(path) as file:
            file.writelines(f"{json.dumps(record)}\n".encode() for record in kept)
        with saying(folder / EVENTS):
            self._events = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)
        with saying(path):
            self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, step: int, **values: Any) -> None:  # noqa: ANN401  JSON
        """Add a record; it is with the system, if not on disk, when this returns.

        Raises:
            BratsError: it cannot be written.
        """
        record = {"kind": kind, "step": step} | values
        with saying(self._file.name):
            self._file.write(f"{json.dumps(record, allow_nan=False)}\n")
            self._file.flush()
        with saying(self._events.log_dir):
            for name, value in flat(values):
                self._events.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file, name in ((self._file, self._file.name), (self._events, self._events.log_dir)):
            with saying(name) if error is None else suppress(OSError):  # the first fault counts
                file.close()


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of nested records, as `outer/inner` and value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


class Bar:
    """A progress bar on standard error, where that is a terminal.

    Args:
        steps: of the whole run; 0 where the time decides.
        done: steps made before.
        shown: False for none, terminal or not.
    """

    def __init__(self, steps: int, done: int, *, shown: bool) -> None:
        off = None if shown else True
        self._bar = tqdm(
            total=steps or None, initial=done, desc="fit", unit="step", disable=off, smoothing=0.1
        )

    def advance(self) -> None:
        """Count a step."""
        self._bar.update()

    def tell(self, record: Mapping[str, Any]) -> None:
        """Show loss, speed, share of waiting and memory."""
        loss = math.nan if record["loss"] is None else record["loss"]
        self._bar.set_postfix_str(
            f"loss {loss:.3f}, {record['slices_per_s']:.0f} slices/s, "
            f"{record['wait_share']:.0%} waiting, {record['memory_mb']:.0f} MB"
        )

    def say(self, line: str) -> None:
        """Write a line above the bar."""
        if not self._bar.disable:
            self._bar.write(line)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
