"""Which label scheme each case has: said by the user, told by names, or told by values."""

from collections.abc import Iterable

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError, LabelError
from bratsprep.labels import UNFIT, Scheme, from_values, scheme
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import kernels, nifti


def resolve(source: Source, cases: Iterable[CaseFiles], labels: str) -> dict[str, Scheme]:
    """Name the scheme of every labelled case.

    Only where the names say nothing are label values read, of all such cases together: the
    values of one case are seldom evidence. A label that cannot be read is left to whoever
    reads the case, who may set it aside.

    Args:
        source: what the cases lie in.
        cases: the cases; unlabelled ones are passed over.
        labels: a scheme's name, or `auto`.

    Returns:
        Scheme by case id.

    Raises:
        LabelError: the evidence fits several schemes or none.
        BratsError: it should be in the labels, but none of them can be read.
    """
    labelled = [files for files in cases if files.label is not None]
    if labels != "auto":
        return {files.id: scheme(labels) for files in labelled}
    unfit = sorted({str(files.scheme) for files in labelled if is_unfit(files)})
    if unfit:
        raise LabelError(unfit[0].removeprefix(UNFIT))
    known = {files.id: scheme(files.scheme) for files in labelled if files.scheme is not None}
    silent = [files for files in labelled if files.scheme is None]
    if silent:
        told = from_values(all_values(source, silent), str(source.path))
        known |= {files.id: told for files in silent}
    return known


def is_unfit(files: CaseFiles) -> bool:
    """Whether the names of its release's labels fit no scheme."""
    return files.scheme is not None and files.scheme.startswith(UNFIT)


def all_values(source: Source, cases: Iterable[CaseFiles]) -> set[int]:
    """Raw values that occur in the labels of some cases, those aside that cannot be read.

    Raises:
        BratsError: there is none that can; the first one's error.
    """
    values: set[int] = set()
    faults: list[BratsError] = []
    buffers = Buffers()
    for files in cases:
        try:
            values |= label_values(source, files, buffers)
        except BratsError as error:
            faults.append(error)
    if faults and not values:
        raise faults[0]
    return values


def label_values(source: Source, files: CaseFiles, buffers: Buffers) -> set[int]:
    """Raw values that occur in the label of a case, 0 included.

    Raises:
        BratsError: the label cannot be read.
    """
    member = str(files.label)
    header, voxels, _ = nifti.load(source, member, buffers, "label")
    codes = nifti.codes(voxels, header, source.where(member)).reshape(voxels.shape[-3], -1)
    every = np.arange(256, dtype=np.uint8)
    seen = kernels.recode_(codes, every, np.zeros((codes.shape[0], 4), np.int32))
    return {0, *(int(value) for value in np.flatnonzero(seen))}
