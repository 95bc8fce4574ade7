"""The slice file: the one contract between bratsprep, which writes it, and bratstrain.

A slice file is HDF5 that any HDF5 1.10 reader opens without a plugin. Row `s` under /slice is one
axial plane; row `c` under /case is one examination; row `p` under /plane is one plane of one case,
stored or not. Slices of a case lie together in rising z, cases in sorted id order. Arrays are C
order and little-endian. Volumes are in RAS+ order and indexed (z, y, x): x rises to the right,
y to the front, z to the top, whatever the orientation of the source was.

    /slice/image         (S, m, H, W)  <f2   z-score, a channel for each of `modalities`, 0 outside
                                             the brain; <f4 on request, <i2 where not normalised
    /slice/label         (S, H, W)     |u1   number of the class, 0 for background
    /slice/case          (S,)          <i4   row under /case
    /slice/z             (S,)          <i2   plane in the uncropped volume
    /slice/voxels        (S, c)        <i4   pixels of each class inside the crop
    /slice/crc           (S, 2)        <u4   CRC-32 of the image's and the label's bytes as read
    /plane/case          (P,)          <i4   row under /case
    /plane/z             (P,)          <i2   plane in the volume, every one of every case
    /plane/brain         (P,)          <i4   brain voxels, uncropped
    /plane/voxels        (P, c)        <i4   voxels of each class, uncropped
    /case/id             (C,)          str   examination
    /case/subject        (C,)          str   person: folds split subjects
    /case/release        (C,)          str   layout it was found in
    /case/scheme         (C,)          str   label scheme of the source; empty without a label
    /case/labelled       (C,)          |u1   0: the label is unknown and stored as 0
    /case/present        (C, m)        |u1   0: the case has no such modality, stored as 0
    /case/affine         (C, 4, 4)     <f8   mm, voxel (x, y, z) of the source file to world RAS+
    /case/source_shape   (C, 3)        <i4   RAS+ volume of the source, (z, y, x)
    /case/source_spacing (C, 3)        <f4   mm, of the source along RAS+ (x, y, z)
    /case/spacing        (C, 3)        <f4   mm, of the stored grid along RAS+ (x, y, z)
    /case/shape          (C, 3)        <i4   RAS+ volume of the stored grid, (z, y, x)
    /case/orientation    (C,)          str   axes of the source file, such as LPS
    /case/box            (C, 2, 3)     <i4   crop window, start and stop (z, y, x); may reach
                                             beyond the volume, where it is padded with 0
    /case/brain_box      (C, 2, 3)     <i4   smallest box of the brain, start and stop (z, y, x)
    /case/mean           (C, m)        <f8   source units; over the union of the non-zero voxels
    /case/std            (C, m)        <f8   source units; population standard deviation, same set
    /case/brain_voxels   (C,)          <i8   voxels that are not 0 in every modality
    /case/voxels         (C, c)        <i8   voxels of each class, whole volume
    /case/lost_voxels    (C, c)        <i8   outside the crop: brain, then each class but background
    /case/fingerprint    (C, 1 + m, 16, 16, 16)  |i1   to know a person again: share of each cell in
                                             the brain (127 is all), then mean z-score x 32 of each
                                             modality; cells (z, y, x) in the brain's own frame
    /case/mask_fingerprint  (C, 2, 16, 20, 18)  |u1   share of each 10 mm cell (z, y, x) from the
                                             middle of the volume in the two largest regions, WT
                                             and TC of gliomas; 255 is all
    /case/source         (C,)          str   JSON: name, size in bytes and CRC-32 of each file
    /case/digest         (C,)          str   SHA-256 of the case's rows

Where `config` has a spacing, a case of another one was resampled: images by cubic splines of their
distance from the mean of the brain, labels by the largest linear share; across a side more than
three times as long as the shortest, the nearest plane. The middles of both grids are one point:
voxel i of the stored grid lies at (i - (n - 1) / 2) s / t + (m - 1) / 2 of the source's, where an
axis has n and m voxels of sides s and t. All but the columns `affine`, `orientation` and `source_*`
is of the stored grid.

m and c are the numbers of modalities and of classes, background included; str is UTF-8 of a fixed
length, the longest of its column. Root attributes: `format`, `version`, and as JSON `config` (the
PrepConfig), `modalities`, `classes` (names, regions as unions, colours), `schemes` (the label
schemes of the sources, by which predictions go back to their own values), `software` and `skipped`
(cases set aside, with the reason); and `digest`, the SHA-256 of the settings and the case digests:
it does not depend on machine, day, worker count or compression. One slice is one chunk; a
compressed one is byte-shuffled deflate.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from bratsprep.case import BRAIN_CELLS, MASK_CELLS
from bratsprep.config import MOST_MODALITIES, PrepConfig
from bratsprep.errors import SchemaError
from bratsprep.labels import ClassSet, Scheme

MAX_VOXELS: Final = 2**30
"""Of a case, as in `bratsprep.volumes.nifti`: a file that claims more is broken."""
FORMAT: Final = "bratsprep slice file"
VERSION: Final = 3
"""Raised by one whenever a file of the old form can no longer be read as the new one."""


@dataclass(frozen=True, slots=True)
class Column:
    """One dataset of a slice file."""

    path: str
    dtype: str
    """NumPy dtype, or `str` for UTF-8 of a fixed length."""
    row: tuple[int | str | None, ...] = ()
    """Shape of one row: numbers, fields of `Sizes`, or None where the file is free to choose."""

    @property
    def table(self) -> str:
        """`slice`, `plane` or `case`."""
        return self.path.split("/")[0]

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.split("/")[1]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the rows of one file are as long as."""

    modalities: int
    classes: int
    """Background included."""

    @property
    def prints(self) -> int:
        """Maps of a fingerprint: the brain, and each modality."""
        return 1 + self.modalities

    def row(self, column: Column) -> tuple[int, ...]:
        """Shape of a row of a column whose sizes are all fixed."""
        return tuple(
            int(getattr(self, side)) if isinstance(side, str) else int(side or 0)
            for side in column.row
        )


