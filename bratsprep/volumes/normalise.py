"""Moments of the brain, and the z-score: checked wrappers of the kernels.

The brain is the union of the non-zero voxels of all modalities over the whole volume; the
standard deviation is the population's (divisor n). Another mask or divisor gives other numbers.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratsprep.errors import VolumeError
from bratsprep.volumes import kernels, moments
from bratsprep.volumes.background import (
    check_brain,
    clear_background_,
    coverage,
    find_background,
    given_background,
    is_too_full,
)
from bratsprep.volumes.brain_mask import BrainMask
from bratsprep.volumes.crop import brain_box

Volumes: TypeAlias = tuple[NDArray[Any], ...]
"""One (z, y, x) volume of each modality, all of one dtype."""

_ROUNDING: Final = 2.0**-42
"""Most that the mean of equal float64 voxels may be off, as a share of it: a thousand additions.
One voxel of ten million that differs by float32's least step has a hundred times this spread."""


def part_of(volumes: Volumes, index: tuple[Any, ...]) -> Volumes:
    """The same part of each (z, y, x) volume: views where the index has slices alone."""
    return tuple(volume[index] for volume in volumes)


@dataclass(frozen=True, slots=True)
class Named:
    """What is measured: for messages, and which modalities there are."""

    name: str
    """Of the case."""
    modalities: tuple[str, ...]
    present: tuple[bool, ...]
    """Whether the case has each of them."""

    def covering(self, shares: NDArray[np.float64]) -> list[tuple[str, float]]:
        """Name and coverage of each modality that the case has, from (m,) float64 shares."""
        named = zip(self.modalities, shares.tolist(), self.present, strict=True)
        return [(modality, share) for modality, share, is_present in named if is_present]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one sweep over a case finds, in the order of the file's axes."""

    brain: NDArray[np.uint8]
    """(z, y, x), 1 where any modality is not 0."""
    plane_brain: NDArray[np.int32]
    """(z,) brain voxels of each plane."""
    columns: NDArray[np.int32]
    """(y, x) brain voxels above each pixel."""
    box: Box
    """Smallest box of the brain."""
    count: int
    """Brain voxels."""
    mean: NDArray[np.float64]
    """(m,) source units."""
    std: NDArray[np.float64]
    """(m,) source units."""
    coverage: NDArray[np.float64]
    """(m,) share of the brain that is not 0 in each modality."""
    notes: tuple[str, ...] = ()
    """What was taken for background where that is not 0."""


def measure_checked(
    images: Volumes,
    brain: NDArray[np.uint8],
    case: Named,
    *,
    background: str,
    voxel_ml: float,
    mask: BrainMask | None = None,
) -> Measured:
    """Find the brain of a case, its background where that is not 0, and its moments.

    Args:
        images: (z, y, x) volumes of one dtype and shape, source units; where the background is
            not 0 it is set to 0.
        brain: (z, y, x) uint8, overwritten with the brain.
        case: what is measured.
        background: as in `PrepConfig`.
        voxel_ml: volume of a voxel, millilitres.
        mask: brain mask on the grid of the images, which are then set to 0 outside of it; without
            effect of `background`.

    Raises:
        VolumeError: as `measure` does, or the brain is not that of a stripped head.
    """
    if mask is not None:
        return _measure_masked(images, brain, case, mask=mask, voxel_ml=voxel_ml)
    if background == "any":
        return measure(images, brain, case)
    notes: tuple[str, ...] = ()
    if background == "auto":
        measured = _first_look(images, brain, case)
        if measured is None:
            found = [find_background(image) for image in images]
            notes = clear_background_(images, found, case.modalities)
            measured = measure(images, brain, case)
    else:
        given = [given_background(background)] * len(images)
        notes = clear_background_(images, given, case.modalities)
        measured = measure(images, brain, case)
    check_brain((measured.count, brain.size), case.covering(measured.coverage), voxel_ml, case.name)
    return replace(measured, notes=notes)


def _measure_masked(
    images: Volumes, brain: NDArray[np.uint8], case: Named, *, mask: BrainMask, voxel_ml: float
) -> Measured:
    """Set the images to 0 outside a brain mask, and measure them.

    Args:
        images: (z, y, x) volumes of one dtype and shape, source units; written.
        brain: (z, y, x) uint8, overwritten with the brain.
        case: what is measured.
        mask: on the grid of the images.
        voxel_ml: volume of a voxel, millilitres.

    Raises:
        VolumeError: as `measure` does, the mask is not that of the images, or a modality covers
            too little of the brain.
    """
    mask.apply_(images)
    measured = measure(images, brain, case)
    mask.check_filled(measured.count)
    check_brain((measured.count, brain.size), case.covering(measured.coverage), voxel_ml, case.name)
    return measured


def _first_look(images: Volumes, brain: NDArray[np.uint8], case: Named) -> Measured | None:
    """Measure a case as it is; None where its background has to be found first.

    Args:
        images: (z, y, x) volumes of any real dtype, source units.
        brain: (z, y, x) uint8, written.
        case: what is measured.

    Raises:
        VolumeError: as `measure` does, unless NaN or infinity is the reason.
    """
    try:
        measured = measure(images, brain, case)
    except VolumeError:
        if all(np.isfinite(image).all() for image in images):
            raise
        return None
    return None if is_too_full(measured.count, brain.size) else measured


