"""A case in a few thousand small numbers, by which a person is known again.

Of the images: means of each modality in 16 x 16 x 16 cells of a frame that goes with the brain, so
that shift, orientation, spacing and intensity scale play no part. Of the label: how full cells of
10 mm are, counted from the middle of the volume, for masks come without a brain. All sums are of
whole numbers: a fingerprint has the same bytes on every machine.
"""

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.case import BRAIN_CELLS, MASK_CELLS
from bratsprep.labels import ClassSet
from bratsprep.orientation import as_it_lies
from bratsprep.volumes.case_volumes import CaseVolumes
from bratsprep.volumes.normalise import Volumes, part_of

SPAN: Final = 2.2
"""The brain's frame reaches so many standard deviations of its voxels' places to each side."""
STEPS: Final = 32
"""Steps of a stored cell in one standard deviation of the modality; 127 are just under 4."""
MASK_CELL_MM: Final = 10.0
SAMPLES: Final = 64
"""Rows are sampled along y and z, in steps that leave at least this many of a longer axis."""


@njit(cache=True, nogil=True)
def brain_cells_(
    images: tuple[NDArray[Any], ...],
    brain: NDArray[np.uint8],
    cells: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    moments: NDArray[np.float32],
    sums: NDArray[np.int64],
) -> None:
    """Add up brain voxels and z-scores in whole steps for each cell.

    Rows of one y cell are added up first, which vectorises; columns follow once for each z cell.

    Args:
        images: (z, y, x) volumes of one dtype, C order, source units.
        brain: (z, y, x) uint8, C order, 1 inside.
        cells: cell of each z, y and x; negative for one that is outside or not sampled.
        moments: (2, m) float32: mean, and steps by source unit, of each modality.
        sums: (1 + m, *BRAIN_CELLS) int64 of zeros, written: brain voxels, each modality.
    """
    lines = np.zeros((sums.shape[2], sums.shape[0], brain.shape[2]), np.int32)
    last = -1
    for z in range(brain.shape[0]):
        layer = cells[0][z]
        if layer < 0:
            continue
        if last >= 0 and layer != last:
            add_lines_(lines, cells[2], sums[:, last])
            lines[...] = 0
        last = layer
        add_plane_(images, brain, z, cells[1], moments, lines)
    if last >= 0:
        add_lines_(lines, cells[2], sums[:, last])


@njit(cache=True, nogil=True)
def add_plane_(
    images: tuple[NDArray[Any], ...],
    brain: NDArray[np.uint8],
    z: int,
    down: NDArray[np.int64],
    moments: NDArray[np.float32],
    lines: NDArray[np.int32],
) -> None:
    """Add the sampled rows of one plane to the lines of their cells.

    Args:
        images: (z, y, x) volumes of one dtype, C order, source units.
        brain: (z, y, x) uint8, C order, 1 inside.
        z: the plane.
        down: (y,) cell of each y; negative for one that is outside or not sampled.
        moments: (2, m) float32: mean, and steps by source unit, of each modality.
        lines: (cells, 1 + m, x) int32 of brain voxels and each modality, added to.
    """
    for y in range(brain.shape[1]):
        inside = brain[z, y]
        if down[y] < 0 or not count_row(inside):
            continue
        line = lines[down[y]]
        for x in range(inside.size):
            line[0, x] += inside[x]
        for m in range(len(images)):
            add_scores_(images[m][z, y], inside, moments[0, m], moments[1, m], line[1 + m])


@njit(cache=True, nogil=True)
def count_row(inside: NDArray[np.uint8]) -> int:
    """Count the ones of a (x,) uint8 row."""
    count = 0
    for x in range(inside.size):
        count += inside[x]
    return count


