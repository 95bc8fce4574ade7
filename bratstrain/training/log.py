"""The log of a run, as JSON lines and for TensorBoard, and the progress bar."""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from bratsprep.system.atomic import replacing, write_errors
from bratstrain.runs.files import EVENTS, LOG, read_log


class RunLog:
    """The log of a run, open for more records, which TensorBoard receives too.

    Args:
        folder: of the run.
        step: the run is resumed after this one; records of later steps are dropped.
        validated: step of the last validation before that; later validations are dropped.
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
        with write_errors(folder / EVENTS):
            self._events = SummaryWriter(str(folder / EVENTS), purge_step=step + 1)
        with write_errors(path):
            self._file = path.open("a", encoding="utf-8")

    def write(self, kind: str, step: int, **values: Any) -> None:  # noqa: ANN401  JSON
        """Add a record and flush it to the operating system.

        Raises:
            BratsError: it cannot be written.
        """
        record = {"kind": kind, "step": step} | values
        with write_errors(self._file.name):
            self._file.write(f"{json.dumps(record, allow_nan=False)}\n")
            self._file.flush()
        with write_errors(self._events.log_dir):
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
            with (
                write_errors(name) if error is None else suppress(OSError)
            ):  # the first fault counts
                file.close()


class SilentLog:
    """The log of a rank that leaves the writing to the first one."""

    def write(self, kind: str, step: int, **values: Any) -> None:  # noqa: ANN401  JSON
        """Drop a record."""


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Iterate over the numbers of nested records, as `outer/inner` and value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


class Bar:
    """A progress bar on standard error, where that is a terminal.

    Args:
        steps: of the whole run; 0 where the time decides.
        done: steps of earlier sessions.
        shown: False shows no bar even on a terminal.
    """

    def __init__(self, steps: int, done: int, *, shown: bool) -> None:
        off = None if shown else True
        self._bar = tqdm(
            total=steps or None, initial=done, desc="fit", unit="step", disable=off, smoothing=0.1
        )

    def advance(self) -> None:
        """Advance by one step."""
        self._bar.update()

    def show(self, record: Mapping[str, Any]) -> None:
        """Show loss, speed, share of the time that data was waited for, and memory."""
        loss = math.nan if record["loss"] is None else record["loss"]
        self._bar.set_postfix_str(
            f"loss {loss:.3f}, {record['slices_per_s']:.0f} slices/s, "
            f"{record['wait_share']:.0%} waiting, {record['memory_mb']:.0f} MB"
        )

    def write(self, line: str) -> bool:
        """Write a line above the bar, on standard error; return False where no bar is shown."""
        if not self._bar.disable:
            self._bar.write(line, file=sys.stderr)
        return not self._bar.disable

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
