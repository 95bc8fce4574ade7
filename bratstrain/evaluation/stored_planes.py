"""Stored planes of a case as a network is given them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.slicefile.reader import SliceFile
from bratstrain.data.intake import Intake
from bratstrain.runs.fitted import Fitted


def network_image(file: SliceFile, rows: NDArray[np.int64], image: NDArray[Any]) -> NDArray[Any]:
    """Normalise the planes of one case where the slice file is not normalised.

    Args:
        file: open slice file.
        rows: (s,) int64, rows of the case under /slice, rising.
        image: (s, m, h, w), as the file gives them.

    Returns:
        (s, m, h, w) float16 or float32, standard deviations.
    """
    case = file.cases[file.slices["case"][rows[0]]]
    if file.config.normalise != "none" and (case["present"] > 0).all():
        return image
    normalised: NDArray[Any] = Intake(file, torch.device("cpu"))(
        torch.from_numpy(image), rows
    ).numpy()
    return normalised


def planes_around(
    fitted: Fitted, file: SliceFile, rows: NDArray[np.int64], image: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Find the stored planes of a case that networks look at to label some of them.

    A split by slice leaves planes of a case to other parts; they are neighbours all the same.

    Args:
        fitted: the networks.
        file: open slice file.
        rows: (s,) int64, rows of the case under /slice, rising.
        image: (s, m, h, w) float16 or float32 of the rows, standard deviations.

    Returns:
        (n,) int64 rows, rising; and (n, m, h, w), as `image`.

    Raises:
        SchemaError: a chunk is damaged.
    """
    whole = np.flatnonzero(file.slices["case"] == file.slices["case"][rows[0]])
    if (fitted.model.context == 1 and not fitted.model.is_volumetric) or len(whole) == len(rows):
        return rows, image
    return whole, network_image(file, whole, file.read(whole)[0])
