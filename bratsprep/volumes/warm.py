"""Compile the kernels of the data path, or load them from Numba's cache, ahead of any thread."""

import numpy as np

from bratsprep.deflate import encoder
from bratsprep.volumes.kernels import lookup_half_, recode_, take_classes_, zscore_half_
from bratsprep.volumes.moments import measure_, measure_whole_


def warm(n_modalities: int, *dtypes: type[np.generic]) -> None:
    """Compile, or load from the cache, the kernels that a case needs.

    Args:
        n_modalities: of a case.
        *dtypes: of the volumes, as `nifti.intensities` gives them; int16 and float32 by default.
    """
    for dtype in dtypes or (np.int16, np.float32):
        _warm_volumes(dtype, n_modalities)
    _warm_labels()
    for bits_dtype in (np.uint8, np.uint16):
        flat = np.zeros((1, 16), np.uint8).view(bits_dtype)
        out = np.zeros(encoder.bound(1, 16, flat.itemsize), np.uint8)
        encoder.deflate_(flat, out, 0, np.zeros(1, np.int64), 0)


def _warm_volumes(dtype: type[np.generic], n_modalities: int) -> None:
    """Call every kernel that takes volumes, in the order of their use."""
    planes = np.zeros(1, np.int64)
    volume = np.ones((1, 2, 16), dtype)
    brain = np.zeros((1, 2, 16), np.uint8)
    columns = np.zeros(32, np.int32)
    flat = (volume.reshape(1, -1),) * n_modalities
    for sweep in (measure_whole_,) if dtype is np.int16 else (measure_whole_, measure_):
        sweep(flat, brain.reshape(1, -1), np.zeros(1, np.int32), columns)
    # Windows of larger volumes, as every crop but none gives.
    window, inside = volume[:, ::-1, ::-1], brain[:, ::-1, ::-1]
    bits = np.zeros((1, n_modalities, 2, 16), np.uint16)
    if dtype is np.int16:
        zscore_half_(volume, brain, planes, (0.0, 1.0), bits[0, :1])  # as for a table
    else:
        zscore_half_(window, inside, planes, (0.0, 1.0), bits[:, 0])
    tables = np.zeros((n_modalities, 65536), np.uint16)
    lookup_half_((window,) * n_modalities, inside, planes, tables, bits)


def _warm_labels() -> None:
    """Call every kernel that takes labels."""
    flat = np.zeros((1, 16), np.uint8)
    recode_(flat, np.zeros(256, np.uint8), np.zeros((1, 2), np.int32))
    plane = flat.reshape(1, 1, 16)[:, :, ::-1]
    take_classes_(plane, np.zeros(1, np.int64), plane, np.zeros((1, 2), np.int32))
