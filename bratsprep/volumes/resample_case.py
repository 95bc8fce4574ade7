"""The images of a case on another grid."""

import math
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Geometry
from bratsprep.system.memory import Buffers
from bratsprep.volumes.grids import Grid, source_grid, stored_grid
from bratsprep.volumes.normalise import Measured, Named, Volumes, measure
from bratsprep.volumes.resample import CUBIC, LINEAR, Move, resample
from bratsprep.volumes.resample_label import resample_mask
from bratsprep.voxel_sizes import Spacing

IMAGE_BYTES: Final = 4
"""Of a voxel of a resampled image, float32."""


def resample_images(
    images: Volumes,
    measured: Measured,
    named: Named,
    grids: tuple[Grid, Grid],
    buffers: Buffers,
) -> tuple[Volumes, Measured]:
    """Bring the images of a case to another grid, and measure them there.

    What is interpolated is how far a voxel is from the mean of the brain, 0 outside: the edge of
    the brain is blurred with its mean and not with the background, as in nnU-Net, which normalises
    before it resamples. Outside of the resampled brain an image is 0.

    Args:
        images: (z, y, x) volumes of any real dtype, RAS+, source units.
        measured: of them, in RAS+ order.
        named: the modalities, and which of them the case has.
        grids: of the images, and the one that is wanted.
        buffers: overwritten; the result is a view into them.

    Returns:
        (z, y, x) float32 volumes, and their moments.

    Raises:
        BratsError: the buffers may not be as large, or the brain cannot be measured there.
    """
    source, target = grids
    where, size = named.name, math.prod(target.shape)
    linear = Move.between(source, target, LINEAR)
    inside = resample_mask(measured.brain, linear, buffers, where)
    move = Move.between(source, target, CUBIC)
    made = []
    for m, image in enumerate(images):
        out = buffers.reserve(f"resampled {m}", IMAGE_BYTES * size, where)
        volume = out.view(np.float32).reshape(target.shape)
        volume[...] = 0
        if named.present[m]:
            mean = float(measured.mean[m])
            fill = partial(_fill_deviation, image, measured.brain, mean)
            found = resample(move, fill, buffers, where)
            np.add(found, mean, out=volume, where=inside, casting="same_kind")
        made.append(volume)
    brain = buffers.reserve("resampled brain", size, where).reshape(target.shape)
    again = measure(tuple(made), brain, named)
    return tuple(made), replace(again, coverage=measured.coverage, notes=measured.notes)


def _fill_deviation(
    image: NDArray[Any], brain: NDArray[np.uint8], mean: float, out: NDArray[np.float64]
) -> None:
    """Write how far the voxels of the brain are from a mean, and 0 outside.

    Args:
        image: (z, y, x) of any real dtype, source units.
        brain: (z, y, x) uint8, 1 inside.
        mean: source units.
        out: (z, y, x) float64, written.
    """
    np.subtract(image, mean, out=out)
    np.multiply(out, brain, out=out)


def resampled_bytes(geometry: Geometry, spacing: Spacing | None, n_modalities: int) -> int:
    """Memory that a case takes on its new grid, and on the way there; 0 where it stays.

    Args:
        geometry: of its first image.
        spacing: what is asked for, as in `stored_grid`.
        n_modalities: of the slice file.

    Raises:
        VolumeError: as `stored_grid`.
    """
    source, target = source_grid(geometry), stored_grid(geometry, spacing, "a case")
    if source == target:
        return 0
    move = Move.between(source, target, CUBIC)
    voxels = math.prod(target.shape)
    # Images, brain and label; the mask before them, and the shares of a label that fills it all.
    return move.scratch_bytes + voxels * (IMAGE_BYTES * n_modalities + 2) + voxels * 11
