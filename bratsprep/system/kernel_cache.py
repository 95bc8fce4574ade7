"""A place for compiled kernels where Numba would find none that it can write, and would stop.

So it is in a container or a cluster's module without a home: the installation is read-only, and
`~/.cache` is not there.
"""

import atexit
import os
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Final

VARIABLE: Final = "NUMBA_CACHE_DIR"
"""Names the folder of compiled kernels, for Numba."""
ADVICE: Final = f"set {VARIABLE} to a folder that can be written and stays"
_PREFIX: Final = "kernels-of-one-process-"
_PACKAGE: Final = Path(__file__).parent
_CACHES: Final = MappingProxyType({"darwin": "~/Library/Caches", "win32": "~/AppData/Local"})
"""Where a system other than Linux keeps caches of a user."""


def is_kept() -> bool:
    """Whether Numba finds a folder to write: the one given, the package's, or the user's."""
    if os.environ.get(VARIABLE):
        return True
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    user = Path(_CACHES.get(sys.platform, cache)).expanduser() / "numba"
    return os.access(_PACKAGE, os.W_OK) or _can_be_made(user)


def _can_be_made(folder: Path) -> bool:
    """Make a folder where there is none, as Numba would: to ask for permission is not enough."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def settle() -> None:
    """Name a folder for Numba that ends with this process, where it could keep kernels nowhere.

    The folder is made by Numba, when the first kernel is compiled; its name cannot be guessed,
    since whoever writes into it runs code here.
    """
    if is_kept():
        return
    try:
        folder = Path(import_module("tempfile").gettempdir(), _PREFIX + os.urandom(8).hex())
    except FileNotFoundError:
        return  # nothing at all can be written: Numba says so
    os.environ[VARIABLE] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    atexit.register(forget, folder, os.getpid())


def is_temporary() -> bool:
    """Whether Numba has a folder that ends with this process, or with the one that started it."""
    return Path(os.environ.get(VARIABLE, "")).name.startswith(_PREFIX)


def forget(folder: Path, process: int) -> None:
    """Remove the folder, and say what it costs, at the end of the process that has named it.

    Args:
        folder: of compiled kernels.
        process: its id; forks of it have the same exit handlers.
    """
    if os.getpid() != process or not folder.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.write(
        "note: compiled kernels cannot be kept, so that every command compiles its own, for up to "
        f"half a minute; {ADVICE}\n"
    )
