"""A set of cases with its caveats, and the sets that label files are scored on.

Nothing here needs torch: label files can be scored where it is not installed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bratsprep.case import CaseFiles
from bratsprep.discovery.discover import Found, listing, scan
from bratsprep.errors import BratsError, LayoutError
from bratsprep.labels import scheme
from bratsprep.sources.source import Source
from bratsprep.volumes.label_schemes import resolve
from bratstrain.data.twins import Training
from bratstrain.evaluation.folder_pairs import Schemes, folder_pairs
from bratstrain.evaluation.label_pair import Pairs, SetAside

EVERY_PLANE: Final = "every plane, original space"


@dataclass(frozen=True, slots=True, eq=False)
class CaseSelection:
    """A set of cases of a source, with the caveats of their scores."""

    cases: str
    """For the title of every table."""
    planes: str
    notes: tuple[str, ...]
    ids: tuple[str, ...]
    pairs: Pairs
    """Truth and prediction of each, not begun yet."""
    space: str
    """What is meant by tumour that the network was not shown."""
    noun: str = "case"
    """What to call one of the cases."""
    training: Training | None = None
    """Who the network was fitted on; None for label files, of which that is not known."""
    set_aside: tuple[SetAside, ...] = ()
    """Cases that were wanted and whose files cannot be put together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases are wanted, and what becomes of one that is at fault."""

    cases: tuple[str, ...] = ()
    """Ids; every case of the part where none is named."""
    skip: bool = False
    """Set a case at fault aside instead of stopping."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    """Subject by case id, from the user's table; goes before what the names say."""
    images: bool = False
    """Keep the modalities of each case with its pair."""


def select_from_folder(
    predictions: Source, source: Source, labels: str, prediction_labels: str, wanted: Wanted
) -> CaseSelection:
    """Select label files that exist already.

    Args:
        predictions: the files.
        source: labelled raw cases.
        labels: label scheme of the truth, or `auto`.
        prediction_labels: label scheme of the predictions; `auto` for that of the truth.
        wanted: which cases of the source.

    Raises:
        BratsError: the source does not hold those cases, one of them cannot be put together, or
            their scheme cannot be told.
    """
    found = labelled_cases(source)
    known = {files.id for files in found.cases} | set(dict(found.bad))
    ids = taken(known, wanted.cases, str(source.path))
    chosen, set_aside = usable_cases(source, found, ids, skip=wanted.skip)
    predicted = None if prediction_labels == "auto" else scheme(prediction_labels)
    schemes = Schemes(resolve(source, chosen, labels), predicted)
    return CaseSelection(
        cases=f"label files of {predictions.path.name}",
        planes=EVERY_PLANE,
        notes=(),
        ids=ids,
        pairs=folder_pairs(predictions, source, chosen, schemes, skip=wanted.skip),
        space="",
        set_aside=set_aside,
    )


def labelled_cases(source: Source) -> Found:
    """Labelled cases of a source, and those set aside that cannot be put together.

    Raises:
        BratsError: there is none, or none can be put together.
    """
    found = scan(source, unlabelled=True, skip=True, test_labels=True)
    cases = tuple(files for files in found.cases if files.label is not None)
    if not cases and not found.bad:
        raise BratsError(
            f"{source.path}: none of the {len(found.cases)} cases has a label to be scored against"
        )
    return replace(found, cases=cases)


def good_cases(source: Source, found: Found, ids: Sequence[str]) -> list[CaseFiles]:
    """Files of some cases; cases set aside that nobody asks for do no harm.

    Args:
        source: what the cases lie in, for errors.
        found: as `labelled_cases` gives it.
        ids: of the cases wanted, each of them in `found`.

    Raises:
        LayoutError: one of them is among those set aside; all such are listed.
    """
    bad = dict(found.bad)
    faults = [bad[name] for name in ids if name in bad]
    if faults:
        raise LayoutError(listing(source, faults))
    cases = {files.id: files for files in found.cases}
    return [cases[name] for name in ids]


def usable_cases(
    source: Source, found: Found, ids: Sequence[str], *, skip: bool
) -> tuple[list[CaseFiles], tuple[SetAside, ...]]:
    """Files of the wanted cases, and those set aside that cannot be put together.

    Raises:
        LayoutError: one of them cannot be put together and none may be skipped, or none is left.
    """
    bad = dict(found.bad)
    kept = [name for name in ids if not skip or name not in bad]
    faults = tuple(SetAside(name, bad[name]) for name in ids if skip and name in bad)
    if not kept:
        raise LayoutError(listing(source, [fault.reason for fault in faults]))
    return good_cases(source, found, kept), faults


def taken(ids: Collection[str], wanted: Sequence[str], where: str) -> tuple[str, ...]:
    """Sorted ids, or those that are wanted.

    Raises:
        BratsError: a wanted one is not there.
    """
    strange = sorted(set(wanted) - set(ids))
    if strange:
        raise BratsError(f"{where}: {', '.join(strange)} is not among the {len(ids)} cases")
    return tuple(sorted(set(wanted) or ids))
