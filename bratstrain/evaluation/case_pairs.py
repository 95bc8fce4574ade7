"""Truth and prediction of case after case: from raw cases, a slice file, or files of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bratsprep.case import CaseFiles
from bratsprep.config import PrepConfig, SourceConfig
from bratsprep.errors import BratsError
from bratsprep.labels import Scheme
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratsprep.system.faulty_cases import set_aside
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import read_scan
from bratstrain.apply_config import ApplyConfig
from bratstrain.data.trained_cases import stored_prints
from bratstrain.evaluation.case_images import brain_images, stored_images
from bratstrain.evaluation.image_facts import ImageFacts, raw_facts, stored_facts
from bratstrain.evaluation.label_pair import Images, LabelPair, Pairs
from bratstrain.evaluation.stored_planes import network_image, planes_around
from bratstrain.evaluation.tables import Picture
from bratstrain.inference.applied import source_choice
from bratstrain.inference.segment import (
    Prepared,
    check_spacing,
    prepared,
    read_ahead,
    segment,
)
from bratstrain.inference.small_components import LeastSizes, cleanup_of
from bratstrain.inference.to_source import source_entropy, source_label
from bratstrain.runs.fitted import Fitted, load_fitted
from bratstrain.scoring.calibration import Calibration, calibrations


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """What networks make of the planes of a case."""

    planes: NDArray[np.uint8]
    """(s, h, w) stored classes."""
    probability: NDArray[np.float32]
    """(classes, s, h, w); of 0 planes where it was not asked for."""
    entropy: NDArray[np.uint8]
    """(s, h, w) of the mean probabilities, 255 where all classes are equally likely."""
    calibration: Mapping[str, Calibration]
    """By class and region, over the brain."""


@dataclass(frozen=True, slots=True)
class Labeller:
    """Networks, and how they are applied."""

    fitted: Fitted
    config: ApplyConfig
    sizes: LeastSizes = field(default_factory=LeastSizes)
    tuned_on: frozenset[str] = frozenset()
    """Ids of the cases that those sizes are from."""

    @property
    def files(self) -> SourceConfig:
        """What raw files are taken for, as far as not given as the run's preparation says."""
        return source_choice(self.config, self.fitted)

    @property
    def brain_mask(self) -> str:
        """Pattern of the brain masks of raw cases; `none` for skull-stripped images."""
        return self.fitted.brain_mask(self.config.brain_mask)

    def label(
        self,
        image: NDArray[Any],
        z: NDArray[np.integer[Any]],
        truth: NDArray[np.uint8],
        counted: NDArray[np.bool_] | None = None,
        *,
        keep: bool = False,
    ) -> Labelled:
        """Label planes of one case, and count how well their probabilities are calibrated.

        Args:
            image: (s, m, h, w) float16 or float32, standard deviations; 0 outside the brain.
            z: (s,) int, plane of each in the volume, rising.
            truth: (s, h, w) uint8, stored labels.
            counted: (s,) bool, planes that are scored and not only looked at; None for all.
            keep: return the probabilities too.
        """
        parts = self.fitted.classes.parts
        inside = (image != 0).any(axis=1)
        if counted is not None:
            inside &= counted[:, None, None]
        entropy = np.empty(truth.shape, np.uint8)
        batches: list[list[Calibration]] = []

        def see(planes: slice, probability: NDArray[np.float32]) -> None:
            """Count a batch: (b, c, h, w) float32 probabilities of some planes."""
            rows = calibrations(probability, truth[planes], inside[planes], [*parts.values()])
            batches.append(rows)

        planes, kept = segment(
            self.fitted, image, z, self.config, keep=keep, see=see, entropy=entropy
        )
        totals = (reduce(add, rows) for rows in zip(*batches, strict=True))
        return Labelled(planes, kept, entropy, dict(zip(parts, totals, strict=False)))

    def clean(self, volume: NDArray[np.uint8], spacing: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Drop what is too small in a whole volume, where sizes are given.

        Args:
            volume: (z, y, x) uint8, stored labels.
            spacing: (3,) float64, mm.
        """
        return self.sizes.clean(volume, spacing, self.fitted.classes)


def load_labeller(run: Path, apply: ApplyConfig) -> Labeller:
    """Load a run, and the sizes of its clean-up where they are wanted.

    Raises:
        BratsError: the folder is no finished run, or sizes are not tuned.
    """
    fitted = load_fitted([run], apply.device, apply.trusted_models)
    if not apply.cleanup:
        return Labeller(fitted, apply)
    cleanup = cleanup_of(run, fitted.classes)
    sizes = LeastSizes(cleanup.least_mm3, cleanup.least_total_mm3)
    return Labeller(fitted, apply, sizes, frozenset(cleanup.cases))


def raw_pairs(
    labeller: Labeller,
    source: Source,
    cases: Sequence[CaseFiles],
    schemes: Mapping[str, Scheme],
    *,
    images: bool = False,
    skip: bool = False,
) -> Pairs:
    """Predict raw cases over every brain plane, in original space.

    Args:
        labeller: what predicts.
        source: what the cases lie in.
        cases: labelled ones.
        schemes: of their labels, by id.
        images: keep the modalities of each case with its pair.
        skip: set a case at fault aside.

    Raises:
        BratsError: a case is at fault, or has voxels of another size than the run's.
    """

    def read(
        files: CaseFiles, buffers: Buffers
    ) -> tuple[Prepared, Images | None, ImageFacts | None]:
        scan = read_scan(files, source, buffers, schemes[files.id], labeller.fitted.asked)
        shown = brain_images(scan, labeller.fitted.preparation) if images else None
        case = prepared(scan, labeller.fitted)
        check_prepared(labeller, source, case)
        return case, shown, raw_facts(scan)

    for files, result in read_ahead(cases, read):
        if isinstance(result, BratsError):
            yield set_aside(files.id, result, skip=skip)
        else:
            yield raw_pair(labeller, *result)


def check_prepared(labeller: Labeller, source: Source, case: Prepared) -> None:
    """Refuse a case that has no label, or voxels of another size than the run's.

    Raises:
        BratsError: it has.
    """
    where = f"{source.path}: {case.files.id}"
    if case.label is None:
        raise BratsError(f"{where} has no label to be scored against")
    if not labeller.config.any_spacing:
        check_spacing(labeller.fitted, where, np.array(case.grid.spacing))


def raw_pair(
    labeller: Labeller,
    case: Prepared,
    images: Images | None = None,
    facts: ImageFacts | None = None,
) -> LabelPair:
    """Predict a raw case that has been prepared for the run.

    Args:
        labeller: what predicts.
        case: labelled, and checked by `check_prepared`.
        images: modalities to keep with the pair.
        facts: of its images.
    """
    if case.label is None or case.seen is None:
        raise ValueError(f"{case.files.id}: the case was prepared without its label")
    found = labeller.label(case.image, case.z, case.seen, keep=case.is_resampled)
    nesting = labeller.fitted.model.nesting
    label = source_label(case, found.planes, found.probability, nesting)
    predicted = labeller.clean(label, case.geometry.spacing)
    shown = found.planes if case.is_resampled else case.box.cut(predicted)[case.z]
    window = case.grid.part(case.box, case.source_grid)
    x, y, z = case.geometry.spacing.tolist()
    return LabelPair(
        case=case.files.id,
        truth=case.label,
        predicted=predicted,
        spacing=(x, y, z),
        classes=labeller.fitted.classes,
        orientation=case.geometry.orientation.codes,
        lost=int(np.count_nonzero(case.label) - np.count_nonzero(window.cut(case.label))),
        picture=pictured(
            case.files.id,
            case.z,
            case.image[:, labeller.fitted.shown],
            (case.seen, shown),
        ),
        images=images,
        fingerprint=case.fingerprint,
        calibration=found.calibration,
        entropy=source_entropy(case, found.entropy),
        facts=facts,
    )


def file_pairs(
    labeller: Labeller,
    file: SliceFile,
    rows: NDArray[np.int64],
    *,
    images: bool = False,
    skip: bool = False,
) -> Pairs:
    """Predict stored planes; those that are not stored are empty on both sides.

    Args:
        labeller: what predicts.
        file: open slice file of the same preparation.
        rows: (n,) int64, rows under /slice, rising.
        images: keep the modalities of each case with its pair.
        skip: set a case at fault aside.

    Raises:
        BratsError: a chunk is damaged, or a case has voxels of another size than the run's.
    """
    prints = stored_prints(file.path, file.cases["id"].astype(str).tolist())
    for c in np.unique(file.slices["case"][rows]):
        mine = rows[file.slices["case"][rows] == c]
        try:
            stored, label = file.read(mine)
            shown = stored_images(file, mine, stored) if images else None
            pair = file_pair(labeller, file, mine, (stored, label), shown)
            yield replace(pair, fingerprint=prints.get(pair.case))
        except BratsError as error:
            yield set_aside(str(file.cases["id"][c]), error, skip=skip)


def file_pair(
    labeller: Labeller,
    file: SliceFile,
    rows: NDArray[np.int64],
    stored: tuple[NDArray[Any], NDArray[np.uint8]],
    images: Images | None,
) -> LabelPair:
    """Predict the stored planes of one case.

    Args:
        labeller: what predicts.
        file: open slice file of the same preparation.
        rows: (s,) int64, rows of the case under /slice, rising.
        stored: (s, m, h, w) images and (s, h, w) labels of the rows.
        images: modalities to keep with the pair.

    Raises:
        BratsError: the case has voxels of another size than the run's.
    """
    image, label = stored
    c = int(file.slices["case"][rows[0]])
    case = file.cases[c]
    if not labeller.config.any_spacing:
        check_spacing(labeller.fitted, f"{file.path}: {case['id']}", case["spacing"])
    image = network_image(file, rows, image)
    z = file.slices["z"][rows].astype(np.int64)
    found = label_stored(labeller, file, rows, (image, label))
    predicted = labeller.clean(file.paste(c, found.planes, z), case["spacing"])
    picture = pictured(str(case["id"]), z, image[:, labeller.fitted.shown], (label, found.planes))
    x_mm, y_mm, z_mm = case["spacing"].tolist()
    return LabelPair(
        case=str(case["id"]),
        truth=file.paste(c, label, z),
        predicted=predicted,
        spacing=(x_mm, y_mm, z_mm),
        classes=labeller.fitted.classes,
        lost=int(case["lost_voxels"][1:].sum()),
        picture=picture,
        images=images,
        calibration=found.calibration,
        entropy=file.paste(c, found.entropy, z),
        facts=stored_facts(case),
    )


def label_stored(
    labeller: Labeller,
    file: SliceFile,
    rows: NDArray[np.int64],
    stored: tuple[NDArray[Any], NDArray[np.uint8]],
) -> Labelled:
    """Label stored planes of one case, given all planes of the case that the network looks at.

    Args:
        labeller: what predicts.
        file: open slice file.
        rows: (s,) int64, rows of the case under /slice, rising.
        stored: (s, m, h, w) images, standard deviations, and (s, h, w) labels of the rows.

    Raises:
        SchemaError: a chunk is damaged.
    """
    image, label = stored
    whole, images = planes_around(labeller.fitted, file, rows, image)
    mine = np.isin(whole, rows)
    truth = np.zeros((len(whole), *label.shape[1:]), np.uint8)
    truth[mine] = label
    found = labeller.label(images, file.slices["z"][whole], truth, mine)
    return replace(found, planes=found.planes[mine], entropy=found.entropy[mine])


def check_file(fitted: Fitted, file: SliceFile) -> None:
    """Refuse a slice file whose slices are not prepared as the run's were.

    Raises:
        BratsError: settings or sizes differ.
    """
    ours, theirs = (_prepared(fitted.preparation, fitted.size),
                    _prepared(file.config, file.shape))  # fmt: skip
    ours["classes"] = ", ".join(fitted.classes.tumour)
    theirs["classes"] = ", ".join(file.classes.tumour)
    other = [f"{name} {theirs[name]}, not {ours[name]}" for name in ours
             if ours[name] != theirs[name]]  # fmt: skip
    if other:
        raise BratsError(
            f"{file.path}: slices are not as those that {fitted.name} was fitted on: "
            f"{'; '.join(other)}; build it with the run's settings, or evaluate --raw"
        )


def _prepared(config: PrepConfig, size: tuple[int, int]) -> dict[str, Any]:
    """What makes slices what they are to a network."""
    return {
        "modalities": config.modalities,
        "normalise": config.normalise,
        "spacing": config.spacing,
        "crop": config.crop,
        "size": tuple(size),
    }


def pictured(
    case: str,
    z: NDArray[np.int64],
    image: NDArray[Any],
    labels: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> Picture:
    """Take the plane with the largest tumour: of the truth, or else of the prediction.

    Args:
        case: its id.
        z: (s,) planes.
        image: (s, h, w) of one modality, standard deviations.
        labels: (s, h, w) uint8 of truth and prediction.
    """
    truth, predicted = labels
    area = np.count_nonzero(truth, axis=(1, 2))
    if not area.any():
        area = np.count_nonzero(predicted, axis=(1, 2))
    s = int(area.argmax()) if area.any() else len(z) // 2
    shown = image[s].astype(np.float32)
    return Picture(case, int(z[s]), shown, truth[s].copy(), predicted[s].copy())
