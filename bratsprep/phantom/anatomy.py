"""A brain as a function of a position: depths, folds, ventricles and nuclei.

Every function takes millimetres in one reference head (x to the right, y to the front, z up,
origin between the thalami), so that a volume of any shape shows the same anatomy, coarser or
finer. Everything irregular comes from one periodic block of band-passed noise: its zero surfaces
branch and end as sulci do, its values bend outlines. Depths are those of the body named, positive
inside, exact on the surface and approximate elsewhere (Quilez 2008).
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

TISSUES: Final = ("csf", "grey", "white", "nuclei", "NCR", "ED", "ET", "vessel")
"""Rows of a contrast table; rows 4, 5 and 6 are stored labels 1, 2 and 3."""
SIDE: Final = 64
"""Cells along a side of the noise block; a power of two, since it is wrapped with a mask."""
WAVE: Final = 6.0
"""Wavelength of the noise, cells."""
# Lateral ventricle of one side: from (x, y, z), to (x, y, z), radius at either end; mm.
VENTRICLES: Final = np.array(
    [
        [6.0, 33.0, 0.0, 8.0, 20.0, 9.0, 2.0, 4.0],
        [8.0, 20.0, 9.0, 11.0, -4.0, 18.0, 4.0, 3.5],
        [11.0, -4.0, 18.0, 18.0, -26.0, 14.0, 3.5, 5.5],
        [18.0, -26.0, 14.0, 24.0, -36.0, 4.0, 5.5, 5.0],
        [24.0, -36.0, 4.0, 22.0, -58.0, 1.0, 5.0, 1.0],
        [24.0, -36.0, 4.0, 32.0, -20.0, -16.0, 4.0, 2.0],
        [32.0, -20.0, -16.0, 28.0, 2.0, -26.0, 2.0, 1.5],
    ]
)
# Deep grey matter of one side: centre (x, y, z), half axes; mm. Caudate, thalamus, putamen.
NUCLEI: Final = np.array(
    [
        [14.0, 16.0, 9.0, 5.0, 13.0, 8.0],
        [11.0, -9.0, 5.0, 9.0, 14.0, 9.0],
        [26.0, 5.0, 1.0, 5.5, 16.0, 11.0],
    ]
)


class Head(NamedTuple):
    """What tells one healthy head from another."""

    centre: tuple[float, float, float]
    """Voxel (x, y, z) of the reference origin."""
    step: tuple[float, float, float]
    """Reference mm from voxel to voxel along x, y, z: the voxel size over the head's size."""
    fold_mm: float
    """Wavelength of the folds; a sulcus comes every half of it."""
    sulcus_mm: float
    """Half the width of a sulcus."""
    ventricle: float
    """Radius of the ventricles over the usual one."""


class Scan(NamedTuple):
    """What tells one scan of a head from another; all arrays float64."""

    tissue: NDArray[np.float64]
    """(8, m) signal of each of TISSUES in each modality, scanner units."""
    bias: NDArray[np.float64]
    """(m, 3) change of the coil's gain from the origin to 100 mm along x, y, z; a share."""
    noise: NDArray[np.float64]
    """(m,) standard deviation of the receiver's noise, scanner units."""
    margin: NDArray[np.float64]
    """(m,) mm that the skull stripping took off the brain in each modality."""
    key: int
    """Key of the noise."""


def noise_block(generator: np.random.Generator) -> NDArray[np.float32]:
    """Draw the periodic noise that makes a head irregular.

    A narrow band gives gyri of even width that still fork and end; a Gaussian field has no
    preferred axis, where lattice noise would show its grid.

    Returns:
        (64, 64, 64) float32, mean 0, standard deviation 1, wavelength `WAVE` cells.
    """
    white = generator.standard_normal((SIDE, SIDE, SIDE), np.float32)
    along = np.fft.fftfreq(SIDE).astype(np.float32) * np.float32(WAVE)
    half = np.fft.rfftfreq(SIDE).astype(np.float32) * np.float32(WAVE)
    length = np.sqrt(along[:, None, None] ** 2 + along[:, None] ** 2 + half**2)
    band = np.exp(-(((length - 1) / 0.28) ** 2) / 2)
    block = np.fft.irfftn(np.fft.rfftn(white) * band, white.shape, axes=(0, 1, 2))
    return np.ascontiguousarray(block / block.std(), np.float32)


