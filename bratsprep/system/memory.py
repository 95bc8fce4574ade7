"""Memory that this process has taken."""

import resource
import sys
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")


def peak_bytes() -> int:
    """Most memory that this process has held so far (resident set).

    Linux's own count where there is one: `getrusage` hands a parent's peak on to its children.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        if found:
            return int(found[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
