"""Truth and prediction of case after case: from raw cases, a slice file, or files of labels."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeAlias

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
from bratstrain.evaluation.label_checks import check_values
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
from bratstrain.scoring.metrics import PART_LABELS, LabelFiles, plane_confusion

T1GD: Final = MODALITIES.index("t1gd")
CAVITY_SCHEME: Final = Scheme(
    "resection cavity", "the cavity of BraTS 2024 alone", ((1, 0), (2, 0), (3, 0), (4, 1)), ()
)
ENDINGS: Final = ("", "_seg", "-seg")
"""What may follow the case id in the name of a label file."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelPair:
    """One case: what is true and what was predicted, over its whole volume."""

    case: str
    truth: NDArray[np.uint8]
    """(z, y, x) stored labels in RAS+ order."""
    predicted: NDArray[np.uint8]
    """(z, y, x) stored labels."""
    spacing: tuple[float, float, float]
    """mm, along x, y, z."""
    files: LabelFiles = field(default_factory=LabelFiles)
    """Order and cavity of the label files."""
    lost: int = 0
    """Tumour voxels of the truth that the network was not shown."""
    picture: Picture | None = None


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


@dataclass(frozen=True, slots=True)
class SetAside:
    """A case that cannot be scored, and why."""

    case: str
    reason: str


Pairs: TypeAlias = Generator[LabelPair | SetAside, None, None]
"""Cases one after another; those that cannot be scored as `SetAside`, where faults are skipped."""


def raw_pairs(
    labeller: Labeller,
    source: Source,
    cases: Sequence[CaseFiles],
    schemes: Mapping[str, Scheme],
    *,
    skip: bool = False,
) -> Pairs:
    """Predict raw cases over every brain plane, in original space.

    Args:
        labeller: what predicts.
        source: what the cases lie in.
        cases: labelled ones.
        schemes: of their labels, by id.
        skip: set a case at fault aside.

    Raises:
        BratsError: a case is at fault, or has voxels of another size than the run's.
    """

    def read(files: CaseFiles, buffers: Buffers) -> Prepared | SetAside:
        try:
            prepared = prepare_case(files, buffers, source, labeller.fitted, schemes[files.id])
            where = f"{source.path}: {files.id}"
            if prepared.label is None:
                raise BratsError(f"{where} has no label to be scored against")
            if not labeller.config.any_spacing:
                check_spacing(labeller.fitted, where, prepared.geometry.spacing)
        except BratsError as error:
            if not skip:
                raise
            return SetAside(files.id, str(error))
        return prepared

    cavities = Buffers()
    for case in read_ahead(cases, read):
        if isinstance(case, SetAside):
            yield case
        else:
            files = case.files
            hole = read_cavity(source, str(files.label), schemes[files.id], cavities)
            yield _raw_pair(labeller, case, hole)


def _raw_pair(labeller: Labeller, case: Prepared, hole: NDArray[np.bool_] | None) -> LabelPair:
    """Predict one labelled case; with the (z, y, x) bool cavity of its truth where it is known."""
    truth = case.label
    if truth is None:
        raise ValueError(f"{case.files.id}: the case was prepared without its label")
    predicted = labeller.clean(case.paste(labeller.label(case.image)))
    shown = case.box.cut(truth)
    x, y, z = case.geometry.spacing.tolist()
    cavity = None if hole is None else (hole, np.zeros_like(hole))
    return LabelPair(
        case=case.files.id,
        truth=truth,
        predicted=predicted,
        spacing=(x, y, z),
        files=LabelFiles(case.geometry.orientation, cavity),
        lost=int(np.count_nonzero(truth) - np.count_nonzero(shown)),
        picture=pictured(
            case.files.id, case.z, case.image, shown[case.z], case.box.cut(predicted)[case.z]
        ),
    )


