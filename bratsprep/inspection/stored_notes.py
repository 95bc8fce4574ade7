"""What is unusual about the images of the cases of a slice file."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.slicefile.reader import SliceFile
from bratsprep.volumes.background import brain_share, outlying, thick_slices
from bratsprep.volumes.normalise import scales


def file_notes(file: SliceFile, *, images: bool) -> dict[str, tuple[str, ...]]:
    """Describe what is unusual about the images of each case, as `build` does of raw ones.

    Args:
        file: open.
        images: read the stored slices too: coverage of each modality, and tumour outside the
            brain. Voxels outside the crop and planes that are not stored are not seen.

    Returns:
        Notes by case id, none for a usual case.

    Raises:
        SchemaError: a slice is damaged.
    """
    return {
        str(row["id"]): (*table_notes(row), *(image_notes(file, c) if images else ()))
        for c, row in enumerate(file.cases)
    }


def table_notes(row: np.void) -> tuple[str, ...]:
    """Notes on a case that follow from its row of /case."""
    spacing, size = row["spacing"], math.prod(row["shape"].tolist())
    voxel_ml = float(spacing.prod()) / 1000
    share = brain_share(int(row["brain_voxels"]), size, voxel_ml)
    return (*share, *thick_slices(spacing))


def stored_zeros(file: SliceFile, c: int) -> NDArray[Any]:
    """What a voxel of the brain that is 0 in a modality is stored as.

    Args:
        file: open.
        c: row under /case.

    Returns:
        (m,) of the dtype of the images.
    """
    row, normalise = file.cases[c], file.config.normalise
    if normalise == "none":
        return np.zeros(len(file.modalities), file.config.stored)
    mean, std = scales(row["mean"], row["std"], normalise, row["present"] > 0)
    return np.asarray(-mean / std, file.config.stored)


def image_notes(file: SliceFile, c: int) -> list[str]:
    """Notes on a case that follow from its stored slices.

    Args:
        file: open.
        c: row under /case.
    """
    images, labels, _ = file.volume(str(file.cases["id"][c]))
    brain = images.any(axis=1)
    count = np.count_nonzero(brain)
    if count == 0:
        return []
    shares = [
        (file.modalities[m], np.count_nonzero((images[:, m] != zero) & brain) / count)
        for m, zero in enumerate(stored_zeros(file, c))
        if file.cases["present"][c][m]
    ]
    tumour = labels > 0
    outside = int(np.count_nonzero(tumour & ~brain))
    return outlying(shares, np.ones(3), outside, int(np.count_nonzero(tumour)))
