"""What a build has finished, so that an interrupted one resumes.

An interrupted HDF5 file is never reused: its index may be half on disk. Its chunks are: they are
written once and stay where they are. So beside the `.partial` file lies a `.journal`, one line a
case with its rows, the places of its chunks and their checksum. A rerun starts a fresh `.partial`
(there are two names, used in turn), copies the chunks that agree with the journal, and continues;
the result is the same to the byte as that of a build that was never interrupted.
"""

import base64
import io
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bratsprep.building.convert import Converted
from bratsprep.building.source_stamps import Stamp, Stamps
from bratsprep.case import CaseTables
from bratsprep.errors import BuildError
from bratsprep.slicefile.chunks import Packed
from bratsprep.slicefile.schema import Sizes, make_rows, row_dtype
from bratsprep.slicefile.writer import LEAST_EXTENT, Extent
from bratsprep.system import unix
from bratsprep.volumes.gunzip import crc32


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished case: its rows, and where its chunks lie in which file."""

    file: str
    """Name of the `.partial` file."""
    tables: CaseTables
    stamps: Stamps
    """Of the files that it was converted from, taken before they were read."""
    extents: tuple[Extent, ...]
    """Byte offsets and sizes of the places that hold its larger chunks."""
    small: bytes
    """The chunks below LEAST_EXTENT bytes, those of labels, in the journal itself."""
    sizes: NDArray[np.int64]
    """As in `Packed`."""
    chunks_crc: int
    """CRC-32 of all chunks."""


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
        self.entries: list[Entry] = []
        self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
            except OSError as error:
                os.close(handle)
                raise BuildError(
                    f"{self.out}: is being written by another process; wait for it or choose "
                    "another name"
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
                record = _parse(line)
                entry = None if record is None or "key" in record else _entry(record)
            except (ValueError, KeyError, TypeError, RecursionError):
                break  # a line of another version of this program
            if record is None:
                break
            good += len(line)
            if entry is None:
                self.key = str(record["key"])
            else:
                by_file.setdefault(entry.file, []).append(entry)
        os.ftruncate(self._handle, good)
        kept = [
            by_file[path.name] for path in self.partials() if path.name in by_file and path.exists()
        ]
        self.entries = max(kept, key=len, default=[])

    def begin(self, key: str) -> Path:
        """Start or go on; gives the name that the new unfinished file shall have."""
        self.key = key
        if not self.entries:
            self.clear()
            self._append({"key": key})
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
        self.entries = []
        self.settle(self.out)

    def add(self, file: Path, made: Converted, stamps: Stamps, extents: list[Extent]) -> None:
        """Write down a finished case.

        Args:
            file: the unfinished file that its chunks are in.
            made: its rows and chunks.
            stamps: of the files that it was converted from.
            extents: where those of LEAST_EXTENT bytes and more lie, in their order.
        """
        tables, chunks = made.tables, made.chunks
        parts = (*chunks.images(), *chunks.labels())
        texts, numbers = _split(tables.case)
        record = {
            "file": file.name,
            "stamps": stamps,
            "extents": extents,
            "sizes": chunks.sizes.tolist(),
            "chunks_crc": chunks.crc,
            "texts": texts,
            "sizes_of_rows": [len(tables.case["present"]), len(tables.case["voxels"])],
        }
        blobs = {
            "small": b"".join(chunk for chunk in parts if len(chunk) < LEAST_EXTENT),
            "numbers": numbers,
            "slices": tables.slices.tobytes(),
            "planes": tables.planes.tobytes(),
        }
        self._append(record, blobs)

    def _append(self, record: dict[str, Any], blobs: Mapping[str, bytes] | None = None) -> None:
        """Write a line: a record, and bytes as Base64, which JSON's writer would look through."""
        line = json.dumps(record).encode()
        for name, blob in (blobs or {}).items():
            line = b'%s, "%s": "%s"}' % (line[:-1], name.encode(), base64.b64encode(blob))
        whole = b"%08x %s\n" % (zlib.crc32(line), line)
        try:
            if os.write(self._handle, whole) != len(whole):
                raise OSError(None, "no space left on device")
        except OSError as error:
            raise BuildError(
                f"{self.path}: cannot be written: {error.strerror}; free some space, then run "
                "the same command again to resume"
            ) from error

    def restore(self, entry: Entry) -> Packed | None:
        """Read the chunks of a finished case.

        Returns:
            None where they are not the ones written down.
        """
        with self.out.with_name(entry.file).open("rb") as file:
            places = [unix.read_at(file.fileno(), size, offset) for offset, size in entry.extents]
        large, small = io.BytesIO(b"".join(places)), io.BytesIO(entry.small)
        sizes = entry.sizes.reshape(-1).tolist()
        parts = [(small if size < LEAST_EXTENT else large).read(size) for size in sizes]
        data = b"".join(parts)
        if len(data) != entry.sizes.sum() or crc32(data) != entry.chunks_crc:
            return None
        return Packed(memoryview(data), entry.sizes, entry.chunks_crc)

    def finish(self, current: Path) -> None:
        """Give the finished file its name and remove the journal.

        Raises:
            BuildError: the file cannot be renamed.
        """
        try:
            current.replace(self.out)
        except OSError as error:
            raise BuildError(f"{self.out}: cannot be written: {error.strerror}") from error
        self.settle(self.out)
        self.path.unlink(missing_ok=True)


def _number_dtype(sizes: Sizes) -> np.dtype[Any]:
    """Columns of /case that hold numbers, as one packed record."""
    dtype = row_dtype("case", sizes)
    return np.dtype(
        [(name, dtype[name]) for name in dtype.names or () if not dtype[name].hasobject]
    )


def _split(row: np.void) -> tuple[dict[str, str], bytes]:
    """Texts of a row of /case by column, and its numbers as bytes."""
    numbers = np.zeros(1, _number_dtype(Sizes(len(row["present"]), len(row["voxels"]))))
    names = numbers.dtype.names or ()
    for name in names:
        numbers[name] = row[name]
    texts = {name: row[name] for name in row.dtype.names or () if name not in names}
    return texts, numbers.tobytes()


def _parse(line: bytes) -> dict[str, Any] | None:
    """A line's record, or None where the line is cut short or damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    record = json.loads(text)
    return record if isinstance(record, dict) else None


def _entry(record: dict[str, Any]) -> Entry:
    """Entry of a line; ValueError or KeyError where its columns are not those of the schema."""
    blobs = {
        name: base64.b64decode(record[name]) for name in ("small", "numbers", "slices", "planes")
    }
    sizes = Sizes(*record["sizes_of_rows"])
    numbers = np.frombuffer(blobs["numbers"], _number_dtype(sizes))
    values = {name: numbers[name] for name in numbers.dtype.names or ()}
    tables = CaseTables(
        make_rows("case", sizes, 1, **values, **record["texts"])[0],
        np.frombuffer(blobs["slices"], row_dtype("slice", sizes)),
        np.frombuffer(blobs["planes"], row_dtype("plane", sizes)),
    )
    return Entry(
        file=record["file"],
        tables=tables,
        stamps=tuple(Stamp(*stamp) for stamp in record["stamps"]),
        extents=tuple((offset, size) for offset, size in record["extents"]),
        small=blobs["small"],
        sizes=np.array(record["sizes"], np.int64).reshape(2, -1),
        chunks_crc=record["chunks_crc"],
    )
