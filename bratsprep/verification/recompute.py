"""One case from the bytes of its raw files, the slow and plain way, to hold a slice file against.

Nothing here is shared with `build`: isal's and Python's gzip instead of libdeflate, nibabel's
headers and orientation, NumPy's moments in float64, no kernel.
"""

import gzip
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nibabel as nib
import numpy as np
from isal import isal_zlib
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from bratsprep.case import CaseFiles
from bratsprep.errors import NiftiError
from bratsprep.labels import Scheme
from bratsprep.verification.recompute_spacing import Resampling
from bratsprep.volumes import metaimage
from bratsprep.volumes.background import (
    Background,
    find_background,
    given_background,
    is_too_full,
)

_BROKEN: Final = (
    OSError, EOFError, ValueError, zlib.error, isal_zlib.error, ImageFileError, HeaderDataError,
)  # fmt: skip
"""What isal, gzip and nibabel raise on a broken file."""
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, eq=False)
class RawCase:
    """A case in memory, from its raw files."""

    files: CaseFiles
    affine: NDArray[np.float64]
    """(4, 4) float64, mm, of the first image's file."""
    source_shape: tuple[int, ...]
    """(z, y, x) of the source, RAS+; the other volumes are of the stored grid."""
    spacings: tuple[NDArray[np.float64], NDArray[np.float64]]
    """(3,) float64, mm along x, y and z: of the source, and of the stored grid."""
    volumes: tuple[NDArray[Any], ...]
    """(z, y, x) RAS+ of each modality, source units, any real dtype; 0 where the case has none."""
    label: NDArray[np.uint8] | None
    """(z, y, x) RAS+, stored classes, 255 where the scheme knows no class."""
    brain: NDArray[np.bool_]
    """(z, y, x) RAS+: not 0 in some modality."""
    brain_box: NDArray[np.int64]
    """(2, 3) start and stop of the brain, (z, y, x)."""
    plane_voxels: NDArray[np.int64]
    """(z, c) voxels of each class in every plane; empty without a label."""
    mean: NDArray[np.float64]
    """(m,) source units, over the brain; 0 and 1 of a modality that the case has not."""
    std: NDArray[np.float64]
    """(m,) source units, over the brain; 0 and 1 of a modality that the case has not."""

    @property
    def is_resampled(self) -> bool:
        """Whether its volumes are on another grid than its files."""
        return self.brain.shape != self.source_shape or not np.array_equal(*self.spacings)

    def moments(self, m: int, normalise: str) -> tuple[float, float]:
        """Mean and standard deviation that modality `m` is scaled by, see `PrepConfig`.

        Those of the whole case follow from the modalities', all of which have as many voxels.
        """
        if normalise == "modality":
            return float(self.mean[m]), float(self.std[m])
        present = np.array([channel is not None for channel in self.files.images])
        mean = self.mean[present].mean()
        spread = (self.std**2 + (self.mean - mean) ** 2)[present].mean()
        return float(mean), float(np.sqrt(spread))


def raw_case(
    files: CaseFiles,
    contents: Mapping[str, bytes],
    scheme: Scheme | None,
    background: str = "auto",
    wanted_mm: tuple[float, float, float] | None = None,
) -> RawCase:
    """Unpack, resample and measure a case.

    Args:
        files: its files.
        contents: bytes of each member, as on disk.
        scheme: of its label; None for an unlabelled case.
        background: as in `PrepConfig`.
        wanted_mm: sides (x, y, z) of the voxels that it is resampled to; None for its own.

    Raises:
        NiftiError: a file cannot be unpacked.
    """
    opened = {member: read_nifti(member, content) for member, content in contents.items()}
    volumes, brain = stripped(files, opened, raw_volumes(files, opened), background)
    label, n_classes = (
        raw_label(files, opened, scheme),
        0 if scheme is None else len(scheme.classes),
    )
    affine, shape = opened[files.first][1], brain.shape
    own_mm = np.array(nib.affines.voxel_sizes(affine))[axes_of(affine)]
    way = Resampling(shape, own_mm, wanted_mm or own_mm)
    if way.changes:
        inside = way.mask(brain)
        volumes = tuple(way.image(volume, brain, inside) for volume in volumes)
        brain = brain_of(volumes)
        label = None if label is None else way.label(label, n_classes)
    box = box_of(brain)
    part = tuple(map(slice, *box))
    values = np.stack([volume[part][brain[part]].astype(np.float64) for volume in volumes])
    return RawCase(
        files=files,
        affine=affine,
        source_shape=shape,
        spacings=(own_mm, way.spacing),
        volumes=volumes,
        label=label,
        brain=brain,
        brain_box=box,
        plane_voxels=class_voxels(label, n_classes),
        mean=values.mean(axis=1),
        std=np.where([channel is None for channel in files.images], 1.0, values.std(axis=1)),
    )


