"""One case from the bytes of its raw files, the slow and plain way, to hold a slice file against.

Nothing here is shared with the way of `build`: gzip of the standard library instead of libdeflate,
nibabel's voxels and orientation, whole volumes in float64, NumPy's moments, no kernel.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from bratsprep.case import CaseFiles, CaseRow, CaseTables
from bratsprep.config import SUBJECTS, PrepConfig
from bratsprep.discovery.subject_tables import table_for
from bratsprep.errors import NiftiError, SchemaError
from bratsprep.labels import CLASSES, MODALITIES, Scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.verification.recompute_fingerprints import brain_print, close, mask_print
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


@dataclass(frozen=True, slots=True)
class RawCase:
    """A case in memory; volumes are made from it one at a time."""

    files: CaseFiles
    images: tuple[Any, ...]
    """nibabel's image of each modality; one and the same where a 4D file holds all."""
    label: NDArray[np.uint8] | None
    """(z, y, x) RAS+, stored classes, 255 where the scheme knows no class."""
    brain: NDArray[np.bool_]
    """(z, y, x) RAS+: not 0 in some modality."""
    mean: NDArray[np.float64]
    """(4,) source units, over the brain."""
    std: NDArray[np.float64]
    """(4,) source units, over the brain."""
    mean_of_all: float
    """Of the brain voxels of all modalities together, as is the next."""
    std_of_all: float
    backgrounds: tuple[Background | None, ...] = (None,) * len(MODALITIES)
    """Of each modality, where it is not 0."""

    def volume(self, m: int) -> NDArray[np.float64]:
        """Modality `m`, (z, y, x) RAS+ float64, source units."""
        return cleared(volume_of(self.images[m], self.files.images[m].index), self.backgrounds[m])


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
    opened = {member: nifti_image(member, content) for member, content in contents.items()}
    images = tuple(opened[channel.member] for channel in files.images)
    volumes = [volume_of(opened[channel.member], channel.index) for channel in files.images]
    backgrounds = backgrounds_of(volumes, background)
    volumes = [cleared(*pair) for pair in zip(volumes, backgrounds, strict=True)]
    brain = np.logical_or.reduce([volume != 0 for volume in volumes])
    inside = np.stack([volume[brain] for volume in volumes])
    del volumes
    label = None
    if files.label is not None and scheme is not None:
        codes = np.rint(volume_of(opened[files.label], None))
        label = scheme.table()[np.clip(codes, 0, 255).astype(np.uint8)]
    return RawCase(
        files=files,
        images=images,
        label=label,
        brain=brain,
        mean=inside.mean(axis=1),
        std=inside.std(axis=1),
        mean_of_all=float(inside.mean()),
        std_of_all=float(inside.std()),
        backgrounds=backgrounds,
    )


def backgrounds_of(
    volumes: Sequence[NDArray[np.float64]], background: str
) -> tuple[Background | None, ...]:
    """Background of each modality that is not 0, by the rule of `build`.

    Args:
        volumes: four (z, y, x) float64.
        background: as in `PrepConfig`.
    """
    none = (None,) * len(volumes)
    if background == "any":
        return none
    if background != "auto":
        return (given_background(background),) * len(volumes)
    brain = np.logical_or.reduce([volume != 0 for volume in volumes])
    is_finite = all(np.isfinite(volume).all() for volume in volumes)
    if is_finite and not is_too_full(int(brain.sum()), brain.size):
        return none
    return tuple(find_background(volume) for volume in volumes)


def cleared(volume: NDArray[np.float64], background: Background | None) -> NDArray[np.float64]:
    """A (z, y, x) volume with its background set to 0."""
    return volume if background is None else np.where(background.mask(volume), 0.0, volume)


def nifti_image(member: str, content: bytes) -> Any:  # noqa: ANN401  nibabel has no types
    """Open a NIfTI file, packed or not.

    Raises:
        NiftiError: it cannot be unpacked.
    """
    try:
        plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        is_second = 540 in (int.from_bytes(plain[:4], order) for order in ("little", "big"))
        return (nib.Nifti2Image if is_second else nib.Nifti1Image).from_bytes(plain)
    except _BROKEN as error:
        raise NiftiError(f"{member}: cannot be unpacked: {error}; get it again") from error


