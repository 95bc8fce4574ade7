"""HDF5 out: finished chunks and rows into a slice file that any HDF5 reader opens.

Chunks go straight to disk (`write_direct_chunk`), the small tables at the end. Nothing in the
file depends on the clock or on the order in which cases were finished.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseTables
from bratsprep.config import PrepConfig
from bratsprep.errors import BuildError
from bratsprep.labels import ClassSet, Scheme
from bratsprep.slicefile import schema
from bratsprep.slicefile.chunks import Packed
from bratsprep.slicefile.digest import file_digest, with_subject

Extent = tuple[int, int]
"""A place in the file: byte offset and size."""
LEAST_EXTENT: Final = 2048
"""Bytes. HDF5 puts smaller chunks into gaps, larger ones at the end of the file."""


class SliceWriter:
    """A slice file that is being written.

    Args:
        path: file to create; overwritten.
        config: settings, stored in the file.
        classes: of the labels.
        schemes: label schemes of the sources.
        size: (h, w) of every slice.

    Raises:
        BuildError: the file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        config: PrepConfig,
        classes: ClassSet,
        schemes: Iterable[Scheme],
        size: tuple[int, int],
    ) -> None:
        self.path = path
        self.config = config
        self.classes = classes
        self.schemes = {scheme.name: scheme for scheme in schemes}
        self.sizes = schema.Sizes(len(config.channels), len(classes))
        self.size = size
        self._tables: list[CaseTables] = []
        self._n_slices = 0
        with _disk(path):
            self._file = h5py.File(path, "w", libver=("v110", "v110"))
            self._handle = int(self._file.id.get_vfd_handle())
            self._image = self._create(schema.IMAGE, config.stored, (self.sizes.modalities, *size))
            self._label = self._create(schema.LABEL, schema.LABEL.dtype, size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # On a full disk closing fails as well; the first error is the one to report.
        with suppress(BuildError) if error else nullcontext():
            self.close()

    def close(self) -> None:
        """Close the file; without `finish` it stays incomplete."""
        with _disk(self.path):
            self._file.close()

    def _create(self, column: schema.Column, dtype: str, row: tuple[int, ...]) -> h5py.Dataset:
        """A growing dataset with one slice a chunk."""
        # Shuffling one-byte labels changes nothing, but every dataset then has the same filters.
        packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        return self._file.create_dataset(
            column.path,
            shape=(0, *row),
            maxshape=(None, *row),
            chunks=(1, *row),
            dtype=dtype,
            **({} if self.config.compression == "none" else packed),
        )

    def add(self, tables: CaseTables, chunks: Packed) -> list[Extent]:
        """Append the slices and rows of one case.

        Args:
            tables: its rows.
            chunks: its slices.

        Returns:
            Where the chunks of LEAST_EXTENT bytes and more lie, in their order; those that touch
            are one extent.

        Raises:
            BuildError: the disk is full or cannot be written.
        """
        extents: list[Extent] = []
        with _disk(self.path):
            n = self._n_slices + len(tables.slices)
            self._image.resize(n, axis=0)
            self._label.resize(n, axis=0)
            for dataset, parts in ((self._image, chunks.images()), (self._label, chunks.labels())):
                rest, write = (0,) * (dataset.ndim - 1), dataset.id.write_direct_chunk
                for s, chunk in enumerate(parts, self._n_slices):
                    write((s, *rest), chunk)
                    if len(chunk) >= LEAST_EXTENT:
                        _extend(extents, os.fstat(self._handle).st_size - len(chunk), len(chunk))
        self._n_slices = n
        self._tables.append(tables)
        return extents

    @property
    def cases(self) -> list[np.void]:
        """Rows of /case of the cases that were added, records of `row_dtype("case")`."""
        return [tables.case for tables in self._tables]

    def rename_subjects(self, subjects: Mapping[str, str]) -> None:
        """Give some of the cases that were added another subject.

        Args:
            subjects: by case id; other cases stay as they are.
        """
        for i, tables in enumerate(self._tables):
            case = str(tables.case["id"])
            if case in subjects:
                self._tables[i] = with_subject(tables, subjects[case])

    def finish(self, skipped: list[dict[str, str]], software: dict[str, str]) -> str:
        """Write the tables and attributes and close the file.

        Args:
            skipped: cases set aside, `id` and `reason`.
            software: versions of the programs that made the file.

        Returns:
            The content digest.

        Raises:
            BuildError: the disk is full or cannot be written.
        """
        digest = file_digest(self.config, [str(tables.case["digest"]) for tables in self._tables])
        with _disk(self.path):
            for column in (*schema.SLICE_COLUMNS, *schema.PLANE_COLUMNS, *schema.CASE_COLUMNS):
                self._write(column)
            for name, value in (
                ("format", schema.FORMAT),
                ("config", self.config.to_json()),
                ("modalities", json.dumps(self.config.channels)),
                ("classes", self.classes.to_json()),
                ("schemes", json.dumps(self._described_schemes(), sort_keys=True)),
                ("software", json.dumps(software, sort_keys=True)),
                ("skipped", json.dumps(skipped)),
                ("digest", digest),
            ):
                schema.write_text(self._file, name, value)
            self._file.attrs["version"] = schema.VERSION
            self._file.close()
        return digest

    def _described_schemes(self) -> dict[str, Any]:
        """The schemes of the cases that were added, by name, as JSON holds them."""
        used = {str(row["scheme"]) for row in self.cases}
        return {
            name: json.loads(scheme.to_json())
            for name, scheme in sorted(self.schemes.items())
            if name in used
        }

    def _write(self, column: schema.Column) -> None:
        """One small table from the rows of all cases."""
        rows = self._column(column)
        if column.dtype == "str":
            texts = [str(text) for text in rows]
            packed = np.array([text.encode() for text in texts], schema.text_dtype(texts))
            self._file.create_dataset(column.path, data=packed, dtype=packed.dtype)
            return
        shape = (len(rows), *self.sizes.row(column))
        self._file.create_dataset(column.path, data=np.array(rows, column.dtype).reshape(shape))

    def _column(self, column: schema.Column) -> Sequence[Any] | NDArray[Any]:
        """Rows of all cases in one dataset."""
        if column.table == "case":
            return [tables.case[column.name] for tables in self._tables]
        is_slice = column.table == "slice"
        parts = [tables.slices if is_slice else tables.planes for tables in self._tables]
        if column.name == "case":
            return np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        return np.concatenate([part[column.name] for part in parts])


def _extend(extents: list[Extent], offset: int, size: int) -> None:
    """Note where HDF5 has just put a chunk: at the end of the file.

    A place that is not so does no harm: the journal's checksum would show it, and the case
    would be made again.
    """
    if extents and sum(extents[-1]) == offset:
        offset, size = extents[-1][0], extents.pop()[1] + size
    extents.append((offset, size))


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn what HDF5 and the system report about the disk into one clear error."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise BuildError(
            f"{path}: cannot be written: {error}; free some space or choose another place, then "
            "run the same command again to resume"
        ) from error
