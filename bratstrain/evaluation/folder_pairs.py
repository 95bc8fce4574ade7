"""Pairs of truth and prediction from label files alone.

Nothing here needs torch: label files can be scored where it is not installed.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseFiles, Geometry
from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.sources.source import Source
from bratsprep.system.faulty_cases import advised, set_aside
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratsprep.volumes.label import label_grid
from bratstrain.evaluation.label_checks import check_values
from bratstrain.evaluation.label_pair import LabelPair, Pairs
from bratstrain.inference.nifti_out import read_labels
from bratstrain.scoring.metrics import PART_LABELS, LabelFiles, plane_confusion

CAVITY_SCHEME: Final = Scheme(
    "resection cavity", "the cavity of BraTS 2024 alone", ((1, 0), (2, 0), (3, 0), (4, 1)), ()
)
ENDINGS: Final = ("", "_seg", "-seg")
"""What may follow the case id in the name of a label file."""


@dataclass(frozen=True, slots=True)
class Schemes:
    """What the label values of truth and predictions mean."""

    truth: Mapping[str, Scheme]
    """By case id."""
    predicted: Scheme | None = None
    """Of every prediction; None for that of the truth."""


def folder_pairs(
    predictions: Source,
    source: Source,
    cases: Sequence[CaseFiles],
    schemes: Schemes,
    *,
    skip: bool = False,
) -> Pairs:
    """Read label files and pair each with the truth of its case.

    Args:
        predictions: files named after the case ids; files of no case are ignored.
        source: of the cases.
        cases: labelled ones.
        schemes: of truth and predictions.
        skip: set a case at fault aside.

    Raises:
        BratsError: a prediction is missing, occurs twice, holds values outside its scheme, or is
            not on the grid of its truth.
    """
    members = prediction_files(predictions, cases, skip=skip)
    buffers = Buffers()
    for files in cases:
        try:
            member = members.get(files.id, "")
            if not member:
                raise BratsError(f"{predictions.path}: holds no prediction of {files.id}")
            yield _folder_pair(predictions, member, source, files, schemes, buffers)
        except BratsError as error:
            yield set_aside(files.id, error, skip=skip)


def _folder_pair(
    predictions: Source,
    member: str,
    source: Source,
    files: CaseFiles,
    schemes: Schemes,
    buffers: Buffers,
) -> LabelPair:
    """Read truth and prediction of one case."""
    scheme = schemes.truth[files.id]
    predicted_scheme = schemes.predicted or scheme
    grid = label_grid(files, source)
    truth, geometry = read_labels(source, str(files.label), scheme, buffers, grid)
    check_values(predictions, member, predicted_scheme, buffers)
    predicted, placed = read_labels(predictions, member, predicted_scheme, buffers)
    nifti.check_same(geometry, placed, predictions.where(member), str(files.label))
    x, y, z = geometry.spacing.tolist()
    holes = (
        case_cavity(source, files, scheme, buffers),
        read_cavity(predictions, member, predicted_scheme, buffers),
    )
    true_hole, predicted_hole = (np.zeros(truth.shape, bool) if h is None else h for h in holes)
    is_known = any(hole is not None for hole in holes)
    cavity = (true_hole, predicted_hole) if is_known else None
    order = LabelFiles(geometry.orientation.codes, cavity)
    return LabelPair(files.id, truth, predicted, (x, y, z), order)


def prediction_files(
    predictions: Source, cases: Sequence[CaseFiles], *, skip: bool = False
) -> dict[str, str]:
    """Find the label file of each case: `<case>.nii.gz`, with `_seg` or `-seg` perhaps.

    Args:
        predictions: the files.
        cases: whose files are wanted.
        skip: leave out a case without a file; none at all is an error.

    Raises:
        BratsError: a case has none, or several.
    """
    named: dict[str, list[str]] = {}
    for member in predictions.members:
        name = PurePosixPath(member).name
        key = name.removesuffix(".gz").removesuffix(".nii")
        if key != name:
            named.setdefault(key, []).append(member)
    candidates = {
        files.id: [m for ending in ENDINGS for m in named.get(f"{files.id}{ending}", [])]
        for files in cases
    }
    missing = [case for case, members in candidates.items() if not members]
    if missing and (not skip or len(missing) == len(cases)):
        error = BratsError(
            f"{predictions.path}: holds no prediction of {len(missing)} of {len(cases)} cases, "
            f"such as {missing[0]}.nii.gz; predict them, or choose cases with --case"
        )
        raise error if skip else advised(error)
    doubled = [members for members in candidates.values() if len(members) > 1]
    if doubled:
        raise BratsError(
            f"{predictions.path}: {' and '.join(doubled[0])} are of one case; remove one"
        )
    return {case: members[0] for case, members in candidates.items() if members}


def case_cavity(
    source: Source, files: CaseFiles, scheme: Scheme, buffers: Buffers
) -> NDArray[np.bool_] | None:
    """Read the resection cavity of a labelled case, on the grid of its label.

    Returns:
        As `read_cavity`.

    Raises:
        BratsError: a file cannot be read.
    """
    return read_cavity(source, str(files.label), scheme, buffers, label_grid(files, source))


def read_cavity(
    source: Source,
    member: str,
    scheme: Scheme,
    buffers: Buffers,
    grid: Geometry | None = None,
) -> NDArray[np.bool_] | None:
    """Read the resection cavity of a label file, which the stored labels have no class for.

    Args:
        source: of the file.
        member: its name.
        scheme: of its values.
        buffers: overwritten.
        grid: where its voxels lie, whatever its header says; None to believe the header.

    Returns:
        (z, y, x) bool in RAS+ order; None where the scheme of the file has no cavity.

    Raises:
        BratsError: the file cannot be read.
    """
    if scheme.name != "brats2024":
        return None
    return read_labels(source, member, CAVITY_SCHEME, buffers, grid)[0] > 0


def plane_rows(pair: LabelPair) -> Generator[dict[str, Any], None, None]:
    """Count the voxels of each class and region in every plane where either side has tumour."""
    counts = plane_confusion(np.ascontiguousarray(pair.truth), np.ascontiguousarray(pair.predicted))
    for z, matrix in enumerate(counts):
        if matrix[0, 0] == matrix.sum():
            continue
        row: dict[str, Any] = {"case": pair.case, "z": z}
        for name, labels in PART_LABELS.items():
            inside = list(labels)
            row[f"{name} truth"] = int(matrix[inside].sum())
            row[f"{name} predicted"] = int(matrix[:, inside].sum())
            row[f"{name} shared"] = int(matrix[np.ix_(inside, inside)].sum())
        yield row
