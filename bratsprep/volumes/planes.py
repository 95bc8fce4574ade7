"""From the volumes of a case to the planes that are stored."""

import math
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratsprep.config import PrepConfig
from bratsprep.volumes import kernels
from bratsprep.volumes.case_volumes import CaseVolumes
from bratsprep.volumes.normalise import fill_raw_, fill_zscores_, part_of, scales


def stored_planes(scan: CaseVolumes, config: PrepConfig) -> NDArray[np.int16]:
    """Choose the planes to store.

    An unlabelled case stores its brain planes, since which hold tumour is what is asked. Drawn
    negatives depend on the seed and the case id alone.

    Returns:
        (s,) int16, rising.
    """
    is_brain = scan.plane_brain > 0
    has_tumour = scan.plane_voxels[:, 1:].sum(axis=1) > 0
    if config.slices == "all":
        chosen = np.ones_like(is_brain)
    elif config.slices == "brain" or scan.label is None:
        chosen = is_brain | has_tumour
    else:
        chosen = has_tumour.copy()
        for step in range(1, config.margin + 1):
            chosen[step:] |= has_tumour[:-step]
            chosen[:-step] |= has_tumour[step:]
        others = np.flatnonzero(is_brain & ~chosen)
        generator = np.random.default_rng((config.seed, zlib.crc32(scan.files.id.encode())))
        drawn = generator.permutation(others)[: round(config.negatives * others.size)]
        chosen[drawn] = True
    return np.flatnonzero(chosen).astype(np.int16)


def image_planes_(
    scan: CaseVolumes, planes: NDArray[np.integer[Any]], box: Box, normalise: str, out: NDArray[Any]
) -> None:
    """Write prepared planes.

    Args:
        scan: the case.
        planes: (s,) indices in RAS+ order.
        box: crop window.
        normalise: as in `PrepConfig`.
        out: (s, m, h, w) float16, float32 or int16, C order; written.
    """
    inside, outside = (index[2:] for index in box.overlap(scan.shape))
    images = part_of(scan.images, (slice(None), *outside))
    part = out[:, :, *inside]
    if part.shape != out.shape:
        out[...] = 0
    wanted = planes.astype(np.int64)
    if normalise == "none":
        for m, modality in enumerate(scan.named.modalities):
            fill_raw_(images[m], wanted, part[:, m], f"{scan.files.id} {modality}")
    else:
        present = np.array(scan.named.present)
        moments = scales(scan.measured.mean, scan.measured.std, normalise, present)
        fill_zscores_(images, scan.brain[:, *outside], wanted, moments, part)


def label_planes_(
    scan: CaseVolumes, planes: NDArray[np.int16], box: Box, out: NDArray[np.uint8]
) -> NDArray[np.int32]:
    """Write planes of the label; zeros where it is not known.

    Args:
        scan: the case.
        planes: (s,) indices in RAS+ order.
        box: crop window.
        out: (s, h, w) uint8, written.

    Returns:
        (s, c) int32: pixels of each class.
    """
    inside, outside = (index[2:] for index in box.overlap(scan.shape))
    voxels = np.zeros((planes.size, scan.plane_voxels.shape[1]), np.int32)
    out[...] = 0
    if scan.label is None:
        voxels[:, 0] = math.prod(box.shape[1:])
        return voxels
    part = out[:, *inside]
    kernels.take_classes_(scan.label[:, *outside], planes.astype(np.int64), part, voxels)
    voxels[:, 0] += math.prod(box.shape[1:]) - math.prod(part.shape[1:])
    return voxels