def measure(images: Volumes, brain: NDArray[np.uint8], case: Named) -> Measured:
    """Find the brain of a case and its moments.

    Args:
        images: (z, y, x) volumes of one dtype and shape, source units.
        brain: (z, y, x) uint8, overwritten with the brain.
        case: what is measured; a modality that it has not is all 0, with mean 0 and deviation 1.

    Raises:
        VolumeError: the brain is empty, a value is not finite, or a modality is constant.
    """
    plane_brain = np.zeros(brain.shape[0], np.int32)
    columns = np.zeros(brain.shape[1:], np.int32)
    mean, squares = _moments(images, brain, plane_brain, columns)
    count = int(plane_brain.sum())
    if count == 0:
        raise VolumeError(f"{case.name}: every voxel is 0 in all modalities; there is no brain")
    for m, modality in enumerate(case.modalities):
        if not case.present[m]:
            squares[m] = count
            continue
        if not np.isfinite(mean[m]) or not np.isfinite(squares[m]):
            raise VolumeError(f"{case.name} {modality}: holds NaN or infinity; correct the file")
        if squares[m] <= count * (mean[m] * _ROUNDING) ** 2:
            raise VolumeError(
                f"{case.name} {modality}: all {count} brain voxels equal {mean[m]:g}; nothing to "
                "scale"
            )
    box = brain_box(plane_brain, columns)
    shares = coverage(images, plane_brain)
    return Measured(brain, plane_brain, columns, box, count, mean, np.sqrt(squares / count), shares)


def _moments(
    images: Volumes,
    brain: NDArray[np.uint8],
    plane_brain: NDArray[np.int32],
    columns: NDArray[np.int32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(m,) means and (m,) sums of squared deviations: exact for whole numbers, else in float64.

    Args:
        images: (z, y, x) volumes of one dtype, C order, source units.
        brain: (z, y, x) uint8, written.
        plane_brain: (z,) int32, written.
        columns: (y, x) int32 of zeros, written.
    """
    flat = tuple(image.reshape(len(image), -1) for image in images)
    marks, sums = brain.reshape(len(brain), -1), columns.reshape(-1)
    totals, squares, are_whole = moments.measure_whole_(flat, marks, plane_brain, sums)
    if not are_whole:
        columns[...] = 0
        return moments.measure_(flat, marks, plane_brain, sums)
    n = max(int(plane_brain.sum()), 1)
    pairs = [(int(total), int(square)) for total, square in zip(totals, squares, strict=True)]
    apart = [(n * square - total * total) / n for total, square in pairs]
    return np.array([total / n for total, _ in pairs]), np.array(apart)


def scales(
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    normalise: str,
    present: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and spread to scale each modality with.

    Args:
        mean: (m,) float64 of each modality over the brain, source units.
        std: (m,) float64 of each modality over the brain, source units.
        normalise: `modality`, or `case` for one mean and spread over all brain voxels of all
            modalities (law of total variance).
        present: (m,) bool, whether the case has each modality.

    Returns:
        (m,) float64 means and (m,) float64 standard deviations, source units.
    """
    if normalise == "modality":
        return mean, std
    centre = mean[present].mean()
    variance = (std**2 + (mean - centre) ** 2)[present].mean()
    return np.full(mean.size, centre), np.full(mean.size, np.sqrt(variance))


def half_tables(mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.uint16]:
    """(m, 65536) uint16: float16 bits of the z-score of each int16, in the order of its own bits.

    Args:
        mean: (m,) source units.
        std: (m,) source units, above 0.
    """
    every = np.arange(65536, dtype=np.uint16).view(np.int16).reshape(1, 256, 256)
    inside, first = np.ones((1, 256, 256), np.uint8), np.zeros(1, np.int64)
    tables = np.empty((len(mean), 1, 256, 256), np.uint16)
    for table, centre, spread in zip(tables, mean, std, strict=True):
        kernels.zscore_half_(every, inside, first, (float(centre), float(spread)), table)
    return tables.reshape(-1, 65536)


def fill_zscores_(
    images: Volumes,
    brain: NDArray[np.uint8],
    planes: NDArray[np.int64],
    moments: tuple[NDArray[np.float64], NDArray[np.float64]],
    out: NDArray[Any],
) -> None:
    """Write some planes of a window as z-scores, exactly 0 outside the brain.

    Args:
        images: (z, h, w) volumes of one dtype, source units.
        brain: (z, h, w) uint8.
        planes: (s,) indices along z.
        moments: (m,) means and (m,) standard deviations, source units; the latter above 0.
        out: (s, m, h, w) float16 or float32; written.
    """
    mean, std = moments
    if out.dtype != np.float16:
        for m, image in enumerate(images):
            for s, z in enumerate(planes):
                out[s, m] = np.where(brain[z], (image[z].astype(np.float64) - mean[m]) / std[m], 0)
        return
    bits = out.view(np.uint16)
    is_tabled = images[0].dtype in (np.int16, np.float32)
    tables = half_tables(mean, std) if is_tabled else None
    if tables is not None and kernels.lookup_half_(images, brain, planes, tables, bits):
        return
    for m, image in enumerate(images):
        kernels.zscore_half_(image, brain, planes, (float(mean[m]), float(std[m])), bits[:, m])


def fill_raw_(
    volume: NDArray[Any], planes: NDArray[np.int64], out: NDArray[Any], name: str
) -> None:
    """Write some planes with their own numbers; float32 rounds those of scaled files.

    Args:
        volume: (z, h, w), source units.
        planes: (s,) int64 indices along z.
        out: (s, h, w) int16 or float32; written.
        name: case and modality, for errors.

    Raises:
        VolumeError: a number is no int16, or beyond float32.
    """
    for s, z in enumerate(planes):
        plane = volume[z]
        with np.errstate(invalid="ignore", over="ignore"):
            out[s] = plane
        lost = out[s] != plane if out.dtype.kind == "i" else ~np.isfinite(out[s])
        if lost.any():
            raise VolumeError(
                f"{name}: {plane[lost][0]:g} does not fit {out.dtype}; "
                "use --dtype float32 or normalise"
            )
