"""Which cases an evaluation is over, and what has to be said beside its numbers."""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.discovery.discover import Found, listing, scan
from bratsprep.errors import BratsError, LayoutError
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.volumes.label_schemes import resolve
from bratstrain.data.intake import planes_name
from bratstrain.data.splits import Split
from bratstrain.data.trained_cases import read_trained
from bratstrain.data.twins import Training
from bratstrain.evaluation.case_pairs import (
    Labeller,
    Pair,
    check_file,
    file_pairs,
    folder_pairs,
    raw_pairs,
)
from bratstrain.runs.files import TRAINED

EVERY_PLANE: Final = "every plane, original space"
UNSEEN: Final = "original space, other planes taken as empty on both sides"
"""Of a slice file that does not hold every plane with brain."""
CHOSEN: Final = "best.pt was chosen on these very cases: expect less on others"
FITTED: Final = "the network was fitted on these very cases"
BLIND: Final = (
    "false positives on planes that are not in the slice file cannot be seen; --raw sees them"
)


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """Some cases of a source."""

    cases: str
    """For the title of every table."""
    planes: str
    notes: tuple[str, ...]
    ids: tuple[str, ...]
    pairs: Generator[Pair, None, None]
    """Truth and prediction of each, not begun yet."""
    space: str
    """What is meant by tumour that the network was not shown."""
    noun: str = "case"
    """What to call one of the cases."""
    training: Training | None = None
    """Who the network was fitted on; None for label files, of which that is not known."""


def aim_at_file(
    labeller: Labeller, file: SliceFile, split: Split, part: str, wanted: Sequence[str]
) -> Aim:
    """Aim at cases of a slice file.

    Args:
        labeller: the run.
        file: open slice file.
        split: of the run.
        part: `validation`, `test`, `train` or `all`.
        wanted: ids of the cases to take from the part; all where none is named.

    Raises:
        BratsError: the file is prepared differently, or does not hold those cases.
    """
    check_file(labeller.fitted, file)
    where = str(file.path)
    labelled = file.cases["labelled"] > 0
    by_slice = part in ("train", "validation") and _by_slice(split)
    if by_slice:
        if file.digest != labeller.fitted.data_digest:
            raise BratsError(
                f"{where}: is not the slice file that {labeller.fitted.name} was fitted on, and "
                f"split {split.name} is of its slices; take that file, or --split all"
            )
        rows = split.rows(part, file.slices, file.cases)
        known = set(file.cases["id"][np.unique(file.slices["case"][rows])].tolist())
    else:
        rows = np.flatnonzero(labelled[file.slices["case"]])
        known = set(file.cases["id"][labelled].tolist())
    ids = members(split, part, known, wanted, where)
    rows = rows[np.isin(file.cases["id"][file.slices["case"][rows]].astype(str), ids)]
    if not len(rows):
        raise BratsError(f"{where}: holds no slice of the {len(ids)} cases; take others")
    is_whole = file.config.slices in ("brain", "all") and not by_slice
    notes = what_to_say(labeller, split, part, ids)
    return Aim(
        cases=title(split, part),
        planes=EVERY_PLANE if is_whole else f"{planes_name(file)}, {UNSEEN}",
        notes=notes if is_whole else (BLIND, *notes),
        ids=ids,
        pairs=file_pairs(labeller, file, rows),
        space="and are in no count: the slice file does not hold them",
        noun=noun(part),
        training=training(labeller, split, dict(file.cases[["id", "subject"]].tolist())),
    )


def aim_at_raw(
    labeller: Labeller, source: Source, split: Split, part: str, wanted: Sequence[str]
) -> Aim:
    """Aim at labelled raw cases; arguments as of `aim_at_file`.

    Raises:
        BratsError: the source does not hold those cases, one of them cannot be put together, or
            the split knows only slices.
    """
    if part in ("train", "validation") and _by_slice(split):
        raise BratsError(
            f"{labeller.fitted.name}: split {split.name} deals slices, not cases; evaluate its "
            f"{part} part with --data, or raw cases with --split all"
        )
    found = labelled_cases(source)
    known = {files.id for files in found.cases} | set(dict(found.bad))
    ids = members(split, part, known, wanted, str(source.path))
    chosen = good_cases(source, found, ids)
    schemes = resolve(source, chosen, labeller.config.labels)
    return Aim(
        cases=title(split, part),
        planes=EVERY_PLANE,
        notes=what_to_say(labeller, split, part, ids),
        ids=ids,
        pairs=raw_pairs(labeller, source, chosen, schemes),
        space="and count as missed",
        noun=noun(part),
        training=training(labeller, split, {files.id: files.subject for files in chosen}),
    )


