"""What a build has finished, so that an interrupted one resumes.

An interrupted HDF5 file is never reused: its index may be half on disk. Its chunks are: they are
written once and stay where they are. So beside the `.partial` file lies a `.journal`, one line a
case with its rows, the places of its chunks and their checksum. A rerun starts a fresh `.partial`
(there are two names, used in turn), copies the chunks that agree with the journal, and continues;
the result is the same to the byte as that of a build that was never interrupted.
"""

import io
import os
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bratsprep.building.convert import Converted
from bratsprep.building.journal_lines import Entry, entry_of, packed_line, parse, record_of
from bratsprep.building.source_stamps import Stamps
from bratsprep.errors import BuildError
from bratsprep.slicefile.chunks import Packed, Pages
from bratsprep.slicefile.writer import LEAST_EXTENT, Extent
from bratsprep.system import unix
from bratsprep.volumes.gunzip import crc32


class Journal:
    """The journal of one output file, locked while it is open.

    Args:
        out: the slice file to be.

    Raises:
        BuildError: another process builds the same file, or the folder cannot be written.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.with_name(out.name + ".journal")
        self._handle = self._locked()
        self.key = ""
        """Settings that the entries were made with, as JSON; empty for a fresh journal."""
        self.is_finished = False
        """Every case was worked on; of a part of a build alone."""
        self.entries: list[Entry] = []
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlock the journal."""
        os.close(self._handle)

    def _locked(self) -> int:
        """Open and lock the journal; again where another process has just removed it."""
        while True:
            try:
                handle = os.open(self.path, unix.WRITE, 0o644)
            except OSError as error:
                raise BuildError(
                    f"{self.path}: cannot be written: {error.strerror}; choose another place"
                ) from error
            try:
                unix.lock(handle)
            except BlockingIOError as error:
                os.close(handle)
                raise BuildError(
                    f"{self.out}: is being written by another process; wait for it or choose "
                    "another name"
                ) from error
            except OSError as error:
                os.close(handle)
                raise BuildError(
                    f"{self.path}: cannot be locked: {error.strerror}; the file system has no "
                    "locks: mount it with them (Lustre: -o flock), or choose another place"
                ) from error
            if self.path.exists() and self.path.stat().st_ino == os.fstat(handle).st_ino:
                return handle
            os.close(handle)

    def partials(self) -> tuple[Path, Path]:
        """The two names that the unfinished file may have."""
        first = self.out.with_name(self.out.name + ".partial")
        return first, first.with_name(first.name + "2")

    def _read(self) -> None:
        """Take the entries of the file that has most; a line cut short ends the reading."""
        text = self.path.read_bytes()
        by_file: dict[str, list[Entry]] = {}
        good = 0
        for line in text.splitlines(keepends=True):
            try:
                record = parse(line)
                place = self.path, good, len(line)
                entry = None if record is None or "key" in record else entry_of(record, place)
            except (ValueError, KeyError, TypeError, RecursionError):
                break  # a line of another version of this program
            if record is None:
                break
            good += len(line)
            if entry is None:
                self.key = str(record["key"])
                self.is_finished = bool(record.get("finished"))
            else:
                by_file.setdefault(entry.file, []).append(entry)
        os.ftruncate(self._handle, good)
        kept = [
            by_file[path.name] for path in self.partials() if path.name in by_file and path.exists()
        ]
        self.entries = max(kept, key=len, default=[])

    def begin(self, key: str) -> Path:
        """Start or go on; gives the name that the new unfinished file shall have."""
        if not self.entries:
            self.clear()
            self._append({"key": key})
        self.key = key
        used = self.entries[0].file if self.entries else ""
        return next(path for path in self.partials() if path.name != used)

    def settle(self, current: Path) -> None:
        """Forget every file but the current one: its entries now hold all that is done."""
        for path in self.partials():
            if path != current:
                path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything."""
        os.ftruncate(self._handle, 0)
        self.key, self.entries = "", []
        self.is_finished = False
        self.settle(self.out)

    def add(self, file: Path, made: Converted, stamps: Stamps, extents: list[Extent]) -> None:
        """Write down a finished case.

        Args:
            file: the unfinished file that its chunks are in.
            made: its rows and chunks.
            stamps: of the files that it was converted from.
            extents: where those of LEAST_EXTENT bytes and more lie, in their order.
        """
        self._append(*record_of(file, made, stamps, extents))

    def _append(self, record: dict[str, Any], blobs: Mapping[str, bytes] | None = None) -> None:
        """Write a line: a record, and bytes by name."""
        whole = packed_line(record, blobs or {})
        try:
            if os.write(self._handle, whole) != len(whole):
                raise OSError(None, "no space left on device")
        except OSError as error:
            raise BuildError(
                f"{self.path}: cannot be written: {error.strerror}; free some space, then run "
                "the same command again to resume"
            ) from error

    def restore(self, entry: Entry, pages: Pages) -> Packed | None:
        """Read the chunks of a finished case.

        Args:
            entry: the case.
            pages: where its chunks are put.

        Returns:
            None where they are not the ones written down.
        """
        size = int(entry.sizes.sum())
        data = memoryview(pages.take(size))[:size]
        packed = Packed(data, entry.sizes, entry.chunks_crc)
        large, small = _ranges(entry.sizes.reshape(-1))
        with self.out.with_name(entry.file).open("rb", buffering=0) as file:
            is_whole = _read_extents(file, entry.extents, [data[part] for part in large])
        kept = memoryview(entry.small())
        for part in small:
            own, kept = kept[: part.stop - part.start], kept[part.stop - part.start :]
            is_whole = is_whole and len(own) == part.stop - part.start
            if is_whole:
                data[part] = own
        if is_whole and not kept and crc32(data) == entry.chunks_crc:
            return packed
        pages.give_back(packed)
        return None

    def finish(self, current: Path) -> None:
        """Give the finished file its name and remove the journal.

        Raises:
            BuildError: the file cannot be renamed.
        """
        try:
            current.replace(self.out)
        except OSError as error:
            raise BuildError(f"{self.out}: cannot be written: {error.strerror}") from error
        self.remove()

    def conclude(self) -> None:
        """Note that every case was worked on, for those who join the parts of a build."""
        self._append({"key": self.key, "finished": True})
        self.is_finished = True

    def remove(self) -> None:
        """Remove the journal and the unfinished files."""
        self.settle(self.out)
        self.path.unlink(missing_ok=True)


def _ranges(sizes: NDArray[np.int64]) -> tuple[list[slice], list[slice]]:
    """Bytes of neighbouring chunks of LEAST_EXTENT bytes and more, and of those below.

    Args:
        sizes: (n,) int64, bytes of all chunks, which lie without gaps.
    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    is_small = sizes < LEAST_EXTENT
    turns = (np.flatnonzero(np.diff(is_small)) + 1).tolist()
    parts: tuple[list[slice], list[slice]] = [], []
    for first, last in pairwise([0, *turns, len(sizes)] if len(sizes) else []):
        parts[int(is_small[first])].append(slice(int(ends[first]), int(ends[last])))
    return parts


def _read_extents(
    file: io.FileIO, extents: Iterable[Extent], targets: Iterable[memoryview]
) -> bool:
    """Fill memory by what lies in some places of a file, each one after the other.

    Returns:
        Whether the file has all of it, and no place has more.
    """
    places = iter(extents)
    offset = left = 0
    for target in targets:
        rest = target
        while rest:
            if not left:
                offset, left = next(places, (0, 0))
                file.seek(offset)
            n = file.readinto(rest[:left])
            if not n:
                return False
            rest, left = rest[n:], left - n
    return not left and next(places, None) is None
