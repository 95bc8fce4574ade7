"""Which cases an evaluation is over, and the caveats that belong to its numbers."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source, open_source
from bratsprep.volumes.label_schemes import chosen_scheme, resolve
from bratstrain.apply_config import ApplyConfig
from bratstrain.data.intake import planes_name
from bratstrain.data.splits import Split
from bratstrain.data.trained_cases import read_all_trained
from bratstrain.data.twins import Training
from bratstrain.evaluation.case_pairs import Labeller, check_file, file_pairs, raw_pairs
from bratstrain.evaluation.folder_selection import (
    EVERY_PLANE,
    CaseSelection,
    Wanted,
    ids_of,
    labelled_cases,
    taken,
    usable_cases,
)
from bratstrain.inference.applied import check_classes, scheme_for
from bratstrain.runs.files import TRAINED
from bratstrain.runs.fitted import untold_start

USER_TABLE: Final = "csv:--subjects"
"""Where subjects are from that the user gives with an evaluation."""
ORIGINAL: Final = "original space"
"""Of labels as their files hold them."""
UNSEEN: Final = f"{ORIGINAL}, other planes taken as empty on both sides"
"""Of a slice file that does not hold every plane with brain."""
CHOSEN: Final = "best.pt was chosen on these very cases: scores on other cases will be lower"
FITTED: Final = "the network was fitted on these very cases"
BLIND: Final = (
    "false positives on planes that are not in the slice file cannot be seen; --raw sees them"
)


@contextmanager
def open_cases(
    data: Path | str | None, raw: Path | str | None, apply: ApplyConfig
) -> Iterator[SliceFile | Source]:
    """Open a slice file or raw cases, once the settings are known to go with them.

    Args:
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        apply: what raw files are taken for.

    Raises:
        BratsError: it cannot be read, or the file of a label scheme is none.
        ValueError: both are given, or none; a setting has no effect on a slice file; or there is
            no such label scheme.
    """
    apply.check_effects(data)
    chosen_scheme(apply.labels)
    if (data is None) == (raw is None):
        raise ValueError("give data, a slice file, or raw cases: one of them")
    if data is not None:
        with SliceFile(data, prints=False) as file:
            yield file
    else:
        with open_source(Path(str(raw))) as source:
            yield source


def select_cases(
    labeller: Labeller,
    where: SliceFile | Source,
    split: Split,
    part: str,
    wanted: Wanted,
) -> CaseSelection:
    """Select cases of a slice file or of raw data; arguments as of `select_from_file`."""
    if isinstance(where, SliceFile):
        return select_from_file(labeller, where, split, part, wanted)
    return select_from_raw(labeller, where, split, part, wanted)


def select_from_file(
    labeller: Labeller,
    file: SliceFile,
    split: Split,
    part: str,
    wanted: Wanted,
) -> CaseSelection:
    """Select cases of a slice file.

    Args:
        labeller: the run.
        file: open slice file.
        split: of the run.
        part: `validation`, `test`, `train` or `all`.
        wanted: which cases of the part.

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
    ids = members(split, part, known, wanted.cases, where)
    rows = rows[np.isin(file.cases["id"][file.slices["case"][rows]].astype(str), ids)]
    if not len(rows):
        raise BratsError(f"{where}: holds no slice of the {len(ids)} cases; take others")
    is_whole = file.config.slices in ("brain", "all") and not by_slice
    notes = caveats(labeller, split, part, ids)
    return CaseSelection(
        cases=title(split, part),
        planes=stored_planes_name(file, is_whole=is_whole),
        notes=notes if is_whole else (BLIND, *notes),
        ids=ids,
        pairs=file_pairs(labeller, file, rows, images=wanted.images, skip=wanted.skip),
        space="and are in no count: the slice file does not hold them",
        noun=noun(part),
        training=training(
            labeller, split, dict(file.cases[["id", "subject"]].tolist()), wanted.subjects
        ),
    )


