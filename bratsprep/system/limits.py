"""What the system lets this process have: cores and memory, control groups included.

A container sees every core and all memory of its machine; its control group says what it may use.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/")
_NO_LIMIT: Final = 1 << 60
"""Version 1 states a limit of about 2^63 bytes where there is none."""


def scheduled_cores() -> int:
    """Cores that the scheduler lets this process use; those of the machine where it cannot tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def core_quota(root: Path = ROOT) -> float | None:
    """Cores' worth of processor time that the control groups of this process allow.

    Args:
        root: of the file system.

    Returns:
        The smallest quota from its own group up to the topmost; None where there is none.
    """
    quotas = []
    for group in control_groups("cpu", root):
        quota, period = [*_words(group / "cpu.max"), "max", "100000"][:2]
        if quota == "max":
            quota = next(iter(_words(group / "cpu.cfs_quota_us")), "-1")
            period = next(iter(_words(group / "cpu.cfs_period_us")), "100000")
        if int(quota) > 0:
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def usable_cores(root: Path = ROOT) -> int:
    """Cores that this process can keep busy: those of the scheduler, or fewer by its quota."""
    quota = core_quota(root)
    cores = scheduled_cores()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes that the control groups of this process allow; None where there is no limit."""
    texts = [
        word
        for group in control_groups("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
        for word in _words(group / name)
    ]
    limits = [int(text) for text in texts if text.isdecimal()]
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def machine_memory() -> int | None:
    """Bytes of memory of the machine; None where the system cannot tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def control_groups(controller: str, root: Path = ROOT) -> Iterator[Path]:
    """Folders of the control groups of this process for a controller, its own first.

    Args:
        controller: `cpu` or `memory`.
        root: of the file system.
    """
    mounted = root / "sys" / "fs" / "cgroup"
    try:
        lines = (root / "proc" / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = mounted / controller if controllers else mounted
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for count in range(len(parts), -1, -1):
            yield top.joinpath(*parts[:count])


def _words(path: Path) -> list[str]:
    """Words of a small file; none where there is no such file."""
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []
