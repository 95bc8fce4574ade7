"""The clock of a budget: wall time, or the processor time of the process and all its threads.

Processor time does not count what other programs take from a busy machine. It counts no child
processes, so a side that is timed by it does all its work in one process.
"""

import time
from collections.abc import Callable

CLOCKS: dict[str, Callable[[], float]] = {
    "processor": time.process_time,
    "wall": time.perf_counter,
}
"""Seconds since some moment, by the name of the clock."""


def set_clock(name: str) -> None:
    """Have every later `time.perf_counter()` of this process read a clock.

    A program that is timed by the wall is then timed by the processor, without a line of its own
    being changed; any version of it. `from time import perf_counter` of before is not replaced.
    """
    time.perf_counter = CLOCKS[name]
