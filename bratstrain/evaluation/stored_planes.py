"""Stored planes of a case as a network is given them, and what it makes of them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.slicefile.reader import SliceFile
from bratstrain.apply_config import ApplyConfig
from bratstrain.data.intake import Intake
from bratstrain.inference.segment import segment
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


def label_stored(
    fitted: Fitted,
    config: ApplyConfig,
    file: SliceFile,
    rows: NDArray[np.int64],
    image: NDArray[Any],
) -> NDArray[np.uint8]:
    """Label stored planes of one case, given all planes of the case that the file holds.

    A split by slice leaves planes of a case to other parts; they are neighbours all the same.

    Args:
        fitted: the networks.
        config: how they are applied.
        file: open slice file.
        rows: (s,) int64, rows of the case under /slice, rising.
        image: (s, m, h, w) float16 or float32 of the rows, standard deviations.

    Returns:
        (s, h, w) uint8 stored classes.

    Raises:
        SchemaError: a chunk is damaged.
    """
    whole = np.flatnonzero(file.slices["case"] == file.slices["case"][rows[0]])
    if (fitted.model.context == 1 and not fitted.model.is_volumetric) or len(whole) == len(rows):
        return segment(fitted, image, file.slices["z"][rows], config)[0]
    planes = network_image(file, whole, file.read(whole)[0])
    return segment(fitted, planes, file.slices["z"][whole], config)[0][np.isin(whole, rows)]
