"""A set of cases with its caveats, and the sets that label files are scored on; without torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from bratsprep.case import CaseFiles
from bratsprep.config import FilesConfig, SourceConfig
from bratsprep.discovery.discover import Found, listing, scan
from bratsprep.errors import BratsError, LayoutError
from bratsprep.labels import Scheme
from bratsprep.sources.source import Source
from bratsprep.system.faulty_cases import SetAside, advised
from bratsprep.volumes.label_schemes import common_classes, resolve, scan_keywords
from bratstrain.data.twins import Training
from bratstrain.evaluation.folder_pairs import Schemes, folder_pairs
from bratstrain.evaluation.label_pair import Pairs

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
    """Truth and prediction of each; read only when iterated over."""
    space: str
    """Which crop tumour may lie outside of, for a note; empty where there is none."""
    noun: str = "case"
    """What to call one of the cases."""
    training: Training | None = None
    """Cases that the network was fitted on; None for label files, whose training is unknown."""
    set_aside: tuple[SetAside, ...] = ()
    """Selected cases with incomplete or contradictory files."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases are selected, and how one at fault is treated."""

    cases: tuple[str, ...] = ()
    """Ids; empty for every case of the part."""
    skip: bool = False
    """Set a case at fault aside instead of stopping."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    """Subject by case id, from the user's table; takes precedence over file names."""
    images: bool = False
    """Keep the modalities of each case with its pair."""


def select_from_folder(
    predictions: Source,
    source: Source,
    choice: FilesConfig,
    chosen_schemes: tuple[Scheme | None, Scheme | None],
    wanted: Wanted,
) -> CaseSelection:
    """Select label files that exist already.

    Args:
        predictions: the files.
        source: labelled raw cases.
        choice: which files are the truth; its `labels` are replaced by `chosen_schemes`.
        chosen_schemes: label scheme of the truth, None to find out; and that of the predictions,
            None for that of the truth.
        wanted: which cases of the source.

    Raises:
        BratsError: the source does not hold those cases, the files of one are incomplete or
            contradictory, or their scheme cannot be determined.
    """
    truth, predicted = chosen_schemes
    discovered = labelled_cases(source, truth_choice(choice, truth))
    ids = taken(ids_of(discovered), wanted.cases, str(source.path))
    chosen, set_aside = usable_cases(source, discovered, ids, skip=wanted.skip)
    schemes = Schemes(resolve(source, chosen, truth), predicted)
    common_classes(schemes.truth.values())
    schemes.check()
    return CaseSelection(
        cases=f"label files of {predictions.path.name}",
        planes=EVERY_PLANE,
        notes=(),
        ids=ids,
        pairs=folder_pairs(predictions, source, chosen, schemes, skip=wanted.skip),
        space="",
        set_aside=set_aside,
    )


def truth_choice(choice: FilesConfig, truth: Scheme | None) -> SourceConfig:
    """What raw files are taken for where only labels are scored: no modality is needed.

    Images are looked for where labels lie on their grid, and where a table lists both.

    Args:
        choice: what is given.
        truth: label scheme of the cases; None to find out.
    """
    given = scan_keywords(choice, truth)
    if choice.same_grid or choice.case_table:
        return SourceConfig(**given, missing="zeros")
    return SourceConfig(**given, modalities="")


def labelled_cases(source: Source, choice: SourceConfig) -> Found:
    """Find the labelled cases of a source; those with incomplete files are set aside.

    Args:
        source: raw cases.
        choice: which files are labels, where they lie, what their values mean, and which
            modalities a case has to have.

    Raises:
        BratsError: the source has no labelled case, or the files of all are incomplete.
    """
    discovered = scan(source, unlabelled=True, skip=True, test_labels=True, **asdict(choice))
    cases = tuple(files for files in discovered.cases if files.label is not None)
    if not cases and not discovered.set_aside:
        raise BratsError(
            f"{source.path}: none of the {len(discovered.cases)} cases has a label to be scored "
            "against"
        )
    return replace(discovered, cases=cases)


def ids_of(found: Found) -> set[str]:
    """Ids of all cases of a source, those at fault included."""
    return {files.id for files in found.cases} | {case.id for case in found.set_aside}


def good_cases(source: Source, found: Found, ids: Sequence[str]) -> list[CaseFiles]:
    """Files of the selected cases; faulty cases that were not selected are ignored.

    Args:
        source: of the cases, for errors.
        found: as `labelled_cases` returns it.
        ids: of the selected cases, all of them in `found`.

    Raises:
        LayoutError: one of them is among those set aside; all such are listed.
    """
    bad = {case.id: case.reason for case in found.set_aside}
    faults = [bad[name] for name in ids if name in bad]
    if faults:
        raise advised(LayoutError(listing(source, faults)))
    cases = {files.id: files for files in found.cases}
    return [cases[name] for name in ids]


def usable_cases(
    source: Source, found: Found, ids: Sequence[str], *, skip: bool
) -> tuple[list[CaseFiles], tuple[SetAside, ...]]:
    """Files of the selected cases, and the faulty cases among them, which are set aside.

    Raises:
        LayoutError: one is faulty and none may be skipped, or none is left.
    """
    faulty = {case.id: case for case in found.set_aside} if skip else {}
    kept = [name for name in ids if name not in faulty]
    faults = tuple(faulty[name] for name in ids if name in faulty)
    if not kept:
        raise LayoutError(listing(source, [fault.reason for fault in faults]))
    return good_cases(source, found, kept), faults


def taken(ids: Collection[str], wanted: Sequence[str], where: str) -> tuple[str, ...]:
    """Sort the selected ids, or all where none is selected.

    Raises:
        BratsError: a selected id does not exist.
    """
    unknown = sorted(set(wanted) - set(ids))
    if unknown:
        raise BratsError(f"{where}: {', '.join(unknown)} is not among the {len(ids)} cases")
    return tuple(sorted(set(wanted) or ids))
