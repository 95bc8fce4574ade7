"""Archives inside a folder: how their members are called, and few of them open at a time."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, Generic, Protocol, TypeVar

MAX_OPEN: Final = 16
"""Archives that stay open while nobody reads them; a release has more than there may be files."""


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Let go of the file."""


Archive = TypeVar("Archive", bound=Closable)


class ArchivePool(Generic[Archive]):
    """Open archives, each lent to one thread at a time.

    Args:
        opener: opens an archive and lists its members.
    """

    def __init__(self, opener: Callable[[Path], Archive]) -> None:
        self._opener = opener
        self._idle: list[tuple[Path, Archive]] = []
        self._lock = Lock()

    @contextmanager
    def borrow(self, path: Path) -> Iterator[Archive]:
        """Hold an archive open; it stays so until others were used more recently."""
        archive = self._take(path) or self._opener(path)
        try:
            yield archive
        finally:
            self._give_back(path, archive)

    def _take(self, path: Path) -> Archive | None:
        """An open archive that nobody reads; None where there is none of this path."""
        with self._lock:
            for place in range(len(self._idle) - 1, -1, -1):
                if self._idle[place][0] == path:
                    return self._idle.pop(place)[1]
        return None

    def _give_back(self, path: Path, archive: Archive) -> None:
        """Keep an archive open, and close the one that was not used for longest."""
        with self._lock:
            self._idle.append((path, archive))
            oldest = self._idle.pop(0)[1] if len(self._idle) > MAX_OPEN else None
        if oldest is not None:
            oldest.close()

    def close(self) -> None:
        """Close every archive that nobody reads."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, archive in idle:
            archive.close()


def unpacked_names(archive: str, suffix: str, members: Iterable[str]) -> dict[str, str]:
    """Names that members would have if an archive were unpacked where it lies.

    Args:
        archive: its name, relative to the root of the folder.
        suffix: of the archive, such as `.tar.gz`.
        members: names in the archive.

    Returns:
        Name in the archive by name in the folder. An archive without one folder at its top is
        unpacked into a folder of its own name.
    """
    names = list(members)
    tops = {name.partition("/")[0] for name in names}
    has_top = len(tops) == 1 and all("/" in name for name in names)
    above = archive.rpartition("/")[0] if has_top else archive[: -len(suffix)]
    return {f"{above}/{name}".lstrip("/"): name for name in names}
