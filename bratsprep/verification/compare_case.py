"""A case of a slice file against the same case from its raw files, voxel by voxel."""

import zlib
from collections.abc import Iterable
from typing import Any, Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseTables
from bratsprep.config import PrepConfig
from bratsprep.errors import SchemaError
from bratsprep.slicefile.reader import SliceFile
from bratsprep.verification.recompute import RawCase
from bratsprep.verification.recompute_fingerprints import brain_print, close, mask_print
from bratsprep.verification.recompute_spacing import ROUNDING

_CLOSE: Final = 1e-9
"""Share by which two float64 moments of a volume may differ."""
_SLACK: Final = 1e-11
"""Share by which two float64 ways to one z-score may differ; half a float16 step is 2e-4 of it."""


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
    slack: float = _SLACK,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Compute a stored plane again.

    Args:
        plane: (h, w) float64, source units.
        brain: (h, w) bool.
        moments: mean and standard deviation to scale by; None where nothing is normalised.
        stored: (h, w) of the file's dtype.
        slack: share by which two ways to one number may differ.

    Returns:
        (h, w) expected values of that dtype; and (h, w) bool, True where the stored value is
        neither the expected one nor one that rounding explains.
    """
    if moments is None:
        expected = plane.astype(stored.dtype)
        apart = 0 if slack == _SLACK else slack
        return expected, ~np.isclose(stored, expected, apart, 0)
    mean, std = moments
    score = np.where(brain, (plane - mean) / std, 0)
    with np.errstate(over="ignore"):
        expected = score.astype(stored.dtype)
        differs = stored != expected
        if differs.any():
            near = score[differs]
            apart = slack * (np.abs(near) + abs(mean) / std + 1) * brain[differs]
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
    normalise, slack = file.config.normalise, ROUNDING if case.is_resampled else _SLACK
    for m, modality in enumerate(file.modalities):
        moments = None if normalise == "none" else case.moments(m, normalise)
        for s, plane in enumerate(z):
            voxels = cut(case.volumes[m][plane], box).astype(np.float64)
            inside = brain[s] & bool(tables.case["present"][m])
            expected, differs = expected_plane(voxels, inside, moments, images[s, m], slack)
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
        ("source shape", row["source_shape"], case.source_shape),
        ("source spacing", row["source_spacing"], case.spacings[0].astype(np.float32)),
        ("shape", row["shape"], case.brain.shape),
        ("spacing", row["spacing"], case.spacings[1].astype(np.float32)),
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