IMAGE: Final = Column("slice/image", "<f2", ("modalities", None, None))
"""The dtype is the file's choice among IMAGE_DTYPES."""
IMAGE_DTYPES: Final = ("<f2", "<f4", "<i2")
LABEL: Final = Column("slice/label", "|u1", (None, None))
SLICE_CASE: Final = Column("slice/case", "<i4")
SLICE_Z: Final = Column("slice/z", "<i2")
SLICE_VOXELS: Final = Column("slice/voxels", "<i4", ("classes",))
SLICE_CRC: Final = Column("slice/crc", "<u4", (2,))
PLANE_CASE: Final = Column("plane/case", "<i4")
PLANE_Z: Final = Column("plane/z", "<i2")
PLANE_BRAIN: Final = Column("plane/brain", "<i4")
PLANE_VOXELS: Final = Column("plane/voxels", "<i4", ("classes",))
CASE_COLUMNS: Final = (
    Column("case/id", "str"),
    Column("case/subject", "str"),
    Column("case/release", "str"),
    Column("case/scheme", "str"),
    Column("case/labelled", "|u1"),
    Column("case/present", "|u1", ("modalities",)),
    Column("case/affine", "<f8", (4, 4)),
    Column("case/source_shape", "<i4", (3,)),
    Column("case/source_spacing", "<f4", (3,)),
    Column("case/spacing", "<f4", (3,)),
    Column("case/shape", "<i4", (3,)),
    Column("case/orientation", "str"),
    Column("case/box", "<i4", (2, 3)),
    Column("case/brain_box", "<i4", (2, 3)),
    Column("case/mean", "<f8", ("modalities",)),
    Column("case/std", "<f8", ("modalities",)),
    Column("case/brain_voxels", "<i8"),
    Column("case/voxels", "<i8", ("classes",)),
    Column("case/lost_voxels", "<i8", ("classes",)),
    Column("case/fingerprint", "|i1", ("prints", *BRAIN_CELLS)),
    Column("case/mask_fingerprint", "|u1", (2, *MASK_CELLS)),
    Column("case/source", "str"),
    Column("case/digest", "str"),
)
SLICE_COLUMNS: Final = (SLICE_CASE, SLICE_Z, SLICE_VOXELS, SLICE_CRC)
PLANE_COLUMNS: Final = (PLANE_CASE, PLANE_Z, PLANE_BRAIN, PLANE_VOXELS)
COLUMNS: Final = (IMAGE, LABEL, *SLICE_COLUMNS, *PLANE_COLUMNS, *CASE_COLUMNS)
ATTRIBUTES: Final = (
    "format",
    "version",
    "config",
    "modalities",
    "classes",
    "schemes",
    "software",
    "skipped",
    "digest",
)


