"""NIfTI file in memory -> header and voxels, in the order of the file.

nibabel reads the header, with its codes, slopes and transforms. The voxels are unpacked by
`bratsprep.volumes.gunzip` into a buffer that the next case uses again, and are widened to float64
only where the file's own type requires it.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Final

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from bratsprep.case import Geometry
from bratsprep.errors import NiftiError
from bratsprep.orientation import Orientation
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import gunzip, metaimage

MAX_VOXELS: Final = 2**30
"""More than any scan has (512 x 512 x 512 x 4 is 2**29): a header that claims more is broken."""
AFFINE_TOLERANCE: Final = 1e-3
"""mm; the same transform written as sform and as qform differs by this much."""
PACKED: Final = "packed"
"""Buffer that a file is read into before it is unpacked; free again when `load` returns."""
_FARTHEST: Final = 1e6
"""mm; a number in an affine that is larger is no place in a scanner."""
_HEAD_BYTES: Final = 544
_KINDS: Final = {"i1": "i2", "u1": "i2", "i2": "i2", "u2": "f4", "f4": "f4"}
"""Type that holds each source type without loss and that the kernels are made for."""
_OTHER_FILES: Final = (
    (gunzip.GZIP_MAGIC, "it is packed by gzip twice; unpack it once with 'gunzip'"),
    (b"<", "it is a web page that was saved under this name; download the file again"),
    (b"{", "it is JSON text, perhaps a server's error; download the file again"),
    (b"pk\3\4", "it is a zip archive; unpack it"),
    (b"bzh", "it is packed by bzip2; pack it with gzip"),
    (b"\xfd7zxz", "it is packed by xz; pack it with gzip"),
    (b"nrrd", "it is an NRRD file; convert it to NIfTI"),
)
"""First bytes, in small letters, of what is found in place of NIfTI files."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a NIfTI header says, checked to be possible."""

    geometry: Geometry
    shape: tuple[int, ...]
    """(x, y, z) or (x, y, z, m)."""
    dtype: np.dtype[Any]
    """On disk, byte order included."""
    offset: int
    """Bytes before the first voxel."""
    slope: float
    inter: float
    remarks: tuple[str, ...] = ()
    """Assumptions about where its voxels lie."""
    is_zlib: bool = False
    """Whether the voxels on disk are one zlib stream, as in a packed MetaImage."""

    @property
    def is_scaled(self) -> bool:
        """Whether voxels are more than the numbers on disk."""
        return self.slope != 1.0 or self.inter != 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes of the unpacked file up to the last voxel."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def parse_header(head: bytes, where: str) -> Header:
    """Read the header of a NIfTI or MetaImage file, and refuse an impossible one.

    Args:
        head: at least the first 540 bytes of an unpacked NIfTI file, or `metaimage.HEAD_BYTES` of
            a MetaImage; or all of a shorter one.
        where: file, for errors.

    Raises:
        NiftiError: neither of both, a header/image pair, or sizes, types or transforms that cannot
            be.
    """
    if head.startswith(metaimage.MARK):
        return _meta_header(head, where)
    size = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
    lead = head[:4]
    kind = size.get(int.from_bytes(lead, "little")) or size.get(int.from_bytes(lead, "big"))
    if kind is None or len(head) < kind.sizeof_hdr:
        raise NiftiError(f"{where}: is no NIfTI file; {_what_it_is(head)}")
    try:
        header = kind(head[: kind.sizeof_hdr], check=False)
        if not bytes(header["magic"]).startswith(b"n+"):
            raise NiftiError(f"{where}: is half of a header/image pair; one .nii file is needed")
        shape = tuple(int(side) for side in header.get_data_shape())
        dtype = header.get_data_dtype()
        offset = int(header["vox_offset"])
        slope, inter = (float(header["scl_slope"]), float(header["scl_inter"]))
        with np.errstate(all="ignore"):  # what does not come out finite is refused below
            affine = np.asarray(header.get_best_affine(), np.float64)
    except (HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise NiftiError(f"{where}: header is broken: {error}") from error
    shape = _squeezed(shape, where)
    _check_sizes(shape, dtype, offset, kind.sizeof_hdr, where)
    if slope == 0 or not math.isfinite(slope):
        slope, inter = 1.0, 0.0
    if not math.isfinite(inter):
        raise NiftiError(f"{where}: scl_inter is {inter}; it must be a number")
    geometry = _geometry(affine, shape, where)
    remarks = _remarks(header, affine, shape)
    return Header(geometry, shape, dtype, offset, slope, inter, remarks)


def _meta_header(head: bytes, where: str) -> Header:
    """Header of a MetaImage, checked like any other."""
    meta = metaimage.parse(head, where)
    if min(meta.shape) < 1:
        raise NiftiError(f"{where}: shape is {meta.shape}; expected (x, y, z)")
    _check_sizes(meta.shape, meta.dtype, meta.offset, 0, where)
    geometry = _geometry(meta.affine, meta.shape, where)
    return Header(geometry, meta.shape, meta.dtype, meta.offset, 1.0, 0.0, is_zlib=meta.is_packed)


def _remarks(
    header: nib.Nifti1Header, affine: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[str, ...]:
    """Assumptions about a file whose transforms are missing or disagree.

    Args:
        header: of the file.
        affine: (4, 4) float64, mm, the transform that is used; near enough to be one.
        shape: (x, y, z) or (x, y, z, m).
    """
    qform_code, sform_code = int(header["qform_code"]), int(header["sform_code"])
    if qform_code <= 0 and sform_code <= 0:
        return ("qform and sform codes are 0: where its voxels lie is unknown, LAS is assumed",)
    if qform_code <= 0 or sform_code <= 0:
        return ()
    try:
        with np.errstate(all="ignore"):  # what is not a number is broken too
            other = np.asarray(header.get_qform(), np.float64)
    except (HeaderDataError, ValueError):
        other = np.full((4, 4), np.nan)
    if not np.all(np.abs(other) <= _FARTHEST):
        return ("its qform is broken; the sform was taken",)
    ends = np.array(list(itertools.product(*((0, side - 1) for side in shape[:3]), (1,))))
    apart_mm = float(np.abs((affine - other) @ ends.T).max())
    smallest_mm = float(np.linalg.norm(affine[:3, :3], axis=0).min())
    if apart_mm <= max(0.5 * smallest_mm, AFFINE_TOLERANCE):
        return ()
    return (f"qform and sform disagree by up to {apart_mm:.3g} mm; the sform was taken",)


def _what_it_is(head: bytes) -> str:
    """What a file without a NIfTI header is, from its first bytes."""
    start = head.lstrip().lower()
    for mark, meaning in _OTHER_FILES:
        if start.startswith(mark):
            return meaning
    return f"its first bytes are {head[:8].hex(' ')}"


def _squeezed(shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    """Drop trailing sides of 1, and refuse what is not 3D or 4D."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise NiftiError(f"{where}: shape is {shape}; expected (x, y, z) or (x, y, z, modality)")
    return shape


def _check_sizes(
    shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, least: int, where: str
) -> None:
    """Refuse voxel counts, types and offsets that no scan has."""
    if math.prod(shape) > MAX_VOXELS:
        raise NiftiError(f"{where}: header claims {math.prod(shape):,} voxels; it is broken")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise NiftiError(f"{where}: voxel type is {dtype}; expected int8 to int64, float32 or 64")
    if not least <= offset < 2**24:
        raise NiftiError(f"{where}: vox_offset is {offset}; expected {least} to {2**24}")


def _geometry(affine: NDArray[np.float64], shape: tuple[int, ...], where: str) -> Geometry:
    """Orientation from a (4, 4) float64 affine in mm, which must not map a volume to a plane."""
    is_sane = bool(np.all(np.abs(affine) <= _FARTHEST))  # nan is not
    codes = list(nib.aff2axcodes(affine)) if is_sane else [None]
    with np.errstate(all="ignore"):  # LAPACK divides by 0 on its way to 0
        volume_mm3 = abs(float(np.linalg.det(affine[:3, :3]))) if is_sane else 0.0
    if None in codes or not volume_mm3 >= 1e-9:
        raise NiftiError(f"{where}: affine {affine.tolist()} is no transform of a volume")
    x, y, z = shape[:3]
    return Geometry(affine, (x, y, z), Orientation("".join(map(str, codes))))


def read_header(source: Source, name: str) -> Header:
    """Read the header of one file.

    Raises:
        SourceError: the file cannot be read or unpacked.
        NiftiError: it is no NIfTI.
    """
    return parse_header(read_head(source, name), source.where(name))


def read_head(source: Source, name: str) -> bytes:
    """Read the first unpacked bytes of one file, at least its whole header where it has one.

    Raises:
        SourceError: the file cannot be read or unpacked.
    """
    return _head(memoryview(source.head(name, gunzip.HEAD_BYTES)), source.where(name))


def _head(packed: memoryview, where: str) -> bytes:
    """First unpacked bytes of a file."""
    if bytes(packed[:2]) == gunzip.GZIP_MAGIC:
        return gunzip.gunzip_head(packed, _HEAD_BYTES, where)
    is_meta = bytes(packed[: len(metaimage.MARK)]) == metaimage.MARK
    return bytes(packed[: metaimage.HEAD_BYTES if is_meta else _HEAD_BYTES])


def load(
    source: Source, name: str, buffers: Buffers, slot: str
) -> tuple[Header, NDArray[Any], int]:
    """Read and unpack one NIfTI or MetaImage file.

    Args:
        source: where it lies.
        name: its member name.
        buffers: the worker's memory.
        slot: name of the buffer for the unpacked bytes; a second load into it overwrites them.

    Returns:
        Header; voxels as on disk, (z, y, x) or (m, z, y, x), a view into the buffer; CRC-32 of
        the packed file.

    Raises:
        SourceError: the file cannot be read or unpacked.
        NiftiError: it is no NIfTI, or shorter than its header says.
    """
    where = source.where(name)
    packed = buffers.reserve(PACKED, source.members.get(name, 0), where).data
    source.read_into(name, packed)
    header = parse_header(_head(packed, where), where)
    if header.is_zlib:
        size = _unpacked_size(packed, header.size_bytes - header.offset, True, where)
        raw = buffers.reserve(slot, size, where)
        metaimage.unpack_into(packed[header.offset :], raw, where)
        voxels = raw.view(header.dtype).reshape(header.shape[::-1])
        return header, voxels, gunzip.crc32(packed)
    is_packed = bytes(packed[:2]) == gunzip.GZIP_MAGIC
    size = _unpacked_size(packed, header.size_bytes, is_packed, where)
    raw = buffers.reserve(slot, size, where)
    if is_packed:
        gunzip.gunzip_into(packed, raw, where)
    else:
        raw[:] = np.frombuffer(packed[:size], np.uint8)
    voxels = raw[header.offset : header.size_bytes].view(header.dtype)
    return header, voxels.reshape(header.shape[::-1]), gunzip.crc32(packed)


def _unpacked_size(packed: memoryview, least: int, is_packed: bool, where: str) -> int:
    """Bytes of the buffer that a file is unpacked into.

    Args:
        packed: the whole file.
        least: bytes up to the last voxel, from the header.
        is_packed: whether its voxels are packed.
        where: file, for errors.

    Raises:
        NiftiError: the file cannot hold so many bytes.
    """
    limit = len(packed) * gunzip.MAX_RATIO if is_packed else len(packed)
    if least > limit:
        raise NiftiError(
            f"{where}: header promises {least:,} bytes but the file holds at most {limit:,}; "
            "download the file again"
        )
    if is_packed and bytes(packed[:2]) == gunzip.GZIP_MAGIC:
        return max(least, min(gunzip.gzip_size(packed), least + 2**20, limit))
    return least


def held_type(header: Header) -> np.dtype[Any]:
    """Type of the voxels as the kernels take them: `<i2`, `<f4` or `<f8`, native byte order."""
    return np.dtype("f8" if header.is_scaled else _KINDS.get(header.dtype.str[1:], "f8"))


def intensities(voxels: NDArray[Any], header: Header) -> NDArray[Any]:
    """Voxels as the kernels take them: int16, float32 or float64, scaled as the header says.

    Args:
        voxels: of any shape, in the dtype of the header, as `load` gives them.
        header: their header.

    Returns:
        The same shape, C order, aligned, native byte order; the same memory where nothing has to
        change.
    """
    if header.is_scaled:
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused when measured
            return voxels.astype(np.float64) * header.slope + header.inter
    return np.require(voxels, held_type(header), ["C", "A"])


def codes(voxels: NDArray[Any], header: Header, where: str) -> NDArray[np.uint8]:
    """Voxels of a label as whole numbers 0 to 255.

    Some releases write masks as float or as scaled integers (slope 1.5e-5, intercept 0.5), so
    values within 1e-3 of a whole number are that number.

    Args:
        voxels: of any shape, in the dtype of the header, as `load` gives them.
        header: their header.
        where: file, for errors.

    Returns:
        The same shape, uint8; the same memory where nothing has to change.

    Raises:
        NiftiError: a value is no whole number from 0 to 255.
    """
    if header.dtype == np.uint8 and not header.is_scaled:
        return voxels
    values = intensities(voxels, header)
    whole = np.rint(values)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        unfit = ~(np.abs(values - whole) <= 1e-3) | (whole < 0) | (whole > 255)
    if unfit.any():
        listed = sorted({float(value) for value in np.unique(values[unfit])[:5]})
        raise NiftiError(
            f"{where}: label holds {listed}; a label or a brain mask has whole numbers from 0 "
            "to 255"
        )
    return np.asarray(whole, np.uint8)


def check_same(first: Geometry, second: Geometry, where: str, than: str, advice: str = "") -> None:
    """Refuse two files of one case that do not lie on one grid.

    Args:
        first: of the file that the others are compared with.
        second: of the file in question.
        where: the file in question, for errors.
        than: the first file, for errors.
        advice: what to do where the shapes agree and the affines do not, for errors.

    Raises:
        NiftiError: shapes differ, or affines by more than `AFFINE_TOLERANCE`.
    """
    if first.shape != second.shape:
        raise NiftiError(f"{where}: shape is {second.shape} but {than} has {first.shape}")
    apart = float(np.abs(first.affine - second.affine).max())
    if apart > AFFINE_TOLERANCE:
        raise NiftiError(
            f"{where}: affine {second.affine.tolist()} is not that of {than}, "
            f"{first.affine.tolist()}; they differ by {apart:g} mm{advice}"
        )
