"""A slice file, open: tables as NumPy arrays, slices by number, volumes by case.

HDF5 is used to open the file and never again: the places of all chunks are read once, and slices
come from there by pread. So any number of threads read at once, and a forked or spawned process
inherits nothing that could break.
"""

import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratsprep.config import PrepConfig
from bratsprep.errors import SchemaError
from bratsprep.labels import ClassSet, Scheme
from bratsprep.slicefile.backends import Target, chosen_backend, make_backend
from bratsprep.slicefile.chunk_index import read_contents
from bratsprep.slicefile.chunks import Packed
from bratsprep.slicefile.read_batch import FAULTS, IN_LABEL
from bratsprep.system import unix
from bratsprep.volumes.gunzip import crc32

UNUSED: Final = -1
"""Row of a place of a slot that nothing is read for."""


class SliceFile:
    """A slice file to read from, by any number of threads.

    Pickled, it is its path: the other process opens the file anew, and refuses it when its
    content is another.

    Args:
        path: of the slice file.
        backend: `libdeflate` reads a batch in one call without the interpreter's lock, `isal`
            slice by slice; None takes libdeflate where its library is installed. Both give the
            same bytes.
        prints: False leaves the fingerprints of the cases out of `cases`, 32 KB of memory each
            that only a search for twins and `verify` read.

    Raises:
        SchemaError: the file is missing, truncated, of another version, or not as the contract
            says.
        ValueError: there is no such backend.
    """

    def __init__(
        self, path: str | Path, backend: str | None = None, *, prints: bool = True
    ) -> None:
        self.path: Path = Path(path)
        self._fd = -1
        self.backend: str = chosen_backend(backend)
        """`libdeflate` or `isal`: how slices are read."""
        self._prints = prints
        contents = read_contents(self.path, prints=prints)
        self.config: PrepConfig = contents.described.config
        """Settings that the file was built with."""
        self.digest: str = contents.described.digest
        """SHA-256 of the content, the same on every machine."""
        self.slices: NDArray[np.void] = contents.slices
        """Table of the slices as a structured array, see `bratsprep.slicefile.schema.row_dtype`."""
        self.planes: NDArray[np.void] = contents.planes
        """Table of every plane of every case, stored or not."""
        self.cases: NDArray[np.void] = contents.cases
        """Table of the cases."""
        self.shape: tuple[int, int] = contents.storage.shape
        """(h, w) of a slice."""
        self.dtype: np.dtype[Any] = contents.storage.dtype
        """Of the stored images: `<f2`, `<f4` or `<i2`."""
        self.modalities: tuple[str, ...] = contents.described.modalities
        """Channels of the images."""
        self.classes: ClassSet = contents.described.classes
        """Classes and regions of the labels."""
        self.schemes: Mapping[str, Scheme] = contents.described.schemes
        """Label schemes of the sources, by name."""
        self._storage = contents.storage
        self._fd = os.open(self.path, unix.READ)
        self._backend = make_backend(self._fd, self._storage, self.backend)

    def __len__(self) -> int:
        """Slices in the file."""
        return len(self.slices)

    def __getitem__(self, i: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Read one slice.

        Args:
            i: row under /slice; a negative one counts from the end.

        Returns:
            (m, h, w) image of the stored dtype, and (h, w) uint8 label.

        Raises:
            IndexError: there is no such slice.
            SchemaError: its chunk is damaged.
        """
        row = operator.index(i)
        if not -len(self) <= row < len(self):
            raise IndexError(f"slice {row} is beyond the {len(self)} slices of {self.path}")
        image, label = self.read(np.array([row % len(self)]))
        return image[0], label[0]

    def read(
        self, rows: NDArray[np.integer[Any]] | NDArray[np.bool_] | Sequence[int]
    ) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Read slices into new arrays.

        Args:
            rows: (b,) integers of any dtype and stride, rows under /slice in any order; or
                (slices of the file,) bool, True for the rows to read.

        Returns:
            (b, m, h, w) images of the stored dtype, and (b, h, w) uint8 labels.

        Raises:
            ValueError: a row is beyond the file, or the shape is another.
            TypeError: `rows` are neither integers nor bool.
            SchemaError: a chunk is damaged.
        """
        chosen = self._as_rows(np.asarray(rows))
        image = np.empty((len(chosen), len(self.modalities), *self.shape), self.dtype)
        label = np.empty((len(chosen), *self.shape), np.uint8)
        self.read_into(chosen, image, label)
        return image, label

    def _as_rows(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Turn (b,) integers or an (s,) bool mask into (b,) int64 rows in C order."""
        expected = (len(self),) if rows.dtype == np.bool_ else (rows.size,)
        if rows.shape != expected:
            kind = "a mask" if rows.dtype == np.bool_ else "rows"
            raise ValueError(f"{self.path}: {kind} must have shape {expected}, got {rows.shape}")
        if rows.dtype == np.bool_:
            return np.flatnonzero(rows)
        if rows.size and not np.issubdtype(rows.dtype, np.integer):
            raise TypeError(f"{self.path}: rows must be integers or a bool mask, got {rows.dtype}")
        if rows.size and rows.max() >= len(self):  # before a large uint64 becomes negative
            raise ValueError(f"{self.path}: rows must be 0 to {len(self) - 1}, got {rows.max()}")
        return np.ascontiguousarray(rows, np.int64)

    def packed(self, low: int, high: int) -> Packed:
        """Read the chunks of the slices from `low` to before `high` as they lie on disk."""
        places = self._storage.chunks[low:high]
        parts = (*places[:, :2].tolist(), *places[:, 2:].tolist())
        data = b"".join(unix.read_at(self._fd, size, offset) for offset, size in parts)
        return Packed(memoryview(data), np.ascontiguousarray(places[:, 1::2].T), crc32(data))

    def read_into(
        self, rows: NDArray[np.int64], image: NDArray[Any], label: NDArray[np.uint8]
    ) -> None:
        """Read slices into existing arrays, in one call without the interpreter's lock.

        Args:
            rows: (b,) int64, rows under /slice in any order.
            image: (b, m, h, w) of the stored dtype or float32, C order; written.
            label: (b, h, w) uint8, C order; written.

        Raises:
            ValueError: an array has another shape, dtype or order, or a row is beyond the file.
            SchemaError: a chunk is damaged.
        """
        self._check_target(rows, image, label)
        code, place = self._backend.fetch(rows, Target(image, label))
        if code:
            raise self.fault(code, int(rows[place]))

    def serve(
        self,
        pipes: tuple[int, int],
        rows: NDArray[np.int64],
        later: NDArray[np.int64],
        image: NDArray[Any],
        label: NDArray[np.uint8],
    ) -> None:
        """Fill slots of a ring of batches until a task below 0 comes; for a loader.

        With libdeflate it is one call without the interpreter's lock for all batches. The rows
        of a slot, of both kinds, must be within the file when its task is sent; those at its end
        may be `UNUSED`, and nothing is read for them.

        Args:
            pipes: descriptors for tasks, an int64 slot each (below 0 to stop), and for answers,
                three int64 each: slot, code (0 for success), place in its rows.
            rows: (n, b) int64, rows under /slice of each slot.
            later: (n, c) int64, rows to request from the disk before a slot is filled.
            image: (n, b, m, h, w) of the stored dtype or float32, C order.
            label: (n, b, h, w) uint8, C order.
        """
        self._check_target(rows, image, label, least=UNUSED)
        self.check_rows(later, least=UNUSED)
        self._backend.serve(pipes, rows, later, Target(image, label))

    def fault(self, code: int, row: int) -> SchemaError:
        """Make the error of a fault code of a slice."""
        case = self.cases["id"][self.slices["case"][row]]
        part = "label" if code > IN_LABEL else "image"
        return SchemaError(
            f"{self.path}: slice {row} (case {case}, plane {self.slices['z'][row]}): "
            f"{part} {FAULTS[code % IN_LABEL]}; the file is damaged, build it again"
        )

    def case_row(self, case: str | int) -> int:
        """Row under /case of a case.

        Raises:
            ValueError: there is no such case.
        """
        if isinstance(case, str):
            matches = np.flatnonzero(self.cases["id"] == case)
            if matches.size == 0:
                raise ValueError(f"{self.path}: holds no case {case!r}")
            return int(matches[0])
        if not 0 <= case < len(self.cases):
            raise ValueError(f"{self.path}: case {case} is beyond its {len(self.cases)} cases")
        return case

    def volume(self, case: str | int) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.int16]]:
        """Read the stored planes of a case, by its id or its row under /case.

        Returns:
            (s, m, h, w) images of the stored dtype, (s, h, w) uint8 labels, and (s,) int16 z.

        Raises:
            ValueError: there is no such case.
            SchemaError: a chunk is damaged.
        """
        rows = np.flatnonzero(self.slices["case"] == self.case_row(case))
        return *self.read(rows), self.slices["z"][rows]

    def label_volume(self, case: str | int) -> NDArray[np.uint8]:
        """Stored labels of a case as its uncropped (z, y, x) uint8 RAS+ volume, 0 elsewhere."""
        _, label, z = self.volume(case)
        return self.paste(case, label, z)

    def paste(
        self, case: str | int, planes: NDArray[Any], z: NDArray[np.integer[Any]]
    ) -> NDArray[Any]:
        """Put cropped planes back where they were cut from.

        Args:
            case: id, or row under /case.
            planes: (..., s, h, w) of any dtype, as cropped in this file.
            z: (s,) int, plane of each in the uncropped volume.

        Returns:
            (..., z, y, x) RAS+ volume, zero elsewhere.
        """
        row = self.cases[self.case_row(case)]
        depth, height, width = (int(size) for size in row["shape"])
        top, left = (int(start) for start in row["box"][0, 1:])
        window = Box((0, top, left), (depth, top + self.shape[0], left + self.shape[1]))
        block = np.zeros((*planes.shape[:-3], depth, *self.shape), planes.dtype)
        block[..., z, :, :] = planes
        return window.paste(block, (depth, height, width))

    def close(self) -> None:
        """Close the file; reading from it is an error from then on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return reopen, (self.path.absolute(), self.backend, self._prints, self.digest)

    def check_rows(self, rows: NDArray[np.int64], least: int = 0) -> None:
        """Refuse rows that are beyond the file, since the kernels do not check them.

        Args:
            rows: int64 of any shape, C order, rows under /slice.
            least: smallest number that is allowed, 0 or `UNUSED`.

        Raises:
            ValueError: `rows` is not int64 in C order, or a row is beyond the file.
        """
        if rows.dtype != np.int64 or not rows.flags.c_contiguous:
            raise ValueError(f"rows must be int64 in C order, got {rows.dtype}")
        if rows.size and not least <= rows.min() <= rows.max() < len(self):
            raise ValueError(f"{self.path}: rows must be 0 to {len(self) - 1}")

    def _check_target(
        self,
        rows: NDArray[np.int64],
        image: NDArray[Any],
        label: NDArray[np.uint8],
        least: int = 0,
    ) -> None:
        """Refuse arrays that the kernels would write beyond.

        Args:
            rows: (..., b) int64, rows under /slice.
            image: (..., b, m, h, w) of the stored dtype or float32.
            label: (..., b, h, w) uint8.
            least: as in `check_rows`.
        """
        if self._fd < 0:
            raise ValueError(f"{self.path}: is closed")
        self.check_rows(rows, least)
        Target(image, label).check(rows.shape, self._storage)


def open_file(path: str | Path, backend: str | None = None) -> SliceFile:
    """Open a slice file to read from; `bratsprep.open`.

    Example:
        with bratsprep.open("out.h5") as file:
            image, label = file[0]

    Args:
        path: of the slice file.
        backend: `libdeflate` or `isal`, see `SliceFile`.

    Raises:
        SchemaError: the file is missing, truncated, of another version, or not as the contract
            says.
    """
    return SliceFile(path, backend)


def reopen(path: Path, backend: str, prints: bool, digest: str) -> SliceFile:
    """Open in another process what was pickled in this one.

    Raises:
        SchemaError: the file's content is another now.
    """
    file = SliceFile(path, backend, prints=prints)
    if file.digest != digest:
        raise SchemaError(
            f"{path}: content digest is {file.digest}, it was {digest} when the reader was sent; "
            "do not rebuild a file in use"
        )
    return file
