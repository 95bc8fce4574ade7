"""What every runner has in common: its arguments, its watch, its list of cases."""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Task:
    """What a runner was asked to do."""

    raw: Path
    """Folder in the Decathlon's layout."""
    out: Path
    """Empty folder for the output."""
    workers: int
    """Processes or threads, as the tool has it."""
    cases: int


class Watch:
    """Wall and processor seconds of the parts that count, children that ended included."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        started, cpu = time.perf_counter(), cpu_seconds()
        yield
        self.seconds += time.perf_counter() - started
        self.cpu_seconds += cpu_seconds() - cpu

    def report(self, task: Task, **more: float) -> None:
        """Print the line that the benchmark reads."""
        size = sum(path.stat().st_size for path in task.out.rglob("*") if path.is_file())
        line = {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "cases": task.cases,
            "output_bytes": size,
            **more,
        }
        print(json.dumps(line), flush=True)


def cpu_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def read_task() -> Task:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--cases", type=int, required=True)
    return Task(**vars(parser.parse_args()))


def pairs(task: Task) -> list[tuple[Path, Path]]:
    """Image and label file of each case, in the order of dataset.json."""
    listed = json.loads((task.raw / "dataset.json").read_text(encoding="utf-8"))["training"]
    return [(task.raw / case["image"], task.raw / case["label"]) for case in listed[: task.cases]]
