"""One case from the bytes of its raw files, the slow and plain way, to hold a slice file against.

Nothing here is shared with `build`: gzip of the standard library instead of libdeflate, nibabel's
headers and orientation, NumPy's moments in float64, no kernel.
"""

import gzip
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from bratsprep.case import CaseFiles, CaseTables
from bratsprep.config import PrepConfig
from bratsprep.errors import NiftiError, SchemaError
from bratsprep.labels import Scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.verification.recompute_fingerprints import brain_print, close, mask_print
from bratsprep.volumes import metaimage
from bratsprep.volumes.background import (
    Background,
    find_background,
    given_background,
    is_too_full,
)

_BROKEN: Final = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)
"""What gzip and nibabel raise on a broken file."""
_CLOSE: Final = 1e-9
"""Share by which two float64 moments of a volume may differ."""
_SLACK: Final = 1e-11
"""Share by which two float64 ways to one z-score may differ; half a float16 step is 2e-4 of it."""


@dataclass(frozen=True, slots=True, eq=False)
class RawCase:
    """A case in memory, from its raw files."""

    files: CaseFiles
    affine: NDArray[np.float64]
    """(4, 4) float64, mm, of the first image's file."""
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
) -> RawCase:
    """Unpack and measure a case.

    Args:
        files: its files.
        contents: bytes of each member, as on disk.
        scheme: of its label; None for an unlabelled case.
        background: as in `PrepConfig`.

    Raises:
        NiftiError: a file cannot be unpacked.
    """
    opened = {member: read_nifti(member, content) for member, content in contents.items()}
    found = [
        None if channel is None else canonical(*opened[channel.member], channel.index)
        for channel in files.images
    ]
    nothing = np.zeros_like(next(volume for volume in found if volume is not None))
    volumes = tuple(nothing if volume is None else volume for volume in found)
    volumes, brain = stripped(files, opened, volumes, background)
    box = box_of(brain)
    inside = tuple(map(slice, *box))
    places = brain[inside]
    values = np.stack([volume[inside][places].astype(np.float64) for volume in volumes])
    label = None
    if files.label is not None and scheme is not None:
        voxels, own = opened[files.label]
        affine = opened[files.first][1] if files.same_grid else own
        codes = canonical(voxels, affine, None)
        whole = np.rint(codes) if codes.dtype.kind == "f" else codes
        label = scheme.table()[np.clip(whole, 0, 255).astype(np.uint8)]
    return RawCase(
        files=files,
        affine=opened[files.first][1],
        volumes=volumes,
        label=label,
        brain=brain,
        brain_box=box,
        plane_voxels=class_voxels(label, 0 if scheme is None else len(scheme.classes)),
        mean=values.mean(axis=1),
        std=np.where([channel is None for channel in files.images], 1.0, values.std(axis=1)),
    )


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
    brain: NDArray[np.bool_] = np.logical_or.reduce([volume != 0 for volume in volumes])
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
        plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        is_second = 540 in (int.from_bytes(plain[:4], order) for order in ("little", "big"))
        image = (nib.Nifti2Image if is_second else nib.Nifti1Image).from_bytes(plain)
        return voxels_of(image, plain), np.asarray(image.affine, np.float64)
    except _BROKEN as error:
        raise NiftiError(
            f"{member}: cannot be unpacked: {error}; download the file again"
        ) from error


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