@njit(cache=True, nogil=True)
def fetch(block: NDArray[np.float32], x: float, y: float, z: float, wave_mm: float) -> float:
    """Noise at a position in mm, stretched to a wavelength in mm; trilinear.

    Args:
        block: (64, 64, 64) float32, as `noise_block` gives it.
        x: position to the right, mm.
        y: position to the front, mm.
        z: position upwards, mm.
        wave_mm: wavelength.
    """
    scale = WAVE / wave_mm
    x, y, z = x * scale, y * scale, z * scale
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    x, y, z = x - i, y - j, z - k
    i, j, k = int(i) & 63, int(j) & 63, int(k) & 63
    i1, j1, k1 = (i + 1) & 63, (j + 1) & 63, (k + 1) & 63
    low = (block[k, j, i] * (1 - x) + block[k, j, i1] * x) * (1 - y)
    low += (block[k, j1, i] * (1 - x) + block[k, j1, i1] * x) * y
    high = (block[k1, j, i] * (1 - x) + block[k1, j, i1] * x) * (1 - y)
    high += (block[k1, j1, i] * (1 - x) + block[k1, j1, i1] * x) * y
    return float(low * (1 - z) + high * z)


@njit(cache=True, nogil=True)
def ellipsoid(x: float, y: float, z: float, a: float, b: float, c: float) -> float:
    """Depth in mm inside an ellipsoid of half axes a, b, c about the origin."""
    k0 = math.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)
    k1 = math.sqrt((x / a**2) ** 2 + (y / b**2) ** 2 + (z / c**2) ** 2)
    return k0 * (1 - k0) / k1 if k1 > 0 else min(a, b, c)


@njit(cache=True, nogil=True)
def capsule(x: float, y: float, z: float, row: NDArray[np.float64], size: float) -> float:
    """Depth in mm inside a tapering rod.

    Args:
        x: position to the right, mm.
        y: position to the front, mm.
        z: position upwards, mm.
        row: (8,) float64, mm: (x, y, z) of either end, radius at either end.
        size: factor of the radii.
    """
    dx, dy, dz = row[3] - row[0], row[4] - row[1], row[5] - row[2]
    along = (x - row[0]) * dx + (y - row[1]) * dy + (z - row[2]) * dz
    along = min(max(along / (dx * dx + dy * dy + dz * dz), 0.0), 1.0)
    x, y, z = x - row[0] - along * dx, y - row[1] - along * dy, z - row[2] - along * dz
    radius = size * float(row[6] + along * (row[7] - row[6]))
    return radius - math.sqrt(x * x + y * y + z * z)


@njit(cache=True, nogil=True)
def ramp(depth: float, soft: float) -> float:
    """Share of a voxel `soft` mm wide that lies inside, 0 to 1."""
    return min(max(depth / soft + 0.5, 0.0), 1.0)


@njit(cache=True, nogil=True)
def blend(a: float, b: float, width: float) -> float:
    """Union of two depths whose crevice is filled over `width` mm."""
    gap = max(width - abs(a - b), 0.0) / width
    return max(a, b) + gap * gap * width / 4


@njit(cache=True, nogil=True)
def bodies(x: float, y: float, z: float) -> tuple[float, float, float]:
    """Depths in mm of the cerebrum with its temporal lobes, the cerebellum and the stem."""
    t = (y + 12) / 84
    wide = x / (1.01 - 0.09 * t - 0.06 * t * t)  # narrow in front, widest behind the ears
    tent = math.exp(-((x / 26) ** 2)) * ramp(-y - 18, 30.0)  # the tentorium: peaked, behind
    base = -26 + 3 * ramp(-y - 22, 40.0) + 9 * tent
    cerebrum = -blend(-ellipsoid(wide, y, z, 69.0, 85.0, 64.0), base - z, 14.0)
    side = abs(x)
    lobe = ellipsoid(side - 42, y - 8 - 0.15 * z, z + 28, 23.0, 40.0, 24.0)
    cerebellum = ellipsoid(side - 21, y + 47, z + 44, 32.0, 30.0, 26.0)
    cerebellum = blend(cerebellum, ellipsoid(x, y + 48, z + 36, 36.0, 30.0, 25.0), 6.0)
    stem = ellipsoid(x, y + 8, z + 42, 17.0, 14.0, 15.0)
    rod = ellipsoid(x, y + 16 + 0.22 * (z + 45), z + 42, 12.0, 10.0, 31.0)
    return max(cerebrum, lobe), cerebellum, blend(stem, rod, 6.0)


