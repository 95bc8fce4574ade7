"""The machine, and what a process takes from it.

What is described names no host, user or path, so that results can be published as they are.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
INTERVAL = 0.05
"""Seconds between two looks at the memory of a process tree."""
_PAGE = resource.getpagesize()
_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process with all its descendants took."""

    returncode: int
    wall_seconds: float
    """From start to end, interpreter and imports included."""
    cpu_seconds: float
    """User and system, of all descendants that were waited for."""
    peak_bytes: int
    """Most resident memory, summed over the tree; pages shared by two processes count twice."""
    stdout: str
    stderr: str


def describe() -> dict[str, str]:
    """Processor, cores, memory, system, and how busy the machine is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    """Model name as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the packages that an environment holds; those that it lacks are left out.

    Args:
        python: its interpreter.
        names: distributions to ask for.

    Returns:
        Empty where there is no such interpreter.
    """
    try:
        asked = subprocess.run(
            [python, "-c", _VERSIONS, *names], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, str] = json.loads(asked.stdout)
    return found


def measured(command: list[str], env: dict[str, str], folder: Path) -> Measured:
    """Run a command to its end and measure it.

    Args:
        command: program and arguments.
        env: variables to set beside the present ones.
        folder: of the two files that hold its output meanwhile.
    """
    before = _children_cpu()
    out, err = folder / "stdout.txt", folder / "stderr.txt"
    started = time.perf_counter()
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env={**os.environ, **env})
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(resident_bytes, tree(process.pid))))
            time.sleep(INTERVAL)
    return Measured(
        process.returncode,
        time.perf_counter() - started,
        _children_cpu() - before,
        peak,
        out.read_text(encoding="utf-8"),
        err.read_text(encoding="utf-8"),
    )


def said(took: Measured) -> dict[str, Any]:
    """What a process printed as JSON in its last line; `fault` where it failed, its last words."""
    if took.returncode:
        last = took.stderr.strip().splitlines()[-1:] or [f"exit {took.returncode}"]
        return {"fault": last[0]}
    found: dict[str, Any] = json.loads(took.stdout.strip().splitlines()[-1])
    return found


def answered(command: list[str]) -> dict[str, Any]:
    """Run a process that prints JSON as its last line; `missing` says why there is none."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return {"missing": f"failed with exit status {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree(pid: int) -> list[int]:
    """A process and all its descendants, as far as they are alive."""
    found, left = [], [pid]
    while left:
        here = left.pop()
        found.append(here)
        for children in Path(f"/proc/{here}/task").glob("*/children"):
            try:
                left.extend(map(int, children.read_text().split()))
            except OSError:  # the thread has just ended
                continue
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of one process; 0 once it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def markdown(facts: dict[str, Any]) -> str:
    """Names and values as one line of text."""
    return "; ".join(f"{name} {value}" for name, value in facts.items())
