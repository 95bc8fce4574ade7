"""Phantom anatomy to voxels: tissue shares, tumour classes, and noisy modalities."""

import math
from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bratsprep.phantom.anatomy import (
    Head,
    Scan,
    blend,
    bodies,
    ellipsoid,
    fetch,
    fissures,
    nuclei,
    ramp,
    sulci,
    ventricles,
)

CORTEX_MM: Final = 2.6
"""Thickness of the grey ribbon."""
BLUR_MM: Final = 1.7
"""Width of an edge at least: real scans were resampled to 1 mm from thicker slices."""
_WORD: Final = 0xFFFFFFFF


@njit(cache=True, nogil=True)
def scramble(word: int) -> int:
    """Mix the 32 bits of a counter; products past 64 bits wrap, and only low bits are kept."""
    word = (word ^ (word >> 16)) * 0x7FEB352D & _WORD
    word = (word ^ (word >> 15)) * 0x846CA68B & _WORD
    return word ^ (word >> 16)


@njit(cache=True, nogil=True)
def rician(signal: float, sigma: float, counter: int, key: int) -> float:
    """Magnitude of a signal with Gaussian noise on both receiver channels.

    A function of the counter: noise does not depend on the order of the voxels.
    """
    first = scramble((counter * 2 + key) & _WORD)
    second = scramble((first + counter * 0x1E3779B1 + 1) & _WORD)
    radius = sigma * math.sqrt(-2 * math.log((first + 0.5) / 4294967296.0))
    angle = second * (2 * math.pi / 4294967296.0)
    real = signal + radius * math.cos(angle)
    imaginary = radius * math.sin(angle)
    return math.sqrt(real * real + imaginary * imaginary)