def make_rows(table: str, sizes: Sizes, size: int, **values: Any) -> NDArray[np.void]:  # noqa: ANN401  of any column
    """Make rows of a table.

    Args:
        table: `slice`, `plane` or `case`.
        sizes: of the file.
        size: number of rows.
        **values: for every column by name, one value for all rows or an array with a row for each.

    Returns:
        (size,) records of `row_dtype(table, sizes)`.

    Raises:
        ValueError: a column is missing, or there is no such column.
    """
    rows = np.zeros(size, row_dtype(table, sizes))
    names = rows.dtype.names or ()
    if values.keys() != set(names):
        differing = ", ".join(sorted(values.keys() ^ set(names)))
        raise ValueError(f"rows of /{table} must have the columns of the schema; check {differing}")
    for name in names:
        rows[name] = values[name]
    return rows


def row_dtype(table: str, sizes: Sizes) -> np.dtype[Any]:
    """NumPy structured dtype of the rows of `slice`, `plane` or `case`, images and labels aside.

    Texts are Python objects.
    """
    columns = {"slice": SLICE_COLUMNS, "plane": PLANE_COLUMNS, "case": CASE_COLUMNS}[table]
    return np.dtype(
        [
            (column.name, object if column.dtype == "str" else column.dtype, sizes.row(column))
            for column in columns
        ]
    )


@dataclass(frozen=True, slots=True)
class Described:
    """What the attributes of a slice file say of it."""

    config: PrepConfig
    modalities: tuple[str, ...]
    """Channels of the images."""
    classes: ClassSet
    schemes: Mapping[str, Scheme]
    """Of the labelled cases, by name."""
    digest: str

    @property
    def sizes(self) -> Sizes:
        """Of its rows."""
        return Sizes(len(self.modalities), len(self.classes))


def write_text(file: h5py.File, name: str, text: str) -> None:
    """Write a root attribute as UTF-8 of its own length: HDF5 keeps no heap for it."""
    packed = text.encode()
    file.attrs.create(name, packed, dtype=h5py.string_dtype("utf-8", max(1, len(packed))))


def text_dtype(texts: Iterable[str]) -> np.dtype[Any]:
    """HDF5's UTF-8 of a fixed length that holds the longest of some texts."""
    longest = max((len(text.encode()) for text in texts), default=0)
    dtype: np.dtype[Any] = h5py.string_dtype("utf-8", max(1, longest))
    return dtype


def check(file: h5py.File) -> Described:
    """Hold an open file against the contract: attributes, datasets, dtypes, shapes, indices.

    Reads the small tables, no image. Checksums are `bratsprep.verify`'s business.

    Returns:
        What its attributes say.

    Raises:
        SchemaError: the first thing that is not as the contract says.
    """
    where = file.filename
    described = _check_attributes(file, where)
    size_bytes = file.id.get_filesize()
    datasets = {column: _dataset(file, column, where) for column in COLUMNS}
    for column, dataset in datasets.items():
        _check_column(dataset, column, described.sizes, where)
        _check_place(file, dataset, column, size_bytes)
    image, label = datasets[IMAGE], datasets[LABEL]
    if image.dtype.str != described.config.stored:
        raise SchemaError(
            f"{where}: /{IMAGE.path} is {image.dtype.str}, "
            f"its settings say {described.config.stored}"
        )
    if image.shape[2:] != label.shape[1:]:
        raise SchemaError(
            f"{where}: slices are {image.shape[2:]} but labels {label.shape[1:]}; they must agree"
        )
    for table in ("slice", "plane", "case"):
        lengths = {c.path: len(dataset) for c, dataset in datasets.items() if c.table == table}
        if len(set(lengths.values())) != 1:
            raise SchemaError(f"{where}: rows under /{table} differ: {lengths}; they must agree")
    _check_indices(file, where)
    return described


