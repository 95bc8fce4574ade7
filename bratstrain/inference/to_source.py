"""From what networks give for a resampled case back to the grid of its scan."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.system.memory import Buffers
from bratsprep.volumes.resample import LINEAR, Move, resample
from bratsprep.volumes.resample_label import TIE, largest
from bratstrain.inference.segment import Prepared
from bratstrain.networks.outputs import HALF


def source_label(
    case: Prepared,
    planes: NDArray[np.uint8],
    probability: NDArray[np.float32],
    nesting: Sequence[int] = (),
) -> NDArray[np.uint8]:
    """Label of a case on the grid of its scan.

    Where the case was resampled, the probabilities are interpolated and the decision is taken
    afterwards, as in nnU-Net: finer than to interpolate the label itself.

    Args:
        case: whose planes they are.
        planes: (s, h, w) uint8 stored classes.
        probability: (classes, s, h, w) float32; not looked at where the case was not resampled.
        nesting: as in `bratstrain.networks.outputs.labels_of`.

    Returns:
        (z, y, x) uint8 stored classes in RAS+ order.
    """
    if not case.is_resampled:
        return case.paste(planes)
    if not nesting:
        return largest(source_volumes(case, probability), case.source_grid.shape)
    label = np.zeros(case.source_grid.shape, np.uint8)
    region = np.zeros(case.source_grid.shape)
    inwards = [case.paste(probability[one]) for one in nesting]
    for one, volume in zip(nesting[::-1], _on_source(case, inwards[::-1]), strict=True):
        region += volume
        label[(label == 0) & (region > HALF + TIE)] = one
    return label


def source_volumes(
    case: Prepared, probability: NDArray[np.float32]
) -> Iterable[NDArray[np.float32]]:
    """Place the probabilities of the predicted planes into whole volumes on the scan's grid.

    Args:
        case: whose planes they are.
        probability: (classes, s, h, w) float32.

    Yields:
        (z, y, x) float32 for each class; voxels that were not predicted are background, 1.
    """
    background, *classes = probability
    pasted = chain((case.paste(background - 1) + 1,), map(case.paste, classes))
    for volume in _on_source(case, pasted):
        yield volume.astype(np.float32, copy=False)


def source_entropy(case: Prepared, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Place the entropy of the predicted planes into a volume on the scan's grid.

    Args:
        case: whose planes they are.
        planes: (s, h, w) uint8.

    Returns:
        (z, y, x) uint8, interpolated where the case was resampled; 0 where nothing was predicted.
    """
    if not case.is_resampled:
        return case.paste(planes)
    (volume,) = _on_source(case, (case.paste(planes),))
    return volume.round().clip(0, 255).astype(np.uint8)


def _on_source(case: Prepared, volumes: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Bring (z, y, x) volumes of any real dtype to the scan's grid, each valid until the next.

    Args:
        case: that they are of.
        volumes: on the grid that the planes were cut from; given back where that is the scan's.
    """
    move = Move.between(case.grid, case.source_grid, LINEAR)
    buffers = Buffers()
    for volume in volumes:
        if case.is_resampled:
            yield resample(move, partial(_fill, volume), buffers, case.files.id)
        else:
            yield volume


def _fill(volume: NDArray[Any], out: NDArray[np.float64]) -> None:
    """Write a (z, y, x) volume of any real dtype into float64 `out`."""
    out[...] = volume
