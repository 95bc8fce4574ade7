"""Fitted networks applied to raw cases: NIfTI labels in each scan's own space."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Unpack

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.case import CaseFiles
from bratsprep.config import FaultConfig
from bratsprep.discovery.discover import Found, listing, scan
from bratsprep.errors import BratsError, LabelError, LayoutError
from bratsprep.labels import ClassSet, Scheme, shipped
from bratsprep.settings import take
from bratsprep.sources.source import Source, open_source
from bratsprep.system.faulty_cases import (
    SetAside,
    advised,
    check_any_left,
    skipped_lines,
    without_faulty,
)
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import to_file_order
from bratsprep.volumes.label_schemes import chosen_scheme, resolve
from bratsprep.volumes.warm import warm
from bratstrain.apply_config import ApplyConfig, PageSettings
from bratstrain.data.trained_cases import compare, read_trained
from bratstrain.inference.applied import check_classes, scheme_for, source_choice
from bratstrain.inference.nifti_out import make_folder, read_source_header, write_nifti
from bratstrain.inference.segment import (
    Prepared,
    check_spacing,
    prepare_case,
    read_ahead,
    segment,
)
from bratstrain.inference.small_components import drop_small, shared_sizes
from bratstrain.runs.files import TRAINED
from bratstrain.runs.fitted import Fitted, load_fitted

SUFFIX: Final = ".nii.gz"
PROBABILITIES: Final = "_probabilities"
"""Before the suffix in the name of a file of probabilities."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A case that was labelled."""

    case: str
    path: Path
    """Of the labels."""
    scheme: str
    """Label scheme that they are written in."""
    voxels: tuple[int, ...]
    """(classes,) voxels of each stored class in the whole volume."""
    classes: ClassSet
    spacing: tuple[float, ...]
    """(3,) mm, along RAS+ (x, y, z)."""
    training: tuple[str, ...] = ()
    """What images say of the case and the training cases of each run, a sentence a run."""

    def line(self) -> str:
        """Summarise in one line: millilitres of each class."""
        voxel_ml = float(np.prod(self.spacing)) / 1000
        volumes = ", ".join(
            f"{name} {count * voxel_ml:.1f} ml"
            for name, count in zip(self.classes.tumour, self.voxels[1:], strict=True)
        )
        return "; ".join([f"{self.path}: {volumes} ({self.scheme})", *self.training])


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `predict` did."""

    cases: tuple[Predicted, ...]
    """Labelled cases, by id."""
    skipped: tuple[SetAside, ...] = ()
    """Faulty cases, which have no prediction."""

    def lines(self) -> list[str]:
        """One line a case, then the faulty ones with their faults."""
        return [*(case.line() for case in self.cases), *skipped_lines(self.skipped)]


@dataclass(frozen=True, slots=True)
class Work:
    """What all cases of a call share."""

    source: Source
    schemes: dict[str, Scheme]
    """Label scheme in which each case is written, by its id."""
    fitted: Fitted
    config: ApplyConfig
    sizes: dict[str, int]
    """Size in voxels of the smallest component that is kept, by class; empty keeps all."""
    out: Path
    probabilities: bool
    trained: Mapping[str, NDArray[np.void]]
    """(n,) `trained_cases.row_dtype` of each run that kept its training cases, by its folder."""

    def do(self, case: Prepared) -> Predicted:
        """Label one case and write it."""
        planes, probability = segment(
            self.fitted, case.image, case.z, self.config, keep=self.probabilities
        )
        label = case.paste(planes)
        if self.sizes:
            label = drop_small(label, self.sizes, self.fitted.classes)
        scheme = self.schemes[case.files.id]
        header = read_source_header(self.source, case.files.first)
        path = self.out / f"{case.files.id}{SUFFIX}"
        write_nifti(path, [to_file_order(scheme.raw()[label], case.geometry)], header)
        if self.probabilities:
            write_nifti(
                probabilities_path(self.out, case.files.id),
                (to_file_order(volume, case.geometry) for volume in spread(case, probability)),
                header,
                n_volumes=len(self.fitted.classes),
            )
        voxels = np.bincount(label.ravel(), minlength=len(self.fitted.classes)).tolist()
        return Predicted(
            case.files.id,
            path,
            scheme.name,
            tuple(voxels),
            self.fitted.classes,
            tuple(case.geometry.spacing.tolist()),
            tuple(self.compared(case)),
        )

    def compared(self, case: Prepared) -> Iterator[str]:
        """State for each run whether the case shows a person that it was fitted on."""
        prints = {} if case.fingerprint is None else {case.files.id: case.fingerprint}
        for run, rows in self.trained.items():
            found = compare(rows, prints)
            own = found.certain.get(case.files.id, ())
            said = f"THIS PERSON IS IN TRAINING, as {', '.join(own)}: " if own else ""
            yield said + found.line(f" of {run}")


def predict(
    run: Path | str | Sequence[Path | str],
    raw: Path | str,
    out: Path | str,
    *,
    cases: Sequence[str] = (),
    probabilities: bool = False,
    force: bool = False,
    progress: bool = False,
    **settings: Unpack[PageSettings],
) -> Predictions:
    """Label raw cases with a fitted network; `bratstrain.predict`.

    Each case becomes `<case>.nii.gz` on the grid of its first modality's file: same shape, axes,
    affine and codes. Every plane with brain is predicted; outside of the crop window the label is
    background. One case is in memory while the next is read.

    Example:
        bratstrain.predict("runs/a", "BraTS20_Training_001", "predicted", tta="lr")

    Args:
        run: run folder, or several for the mean of their probabilities.
        raw: case folder, data set or archive, labelled or not.
        out: folder to write to; made where it is missing.
        cases: ids of the cases to label; all by default.
        probabilities: write `<case>_probabilities.nii.gz` too, (x, y, z, classes) float32,
            background first.
        force: replace existing predictions.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig`, all but `same_grid`, and of
            `bratsprep.config.FaultConfig`.

    Raises:
        BratsError: a run or a case is at fault, the runs were fitted on different slices, a case
            has voxels of another size than the runs', or output files exist already.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    own, on_fault = take("predict", settings, ApplyConfig, FaultConfig)
    config, skip = ApplyConfig(**own), FaultConfig(**on_fault).skip
    if config.same_grid:
        raise ValueError("same_grid has no effect on predictions; leave it out")
    chosen_scheme(config.labels)
    runs = [Path(run)] if isinstance(run, Path | str) else [Path(one) for one in run]
    fitted = load_fitted(runs, config.device, config.trusted_models)
    sizes = shared_sizes(runs) if config.cleanup else {}
    folder = Path(out)
    with open_source(Path(raw)) as source:
        choice = source_choice(config, fitted)
        found = scan(source, unlabelled=True, skip=True, **asdict(choice))
        chosen, faulty = usable(found, cases, source, skip=skip)
        schemes = schemes_to_write(source, chosen, fitted, config.labels)
        _refuse_existing(folder, chosen, source, force=force, probabilities=probabilities)
        make_folder(folder)
        kept = {run.name: read_trained(run / TRAINED) for run in runs}
        trained = {run: rows for run, rows in kept.items() if rows is not None}
        work = Work(source, schemes, fitted, config, sizes, folder, probabilities, trained)
        done = work_through(work, chosen, faulty, skip=skip, progress=progress)
    check_any_left(raw, len(done), faulty)
    return Predictions(tuple(done), tuple(sorted(faulty, key=lambda case: case.id)))


def work_through(
    work: Work,
    cases: Sequence[CaseFiles],
    faulty: list[SetAside],
    *,
    skip: bool,
    progress: bool,
) -> list[Predicted]:
    """Label one case while the next is read.

    Args:
        work: what all cases share.
        cases: to label.
        faulty: receives the cases that are set aside.
        skip: set faulty cases aside.
        progress: show a bar.

    Raises:
        BratsError: a case is faulty or has voxels of another size than the runs', and such cases
            are not set aside; or a prediction cannot be written.
    """
    warm(len(work.fitted.preparation.channels))

    def read(files: CaseFiles, buffers: Buffers) -> Prepared:
        case = prepare_case(files, buffers, work.source, work.fitted, None)
        if not work.config.any_spacing:
            where = f"{work.source.path}: {files.id}"
            check_spacing(work.fitted, where, case.geometry.spacing)
        return case

    hidden = None if progress else True
    with tqdm(total=len(cases), desc="predict", unit="case", disable=hidden) as bar:
        done = []
        for case in without_faulty(read_ahead(cases, read), faulty, skip=skip):
            done.append(work.do(case))
            bar.update()
    return done


def usable(
    found: Found, ids: Sequence[str], source: Source, *, skip: bool
) -> tuple[tuple[CaseFiles, ...], list[SetAside]]:
    """Select cases by id, all where no id is given; faults in other cases are ignored.

    Args:
        found: the cases of the source, those that cannot be put together set aside.
        ids: of the selected cases.
        source: of the cases, for errors.
        skip: set selected cases aside that cannot be put together.

    Raises:
        BratsError: the source has no such case, or a selected one cannot be put together and is
            not set aside.
    """
    good = {files.id: files for files in found.cases}
    bad = {case.id: case for case in found.set_aside}
    missing = [name for name in ids if name not in good.keys() | bad.keys()]
    if missing:
        known = sorted(good.keys() | bad.keys())
        raise BratsError(
            f"{source.path}: holds no case {', '.join(missing)}; "
            f"the first of its {len(known)} cases is {known[0]}"
        )
    selected = sorted(set(ids) or good.keys() | bad.keys())
    faulty = [bad[name] for name in selected if name in bad]
    if faulty and not skip:
        raise advised(LayoutError(listing(source, [case.reason for case in faulty])))
    chosen = tuple(good[name] for name in selected if name in good)
    check_any_left(source.path, len(chosen), faulty)
    return chosen, faulty


def schemes_to_write(
    source: Source, cases: Sequence[CaseFiles], fitted: Fitted, labels: Path | str
) -> dict[str, Scheme]:
    """Label scheme to write each case in: the requested one, its own, or else the runs'.

    Raises:
        LabelError: a case's scheme is unknown.
    """
    chosen = scheme_for(labels, fitted)
    schemes = resolve(source, cases, chosen)
    for files in cases:
        if files.id in schemes:
            continue
        own = shipped().get(files.scheme or "")
        scheme = chosen or own or (None if files.scheme_fault else fitted.scheme)
        if scheme is None:
            raise LabelError(
                f"{source.path}: {files.id} has no label and no known naming, so its label scheme "
                f"is unknown; choose one of {', '.join(shipped())} with --labels NAME"
            )
        schemes[files.id] = scheme
    for case, scheme in schemes.items():
        check_classes(f"{source.path}: {case}", scheme, fitted)
    return schemes


def spread(case: Prepared, probability: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    """Place the probabilities of the predicted planes into whole volumes.

    Args:
        case: whose planes they are.
        probability: (classes, s, h, w) float32.

    Yields:
        (z, y, x) float32 for each class; voxels that were not predicted are background, 1.
    """
    for label, planes in enumerate(probability):
        volume = case.paste(planes - 1) + 1 if label == 0 else case.paste(planes)
        yield volume.astype(np.float32, copy=False)


def probabilities_path(out: Path, case: str) -> Path:
    """Path of the probabilities of a case."""
    return out / f"{case}{PROBABILITIES}{SUFFIX}"


def _refuse_existing(
    out: Path, cases: Sequence[CaseFiles], source: Source, *, force: bool, probabilities: bool
) -> None:
    """Refuse to overwrite predictions without `force`, and scans in any case.

    Raises:
        BratsError: such a file exists.
    """
    paths = [out / f"{files.id}{SUFFIX}" for files in cases]
    if probabilities:
        paths += [probabilities_path(out, files.id) for files in cases]
    existing = [path for path in paths if path.exists()]
    if existing and (not force or out.resolve().is_relative_to(source.path.resolve())):
        raise BratsError(
            f"{existing[0]}: exists already, {len(existing)} files in all; "
            f"name another folder{'' if force else ', or replace them with --force'}"
        )
