"""Calls of the system that Unix has and Windows lacks or spells otherwise, each in one place.

Where a substitute exists it is used; what cannot run is refused by a message that names WSL 2.
"""

import mmap
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final

READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0)
"""Flags to open a file for reading its bytes as they are."""
WRITE: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
"""Flags to open a file for reading and for writing at its end."""
ADVICE: Final = "install WSL 2 ('wsl --install') and run it there"


def optional(name: str) -> ModuleType | None:
    """Import a module of the standard library that some systems lack."""
    try:
        return import_module(name)
    except ImportError:
        return None


fcntl: Final = optional("fcntl")
resource: Final = optional("resource")
msvcrt: Final = optional("msvcrt")
_POSITION: Final = threading.Lock()
"""Held while a file's position is moved, where the system cannot read without one."""


def lock(handle: int) -> None:
    """Lock a file for this process alone; the lock ends when the file is closed.

    Args:
        handle: descriptor of the open file.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the system cannot lock it.
    """
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    elif msvcrt is not None:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
    else:
        raise OSError(None, f"this system cannot lock files; {ADVICE}")


def lock_folder(folder: Path) -> int:
    """Lock an existing folder for this process alone; the lock ends when the handle is closed.

    Returns:
        The handle. Without `fcntl` it is that of a file beside the folder, which stays.

    Raises:
        BlockingIOError: another process holds it, or has just renamed it.
    """
    place = folder if fcntl is not None else folder.with_name(f"{folder.name}.lock")
    handle = os.open(place, READ if fcntl is not None else WRITE)
    try:
        lock(handle)
        if not place.exists() or not os.path.samestat(os.fstat(handle), place.stat()):
            raise BlockingIOError  # its holder has just finished and renamed it
    except BaseException:
        os.close(handle)
        raise
    return handle


def read_at(handle: int, size: int, offset: int) -> bytes:
    """Read up to `size` bytes of a file from a place on, from any number of threads."""
    if hasattr(os, "pread"):
        return os.pread(handle, size, offset)
    with _POSITION:
        os.lseek(handle, offset, os.SEEK_SET)
        return os.read(handle, size)


def read_into(handle: int, view: memoryview, offset: int) -> int:
    """Fill a view, or its beginning, with the bytes of a file from a place on.

    Returns:
        Bytes that were read; 0 at the end of the file.
    """
    if hasattr(os, "preadv"):
        return os.preadv(handle, [view], offset)
    content = read_at(handle, len(view), offset)
    view[: len(content)] = content
    return len(content)


def private_pages(size: int) -> mmap.mmap:
    """Take memory of this process alone.

    Args:
        size: bytes, at least 1.
    """
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)


def peak_resident_bytes() -> int:
    """Most memory that this process has held, as `getrusage` tells; 0 where it is unknown."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
