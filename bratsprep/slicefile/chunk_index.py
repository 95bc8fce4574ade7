"""Where the chunks of a slice file lie, and its small tables, read through HDF5 once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import SchemaError
from bratsprep.slicefile import schema

FILTERS: Final[tuple[list[int], ...]] = ([], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE])
"""HDF5 filters that a slice may have: none, or byte shuffle and deflate."""
HDF5_ERRORS: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError)
"""What h5py raises on a broken file."""
PRINTS: Final = ("fingerprint", "mask_fingerprint")
"""Columns of /case that take 32 KB a case, and that nothing but a search for twins reads."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How the slices of one file lie on disk."""

    chunks: NDArray[np.int64]
    """(s, 4) int64, bytes: offset and size of the image's chunk, then of the label's."""
    shape: tuple[int, int]
    """(h, w) of a slice."""
    dtype: np.dtype[Any]
    """Of the stored images: `<f2`, `<f4` or `<i2`."""
    n_modalities: int
    """Channels of an image."""
    deflated: bool
    """Chunks are byte-shuffled and deflated; otherwise they are plain bytes."""

    @property
    def pixels(self) -> int:
        """Pixels of a plane, which is also the size of a label in bytes."""
        return self.shape[0] * self.shape[1]

    @property
    def image_bytes(self) -> int:
        """Size of one inflated image in bytes."""
        return self.n_modalities * self.pixels * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Contents:
    """All of a slice file but its images and labels."""

    described: schema.Described
    """What its attributes say."""
    slices: NDArray[np.void]
    planes: NDArray[np.void]
    cases: NDArray[np.void]
    """Tables as structured arrays with the fields of `bratsprep.slicefile.schema.row_dtype`."""
    storage: Storage


def read_contents(path: Path, *, prints: bool = True) -> Contents:
    """Read tables and chunk places of a slice file.

    Args:
        path: of the slice file.
        prints: False leaves the fingerprints out of the table of the cases.

    Raises:
        SchemaError: the file is missing, truncated, of another version, or not as the contract
            says.
    """
    try:
        with h5py.File(path) as file:
            described = schema.check(file)
            left = () if prints else PRINTS
            slices, planes, cases = (
                _table(file, schema.row_dtype(name, described.sizes), name, left)
                for name in ("slice", "plane", "case")
            )
            storage = _storage(file, path.stat().st_size)
            return Contents(described, slices, planes, cases, storage)
    except FileNotFoundError as error:
        raise SchemaError(f"{path}: there is no such file") from error
    except HDF5_ERRORS as error:
        raise SchemaError(f"{path}: cannot be read as HDF5: {error}; build it again") from error


def _table(
    file: h5py.File, whole: np.dtype[Any], name: str, left: tuple[str, ...]
) -> NDArray[np.void]:
    """The columns of `slice`, `plane` or `case`, without images, labels and those left out.

    Args:
        file: open slice file.
        whole: dtype of the table's rows, a structured one.
        name: of the table.
        left: columns that are left out.
    """
    group = file[name]
    kept = [column for column in whole.names or () if column not in left]
    rows = np.empty(len(group[kept[0]]), [(column, whole[column]) for column in kept])
    for column in kept:
        dataset = group[column]
        rows[column] = dataset.asstr()[:] if whole[column].hasobject else dataset[:]
    return rows


def _storage(file: h5py.File, size_bytes: int) -> Storage:
    """Places of all chunks of a file of that size."""
    image, label = (file[column.path] for column in (schema.IMAGE, schema.LABEL))
    filters = [_filters(dataset) for dataset in (image, label)]
    if filters[0] not in FILTERS or filters[1] != filters[0]:
        raise SchemaError(
            f"{file.filename}: slices have the HDF5 filters {filters[0]} and labels {filters[1]}; "
            f"both must have {FILTERS[0]} or {FILTERS[1]}"
        )
    chunks = np.hstack([_places(dataset, size_bytes) for dataset in (image, label)])
    height, width = label.shape[1:]
    return Storage(chunks, (height, width), image.dtype, image.shape[1], bool(filters[0]))


def _filters(dataset: h5py.Dataset) -> list[int]:
    """Numbers of a dataset's HDF5 filters, in the order that they were applied."""
    created = dataset.id.get_create_plist()
    return [created.get_filter(i)[0] for i in range(created.get_nfilters())]


def _places(dataset: h5py.Dataset, size_bytes: int) -> NDArray[np.int64]:
    """Offset and size in bytes of each row's chunk, (s, 2) int64."""
    where = f"{dataset.file.filename}: {dataset.name}"
    if dataset.chunks != (1, *dataset.shape[1:]):
        raise SchemaError(f"{where} has chunks {dataset.chunks}; one slice must be one chunk")
    places = np.zeros((len(dataset), 2), np.int64)
    masks: set[int] = set()

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        places[chunk.chunk_offset[0]] = chunk.byte_offset, chunk.size
        masks.add(chunk.filter_mask)

    if len(dataset):
        dataset.id.chunk_iter(note)
    _check_places(places, where, size_bytes)
    if masks - {0}:
        raise SchemaError(f"{where} has chunks that skip a filter; build it again")
    return places


def _check_places(places: NDArray[np.int64], where: str, size_bytes: int) -> None:
    """Refuse chunks that were never written or lie beyond the end.

    Args:
        places: (s, 2) int64, bytes: offset and size of each chunk.
        where: file and dataset, for errors.
        size_bytes: size of the file.
    """
    unwritten = np.flatnonzero(places[:, 1] == 0)
    if unwritten.size:
        raise SchemaError(
            f"{where}: slice {unwritten[0]} and {unwritten.size - 1} more were never written; "
            "build it again"
        )
    beyond = np.flatnonzero((places[:, 0] < 0) | (places.sum(axis=1) > size_bytes))
    if beyond.size:
        raise SchemaError(
            f"{where}: slice {beyond[0]} lies beyond the end of the file at byte {size_bytes}; "
            "build it again"
        )