@njit(cache=True, nogil=True)
def tumour_at(
    block: NDArray[np.float32], tumours: NDArray[np.float64], x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Depths in mm inside core, necrosis and oedema at a position.

    Args:
        block: (64, 64, 64) float32 noise.
        tumours: (n, 12) float64: centre x, y, z; half axes of the core, then of the oedema;
            thickness of the rim; roughness, a share of the radius; shift of the noise. mm.
        x: position to the right, reference mm; y to the front, z up.
        y: see x.
        z: see x.
    """
    core, necrosis, oedema = -1e3, -1e3, -1e3
    for i in range(len(tumours)):
        row = tumours[i]
        dx, dy, dz = x - row[0], y - row[1], z - row[2]
        reach = 2.2 * max(row[6], row[7], row[8])
        if dx * dx + dy * dy + dz * dz > reach * reach:
            continue
        radius, shift = (row[3] + row[4] + row[5]) / 3, row[11]
        coarse = fetch(block, dx + shift, dy, dz, 1.9 * radius)
        fine = fetch(block, dx, dy + shift, dz, 0.8 * radius)
        depth = ellipsoid(dx, dy, dz, row[3], row[4], row[5])
        depth += row[10] * radius * (0.65 * coarse + 0.4 * fine)
        rim = max(row[9] * (1 + 0.5 * coarse + 0.6 * fine), 0.0)
        swollen = ellipsoid(dx, dy, dz, row[6], row[7], row[8])
        span = (row[6] + row[7] + row[8]) / 3
        swollen += row[10] * span * fetch(block, dx, dy, dz + shift, 1.4 * span)
        swollen += 0.35 * row[10] * span * fetch(block, dz, dx, dy + shift, 0.5 * span)
        core, necrosis = max(core, depth), max(necrosis, depth - rim)
        oedema = max(oedema, swollen)
    return core, necrosis, oedema


@njit(cache=True, nogil=True)
def pushed(
    tumours: NDArray[np.float64], x: float, y: float, z: float
) -> tuple[float, float, float]:
    """Position in the healthy head of what a growing core has pushed here.

    Args:
        tumours: (n, 12) float64, see `tumour_at`.
        x: position to the right, mm.
        y: position to the front, mm.
        z: position upwards, mm.
    """
    px, py, pz = x, y, z
    for i in range(len(tumours)):
        row = tumours[i]
        dx, dy, dz = x - row[0], y - row[1], z - row[2]
        radius = (row[3] + row[4] + row[5]) / 3
        pull = 0.55 * math.exp(-(dx * dx + dy * dy + dz * dz) / (1.5 * radius) ** 2)
        px, py, pz = px - pull * dx, py - pull * dy, pz - pull * dz
    return px, py, pz


@njit(cache=True, nogil=True)
def cerebrum_(
    share: NDArray[np.float64],
    block: NDArray[np.float32],
    place: tuple[float, float, float],
    depth: float,
    head: Head,
    soft: float,
) -> None:
    """Set the shares of the healthy tissues of the cerebrum at a place.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        block: (64, 64, 64) float32 noise.
        place: (x, y, z) in the reference head, mm.
        depth: depth inside the cerebrum, mm.
        head: the healthy head.
        soft: width of an edge, mm.
    """
    x, y, z = place
    fold = sulci(block, x, y, z, depth, head.fold_mm) - head.sulcus_mm
    fold = min(fold, fissures(block, x, y, z) - 0.3 - head.sulcus_mm)
    fluid = max(1 - ramp(fold, soft), ramp(ventricles(x, y, z, head.ventricle), soft))
    ribbon = 1 - ramp(fold - CORTEX_MM, soft)
    deep = 0.8 * ramp(nuclei(x, y, z), 1.5 * soft) * (1 - ribbon)
    share[0] = fluid
    share[1] = (1 - fluid) * ribbon
    share[2] = (1 - fluid) * (1 - ribbon - deep)
    share[3] = (1 - fluid) * deep


@njit(cache=True, nogil=True)
def cerebellum_(
    share: NDArray[np.float64],
    block: NDArray[np.float32],
    place: tuple[float, float, float],
    depth: float,
    head: Head,
    soft: float,
) -> None:
    """Set the shares of the cerebellum at a place: thin folia around a white core.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        block: (64, 64, 64) float32 noise.
        place: (x, y, z) in the reference head, mm.
        depth: depth inside the cerebellum, mm.
        head: the healthy head.
        soft: width of an edge, mm.
    """
    x, y, z = place
    radius = math.sqrt((0.8 * x) ** 2 + (y + 34) ** 2 + (1.2 * (z + 40)) ** 2)
    folia = math.cos(1.5 * radius + 1.3 * fetch(block, x, y, z, 26.0))
    shell = 1 - ramp(depth - 11 - 3 * fetch(block, y, z, x, 16.0), 4.0)
    fluid = max(
        shell * 0.6 * ramp(folia - 0.8, 0.6), ramp(ventricles(x, y, z, head.ventricle), soft)
    )
    ribbon = shell * (0.55 + 0.45 * folia)
    share[0] = fluid
    share[1] = (1 - fluid) * ribbon
    share[2] = (1 - fluid) * (1 - ribbon)


@njit(cache=True, nogil=True)
def scale_(share: NDArray[np.float64], factor: float) -> None:
    """Multiply every share; Numba takes seconds to compile `share[:] *= factor`.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        factor: of all.
    """
    for k in range(share.size):
        share[k] *= factor


@njit(cache=True, nogil=True)
def healthy_(
    share: NDArray[np.float64],
    block: NDArray[np.float32],
    place: tuple[float, float, float],
    depths: tuple[float, float, float],
    head: Head,
    soft: float,
) -> None:
    """Set the shares of the healthy tissues of one voxel.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        block: (64, 64, 64) float32 noise.
        place: (x, y, z) in the reference head, mm.
        depths: depths inside cerebrum, cerebellum and stem, mm.
        head: the healthy head.
        soft: width of an edge, mm.
    """
    cerebrum, cerebellum, stem = depths
    share[:] = 0
    if cerebrum >= max(cerebellum, stem):
        cerebrum_(share, block, place, cerebrum, head, soft)
    elif cerebellum > stem:
        cerebellum_(share, block, place, cerebellum, head, soft)
    else:
        fluid = ramp(ventricles(place[0], place[1], place[2], head.ventricle), soft)
        share[0] = fluid
        share[2] = 0.65 * (1 - fluid)
        share[3] = 0.35 * (1 - fluid)
    outside = 1 - ramp(max(cerebrum, cerebellum, stem), soft)
    scale_(share, 1 - outside)
    share[0] += outside


@njit(cache=True, nogil=True)
def sick_(
    share: NDArray[np.float64], core: float, necrosis: float, oedema: float, soft: float
) -> int:
    """Lay the tumour over the healthy shares of a voxel.

    Oedema runs along white matter, spares the cortex and the fluid, and fades out over some mm;
    its label ends where a reader would draw the line.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        core: depth inside the core, mm.
        necrosis: depth inside the necrosis, mm.
        oedema: depth inside the oedema, mm.
        soft: width of an edge, mm.

    Returns:
        The class of the voxel.
    """
    swollen = ramp(oedema - 6 * share[1] - 3 * share[3], 4 + 1.5 * soft) * (1 - share[0])
    solid = ramp(core, soft)
    dead = solid * ramp(necrosis, soft)
    scale_(share, (1 - solid) * (1 - swollen))
    share[4] = dead
    share[5] = (1 - solid) * swollen
    share[6] = solid - dead
    if solid > 0.5:
        return 1 if dead > 0.5 * solid else 3
    return 2 if swollen > 0.4 else 0


@njit(cache=True, nogil=True)
def vessel_(share: NDArray[np.float64], mask: float, x: float, y: float, grain: float) -> None:
    """Turn fluid into blood: the sagittal sinus under the skull, and specks in the sulci.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        mask: depth inside the brain, mm.
        x: position to the right, mm.
        y: position to the front, mm.
        grain: noise of the voxel.
    """
    sinus = ramp(3.2 - abs(x), 1.5) * ramp(3.5 - mask, 1.5) * ramp(-y, 20.0)
    blood = share[0] * max(sinus, 0.7 * ramp(grain - 1.6, 0.8))
    share[0] -= blood
    share[7] = blood


@njit(cache=True, nogil=True)
def voxel_(
    share: NDArray[np.float64],
    block: NDArray[np.float32],
    head: Head,
    tumours: NDArray[np.float64],
    place: tuple[float, float, float],
    soft: float,
) -> tuple[float, int]:
    """Set the tissue shares of one voxel; their sum is 1, roughened by the tissue's grain.

    Args:
        share: (8,) float64, shares of TISSUES; written.
        block: (64, 64, 64) float32 noise.
        head: the healthy head.
        tumours: (n, 12) float64, see `tumour_at`.
        place: (x, y, z) in the reference head, mm.
        soft: width of an edge, mm.

    Returns:
        Depth in mm inside what skull stripping leaves, 0 and less outside; class.
    """
    x, y, z = place
    wx = x + 1.3 * fetch(block, x, y, z, 80.0)
    wy = y + 1.3 * fetch(block, z + 99, x, y, 80.0)
    wz = z + 1.3 * fetch(block, y, z + 55, x, 80.0)
    depths = bodies(wx, wy, wz)
    mask = blend(blend(depths[0], depths[1], 9.0), depths[2], 12.0)
    mask += 0.1 + 0.8 * fetch(block, x, y, z, 17.0)
    if mask <= 0:
        return mask, 0
    healthy_(share, block, pushed(tumours, wx, wy, wz), depths, head, soft)
    grain = fetch(block, x, y, z, 5.5)
    vessel_(share, mask, x, y, grain)
    core, necrosis, oedema = tumour_at(block, tumours, x, y, z)
    klass = 0
    if max(core, oedema) > -4:
        klass = sick_(share, core, necrosis, oedema, soft)
    scale_(share, 1 + grain * (0.015 + 0.015 * share[5] + 0.05 * (share[4] + share[6])))
    return mask, klass


@njit(cache=True, nogil=True)
def expose_(
    voxel: NDArray[np.int16],
    share: NDArray[np.float64],
    scan: Scan,
    place: tuple[float, float, float],
    mask: float,
    counter: int,
) -> None:
    """Set the signals of one voxel; at least 1 wherever a modality has brain.

    Args:
        voxel: (m,) int16, scanner units; written.
        share: (8,) float64, shares of TISSUES.
        scan: the scan.
        place: (x, y, z) in the reference head, mm.
        mask: depth inside the brain, mm.
        counter: number of the voxel in its volume, for the noise.
    """
    for m in range(scan.tissue.shape[1]):
        if mask <= scan.margin[m]:
            continue
        signal = 0.0
        for t in range(len(share)):
            signal += share[t] * scan.tissue[t, m]
        gain = 1.0
        for axis in range(3):
            gain += scan.bias[m, axis] * place[axis] / 100
        value = rician(signal * gain, scan.noise[m], counter * scan.tissue.shape[1] + m, scan.key)
        voxel[m] = np.int16(min(max(value, 1.0), 32767.0))


@njit(cache=True, nogil=True)
def paint(
    shape: tuple[int, int, int],
    block: NDArray[np.float32],
    head: Head,
    tumours: NDArray[np.float64],
    scan: Scan,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Paint a case.

    Args:
        shape: (z, y, x) voxels.
        block: (64, 64, 64) float32 noise of the head.
        head: the healthy head.
        tumours: (n, 12) float64, see `tumour_at`.
        scan: the scan.

    Returns:
        (m, z, y, x) int16, scanner units, 0 outside the brain; (z, y, x) uint8 classes.
    """
    images = np.zeros((scan.tissue.shape[1], shape[0], shape[1], shape[2]), np.int16)
    label = np.zeros(shape, np.uint8)
    share = np.zeros(8)
    soft = max(BLUR_MM, 0.95 * (head.step[0] * head.step[1] * head.step[2]) ** (1 / 3))
    for k in range(shape[0]):
        z = (k - head.centre[2]) * head.step[2]
        for j in range(shape[1]):
            y = (j - head.centre[1]) * head.step[1]
            for i in range(shape[2]):
                x = (i - head.centre[0]) * head.step[0]
                if (x / 76) ** 2 + (y / 92) ** 2 + (z / 82) ** 2 > 1:
                    continue  # far from any head: most of the volume
                mask, klass = voxel_(share, block, head, tumours, (x, y, z), soft)
                if mask > 0:
                    label[k, j, i] = klass
                    counter = (k * shape[1] + j) * shape[2] + i
                    expose_(images[:, k, j, i], share, scan, (x, y, z), mask, counter)
    return images, label
