"""Modalities of a case, kept for the pages that show it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import Box
from bratsprep.config import PrepConfig
from bratsprep.slicefile.reader import SliceFile
from bratsprep.volumes.case_volumes import CaseVolumes
from bratsprep.volumes.planes import image_planes_
from bratstrain.evaluation.label_pair import Images
from bratstrain.inference.segment import as_the_network_sees


def brain_images(scan: CaseVolumes, preparation: PrepConfig) -> Images:
    """Normalise the brain of a raw case, all of it where a run's window is smaller than it.

    A resampled case is shown as its files are, on the grid of its labels.

    Args:
        scan: the case; its memory may be reused afterwards.
        preparation: that of the run.
    """
    scan = scan.on_source
    (_, y0, x0), (_, y1, x1) = scan.brain_box.start, scan.brain_box.stop
    depth = scan.shape[0]
    box = Box((0, y0, x0), (depth, y1, x1))
    normalise, dtype = as_the_network_sees(preparation)
    z = np.flatnonzero(scan.plane_brain)
    voxels = np.empty((z.size, len(scan.images), y1 - y0, x1 - x0), dtype)
    image_planes_(scan, z, box, normalise, voxels)
    return Images(voxels, z, box, scan.shape, np.arange(depth))


def stored_images(file: SliceFile, rows: NDArray[np.int64], image: NDArray[Any]) -> Images:
    """Images of the stored planes of one case.

    Args:
        file: open slice file.
        rows: (s,) int64, rows of the case under /slice, rising.
        image: (s, m, h, w), as the file gives them.
    """
    case = file.cases[file.slices["case"][rows[0]]]
    depth, height, width = (int(side) for side in case["shape"])
    top, left = (int(start) for start in case["box"][0, 1:])
    box = Box((0, top, left), (depth, top + file.shape[0], left + file.shape[1]))
    z = file.slices["z"][rows].astype(np.int64)
    return Images(image, z, box, (depth, height, width), z)