def aim_at_folder(predictions: Source, source: Source, labels: str, wanted: Sequence[str]) -> Aim:
    """Aim at files of labels that are there already.

    Args:
        predictions: the files.
        source: labelled raw cases.
        labels: label scheme of both sides, or `auto`.
        wanted: ids of the cases; all of the source where none is named.

    Raises:
        BratsError: the source does not hold those cases, one of them cannot be put together, or
            their scheme cannot be told.
    """
    found = labelled_cases(source)
    known = {files.id for files in found.cases} | set(dict(found.bad))
    ids = _taken(known, wanted, str(source.path))
    chosen = good_cases(source, found, ids)
    schemes = resolve(source, chosen, labels)
    return Aim(
        cases=f"label files of {predictions.path.name}",
        planes=EVERY_PLANE,
        notes=(),
        ids=ids,
        pairs=folder_pairs(predictions, source, chosen, schemes),
        space="",
    )


def labelled_cases(source: Source) -> Found:
    """Labelled cases of a source, and those set aside that cannot be put together.

    Raises:
        BratsError: there is none, or none can be put together.
    """
    found = scan(source, unlabelled=True, skip=True)
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


def members(
    split: Split, part: str, known: Collection[str], wanted: Sequence[str], where: str
) -> tuple[str, ...]:
    """Ids of the cases of a part of a split; of those, the wanted ones.

    Args:
        split: of the run.
        part: of it, or `all` for every case that is there.
        known: ids that are there.
        wanted: ids to take; all where none is named.
        where: what to call the source in an error.

    Raises:
        BratsError: the part is empty, or a case of it is not there.
    """
    part_ids = set(known)
    if part == "test" or (part != "all" and not _by_slice(split)):
        part_ids = {str(name) for name in getattr(split, part)}
    if not part_ids:
        raise BratsError(f"{where}: the run's split has no {part} cases; take another --split")
    chosen = _taken(part_ids, wanted, f"{part} cases of the run")
    missing = sorted(set(chosen) - set(known))
    if missing:
        raise BratsError(
            f"{where}: {len(missing)} of {len(chosen)} {part} cases are not there, such as "
            f"{missing[0]}; give the data of the run, or take --split all"
        )
    return chosen


def _taken(ids: Collection[str], wanted: Sequence[str], where: str) -> tuple[str, ...]:
    """Sorted ids, or those that are wanted.

    Raises:
        BratsError: a wanted one is not there.
    """
    strange = sorted(set(wanted) - set(ids))
    if strange:
        raise BratsError(f"{where}: {', '.join(strange)} is not among the {len(ids)} cases")
    return tuple(sorted(set(wanted) or ids))


def _by_slice(split: Split) -> bool:
    """Whether a split deals slices and not cases."""
    return any(isinstance(name, int) for name in (*split.train[:1], *split.validation[:1]))


def title(split: Split, part: str) -> str:
    """Name a set of cases, a leak included."""
    leak = f", split {split.name} LEAKS" if split.leaks else f", split {split.name}"
    return "all cases" if part == "all" else f"{part} of fold {split.fold}{leak}"


def noun(part: str) -> str:
    """What to call a case of a part of the split."""
    return {"all": "case", "train": "training case"}.get(part, f"{part} case")


def training(labeller: Labeller, split: Split, named: Mapping[str, str]) -> Training:
    """Who a run was fitted on, and who the cases of a source are by its own account."""
    trained = read_trained(labeller.fitted.folders[0] / TRAINED)
    return Training(split, labeller.fitted.preparation.subjects, named, trained)


def what_to_say(labeller: Labeller, split: Split, part: str, ids: Sequence[str]) -> tuple[str, ...]:
    """What makes the numbers of these cases better than they will be on others."""
    notes = []
    if split.leaks:
        notes.append(
            f"split {split.name} has a subject on two sides: these scores are too good to be true"
        )
    chosen = len(set(ids) & set(split.validation))
    if part == "validation" or chosen:
        notes.append(CHOSEN if chosen in (0, len(ids)) else f"{chosen} of them chose best.pt")
    fitted = len(set(ids) & set(split.train))
    if part == "train" or fitted:
        notes.append(
            FITTED if fitted in (0, len(ids)) else f"the network was fitted on {fitted} of them"
        )
    if labeller.tuned_on & set(ids):
        notes.append("sizes of small components were tuned on these very cases")
    return tuple(notes)