def stored_planes_name(file: SliceFile, *, is_whole: bool) -> str:
    """Name the planes of a slice file that are scored, and the space that they are scored in.

    Args:
        file: open slice file.
        is_whole: it holds every plane with brain.
    """
    name = EVERY_PLANE if is_whole else f"{planes_name(file)}, {UNSEEN}"
    is_moved = bool((file.cases["spacing"] != file.cases["source_spacing"]).any())
    resampled = f"resampled to {file.config.spacing} mm, which --raw undoes"
    return name.replace(ORIGINAL, resampled) if is_moved else name


def select_from_raw(
    labeller: Labeller,
    source: Source,
    split: Split,
    part: str,
    wanted: Wanted,
) -> CaseSelection:
    """Select labelled raw cases; arguments as of `select_from_file`.

    Raises:
        BratsError: the source does not hold those cases, one of them cannot be put together, or
            the split knows only slices.
    """
    if part in ("train", "validation") and _by_slice(split):
        raise BratsError(
            f"{labeller.fitted.name}: split {split.name} deals slices, not cases; evaluate its "
            f"{part} part with --data, or raw cases with --split all"
        )
    found = labelled_cases(source, labeller.files)
    ids = members(split, part, ids_of(found), wanted.cases, str(source.path))
    chosen, set_aside = usable_cases(source, found, ids, skip=wanted.skip)
    schemes = truth_schemes(source, chosen, labeller)
    return CaseSelection(
        cases=title(split, part),
        planes=EVERY_PLANE,
        notes=caveats(labeller, split, part, ids),
        ids=ids,
        pairs=raw_pairs(labeller, source, chosen, schemes, images=wanted.images, skip=wanted.skip),
        space="and count as missed",
        noun=noun(part),
        training=training(
            labeller, split, {files.id: files.subject for files in chosen}, wanted.subjects
        ),
        set_aside=set_aside,
    )


def truth_schemes(
    source: Source, cases: Sequence[CaseFiles], labeller: Labeller
) -> dict[str, Scheme]:
    """Label scheme of each case, by id.

    Raises:
        LabelError: it cannot be determined, or its classes are not those of the run.
    """
    fitted = labeller.fitted
    schemes = resolve(source, cases, scheme_for(labeller.config.labels, fitted))
    for case, scheme in schemes.items():
        check_classes(f"{source.path}: {case}", scheme, fitted)
    return schemes


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
    chosen = taken(part_ids, wanted, f"{part} cases of the run")
    missing = sorted(set(chosen) - set(known))
    if missing:
        raise BratsError(
            f"{where}: {len(missing)} of {len(chosen)} {part} cases are not there, such as "
            f"{missing[0]}; give the data of the run, or take --split all"
        )
    return chosen


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


def training(
    labeller: Labeller, split: Split, named: Mapping[str, str], subjects: Mapping[str, str]
) -> Training:
    """Describe who a run was fitted on, and who the cases of a source are.

    Args:
        labeller: the run.
        split: of the run.
        named: subject of each case as its source names it.
        subjects: subject by case id from the user's table, which goes before all else.
    """
    trained = read_all_trained([run / TRAINED for run in labeller.fitted.folders])
    if not subjects:
        return Training(split, labeller.fitted.preparation.subjects, named, trained)
    known = replace(split, subjects={**split.subjects, **subjects})
    return Training(known, USER_TABLE, {**named, **subjects}, trained)


def caveats(labeller: Labeller, split: Split, part: str, ids: Sequence[str]) -> tuple[str, ...]:
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
    notes += [
        f"{run.name} began from {start}, whose training cases are unknown: these people may be "
        "among them"
        for run in labeller.fitted.folders
        if (start := untold_start(run))
    ]
    if labeller.tuned_on & set(ids):
        notes.append("sizes of small components were tuned on these very cases")
    return tuple(notes)