def file_pairs(
    labeller: Labeller, file: SliceFile, rows: NDArray[np.int64], *, skip: bool = False
) -> Pairs:
    """Predict stored planes; those that are not stored are empty on both sides.

    Args:
        labeller: what predicts.
        file: open slice file of the same preparation.
        rows: (n,) int64, rows under /slice, rising.
        skip: set a case at fault aside.

    Raises:
        BratsError: a chunk is damaged, or a case has voxels of another size than the run's.
    """
    intake = Intake(file, torch.device("cpu"))
    for c in np.unique(file.slices["case"][rows]):
        try:
            yield _file_pair(labeller, file, intake, rows[file.slices["case"][rows] == c])
        except BratsError as error:
            if not skip:
                raise
            yield SetAside(str(file.cases["id"][c]), str(error))


def _file_pair(
    labeller: Labeller, file: SliceFile, intake: Intake, rows: NDArray[np.int64]
) -> LabelPair:
    """Predict the stored planes of one case; (n,) int64 rows under /slice, rising."""
    c = int(file.slices["case"][rows[0]])
    case = file.cases[c]
    if not labeller.config.any_spacing:
        check_spacing(labeller.fitted, f"{file.path}: {case['id']}", case["spacing"])
    stored, label = file.read(rows)
    image = stored
    if file.config.normalise == "none":
        image = intake(torch.from_numpy(stored), rows).numpy()
    z = file.slices["z"][rows].astype(np.int64)
    planes = labeller.label(image)
    x_mm, y_mm, z_mm = case["spacing"].tolist()
    return LabelPair(
        case=str(case["id"]),
        truth=file.paste(c, label, z),
        predicted=labeller.clean(file.paste(c, planes, z)),
        spacing=(x_mm, y_mm, z_mm),
        lost=int(case["lost_voxels"][1:].sum()),
        picture=pictured(str(case["id"]), z, image, label, planes),
    )


def read_cavity(
    source: Source, member: str, scheme: Scheme, buffers: Buffers
) -> NDArray[np.bool_] | None:
    """Read the resection cavity of a label file, which the stored labels have no class for.

    Returns:
        (z, y, x) bool in RAS+ order; None where the scheme of the file knows no cavity.

    Raises:
        BratsError: the file cannot be read.
    """
    if scheme.name != "brats2024":
        return None
    return read_labels(source, member, CAVITY_SCHEME, buffers)[0] > 0


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
        predictions: files named for the case ids; those of no case are passed over.
        source: what the cases lie in.
        cases: labelled ones.
        schemes: of truth and predictions.
        skip: set a case at fault aside.

    Raises:
        BratsError: a prediction is missing, is there twice, holds values outside its scheme, or
            is not on the grid of its truth.
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
            if not skip:
                raise
            yield SetAside(files.id, str(error))


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
    truth, geometry = read_labels(source, str(files.label), scheme, buffers)
    check_values(predictions, member, predicted_scheme, buffers)
    predicted, placed = read_labels(predictions, member, predicted_scheme, buffers)
    nifti.check_same(geometry, placed, predictions.where(member), str(files.label))
    x, y, z = geometry.spacing.tolist()
    holes = (
        read_cavity(source, str(files.label), scheme, buffers),
        read_cavity(predictions, member, predicted_scheme, buffers),
    )
    true_hole, predicted_hole = (np.zeros(truth.shape, bool) if h is None else h for h in holes)
    is_known = any(hole is not None for hole in holes)
    cavity = (true_hole, predicted_hole) if is_known else None
    order = LabelFiles(geometry.orientation, cavity)
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
    found = {
        files.id: [m for ending in ENDINGS for m in named.get(f"{files.id}{ending}", [])]
        for files in cases
    }
    missing = [case for case, members in found.items() if not members]
    if missing and (not skip or len(missing) == len(cases)):
        raise BratsError(
            f"{predictions.path}: holds no prediction of {len(missing)} of {len(cases)} cases, "
            f"such as {missing[0]}.nii.gz; predict them, or choose cases with --case"
        )
    doubled = [members for members in found.values() if len(members) > 1]
    if doubled:
        raise BratsError(
            f"{predictions.path}: {' and '.join(doubled[0])} are of one case; remove one"
        )
    return {case: members[0] for case, members in found.items() if members}


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
