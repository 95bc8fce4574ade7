"""Headers of MetaImage files (`.mha`), as ITK writes them; BraTS 2012 to 2015 were released so.

A header is lines of `Key = value`, the last of which is `ElementDataFile = LOCAL`; the voxels
follow, plain or as one zlib stream. Source: the documentation of MetaIO, and ITK's MetaImageIO.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from bratsprep.errors import NiftiError, SourceError

MARK: Final = b"ObjectType"
"""First bytes of every file."""
HEAD_BYTES: Final = 8192
"""First bytes of a file that hold its header; a usual one has 300."""
_TYPES: Final = MappingProxyType(
    {
        "MET_CHAR": "i1",
        "MET_UCHAR": "u1",
        "MET_SHORT": "i2",
        "MET_USHORT": "u2",
        "MET_INT": "i4",
        "MET_UINT": "u4",
        "MET_LONG_LONG": "i8",
        "MET_ULONG_LONG": "u8",
        "MET_FLOAT": "f4",
        "MET_DOUBLE": "f8",
    }
)
"""NumPy type of each element type; MET_LONG has another size on each platform."""
_LPS_TO_RAS: Final = np.array([-1.0, -1.0, 1.0])
"""ITK's world runs to the left and the back, NIfTI's to the right and the front."""


@dataclass(frozen=True, slots=True)
class MetaHeader:
    """What the header of a MetaImage says."""

    shape: tuple[int, ...]
    """(x, y, z)."""
    dtype: np.dtype[Any]
    """On disk, byte order included."""
    offset: int
    """Bytes before the voxels."""
    affine: NDArray[np.float64]
    """(4, 4) float64, mm; voxel (x, y, z) to world, RAS+."""
    is_packed: bool
    """Whether the voxels are one zlib stream."""


def parse(head: bytes, where: str) -> MetaHeader:
    """Read a header.

    Args:
        head: first HEAD_BYTES of the file, or all of a shorter one.
        where: file, for errors.

    Raises:
        NiftiError: it is broken, or of a kind that no scan has.
    """
    fields, offset = _fields(head, where)
    try:
        shape = tuple(int(side) for side in fields["DimSize"].split())
        affine = _affine(fields, len(shape))
        order = ">" if _is_true(fields, "BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
        dtype = np.dtype(order + _TYPES[fields["ElementType"]])
    except (KeyError, ValueError) as error:
        raise NiftiError(f"{where}: MetaImage header is broken or unusual: {error!r}") from error
    if len(shape) != 3:
        raise NiftiError(f"{where}: has {len(shape)} dimensions; expected x, y and z")
    if fields.get("ElementNumberOfChannels", "1") != "1" or _is_false(fields, "BinaryData"):
        raise NiftiError(f"{where}: is a MetaImage of several channels or of text; convert it")
    return MetaHeader(shape, dtype, offset, affine, _is_true(fields, "CompressedData"))


def _fields(head: bytes, where: str) -> tuple[dict[str, str], int]:
    """Values by key, and the bytes of the header.

    Raises:
        NiftiError: there is no last line, or the voxels lie in another file.
    """
    fields: dict[str, str] = {}
    offset = 0
    while (end := head.find(b"\n", offset)) >= 0:
        key, _, value = head[offset:end].decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
        offset = end + 1
        if key.strip() == "ElementDataFile":
            break
    if fields.get("ElementDataFile", "").upper() != "LOCAL":
        raise NiftiError(
            f"{where}: its voxels do not follow its header (ElementDataFile is "
            f"{fields.get('ElementDataFile', 'missing')}); convert it to .nii.gz"
        )
    return fields, offset


def _affine(fields: dict[str, str], n_axes: int) -> NDArray[np.float64]:
    """(4, 4) float64 voxel to world, mm, RAS+, of a header with a number of axes.

    The matrix lists the direction of each axis in turn, as ITK reads it.

    Raises:
        ValueError: a value is no number, or there are too few or too many.
    """
    spacing = _numbers(fields, ("ElementSpacing", "ElementSize"), np.ones(n_axes))
    origin = _numbers(fields, ("Offset", "Position", "Origin"), np.zeros(n_axes))
    matrix = _numbers(fields, ("TransformMatrix", "Rotation", "Orientation"), np.eye(n_axes))
    columns = matrix.reshape(n_axes, n_axes).T * spacing
    affine = np.eye(4)
    if n_axes == 3:
        affine[:3, :3] = columns * _LPS_TO_RAS[:, None]
        affine[:3, 3] = origin * _LPS_TO_RAS
    return affine


def _numbers(
    fields: dict[str, str], names: Sequence[str], missing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Flat float64 numbers of the first of some keys.

    Args:
        fields: of the header.
        names: keys, the preferred one first.
        missing: float64 of any shape, taken where no key is there; as many numbers are expected.

    Raises:
        ValueError: a value is no number, or their count is not that of `missing`.
    """
    text = next((fields[name] for name in names if name in fields), None)
    if text is None:
        return missing.ravel()
    numbers = np.array([float(word) for word in text.split()])
    if numbers.size != missing.size:
        raise ValueError(f"{names[0]} has {numbers.size} numbers, expected {missing.size}")
    return numbers


def _is_true(fields: dict[str, str], *names: str) -> bool:
    """Whether one of some keys says so."""
    return any(fields.get(name, "").lower() in ("true", "1") for name in names)


def _is_false(fields: dict[str, str], name: str) -> bool:
    """Whether a key says so."""
    return fields.get(name, "").lower() in ("false", "0")


def unpack_into(packed: memoryview, voxels: NDArray[np.uint8], where: str) -> None:
    """Unpack the zlib stream behind a header.

    Args:
        packed: the stream; the file behind its header.
        voxels: (n,) uint8, written.
        where: file, for errors.

    Raises:
        SourceError: the stream is corrupt, or unpacks to another size than n.
    """
    try:
        size = len(imagecodecs.zlib_decode(packed, out=voxels.data))
    except (imagecodecs.ZlibError, zlib.error) as error:
        raise SourceError(
            f"{where}: zlib stream is corrupt or not of {voxels.size} bytes ({error}); download "
            "the file again"
        ) from error
    if size != voxels.size:
        raise SourceError(f"{where}: unpacks to {size} bytes, its header promises {voxels.size}")


def read(content: bytes, where: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read a whole file with Python's zlib, apart from the way in which cases are read.

    Args:
        content: the file.
        where: file, for errors.

    Returns:
        (x, y, z) voxels in the file's order, any real dtype; and its (4, 4) affine, mm, RAS+.

    Raises:
        NiftiError: the header is broken.
        ValueError: there are too few voxels.
        zlib.error: the stream is corrupt.
    """
    header = parse(content[:HEAD_BYTES], where)
    voxels = content[header.offset :]
    if header.is_packed:
        voxels = zlib.decompress(voxels)
    flat = np.frombuffer(voxels, header.dtype, math.prod(header.shape))
    return flat.reshape(header.shape, order="F"), header.affine
