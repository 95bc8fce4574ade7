"""Pairs of truth and prediction from label files alone.

Nothing here needs torch: label files can be scored where it is not installed.
"""

from collections.abc import Generator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratstrain.evaluation.label_pair import LabelPair
from bratstrain.inference.nifti_out import read_labels
from bratstrain.scoring.metrics import PART_LABELS, plane_confusion

ENDINGS: Final = ("", "_seg", "-seg")
"""What may follow the case id in the name of a label file."""


def folder_pairs(
    predictions: Source, source: Source, cases: Sequence[CaseFiles], schemes: Mapping[str, Scheme]
) -> Generator[LabelPair, None, None]:
    """Read label files and hold each beside the truth of its case.

    Args:
        predictions: files named for the case ids; those of no case are passed over.
        source: what the cases lie in.
        cases: labelled ones.
        schemes: of truth and prediction, by case id.

    Raises:
        BratsError: a prediction is missing, is there twice, or is not on the grid of its truth.
    """
    members = prediction_files(predictions, cases)
    buffers = Buffers()
    for files in cases:
        scheme, member = schemes[files.id], members[files.id]
        truth, geometry = read_labels(source, str(files.label), scheme, buffers)
        predicted, found = read_labels(predictions, member, scheme, buffers)
        nifti.check_same(geometry, found, predictions.where(member), str(files.label))
        x, y, z = geometry.spacing.tolist()
        yield LabelPair(files.id, truth, predicted, (x, y, z))


def prediction_files(predictions: Source, cases: Sequence[CaseFiles]) -> dict[str, str]:
    """Find the label file of each case: `<case>.nii.gz`, with `_seg` or `-seg` perhaps.

    Raises:
        BratsError: a case has none, or several.
    """
    named: dict[str, list[str]] = {}
    for member in predictions.members:
        name = PurePosixPath(member).name
        key = name.removesuffix(".gz").removesuffix(".nii")
        if key != name:
            named.setdefault(key, []).append(member)
    found = {
        files.id: [m for ending in ENDINGS for m in named.get(f"{files.id}{ending}", [])]
        for files in cases
    }
    missing = [case for case, members in found.items() if not members]
    if missing:
        raise BratsError(
            f"{predictions.path}: holds no prediction of {len(missing)} of {len(cases)} cases, "
            f"such as {missing[0]}.nii.gz; predict them, or choose cases with --case"
        )
    doubled = [members for members in found.values() if len(members) > 1]
    if doubled:
        raise BratsError(
            f"{predictions.path}: {' and '.join(doubled[0])} are of one case; one should go"
        )
    return {case: members[0] for case, members in found.items()}


def plane_rows(pair: LabelPair) -> Generator[dict[str, Any], None, None]:
    """Count the voxels of each class and region in every plane where either side has some."""
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
