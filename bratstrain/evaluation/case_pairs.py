"""Truth and prediction of case after case: from raw cases, a slice file, or files of labels."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from bratsprep.case import CaseFiles
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError
from bratsprep.labels import MODALITIES, Scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.memory import Buffers
from bratsprep.volumes import nifti
from bratstrain.data.intake import Intake
from bratstrain.data.trained_cases import stored_prints
from bratstrain.evaluation.tables import Picture
from bratstrain.inference.nifti_out import read_labels
from bratstrain.inference.segment import (
    ApplyConfig,
    Prepared,
    check_spacing,
    prepare_case,
    read_ahead,
    segment,
)
from bratstrain.inference.small_components import drop_small, read_cleanup
from bratstrain.runs.fitted import Fitted, load_fitted
from bratstrain.scoring.metrics import PARTS, plane_confusion

T1GD: Final = MODALITIES.index("t1gd")
ENDINGS: Final = ("", "_seg", "-seg")
"""What may follow the case id in the name of a label file."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One case: what is true and what was predicted, over its whole volume."""

    case: str
    truth: NDArray[np.uint8]
    """(z, y, x) stored labels in RAS+ order."""
    predicted: NDArray[np.uint8]
    """(z, y, x) stored labels."""
    spacing: tuple[float, float, float]
    """mm, along x, y, z."""
    lost: int = 0
    """Tumour voxels of the truth that the network was not shown."""
    picture: Picture | None = None
    fingerprint: NDArray[np.int8] | None = None
    """(5, *BRAIN_CELLS) of the images; None where the brain is too small to be told apart."""


