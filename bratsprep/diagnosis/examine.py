"""`doctor`: look at everything that bratsprep and bratstrain use, and say what to do.

Nothing here imports a dependency: where one is broken, this has to work all the same.
"""

from pathlib import Path

from bratsprep.diagnosis.findings import Diagnosis, Finding
from bratsprep.diagnosis.machine import check_cores, check_disk, check_memory, check_system
from bratsprep.diagnosis.packages import check_packages, installed_version, requirements
from bratsprep.diagnosis.programs import (
    check_browser,
    check_gpu,
    check_kernels,
    check_libdeflate,
)


def doctor(folder: Path | str = ".") -> Diagnosis:
    """Examine machine and installation; `bratsprep.doctor`.

    Heavy packages are imported in processes of their own, so that a broken one stops nothing.

    Example:
        bratsprep.doctor("/data").lines()

    Args:
        folder: whose disk is measured: a file of 64 MB is written, read and removed.

    Returns:
        What was found; `is_well` says whether everything essential is there.
    """
    own = installed_version("bratsprep")
    packages, versions = check_packages(requirements())
    parts = {
        "system": check_system(),
        "cores": check_cores(),
        "memory": check_memory(),
        "disk": check_disk(Path(folder)),
        "gpu": check_gpu(versions.get("torch") is not None),
        "libdeflate": check_libdeflate(),
        "kernels": check_kernels(),
        "browser": check_browser(),
    }
    first = Finding("bratsprep", "ok", own or "not installed, run from its folder")
    machine = [finding for finding, _ in parts.values()]
    facts = {name: found for name, (_, found) in parts.items()}
    return Diagnosis(
        (first, machine[0], *packages, *machine[1:]),
        {"bratsprep": own, "packages": versions, **facts},
    )