def volume_of(image: Any, index: int | None) -> NDArray[np.float64]:  # noqa: ANN401
    """One volume of a NIfTI image, (z, y, x) RAS+ float64."""
    voxels = np.asarray(image.dataobj if index is None else image.dataobj[..., index])
    voxels = voxels.astype(np.float64).reshape(voxels.shape[:3])
    turned = nib.as_closest_canonical(nib.Nifti1Image(voxels, image.affine))
    return np.asarray(turned.dataobj, np.float64).transpose(2, 1, 0)


def class_voxels(case: RawCase) -> NDArray[np.int64]:
    """Voxels of each class in every plane, (z, 4) int64; all background without a label."""
    label = np.zeros(case.brain.shape, np.uint8) if case.label is None else case.label
    return np.stack([(label == k).sum(axis=(1, 2)) for k in range(len(CLASSES))], axis=1)


def brain_box(case: RawCase) -> NDArray[np.int64]:
    """Start and stop of the brain, (2, 3) int64 in (z, y, x) order."""
    places = np.argwhere(case.brain)
    return np.stack([places.min(axis=0), places.max(axis=0) + 1])


def window(case: RawCase, size: tuple[int, int]) -> NDArray[np.int64]:
    """Start and stop of the crop, (2, 3) int64: around the brain, inside the volume.

    Args:
        case: the case.
        size: (h, w) of a slice; a side longer than the volume's is padded on both ends.
    """
    low, high = brain_box(case)[:, 1:]
    sides = np.array(case.brain.shape[1:])
    free = sides - size
    start = np.where(free > 0, np.clip((low + high - size) // 2, 0, free), free // 2)
    return np.array([[0, *start], [case.brain.shape[0], *(start + size)]])


def planes(case: RawCase, config: PrepConfig) -> NDArray[np.int64]:
    """Planes that a slice file stores, (s,) int64, rising."""
    z = np.arange(len(case.brain))
    brain = set(z[case.brain.any(axis=(1, 2))])
    tumour = set(z[class_voxels(case)[:, 1:].any(axis=1)])
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
    """Part of a (y, x) plane in a crop window, 0 beyond the plane."""
    (top, left), (bottom, right) = box[:, 1:]
    edge = int(max(-top, -left, bottom - plane.shape[0], right - plane.shape[1], 0))
    return np.pad(plane, edge)[top + edge : bottom + edge, left + edge : right + edge]


def bounds(
    case: RawCase, m: int, volume: NDArray[np.float64], z: int, normalise: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest number that each stored voxel of a plane may come from by rounding.

    Args:
        case: the case.
        m: modality.
        volume: (z, y, x) its voxels, source units.
        z: plane.
        normalise: as in `PrepConfig`.

    Returns:
        Two (y, x) float64 arrays; equal where nothing is normalised, and outside the brain.
    """
    plane = volume[z]
    if normalise == "none":
        return plane, plane
    mean, std = case.mean[m], case.std[m]
    if normalise == "case":
        mean, std = case.mean_of_all, case.std_of_all
    score = (plane - mean) / std
    apart = _SLACK * (np.abs(score) + abs(mean) / std + 1)
    brain = case.brain[z]
    return np.where(brain, score - apart, 0), np.where(brain, score + apart, 0)


def compare(file: SliceFile, tables: CaseTables, case: RawCase) -> None:
    """Hold a case of a slice file against its raw files, voxel by voxel.

    Args:
        file: the slice file.
        tables: the rows of the case in it.
        case: the case from its raw files.

    Raises:
        SchemaError: the first difference.
    """
    where = f"{file.path}: case {tables.case.id}"
    same(where, raw_pairs(tables, case, file), "the raw files give")
    images, labels, z = file.volume(tables.case.id)
    box = tables.case.box
    truth = np.zeros(case.brain.shape, np.uint8) if case.label is None else case.label
    for stored, plane in zip(labels, z, strict=True):
        expected = cut(truth[plane], box)
        refuse(stored != expected, stored, expected, f"{where}, plane {plane}, label", box)
    for m, modality in enumerate(MODALITIES):
        volume = case.volume(m)
        for stored, plane in zip(images[:, m], z, strict=True):
            limits = bounds(case, m, volume, int(plane), file.config.normalise)
            with np.errstate(over="ignore", invalid="ignore"):
                least, most = (cut(limit, box).astype(stored.dtype) for limit in limits)
            odd = ~((least <= stored) & (stored <= most))
            refuse(odd, stored, least, f"{where}, plane {plane}, {modality}", box)
    prints = {
        "fingerprint": brain_print(case.brain, case.volume, case.mean, case.std),
        "mask_fingerprint": mask_print(truth, tables.case.spacing),
    }
    for name, print_ in prints.items():
        stored = getattr(tables.case, name)
        same(where, [(name, stored, close(stored, print_))], "the raw files give")


def refuse(
    odd: NDArray[np.bool_],
    stored: NDArray[Any],
    expected: NDArray[Any],
    where: str,
    box: NDArray[np.integer[Any]],
) -> None:
    """Name the first odd pixel of a plane by its place in the uncropped RAS+ volume.

    Raises:
        SchemaError: there is one.
    """
    if odd.any():
        y, x = (int(place) for place in np.argwhere(odd)[0])
        raise SchemaError(
            f"{where}, voxel (y {y + box[0, 1]}, x {x + box[0, 2]}): is {stored[y, x]}, the raw "
            f"files give {expected[y, x]}; build it again"
        )


def raw_pairs(
    tables: CaseTables, case: RawCase, file: SliceFile
) -> list[tuple[str, object, object]]:
    """Name, value and what the raw files give of each row of a case."""
    row, image = tables.case, case.images[0]
    mean, std = (row.mean, case.mean), (row.std, case.std)
    return [
        ("subject", row.subject, subject_of(row, case, file.config.subjects)),
        ("release", row.release, case.files.release),
        ("labelled", row.labelled, case.label is not None),
        ("affine", row.affine, image.affine),
        ("orientation", row.orientation, "".join(nib.aff2axcodes(image.affine))),
        ("shape", row.shape, case.brain.shape),
        ("brain box", row.brain_box, brain_box(case)),
        ("box", row.box, window(case, file.shape)),
        ("mean", row.mean, np.where(np.isclose(*mean, _CLOSE, 0), *mean)),
        ("std", row.std, np.where(np.isclose(*std, _CLOSE, 0), *std)),
        ("brain voxels by plane", tables.plane_brain, case.brain.sum(axis=(1, 2))),
        ("voxels of the classes by plane", tables.plane_voxels, class_voxels(case)),
        ("planes stored", tables.z, planes(case, file.config)),
    ]


def subject_of(row: CaseRow, case: RawCase, subjects: str) -> str:
    """Subject that a case should have; a user's table is not at hand, so that its word stands."""
    if subjects not in SUBJECTS:
        return row.subject
    voxels = class_voxels(case).sum(axis=0).tolist()
    return table_for(subjects).subject(case.files.id, case.files.subject, voxels)


def same(where: str, pairs: Iterable[tuple[str, object, object]], than: str) -> None:
    """Refuse the first of some named values that is not what it should be.

    Args:
        where: file and case.
        pairs: name, value found, and value expected.
        than: what to say before the value expected.

    Raises:
        SchemaError: it says both values, or the first two elements that differ.
    """
    for name, found, expected in pairs:
        one, two = np.asarray(found), np.asarray(expected)
        if one.shape == two.shape and one.ndim:
            differing = np.argwhere(one != two)
            if not differing.size:
                continue
            at = tuple(differing[0])
            place = f"{name} at {', '.join(map(str, at))}"
            raise SchemaError(f"{where}: {place} is {one[at]}, {than} {two[at]}; build it again")
        if not np.array_equal(one, two):
            raise SchemaError(f"{where}: {name} is {one}, {than} {two}; build it again")
