"""The table of cases that a slice file of some raw data would have, as far as a split needs it."""

import json
from collections import Counter
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.case import CaseFiles
from bratsprep.config import USUAL_CLASSES, USUAL_MODALITIES
from bratsprep.discovery.discover import scan
from bratsprep.discovery.subject_tables import SubjectTable
from bratsprep.discovery.subjects import subject
from bratsprep.errors import BratsError
from bratsprep.slicefile.schema import Sizes, row_dtype
from bratsprep.sources.source import Source
from bratsprep.system.memory import Pool
from bratsprep.system.threads import in_order
from bratsprep.volumes.case_volumes import Asked, CaseVolumes, read_scan
from bratsprep.volumes.fingerprint import fingerprints
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve, scan_keywords
from bratsprep.volumes.warm import warm_cases
from bratstrain.apply_config import SplitsConfig

NAMED: Final = Sizes(len(USUAL_MODALITIES), len(USUAL_CLASSES))
"""Of the rows of cases of which only the names are known."""
LABELS_FOLDER: Final = "labelsTr"
ENDING: Final = ".nii.gz"
"""Ending of the files of an nnU-Net data set whose `dataset.json` names none."""


def read_rows(
    source: Source, people: SubjectTable, config: SplitsConfig, workers: int, *, shown: bool
) -> tuple[NDArray[np.void], tuple[str, ...]]:
    """Read the labelled cases of a source, images included.

    Args:
        source: raw data.
        people: table of subjects.
        config: what raw files are taken for.
        workers: threads.
        shown: show a bar on standard error.

    Returns:
        (c,) structured, rows of the table of cases by id, with id, subject, voxels, spacing, brain
        voxels and fingerprint; the other columns are 0 or empty. And the names of the classes,
        the background included.

    Raises:
        BratsError: there is no labelled case, one is at fault, or two have other classes.
        ValueError: there is no such label scheme.
    """
    _, chosen = chosen_scheme(config.labels)
    found = scan(source, **scan_keywords(config.source, chosen))
    cases = found.cases
    schemes = resolve(source, cases, chosen)
    asked = Asked(found.mapping.modalities, common_classes(schemes.values()))
    warm_cases(source, cases)
    memory = Pool(workers, 2**62)

    def row(files: CaseFiles) -> NDArray[np.void]:
        with memory.borrow() as buffers:
            return row_of(read_scan(files, source, buffers, schemes[files.id], asked), people)

    rows = []
    with closing(in_order(cases, row, workers)) as made:
        for _, result in tqdm(made, total=len(cases), unit="case", disable=not shown):
            if isinstance(result, BratsError):
                raise result
            rows.append(result)
    return np.concatenate(rows), asked.classes.classes


def row_of(volumes: CaseVolumes, people: SubjectTable) -> NDArray[np.void]:
    """Measure a case.

    Args:
        volumes: the case in memory.
        people: table of subjects.

    Returns:
        (1,) structured, its row of the table of cases.
    """
    voxels = volumes.plane_voxels.sum(axis=0, dtype=np.int64)
    case = volumes.files.id
    person = people.subject(case, volumes.files.subject, voxels.tolist())
    made = labelled_row(case, person, Sizes(len(volumes.images), len(volumes.classes)))
    made["spacing"] = volumes.geometry.spacing
    made["voxels"] = voxels
    made["brain_voxels"] = volumes.measured.count
    made["fingerprint"] = fingerprints(volumes)[0]
    return made


def named_rows(source: Source, people: SubjectTable) -> NDArray[np.void]:
    """Take the cases of an nnU-Net data set from the names of its label files; none is read.

    Args:
        source: nnU-Net data set of any task, in NIfTI files.
        people: table of subjects.

    Returns:
        (c,) structured, rows of the table of cases by id, with id and subject alone.

    Raises:
        BratsError: there are no label files, or two of one name.
    """
    ending = file_ending(source)
    names = [PurePosixPath(member) for member in source.members]
    ids = sorted(
        name.name.removesuffix(ending)
        for name in names
        if name.parent.name == LABELS_FOLDER and name.name.endswith(ending)
    )
    if not ids:
        raise BratsError(
            f"{source.path}: holds no {LABELS_FOLDER}/*{ending}; expected an nnU-Net data set"
        )
    case, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise BratsError(f"{source.path}: {count} label files are of {case}; name one data set")
    return np.concatenate(
        [labelled_row(case, people.subjects.get(case, subject(case)), NAMED) for case in ids]
    )


def file_ending(source: Source) -> str:
    """Ending of the files, from the `dataset.json` of an nnU-Net data set.

    Raises:
        BratsError: the file cannot be read.
    """
    for member in source.members:
        if PurePosixPath(member).name != "dataset.json":
            continue
        try:
            content = json.loads(source.read(member))
        except (ValueError, RecursionError) as error:
            raise BratsError(f"{source.where(member)}: cannot be read as JSON: {error}") from error
        return str(content.get("file_ending", ENDING)) if isinstance(content, dict) else ENDING
    return ENDING


def labelled_row(case: str, person: str, sizes: Sizes) -> NDArray[Any]:
    """Make the row of a labelled case, (1,) structured, with its id and subject alone."""
    row = np.zeros(1, row_dtype("case", sizes))
    row["id"], row["subject"], row["labelled"] = case, person, 1
    return row
