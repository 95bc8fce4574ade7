"""Compile the kernels of the data path, or load them from Numba's cache, ahead of any thread."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.deflate import encoder
from bratsprep.errors import BratsError
from bratsprep.sources.source import Source
from bratsprep.volumes import fingerprint, nifti
from bratsprep.volumes.geometries import first_header
from bratsprep.volumes.kernels import lookup_half_, recode_, take_classes_, zscore_half_
from bratsprep.volumes.moments import measure_, measure_whole_


def warm_cases(source: Source, cases: Sequence[CaseFiles], *, images: bool = True) -> None:
    """Compile what the first case needs; what another needs beside it waits for that case.

    Of cases that cannot be read nothing is compiled: whoever reads them says what is wrong.

    Args:
        source: what the cases lie in.
        cases: any number.
        images: False where labels alone are read.
    """
    scans = [files for files in cases if files.channels] if images else []
    with suppress(BratsError):
        if scans:
            dtype = nifti.held_type(first_header(source, scans)).type
            warm(len(scans[0].images), dtype)
    warm_labels()


def warm(n_modalities: int, dtype: type[np.generic]) -> None:
    """Compile the kernels that images need, and their fingerprints.

    Args:
        n_modalities: of a case.
        dtype: of the volumes, as `nifti.intensities` gives them.
    """
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
    fingerprint.warm(n_modalities, dtype)


def warm_build(n_modalities: int, dtype: type[np.generic]) -> None:
    """Compile all that `build` needs, as for `warm`."""
    warm(n_modalities, dtype)
    warm_labels()
    encoder.warm()


def warm_labels() -> None:
    """Compile the kernels that labels need, and their fingerprints."""
    flat = np.zeros((1, 16), np.uint8)
    recode_(flat, np.zeros(256, np.uint8), np.zeros((1, 2), np.int32))
    plane = flat.reshape(1, 1, 16)[:, :, ::-1]
    take_classes_(plane, np.zeros(1, np.int64), plane, np.zeros((1, 2), np.int32))
    fingerprint.warm_masks()