@njit(cache=True, nogil=True)
def add_scores_(
    values: NDArray[Any],
    inside: NDArray[np.uint8],
    mean: np.float32,
    steps: np.float32,
    sums: NDArray[np.int32],
) -> None:
    """Add the z-scores of a row to those at the same x.

    Args:
        values: (x,) source units.
        inside: (x,) uint8, 1 in the brain; other voxels add nothing.
        mean: of the modality, source units.
        steps: by source unit.
        sums: (x,) int32, added to.
    """
    most = np.float32(127)
    for x in range(np.uint64(values.size)):
        score = min(max((np.float32(values[x]) - mean) * steps, -most), most)
        # A conversion drops the fraction, which vectorises; from above 0 that is rounding down.
        step = np.int32(score + np.float32(128.5)) - np.int32(128)
        sums[x] += step if inside[x] else np.int32(0)


@njit(cache=True, nogil=True)
def add_lines_(
    lines: NDArray[np.int32], across: NDArray[np.int64], sums: NDArray[np.int64]
) -> None:
    """Add the sums at each x to the cell that x is in.

    Args:
        lines: (y, 1 + m, x) int32.
        across: (x,) cell of each x; negative ones lie outside.
        sums: (1 + m, y, x) int64, added to.
    """
    for y in range(lines.shape[0]):
        for part in range(lines.shape[1]):
            for x in range(across.size):
                if across[x] >= 0:
                    sums[part, y, across[x]] += lines[y, part, x]


@njit(cache=True, nogil=True)
def region_cells_(
    label: NDArray[np.uint8],
    cells: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    inside: NDArray[np.uint8],
    counts: NDArray[np.int32],
) -> None:
    """Count the voxels of each region in each cell.

    Rows are added up before columns are, as many voxels at a time as the processor can.

    Args:
        label: (z, y, x) uint8, C order, stored classes.
        cells: cell of each z, y and x; negative ones lie outside.
        inside: (r, c) uint8, 1 where class c belongs to region r.
        counts: (r, z, y, x) int32 of zeros, written.
    """
    rows = np.zeros((counts.shape[2], counts.shape[0], label.shape[2]), np.int32)
    for z in range(label.shape[0]):
        layer = cells[0][z]
        if layer < 0:
            continue
        for y in range(label.shape[1]):
            if cells[1][y] >= 0:
                add_row_(label[z, y], inside, rows[cells[1][y]])
        if z + 1 == label.shape[0] or cells[0][z + 1] != layer:
            add_columns_(rows, cells[2], counts[:, layer])
            rows[...] = 0


@njit(cache=True, nogil=True)
def add_row_(row: NDArray[np.uint8], inside: NDArray[np.uint8], sums: NDArray[np.int32]) -> None:
    """Add the voxels of a row to those at the same x, unless there is no tumour in it.

    Args:
        row: (x,) uint8, stored classes.
        inside: (r, c) uint8, 1 where class c belongs to region r.
        sums: (r, x) int32, added to.
    """
    found = 0
    for x in range(row.size):
        found |= row[x]
    if found == 0:
        return
    for region in range(sums.shape[0]):
        own, table = sums[region], inside[region]
        for x in range(row.size):
            own[x] += table[row[x]]


@njit(cache=True, nogil=True)
def add_columns_(
    rows: NDArray[np.int32], across: NDArray[np.int64], counts: NDArray[np.int32]
) -> None:
    """Add what stands at each x to the cell there.

    Args:
        rows: (y, r, x) int32.
        across: cell of each x; negative ones lie outside.
        counts: (r, y, x) int32, added to.
    """
    for y in range(rows.shape[0]):
        for region in range(rows.shape[1]):
            for x in range(across.size):
                if across[x] >= 0:
                    counts[region, y, across[x]] += rows[y, region, x]