def window(case: RawCase, size: tuple[int, int]) -> NDArray[np.int64]:
    """Start and stop of the crop, (2, 3) int64: around the brain, inside the volume.

    Args:
        case: the case.
        size: (h, w) of a slice; a side longer than the volume's is padded on both ends.
    """
    low, high = case.brain_box[:, 1:]
    sides = np.array(case.brain.shape[1:])
    free = sides - size
    start = np.where(free > 0, np.clip((low + high - size) // 2, 0, free), free // 2)
    return np.array([[0, *start], [case.brain.shape[0], *(start + size)]])


def planes(case: RawCase, config: PrepConfig) -> NDArray[np.int64]:
    """Planes that a slice file stores, (s,) int64, rising."""
    z = np.arange(len(case.brain))
    brain = set(z[case.brain.any(axis=(1, 2))])
    tumour = set() if case.label is None else set(z[case.plane_voxels[:, 1:].any(axis=1)])
    if config.slices == "all":
        return z
    if config.slices == "brain" or case.label is None:
        return np.array(sorted(brain | tumour), np.int64)
    near = {p for p in z for t in tumour if abs(int(p) - int(t)) <= config.margin}
    others = np.array(sorted(brain - near), np.int64)
    generator = np.random.default_rng((config.seed, zlib.crc32(case.files.id.encode())))
    drawn = generator.permutation(others)[: round(config.negatives * len(others))]
    return np.array(sorted(near | set(drawn)), np.int64)


def cut(plane: NDArray[Any], box: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Part of a (y, x) plane of any dtype in a (2, 3) crop window, 0 beyond the plane."""
    (top, left), (bottom, right) = box[:, 1:]
    edge = int(max(-top, -left, bottom - plane.shape[0], right - plane.shape[1], 0))
    return np.pad(plane, edge)[top + edge : bottom + edge, left + edge : right + edge]


def expected_plane(
    plane: NDArray[np.float64],
    brain: NDArray[np.bool_],
    moments: tuple[float, float] | None,
    stored: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Compute a stored plane again.

    Args:
        plane: (h, w) float64, source units.
        brain: (h, w) bool.
        moments: mean and standard deviation to scale by; None where nothing is normalised.
        stored: (h, w) of the file's dtype.

    Returns:
        (h, w) expected values of that dtype; and (h, w) bool, True where the stored value is
        neither the expected one nor one that rounding explains.
    """
    if moments is None:
        expected = plane.astype(stored.dtype)
        return expected, stored != expected
    mean, std = moments
    score = np.where(brain, (plane - mean) / std, 0)
    with np.errstate(over="ignore"):
        expected = score.astype(stored.dtype)
        differs = stored != expected
        if differs.any():
            near = score[differs]
            apart = _SLACK * (np.abs(near) + abs(mean) / std + 1) * brain[differs]
            least, most = ((near + side * apart).astype(stored.dtype) for side in (-1, 1))
            differs[differs] = ~((least <= stored[differs]) & (stored[differs] <= most))
    return expected, differs


def compare(file: SliceFile, tables: CaseTables, case: RawCase) -> None:
    """Hold a case of a slice file against its raw files, voxel by voxel.

    Args:
        file: the slice file.
        tables: the rows of the case in it.
        case: the case from its raw files.

    Raises:
        SchemaError: the first difference.
    """
    where = f"{file.path}: case {tables.case['id']}"
    same(where, raw_pairs(tables, case, file), "the raw files")
    images, labels, z = file.volume(tables.case["id"])
    box = tables.case["box"]
    truth = np.zeros(case.brain.shape, np.uint8) if case.label is None else case.label
    for stored, plane in zip(labels, z, strict=True):
        expected = cut(truth[plane], box)
        refuse(stored != expected, stored, expected, f"{where}, plane {plane}, label", box)
    brain = [cut(case.brain[plane], box) for plane in z]
    normalise = file.config.normalise
    for m, modality in enumerate(file.modalities):
        moments = None if normalise == "none" else case.moments(m, normalise)
        for s, plane in enumerate(z):
            voxels = cut(case.volumes[m][plane], box).astype(np.float64)
            inside = brain[s] & bool(tables.case["present"][m])
            expected, differs = expected_plane(voxels, inside, moments, images[s, m])
            refuse(differs, images[s, m], expected, f"{where}, plane {plane}, {modality}", box)
    prints = {
        "fingerprint": brain_print(case.brain, case.volumes, case.mean, case.std),
        "mask_fingerprint": mask_print(truth, tables.case["spacing"], file.classes),
    }
    for name, print_ in prints.items():
        stored = tables.case[name]
        same(where, [(name, stored, close(stored, print_))], "the raw files")


def refuse(
    differs: NDArray[np.bool_],
    stored: NDArray[Any],
    expected: NDArray[Any],
    where: str,
    box: NDArray[np.integer[Any]],
) -> None:
    """Name the first wrong pixel of a plane by its place in the uncropped RAS+ volume.

    Args:
        differs: (h, w) bool.
        stored: (h, w) of the file, any dtype.
        expected: (h, w) of the raw files, any dtype.
        where: plane, for the error.
        box: (2, 3) integers, crop window of the case.

    Raises:
        SchemaError: there is one.
    """
    if differs.any():
        y, x = (int(place) for place in np.argwhere(differs)[0])
        raise SchemaError(
            f"{where}, voxel (y {y + box[0, 1]}, x {x + box[0, 2]}): is {stored[y, x]}; expected "
            f"{expected[y, x]}, from the raw files; build it again"
        )


def raw_pairs(
    tables: CaseTables, case: RawCase, file: SliceFile
) -> list[tuple[str, object, object]]:
    """Name, value and what the raw files give of each row of a case."""
    row = tables.case
    mean, std = (row["mean"], case.mean), (row["std"], case.std)
    return [
        ("release", row["release"], case.files.release),
        ("labelled", bool(row["labelled"]), case.label is not None),
        ("affine", row["affine"], case.affine),
        ("orientation", row["orientation"], "".join(nib.aff2axcodes(case.affine))),
        ("present", row["present"], [channel is not None for channel in case.files.images]),
        ("shape", row["shape"], case.brain.shape),
        ("brain box", row["brain_box"], case.brain_box),
        ("box", row["box"], window(case, file.shape)),
        ("mean", row["mean"], np.where(np.isclose(*mean, _CLOSE, _CLOSE * case.std), *mean)),
        ("std", row["std"], np.where(np.isclose(*std, _CLOSE, 0), *std)),
        (
            "brain voxels by plane",
            tables.planes["brain"],
            np.count_nonzero(case.brain, axis=(1, 2)),
        ),
        ("voxels of the classes by plane", tables.planes["voxels"], expected_voxels(tables, case)),
        ("planes stored", tables.slices["z"], planes(case, file.config)),
    ]


def expected_voxels(tables: CaseTables, case: RawCase) -> NDArray[np.int64]:
    """(z, c) int64 voxels of each class by plane; all of them background without a label."""
    if case.label is not None:
        return case.plane_voxels
    voxels = np.zeros(tables.planes["voxels"].shape, np.int64)
    voxels[:, 0] = case.brain.shape[1] * case.brain.shape[2]
    return voxels


def same(where: str, pairs: Iterable[tuple[str, object, object]], basis: str) -> None:
    """Refuse the first of some named values that is not what it should be.

    Args:
        where: file and case.
        pairs: name, value in the file, and value expected.
        basis: what the expected values follow from.

    Raises:
        SchemaError: with both values, or the first two elements that differ.
    """
    for name, value, expected in pairs:
        place, one, two = name, np.asarray(value), np.asarray(expected)
        if one.shape == two.shape and one.ndim:
            differing = np.argwhere(one != two)
            if not differing.size:
                continue
            at = tuple(differing[0])
            place, one, two = f"{name} at {', '.join(map(str, at))}", one[at], two[at]
        elif np.array_equal(one, two):
            continue
        raise SchemaError(
            f"{where}: {place} is {one}; expected {two}, from {basis}; build it again"
        )
