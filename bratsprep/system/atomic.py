"""Files that appear under their name when they are whole, and errors of writing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bratsprep.errors import BratsError, BuildError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that appears under its name when it is whole and on disk.

    Raises:
        BuildError: it cannot be written.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        with new.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException as error:
        with suppress(OSError):  # a disk that cannot be written to holds nothing to remove
            new.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise BuildError(
            f"{path}: cannot be written: {error.strerror or error}; choose another place or free "
            "some space"
        ) from error


@contextmanager
def write_errors(path: Path | str) -> Iterator[None]:
    """Raise a BratsError, which names the file, where the system cannot write it."""
    try:
        yield
    except OSError as error:
        raise BratsError(f"{path}: cannot be written: {error.strerror or error}") from error


def make_empty(folder: Path) -> None:
    """Make a folder, or take one that holds nothing.

    Raises:
        BratsError: it holds something, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        existing = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise BratsError(f"{folder}: cannot be used: {error.strerror or error}") from error
    if existing:
        raise BratsError(
            f"{folder}: holds {existing[0]} already and nothing is overwritten; name a new folder"
        )