@njit(cache=True, nogil=True)
def fissures(block: NDArray[np.float32], x: float, y: float, z: float) -> float:
    """Distance in mm to the large fissures: between the hemispheres, Sylvian, insula.

    Args:
        block: (64, 64, 64) float32 noise.
        x: position to the right, mm.
        y: position to the front, mm.
        z: position upwards, mm.
    """
    bridge = max(ellipsoid(0.0, y + 3, z - 2, 1e3, 41.0, 29.0), 0.0)  # callosum and below
    wobble = fetch(block, x, y, z + 30, 28.0)
    middle = math.sqrt((x + 0.8 * wobble) ** 2 + bridge * bridge)
    side = abs(x)
    lip = 0.85 * (z + 11 + 0.5 * y + 4 * wobble)  # height above the Sylvian fissure
    out = max(36 - side, y - 30, -32 - y, 0.0)
    sylvian = math.sqrt(lip * lip + out * out)
    off = math.sqrt((max(abs(y - 4) - 14, 0.0)) ** 2 + max(abs(lip - 7) - 6, 0.0) ** 2)
    wall = side - 38 + 0.012 * (y - 4) ** 2 + 2.5 * wobble
    insula = math.sqrt(wall * wall + off * off)
    return min(middle + 0.4, sylvian + 0.7, insula)


@njit(cache=True, nogil=True)
def sulci(
    block: NDArray[np.float32], x: float, y: float, z: float, depth: float, fold_mm: float
) -> float:
    """Distance in mm to the nearest sulcus or to the outer surface of the cerebrum.

    Noise is looked up where a ray from the middle leaves the head, almost, so that its zero
    surfaces stand upright on the surface; each ends at a depth that changes along it. A sulcus
    is closed at its bottom and opens upwards, so its walls are counted as further away below.

    Args:
        block: (64, 64, 64) float32 noise.
        x: position to the right, mm.
        y: position to the front, mm.
        z: position upwards, mm.
        depth: depth inside the cerebrum, mm.
        fold_mm: wavelength of the folds.
    """
    ray = math.sqrt((x / 69) ** 2 + (y / 85) ** 2 + (z / 64) ** 2) + 0.05
    out = ray**-0.7
    core = math.exp(-((x / 30) ** 2) - (y / 36) ** 2) * ramp(
        28 - z, 16.0
    )  # no fold under the deep nuclei
    x, y, z = x * out, y * out, z * out
    bend = 3.0 * fetch(block, x + 50, y, z, 26.0)
    wave = fetch(block, x + bend, y - bend, z + 0.5 * bend, fold_mm)
    extent = fetch(block, x, y + 70, z, 33.0)
    sheet = abs(wave) * fold_mm / 5.0 + 0.03 * max(depth, 0.0) + 0.15 * max(-extent, 0.0)
    below = max(depth - 19 - 6 * extent + 26 * core, 0.0)
    return min(math.sqrt(sheet * sheet + below * below), depth)


@njit(cache=True, nogil=True)
def ventricles(x: float, y: float, z: float, size: float) -> float:
    """Depth in mm inside the ventricles and the cisterns about the midbrain."""
    side = abs(x)
    depth = ellipsoid(x, y - 1, z + 3, 1.6 * size, 13.0, 9.0)
    depth = max(depth, ellipsoid(x, y + 31, z + 40, 5.0 * size, 4.0, 9.0))
    shell = min(1.3 * size - abs(ellipsoid(x, y + 15, z + 20, 17.0, 14.0, 15.0)), -14 - y)
    star = ellipsoid(side - 0.25 * y, y - 9, z + 21, 9.0, 8.0, 8.0)
    depth = max(depth, min(max(shell, star), -9 - z, z + 32))
    for i in range(len(VENTRICLES)):
        depth = blend(depth, capsule(side, y, z, VENTRICLES[i], size), 3.0)
    return depth


@njit(cache=True, nogil=True)
def nuclei(x: float, y: float, z: float) -> float:
    """Depth in mm inside the deep grey matter."""
    depth = -1e3
    for i in range(len(NUCLEI)):
        row = NUCLEI[i]
        depth = max(
            depth, ellipsoid(abs(x) - row[0], y - row[1], z - row[2], row[3], row[4], row[5])
        )
    return depth