def brain_fingerprint(
    images: Volumes,
    brain: NDArray[np.uint8],
    marginals: tuple[NDArray[np.integer[Any]], ...],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
) -> NDArray[np.int8]:
    """Make the fingerprint of the images of a case.

    Args:
        images: (z, y, x) volumes of one dtype in RAS+ order, source units.
        brain: (z, y, x) uint8, 1 inside, at least one voxel.
        marginals: brain voxels at each z, at each y and at each x.
        mean: (m,) source units, over the brain.
        std: (m,) source units, over the brain, above 0.

    Returns:
        (1 + m, *BRAIN_CELLS) int8: share of each cell in the brain (127 is all), then the mean
        z-score of each modality in steps of 1/32, 0 where a cell has no brain.
    """
    turn = as_it_lies(brain)
    z, y, x = (
        sampled(marginal, count, step)[along].copy()
        for marginal, count, step, along in zip(
            marginals, BRAIN_CELLS, sampling(brain.shape), turn, strict=True
        )
    )
    sums = np.zeros((1 + len(images), *BRAIN_CELLS), np.int64)
    moments = np.stack([mean, STEPS / std]).astype(np.float32)
    straight = np.ascontiguousarray(brain[turn])
    volumes = tuple(map(np.ascontiguousarray, part_of(images, turn)))
    brain_cells_(volumes, straight, (z, y, x), moments, sums)
    deep, high, wide = (
        np.bincount(cells[cells >= 0], minlength=count)
        for cells, count in zip((z, y, x), BRAIN_CELLS, strict=True)
    )
    voxels = deep[:, None, None] * high[:, None] * wide
    filled = np.rint(127 * sums[0] / np.maximum(voxels, 1))
    means = np.rint(sums[1:] / np.maximum(sums[0], 1))
    return np.concatenate([filled[None], means]).astype(np.int8)