def raw_volumes(
    files: CaseFiles, opened: Mapping[str, tuple[NDArray[Any], NDArray[np.float64]]]
) -> tuple[NDArray[Any], ...]:
    """(z, y, x) RAS+ volume of each modality; 0 where the case has none.

    Args:
        files: its files.
        opened: voxels in the order of the file, any real dtype, and (4, 4) affine of each member.
    """
    found = [
        None if channel is None else canonical(*opened[channel.member], channel.index)
        for channel in files.images
    ]
    nothing = np.zeros_like(next(volume for volume in found if volume is not None))
    return tuple(nothing if volume is None else volume for volume in found)


def axes_of(affine: NDArray[np.float64]) -> list[int]:
    """Axes of a file along x, y and z, from its (4, 4) float64 affine."""
    order = nib.io_orientation(affine)[:, 0]
    return [int(np.flatnonzero(order == axis)[0]) for axis in range(3)]


def raw_label(
    files: CaseFiles,
    opened: Mapping[str, tuple[NDArray[Any], NDArray[np.float64]]],
    scheme: Scheme | None,
) -> NDArray[np.uint8] | None:
    """Label of a case on its own grid, (z, y, x) stored classes; None where it has none.

    Args:
        files: its files.
        opened: voxels in the order of the file, any real dtype, and (4, 4) affine of each member.
        scheme: of its label.
    """
    if files.label is None or scheme is None:
        return None
    voxels, own = opened[files.label]
    affine = opened[files.first][1] if files.same_grid else own
    codes = canonical(voxels, affine, None)
    if codes.dtype != np.uint8:
        whole = np.rint(codes) if codes.dtype.kind == "f" else codes
        codes = np.clip(whole, 0, 255).astype(np.uint8)
    label: NDArray[np.uint8] = scheme.table()[codes]
    return label


def stripped(
    files: CaseFiles,
    opened: Mapping[str, tuple[NDArray[Any], NDArray[np.float64]]],
    volumes: tuple[NDArray[Any], ...],
    background: str,
) -> tuple[tuple[NDArray[Any], ...], NDArray[np.bool_]]:
    """Set the background of a case to 0, by its brain mask or by the rule of `build`.

    Args:
        files: its files.
        opened: voxels in the order of the file, and (4, 4) affine, of each member.
        volumes: m times (z, y, x) RAS+, source units, any real dtype.
        background: as in `PrepConfig`.

    Returns:
        The volumes; and the brain, (z, y, x) bool.
    """
    if files.brain_mask is not None:
        voxels, own = opened[files.brain_mask]
        affine = opened[files.first][1] if files.same_grid else own
        inside = canonical(voxels, affine, None) != 0
        volumes = tuple(np.where(inside, volume, volume.dtype.type(0)) for volume in volumes)
        return volumes, brain_of(volumes)
    brain = brain_of(volumes)
    backgrounds = backgrounds_of(volumes, brain, background)
    if not any(backgrounds):
        return volumes, brain
    volumes = tuple(map(cleared, volumes, backgrounds))
    return volumes, brain_of(volumes)


