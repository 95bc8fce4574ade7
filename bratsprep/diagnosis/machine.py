"""The machine: system, cores, memory, and the speed of the disk behind a folder."""

import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bratsprep.diagnosis.findings import Finding
from bratsprep.system.limits import (
    core_quota,
    machine_memory,
    memory_limit,
    scheduled_cores,
    usable_cores,
)
from bratsprep.system.unix import ADVICE

BLOCK: Final = 1 << 20
BLOCKS: Final = 64
"""Blocks of the file that the disk is tried with."""
LEAST_MEMORY: Final = 2 << 30
"""Bytes; a build of float32 cases with one worker takes 440 MB, `fit` beside torch more."""
LEAST_FREE: Final = 5 << 30
"""Bytes of disk; the slice file of the Decathlon's Task01 takes 3.3 GB."""
SLOW_DISK: Final = 50
"""MB/s; below it reading keeps a GPU waiting."""
GB: Final = 1e9


def check_system() -> tuple[Finding, dict[str, Any]]:
    """Name the system and the interpreter; Windows runs with substitutes."""
    facts = {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    text = "{system} {release} {machine}, Python {python}".format(**facts)
    if os.name == "nt":
        advice = f"Windows itself is slower and not tested: {ADVICE}"
        return Finding("system", "note", text, advice), facts
    return Finding("system", "ok", text), facts


def check_cores() -> tuple[Finding, dict[str, Any]]:
    """Count the cores that work can be spread over."""
    facts = {
        "usable": usable_cores(),
        "scheduled": scheduled_cores(),
        "machine": os.cpu_count(),
        "quota": core_quota(),
    }
    text = f"{facts['usable']} of {facts['machine']} usable"
    if facts["quota"] is not None:
        text += f" (quota of the control group: {facts['quota']:g})"
    return Finding("cores", "ok", text), facts


def check_memory() -> tuple[Finding, dict[str, Any]]:
    """State the memory of the machine, or less by a control group."""
    total, limit = machine_memory(), memory_limit()
    known = [size for size in (total, limit) if size is not None]
    facts = {"machine_bytes": total, "limit_bytes": limit, "free_bytes": free_memory()}
    if not known:
        return Finding("memory", "note", "the system does not tell its size"), facts
    usable = min(known)
    text = f"{usable / GB:.1f} GB"
    if limit is not None and usable == limit:
        text += " (limit of the control group)"
    if facts["free_bytes"] is not None:
        text += f", {min(facts['free_bytes'], usable) / GB:.1f} GB free"
    if usable < LEAST_MEMORY:
        return Finding("memory", "note", text, "build with --workers 1 or --max-ram"), facts
    return Finding("memory", "ok", text), facts


def free_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes of memory that are free or can be freed; None where the system cannot tell.

    Args:
        meminfo: Linux's table of memory.
    """
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(sizes[0]) * 1024 if sizes else None


def check_disk(folder: Path) -> tuple[Finding, dict[str, Any]]:
    """Measure the disk behind a folder with a file of 64 MB, which is removed.

    Args:
        folder: where it is written.
    """
    subject = f"disk {folder}"
    try:
        free = shutil.disk_usage(folder).free
        write, read, is_cold = disk_rates(folder)
    except OSError as error:
        advice = "name a folder that can be written to and has 64 MB free"
        text = f"cannot be used: {error.strerror or error}"
        return Finding(subject, "fault", text, advice), {"folder": str(folder)}
    facts = {
        "folder": str(folder),
        "free_bytes": free,
        "write_mb_per_s": round(write, 1),
        "read_mb_per_s": round(read, 1),
        "read_is_cold": is_cold,
    }
    source = "" if is_cold else " from the cache"
    text = f"{free / GB:.0f} GB free, writes {write:.0f} MB/s, reads {read:.0f} MB/s{source}"
    if free < LEAST_FREE:
        advice = "the slice file of Task01 takes 3.3 GB; free some space or name another folder"
        return Finding(subject, "note", text, advice), facts
    if min(write, read) < SLOW_DISK:
        advice = "copy the slice file to a local disk; network folders keep a GPU waiting"
        return Finding(subject, "note", text, advice), facts
    return Finding(subject, "ok", text), facts


def disk_rates(folder: Path) -> tuple[float, float, bool]:
    """Write and read a file of random bytes.

    Returns:
        MB/s to write it to the disk, MB/s to read it, and whether the system was told to drop it
        from its cache before.

    Raises:
        OSError: it cannot be written.
    """
    block = os.urandom(BLOCK)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        started = time.perf_counter()
        for _ in range(BLOCKS):
            if file.write(block) != BLOCK:
                raise OSError(None, "no space left on device")
        os.fsync(file.fileno())
        written = time.perf_counter() - started
        is_cold = hasattr(os, "posix_fadvise")
        if is_cold:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        started = time.perf_counter()
        while file.read(BLOCK):
            pass
        was_read = time.perf_counter() - started
    size = BLOCK * BLOCKS / 1e6
    return size / written, size / was_read, is_cold