@dataclass(frozen=True, slots=True)
class Labeller:
    """Networks, and how they are applied."""

    fitted: Fitted
    config: ApplyConfig
    sizes: Mapping[str, int]
    """Smallest components that stay, by class; empty where nothing is dropped."""
    tuned_on: frozenset[str] = frozenset()
    """Ids of the cases that those sizes are from."""

    def label(self, image: NDArray[Any]) -> NDArray[np.uint8]:
        """Label (s, 4, h, w) planes: (s, h, w) uint8."""
        return segment(self.fitted, image, self.config)[0]

    def clean(self, volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Drop small components of a whole (z, y, x) uint8 volume, where sizes are given."""
        return drop_small(volume, self.sizes) if self.sizes else volume


def load_labeller(run: Path, apply: ApplyConfig) -> Labeller:
    """Load a run, and the sizes of its clean-up where they are wanted.

    Raises:
        BratsError: the folder is no finished run, or sizes are not tuned.
    """
    fitted = load_fitted([run], apply.device)
    if not apply.cleanup:
        return Labeller(fitted, apply, {})
    cleanup = read_cleanup(run)
    return Labeller(fitted, apply, cleanup.least_voxels, frozenset(cleanup.cases))


def raw_pairs(
    labeller: Labeller, source: Source, cases: Sequence[CaseFiles], schemes: Mapping[str, Scheme]
) -> Generator[Pair, None, None]:
    """Predict raw cases over every brain plane, in original space.

    Args:
        labeller: what predicts.
        source: what the cases lie in.
        cases: labelled ones.
        schemes: of their labels, by id.

    Raises:
        BratsError: a case is at fault, or has voxels of another size than the run's.
    """

    def read(files: CaseFiles, buffers: Buffers) -> Prepared:
        return prepare_case(files, buffers, source, labeller.fitted, schemes[files.id])

    for case in read_ahead(cases, read):
        if case.label is None:
            raise BratsError(f"{source.path}: {case.files.id} has no label to be scored against")
        if not labeller.config.any_spacing:
            where = f"{source.path}: {case.files.id}"
            check_spacing(labeller.fitted, where, case.geometry.spacing)
        planes = labeller.label(case.image)
        predicted = labeller.clean(case.paste(planes))
        shown = case.box.cut(case.label)
        picture = pictured(
            case.files.id, case.z, case.image, shown[case.z], case.box.cut(predicted)[case.z]
        )
        x, y, z = case.geometry.spacing.tolist()
        lost = int(np.count_nonzero(case.label) - np.count_nonzero(shown))
        yield Pair(case.files.id, case.label, predicted, (x, y, z), lost, picture, case.fingerprint)


def file_pairs(
    labeller: Labeller, file: SliceFile, rows: NDArray[np.int64]
) -> Generator[Pair, None, None]:
    """Predict stored planes; those that are not stored are empty on both sides.

    Args:
        labeller: what predicts.
        file: open slice file of the same preparation.
        rows: (n,) int64, rows under /slice, rising.

    Raises:
        BratsError: a chunk is damaged, or a case has voxels of another size than the run's.
    """
    intake = Intake(file, torch.device("cpu"))
    prints = stored_prints(file.path, file.cases["id"].astype(str).tolist())
    for c in np.unique(file.slices["case"][rows]):
        mine = rows[file.slices["case"][rows] == c]
        case = file.cases[c]
        if not labeller.config.any_spacing:
            check_spacing(labeller.fitted, f"{file.path}: {case['id']}", case["spacing"])
        stored, label = file.read(mine)
        image = stored
        if file.config.normalise == "none":
            image = intake(torch.from_numpy(stored), mine).numpy()
        z = file.slices["z"][mine].astype(np.int64)
        found = labeller.label(image)
        predicted = labeller.clean(file.paste(int(c), found, z))
        picture = pictured(str(case["id"]), z, image, label, found)
        x_mm, y_mm, z_mm = case["spacing"].tolist()
        lost = int(case["lost_voxels"][1:].sum())
        yield Pair(
            str(case["id"]),
            file.paste(int(c), label, z),
            predicted,
            (x_mm, y_mm, z_mm),
            lost,
            picture,
            prints.get(str(case["id"])),
        )


def check_file(fitted: Fitted, file: SliceFile) -> None:
    """Refuse a slice file whose slices are not prepared as the run's were.

    Raises:
        BratsError: settings or sizes differ.
    """
    ours, theirs = (_prepared(fitted.preparation, fitted.size),
                    _prepared(file.config, file.shape))  # fmt: skip
    other = [f"{name} {theirs[name]}, not {ours[name]}" for name in ours
             if ours[name] != theirs[name]]  # fmt: skip
    if other:
        raise BratsError(
            f"{file.path}: slices are not as those that {fitted.name} was fitted on: "
            f"{'; '.join(other)}; build it with the run's settings, or evaluate --raw"
        )


def _prepared(config: PrepConfig, size: tuple[int, int]) -> dict[str, Any]:
    """What makes slices what they are to a network."""
    return {"normalise": config.normalise, "crop": config.crop, "size": tuple(size)}


def folder_pairs(
    predictions: Source, source: Source, cases: Sequence[CaseFiles], schemes: Mapping[str, Scheme]
) -> Generator[Pair, None, None]:
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
        yield Pair(files.id, truth, predicted, (x, y, z))


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


def pictured(
    case: str,
    z: NDArray[np.int64],
    image: NDArray[Any],
    truth: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
) -> Picture:
    """Take the plane with the largest tumour: of the truth, or else of the prediction.

    Args:
        case: its id.
        z: (s,) planes.
        image: (s, 4, h, w), standard deviations.
        truth: (s, h, w) uint8.
        predicted: (s, h, w) uint8.
    """
    area = np.count_nonzero(truth, axis=(1, 2))
    if not area.any():
        area = np.count_nonzero(predicted, axis=(1, 2))
    s = int(area.argmax()) if area.any() else len(z) // 2
    shown = image[s, T1GD].astype(np.float32)
    return Picture(case, int(z[s]), shown, truth[s].copy(), predicted[s].copy())


def plane_rows(pair: Pair) -> Generator[dict[str, Any], None, None]:
    """Count the voxels of each class and region in every plane where either side has some."""
    counts = plane_confusion(np.ascontiguousarray(pair.truth), np.ascontiguousarray(pair.predicted))
    for z, matrix in enumerate(counts):
        if matrix[0, 0] == matrix.sum():
            continue
        row: dict[str, Any] = {"case": pair.case, "z": z}
        for name, labels in PARTS.items():
            inside = list(labels)
            row[f"{name} truth"] = int(matrix[inside].sum())
            row[f"{name} predicted"] = int(matrix[:, inside].sum())
            row[f"{name} shared"] = int(matrix[np.ix_(inside, inside)].sum())
        yield row