def sampling(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Steps along z, y and x in which a volume of that (z, y, x) shape is sampled."""
    return max(1, shape[0] // SAMPLES), max(1, shape[1] // SAMPLES), 1


def sampled(marginal: NDArray[np.integer[Any]], count: int, step: int) -> NDArray[np.int64]:
    """Cell of each index of an axis, and -1 for those that are passed over.

    Samples are counted from the index nearest to the brain's centre, so that a scan that is
    shifted by whole voxels gives the same fingerprint.

    Args:
        marginal: (n,) brain voxels at each index, at least one.
        count: cells.
        step: of the samples.

    Returns:
        (n,) int64.
    """
    total, first = int(marginal.sum()), int((marginal * np.arange(len(marginal))).sum())
    nearest = (2 * first + total) // (2 * total)
    cells = np.full(len(marginal), -1)
    kept = slice(nearest % step, None, step)
    cells[kept] = brain_axis(marginal, count)[kept]
    return cells


def brain_axis(marginal: NDArray[np.integer[Any]], count: int) -> NDArray[np.int64]:
    """Cell of each index of an axis in the brain's own frame.

    Args:
        marginal: (n,) brain voxels at each index, at least one.
        count: cells.

    Returns:
        (n,) int64, -1 outside the frame.
    """
    places = np.arange(len(marginal))
    total, first, second = (int((marginal * places**power).sum()) for power in (0, 1, 2))
    centre = first / total
    # A voxel is as wide as it is: a brain one voxel thick still has a spread.
    spread = math.sqrt((total * second - first * first) / (total * total) + 1 / 12)
    cells = np.floor(((places - centre) / (SPAN * spread) + 1) / 2 * count).astype(np.int64)
    return np.where((cells < 0) | (cells >= count), -1, cells)


def mask_axis(size: int, spacing_mm: float, cell_mm: float, count: int) -> NDArray[np.int64]:
    """Cell of each index of an axis, counted from the middle of the volume.

    Args:
        size: voxels of the axis.
        spacing_mm: of its voxels.
        cell_mm: side of a cell.
        count: cells, an even number; the middle is the edge between two.

    Returns:
        (n,) int64, -1 outside the frame.
    """
    places_mm = (np.arange(size) - (size - 1) / 2) * spacing_mm
    cells = np.floor(places_mm / cell_mm).astype(np.int64) + count // 2
    return np.where((cells < 0) | (cells >= count), -1, cells)


def two_largest(classes: ClassSet) -> list[tuple[int, ...]]:
    """Labels of the two regions that a fingerprint of a label holds: WT and TC of a glioma.

    Where there is only one region, both are that one.
    """
    nested = [labels for _, labels in classes.nested]
    return [nested[0], nested[min(1, len(nested) - 1)]]


def mask_fingerprint(
    label: NDArray[np.uint8],
    spacing_mm: NDArray[np.floating[Any]],
    has_tumour: NDArray[np.bool_],
    classes: ClassSet,
) -> NDArray[np.uint8]:
    """Make the fingerprint of the label of a case.

    Args:
        label: (z, y, x) uint8 in RAS+ order, stored classes.
        spacing_mm: (3,) along x, y and z.
        has_tumour: (z,) whether a plane is worth looking at.
        classes: of the label.

    Returns:
        (2, *MASK_CELLS) uint8: share of each 10 mm cell in the two largest regions; 255 is all.
    """
    inside = classes.masks(two_largest(classes))
    shares = region_shares(label, spacing_mm, has_tumour, inside, (MASK_CELL_MM, MASK_CELLS))
    return np.rint(255 * shares).astype(np.uint8)


def region_shares(
    label: NDArray[np.uint8],
    spacing_mm: NDArray[np.floating[Any]],
    has_tumour: NDArray[np.bool_],
    inside: NDArray[np.uint8],
    frame: tuple[float, tuple[int, int, int]],
) -> NDArray[np.float64]:
    """Share of each cell in each region, (r, *counts) float64 from 0 to 1.

    Args:
        label: (z, y, x) uint8 in RAS+ order, stored classes.
        spacing_mm: (3,) along x, y and z.
        has_tumour: (z,) whether a plane is worth looking at.
        inside: (r, c) uint8, 1 where class c belongs to region r.
        frame: side of a cell in mm, and cells along z, y and x, even numbers.
    """
    cell_mm, counts = frame
    z, y, x = (
        mask_axis(size, float(spacing), cell_mm, count)
        for size, spacing, count in zip(label.shape, spacing_mm[::-1], counts, strict=True)
    )
    # As it lies in memory: nothing that is counted depends on the direction of an axis.
    turn = as_it_lies(label)
    straight = np.ascontiguousarray(label[turn])
    cells = np.where(has_tumour, z, -1)[turn[0]], y[turn[1]], x[turn[2]]
    voxels = np.zeros((len(inside), *counts), np.int32)
    along_z, along_y, along_x = (np.ascontiguousarray(along) for along in cells)
    region_cells_(straight, (along_z, along_y, along_x), inside, voxels)
    return np.asarray(np.minimum(voxels * (float(np.prod(spacing_mm)) / cell_mm**3), 1.0))


def warm(n_modalities: int, dtype: type[np.generic]) -> None:
    """Compile the kernel of images, or load it from the cache.

    Args:
        n_modalities: of a case.
        dtype: of the volumes, as `nifti.intensities` gives them.
    """
    brain = np.ones((4, 4, 4), np.uint8)
    cells = np.zeros(4, np.int64)
    images = (np.ones((4, 4, 4), dtype),) * n_modalities
    sums = np.zeros((1 + n_modalities, 1, 1, 1), np.int64)
    moments = np.ones((2, n_modalities), np.float32)
    brain_cells_(images, brain, (cells, cells, cells), moments, sums)


def warm_masks() -> None:
    """Compile the kernel of labels, or load it from the cache."""
    label, cells = np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.int64)
    inside = np.ones((1, 2), np.uint8)
    region_cells_(label, (cells, cells, cells), inside, np.zeros((1, 1, 1, 1), np.int32))


def fingerprints(scan: CaseVolumes) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Fingerprints of the images and of the label; zeros for a label that is not known."""
    images = brain_fingerprint(
        scan.images,
        scan.brain,
        (scan.plane_brain, scan.columns.sum(axis=1), scan.columns.sum(axis=0)),
        scan.measured.mean,
        scan.measured.std,
    )
    if scan.label is None:
        return images, np.zeros((2, *MASK_CELLS), np.uint8)
    has_tumour = scan.plane_voxels[:, 1:].sum(axis=1) > 0
    return images, mask_fingerprint(scan.label, scan.spacing, has_tumour, scan.classes)