def _check_attributes(file: h5py.File, where: str) -> Described:
    """Format and version, and what the other attributes say."""
    if _text(file, "format", where) != FORMAT:
        raise SchemaError(f"{where}: is no slice file; make one with 'bratsprep build'")
    version = file.attrs.get("version", 0)
    if str(version) != str(VERSION):
        raise SchemaError(
            f"{where}: is version {version} of the slice file, this program reads {VERSION}; "
            "build it again"
        )
    missing = [name for name in ATTRIBUTES if name not in file.attrs]
    if missing:
        raise SchemaError(f"{where}: root attribute {missing[0]!r} is missing")
    name = "config"
    try:
        config = PrepConfig.from_json(_text(file, name, where))
        name = "modalities"
        modalities = tuple(map(str, json.loads(_text(file, name, where))))
        name = "classes"
        classes = ClassSet.from_json(_text(file, name, where))
        name = "schemes"
        content = json.loads(_text(file, name, where))
        schemes = {key: Scheme.from_json(json.dumps(value)) for key, value in content.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SchemaError(f"{where}: attribute {name!r} cannot be read: {error}") from error
    if not 1 <= len(modalities) <= MOST_MODALITIES:
        raise SchemaError(
            f"{where}: names {len(modalities)} modalities; expected 1 to {MOST_MODALITIES}"
        )
    if modalities != config.channels:
        raise SchemaError(
            f"{where}: names modalities {','.join(modalities)}, its settings say "
            f"{config.modalities}; build it again"
        )
    return Described(config, modalities, classes, schemes, _text(file, "digest", where))


def _text(file: h5py.File, name: str, where: str) -> str:
    """Read a root attribute that is text of a fixed length; empty where there is none.

    Text of any length is refused unread: HDF5 walks the heap that holds it by sizes that it
    believes, and a damaged one never ends.
    """
    if name not in file.attrs:
        return ""
    kind = h5py.check_string_dtype(file.attrs.get_id(name).dtype)
    if kind is None or kind.length is None:
        raise SchemaError(f"{where}: attribute {name!r} is no text of a fixed length; build again")
    try:
        return bytes(file.attrs[name]).decode()
    except (UnicodeDecodeError, TypeError) as error:
        raise SchemaError(f"{where}: attribute {name!r} is no UTF-8: {error}") from error


def _dataset(file: h5py.File, column: Column, where: str) -> h5py.Dataset:
    """Open one dataset: HDF5 finds each by its path, which takes longer than to check it."""
    dataset = file.get(column.path)
    if not isinstance(dataset, h5py.Dataset):
        raise SchemaError(f"{where}: dataset /{column.path} is missing")
    return dataset


def _check_column(dataset: h5py.Dataset, column: Column, sizes: Sizes, where: str) -> None:
    """Hold dtype and row shape of one dataset against the contract."""
    dtype = dataset.dtype
    kind = h5py.check_string_dtype(dtype)
    is_text = kind is not None and kind.length is not None
    found = "str" if is_text else "str of any length" if kind else dtype.str
    allowed = IMAGE_DTYPES if column is IMAGE else (column.dtype,)
    if found not in allowed:
        raise SchemaError(f"{where}: /{column.path} is {found}, expected {' or '.join(allowed)}")
    row = (dataset.shape or ())[1:]
    expected = tuple(
        size if side is None else fixed
        for side, fixed, size in zip(column.row, sizes.row(column), row, strict=False)
    )
    if dataset.ndim != 1 + len(column.row) or row != expected:
        raise SchemaError(f"{where}: rows of /{column.path} are {row}, expected {column.row}")


def _check_place(file: h5py.File, dataset: h5py.Dataset, column: Column, size_bytes: int) -> None:
    """Refuse a dataset that lies in another file, or claims more than this one can hold."""
    where = file.filename
    created = dataset.id.get_create_plist()
    is_here = h5py.h5i.get_file_id(dataset.id) == file.id
    if not is_here or dataset.is_virtual or created.get_external_count():
        raise SchemaError(f"{where}: /{column.path} lies in another file; refused")
    claimed = dataset.size * dataset.id.get_type().get_size()
    if column not in (IMAGE, LABEL) and claimed > size_bytes:
        raise SchemaError(
            f"{where}: /{column.path} claims {claimed:,} bytes of a file of {size_bytes:,}; "
            "it is damaged, build it again"
        )


def _check_indices(file: h5py.File, where: str) -> None:
    """Cases and planes that the slices name exist, in order."""
    n_cases = len(file["case/id"])
    ids = [str(name) for name in file["case/id"].asstr()[:]]
    if ids != sorted(set(ids)):
        raise SchemaError(f"{where}: /case/id is not sorted without repeats")
    shape = file["case/shape"][:].astype(np.float64)
    if np.any(shape < 1) or np.any(shape.prod(axis=1) > MAX_VOXELS):
        raise SchemaError(f"{where}: /case/shape holds a size that no volume has")
    for table in ("slice", "plane"):
        case = file[f"{table}/case"][:].astype(np.int64)
        z = file[f"{table}/z"][:].astype(np.int64)
        if case.size and (case.min() < 0 or case.max() >= n_cases):
            raise SchemaError(f"{where}: /{table}/case names a row beyond the {n_cases} cases")
        depth = file["case/shape"][:, 0]
        if np.any(z < 0) or (case.size and np.any(z >= depth[case])):
            raise SchemaError(f"{where}: /{table}/z names a plane beyond its volume")
        order = case * 65_536 + z
        if np.any(np.diff(order) <= 0):
            raise SchemaError(f"{where}: rows under /{table} are not in rising case and z")
