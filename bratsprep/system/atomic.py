"""Files that appear under their name when they are whole, and not before."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bratsprep.errors import BuildError


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