def brain_of(volumes: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    """(z, y, x) bool: where one of some volumes of any real dtype is not 0."""
    brain: NDArray[np.bool_] = volumes[0] != 0
    for volume in volumes[1:]:
        brain |= volume != 0
    return brain


def backgrounds_of(
    volumes: Sequence[NDArray[Any]], brain: NDArray[np.bool_], background: str
) -> tuple[Background | None, ...]:
    """Find the background of each modality where it is not 0, by the rule of `build`.

    Args:
        volumes: (z, y, x), source units, any real dtype.
        brain: (z, y, x) bool, not 0 in one of them.
        background: as in `PrepConfig`.
    """
    none = (None,) * len(volumes)
    if background == "any":
        return none
    if background != "auto":
        return (given_background(background),) * len(volumes)
    is_finite = all(volume.dtype.kind != "f" or np.isfinite(volume).all() for volume in volumes)
    if is_finite and not is_too_full(int(np.count_nonzero(brain)), brain.size):
        return none
    return tuple(find_background(volume) for volume in volumes)


def cleared(volume: NDArray[Any], background: Background | None) -> NDArray[Any]:
    """Copy a (z, y, x) volume, any real dtype, with background 0; without one, the volume."""
    if background is None:
        return volume
    copy = volume.copy()
    copy[background.mask(volume)] = 0
    return copy


def read_nifti(member: str, content: bytes) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read a NIfTI or MetaImage file, packed or not.

    Args:
        member: its name, for errors.
        content: the file's bytes.

    Returns:
        (x, y, z) or (x, y, z, n) voxels in the file's order, any real dtype; and its (4, 4) affine
        in mm.

    Raises:
        NiftiError: it cannot be unpacked.
    """
    try:
        if content.startswith(metaimage.MARK):
            return metaimage.read(content, member)
        plain = unpacked(content) if content.startswith(_GZIP) else content
        is_second = 540 in (int.from_bytes(plain[:4], order) for order in ("little", "big"))
        image = (nib.Nifti2Image if is_second else nib.Nifti1Image).from_bytes(plain)
        return voxels_of(image, plain), np.asarray(image.affine, np.float64)
    except _BROKEN as error:
        raise NiftiError(
            f"{member}: cannot be unpacked: {error}; download the file again"
        ) from error


def unpacked(content: bytes) -> bytes:
    """Unpack a gzip file: by isal where it has one member, by Python's gzip where it has more.

    Raises:
        Exception: one of `_BROKEN`.
    """
    claimed = int.from_bytes(content[-4:], "little")
    plain = isal_zlib.decompress(content, 31, max(claimed, 1))
    return plain if len(plain) == claimed else gzip.decompress(content)


def voxels_of(image: Any, plain: bytes) -> NDArray[Any]:  # noqa: ANN401  nibabel has no types
    """Voxels of a NIfTI file in its own order, (x, y, z) or (x, y, z, n), any real dtype.

    Without scaling they are a view into the file, since nibabel would copy them.
    """
    proxy = image.dataobj
    if (proxy.slope, proxy.inter) != (1, 0):
        return np.asarray(proxy)
    voxels = np.frombuffer(plain, proxy.dtype, math.prod(proxy.shape), proxy.offset)
    return voxels.reshape(proxy.shape, order="F")


def canonical(voxels: NDArray[Any], affine: NDArray[np.float64], index: int | None) -> NDArray[Any]:
    """View one volume of a NIfTI file as (z, y, x) RAS+.

    Args:
        voxels: (x, y, z) or (x, y, z, n) in the file's order, any real dtype.
        affine: (4, 4) float64, mm, of the file.
        index: volume of a 4D file; None for a 3D file.
    """
    volume = voxels if index is None else voxels[..., index]
    turned = nib.apply_orientation(volume.reshape(volume.shape[:3]), nib.io_orientation(affine))
    return np.asarray(turned).transpose(2, 1, 0)


def class_voxels(label: NDArray[np.uint8] | None, n_classes: int) -> NDArray[np.int64]:
    """Count the voxels of each class in every plane.

    Args:
        label: (z, y, x) uint8, stored classes; None for an unlabelled case.
        n_classes: background included.

    Returns:
        (z, n_classes) int64; (0, 0) without a label.
    """
    if label is None:
        return np.zeros((0, 0), np.int64)
    counts = [[np.count_nonzero(plane == k) for k in range(n_classes)] for plane in label]
    return np.array(counts, np.int64)


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Start and stop of a mask's voxels, (2, 3) int64; the mask is (z, y, x) and not empty."""
    over_z = np.logical_or.reduce(mask)
    used = mask.any(axis=(1, 2)), over_z.any(axis=1), over_z.any(axis=0)
    ends = [(places[0], places[-1] + 1) for places in map(np.flatnonzero, used)]
    return np.array(ends, np.int64).T
