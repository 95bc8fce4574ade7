"""Pairs of truth and prediction from label files alone.

Nothing here needs torch: label files can be scored where it is not installed.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError, LabelError
from bratsprep.labels import Scheme
from bratsprep.sources.source import Source
from bratsprep.system.faulty_cases import advised, set_aside
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratsprep.volumes.label import label_grid
from bratstrain.evaluation.label_checks import check_values
from bratstrain.evaluation.label_pair import LabelPair, Pairs
from bratstrain.inference.nifti_out import read_labels
from bratstrain.scoring.metrics import plane_confusion

ENDINGS: Final = ("", "_seg", "-seg")
"""What may follow the case id in the name of a label file."""


@dataclass(frozen=True, slots=True)
class Schemes:
    """What the label values of truth and predictions mean."""

    truth: Mapping[str, Scheme]
    """By case id."""
    predicted: Scheme | None = None
    """Of every prediction; None for that of the truth."""

    def check(self) -> None:
        """Refuse predictions whose classes are not those of the truth.

        Raises:
            LabelError: they are others.
        """
        for scheme in self.truth.values():
            if self.predicted is not None and self.predicted.classes != scheme.classes:
                raise LabelError(
                    f"predictions of scheme {self.predicted.name} have the classes "
                    f"{', '.join(self.predicted.classes.tumour)}, the truth of scheme "
                    f"{scheme.name} has {', '.join(scheme.classes.tumour)}; write a scheme that "
                    "maps the values of the one to the classes of the other"
                )


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
    codes = geometry.orientation.codes
    return LabelPair(files.id, truth, predicted, (x, y, z), scheme.classes, codes)


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


def plane_rows(pair: LabelPair) -> Generator[dict[str, Any], None, None]:
    """Count the voxels of each class and region in every plane where either side has tumour."""
    truth, predicted = np.ascontiguousarray(pair.truth), np.ascontiguousarray(pair.predicted)
    counts = plane_confusion(truth, predicted, len(pair.classes))
    for z, matrix in enumerate(counts):
        if matrix[0, 0] == matrix.sum():
            continue
        row: dict[str, Any] = {"case": pair.case, "z": z}
        for name, labels in pair.classes.parts.items():
            inside = list(labels)
            row[f"{name} truth"] = int(matrix[inside].sum())
            row[f"{name} predicted"] = int(matrix[:, inside].sum())
            row[f"{name} shared"] = int(matrix[np.ix_(inside, inside)].sum())
        yield row
