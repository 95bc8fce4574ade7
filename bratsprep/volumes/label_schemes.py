"""Label scheme of each case: from the option, from names, or from the values in the labels."""

from collections.abc import Iterable

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError, LabelError
from bratsprep.labels import Scheme, from_values, scheme
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.label import raw_values


def resolve(source: Source, cases: Iterable[CaseFiles], labels: str) -> dict[str, Scheme]:
    """Find the scheme of every labelled case.

    Label values are read only where names are no evidence, and of all such cases together: the
    values of one case are seldom enough. A label that cannot be read is left to the reader of
    the case, which may set it aside.

    Args:
        source: what the cases lie in.
        cases: the cases; unlabelled ones are ignored.
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
    faults = sorted({files.scheme_fault for files in labelled if files.scheme_fault})
    if faults:
        raise LabelError(faults[0])
    schemes = {files.id: scheme(files.scheme) for files in labelled if files.scheme is not None}
    unnamed = [files for files in labelled if files.scheme is None]
    if unnamed:
        common = from_values(all_values(source, unnamed), str(source.path))
        schemes |= {files.id: common for files in unnamed}
    return schemes


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
            values |= raw_values(source, str(files.label), buffers)
        except BratsError as error:
            faults.append(error)
    if faults and not values:
        raise faults[0]
    return values
