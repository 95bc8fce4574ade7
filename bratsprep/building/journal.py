"""What a build has finished, so that a killed one goes on where it was.

HDF5 cannot be trusted after a kill: its index may be half on disk. Its chunks can: they are
written once and stay where they are. So beside the `.partial` file lies a `.journal`, one line a
case with its rows, the places of its chunks and their checksum. A rerun starts a fresh `.partial`
(there are two names, used in turn), copies the chunks that the journal vouches for, and goes on;
the result is the same to the byte as that of a build that was never stopped.
"""

import base64
import fcntl
import io
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import BRAIN_CELLS, MASK_CELLS, CaseRow, CaseTables
from bratsprep.errors import BuildError
from bratsprep.labels import MODALITIES
from bratsprep.slicefile.chunks import Packed
from bratsprep.slicefile.writer import LEAST_EXTENT, Extent
from bratsprep.volumes.gunzip import crc32

_DTYPES: Final = {
    "affine": "f8",
    "spacing": "f4",
    "shape": "i4",
    "box": "i4",
    "brain_box": "i4",
    "mean": "f8",
    "std": "f8",
    "voxels": "i8",
    "lost_voxels": "i8",
    "z": "i2",
    "slice_voxels": "i4",
    "crc": "u4",
    "plane_brain": "i4",
    "plane_voxels": "i4",
}

_CELLS: Final = {
    "fingerprint": ("i1", (1 + len(MODALITIES), *BRAIN_CELLS)),
    "mask_fingerprint": ("u1", (2, *MASK_CELLS)),
}
"""Dtype and shape of the rows that are stored as bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One finished case: its rows, and where its chunks lie in which file."""

    file: str
    """Name of the `.partial` file."""
    tables: CaseTables
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
        """Settings and cases that the entries belong to; empty for a fresh journal."""
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
                handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            except OSError as error:
                raise BuildError(
                    f"{self.path}: cannot be written: {error.strerror}; choose another place"
                ) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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

    def add(self, file: Path, tables: CaseTables, chunks: Packed, extents: list[Extent]) -> None:
        """Write down a finished case.

        Args:
            file: the unfinished file that its chunks are in.
            tables: its rows.
            chunks: its chunks.
            extents: where those of LEAST_EXTENT bytes and more lie, in their order.
        """
        each = (*chunks.images(), *chunks.labels())
        small = b"".join(chunk for chunk in each if len(chunk) < LEAST_EXTENT)
        record: dict[str, Any] = {}
        blobs: dict[str, bytes] = {"small": small}
        for name, value in _values(tables).items():
            if name in _CELLS:
                blobs[name] = value.tobytes()
            else:
                record[name] = _plain(value)
        record["file"] = file.name
        record["extents"] = extents
        record["sizes"] = chunks.sizes.tolist()
        record["chunks_crc"] = chunks.crc
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
                "the same command again to go on"
            ) from error

    def restore(self, entry: Entry) -> Packed | None:
        """Read the chunks of a finished case.

        Returns:
            None where they are not the ones written down.
        """
        with self.out.with_name(entry.file).open("rb") as file:
            parts = [os.pread(file.fileno(), size, offset) for offset, size in entry.extents]
        large, small = io.BytesIO(b"".join(parts)), io.BytesIO(entry.small)
        sizes = entry.sizes.reshape(-1).tolist()
        each = [(small if size < LEAST_EXTENT else large).read(size) for size in sizes]
        data = b"".join(each)
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


def _values(tables: CaseTables) -> dict[str, Any]:
    """Names and values of all rows, flat; `voxels` of a case and of its planes differ in name."""
    row = asdict(tables.case)
    rest = {f.name: getattr(tables, f.name) for f in fields(CaseTables) if f.name != "case"}
    return {**row, **rest}


def _plain(value: Any) -> Any:  # noqa: ANN401  whatever JSON can hold
    """A value as JSON can hold it; floats keep every digit."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _parse(line: bytes) -> dict[str, Any] | None:
    """A line's record, or None where the line is cut short or damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    record = json.loads(text)
    return record if isinstance(record, dict) else None


def _entry(record: dict[str, Any]) -> Entry:
    """Arrays from lists, rows from names."""
    shapes = {"slice_voxels": (-1, 4), "crc": (-1, 2), "plane_voxels": (-1, 4)}
    values: dict[str, Any] = {
        name: np.array(value, _DTYPES[name]).reshape(shapes.get(name, np.shape(value)))
        if name in _DTYPES
        else value
        for name, value in record.items()
    }
    for name, (dtype, cells) in _CELLS.items():
        values[name] = np.frombuffer(base64.b64decode(record[name]), dtype).reshape(cells)
    row = CaseRow(**{field.name: values[field.name] for field in fields(CaseRow)})
    rest = {f.name: values[f.name] for f in fields(CaseTables) if f.name != "case"}
    return Entry(
        file=record["file"],
        tables=CaseTables(case=row, **rest),
        extents=tuple((offset, size) for offset, size in record["extents"]),
        small=base64.b64decode(record["small"]),
        sizes=np.array(record["sizes"], np.int64).reshape(2, -1),
        chunks_crc=record["chunks_crc"],
    )
