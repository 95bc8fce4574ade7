"""Fitted networks on raw cases: NIfTI labels in each scan's own space."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.case import CaseFiles
from bratsprep.discovery.discover import scan
from bratsprep.errors import BratsError, LabelError
from bratsprep.labels import CLASSES, SCHEMES, Scheme
from bratsprep.sources.source import Source, open_source
from bratsprep.volumes.case_volumes import to_file_order
from bratsprep.volumes.label_schemes import resolve
from bratsprep.volumes.warm import warm
from bratstrain.data.trained_cases import compare, read_trained
from bratstrain.inference.nifti_out import make_folder, read_source_header, write_nifti
from bratstrain.inference.segment import (
    ApplyConfig,
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
CHANCES: Final = "_probabilities"
"""Before the suffix of a file of probabilities."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """One case that was labelled."""

    case: str
    path: Path
    """Of the labels."""
    scheme: str
    """Label scheme that they are written in."""
    voxels: tuple[int, ...]
    """(4,) of each stored class, in the whole volume."""
    spacing: tuple[float, ...]
    """(3,) mm, along RAS+ (x, y, z)."""
    training: tuple[str, ...] = ()
    """What images say of the case and the training cases of each run, a sentence a run."""

    def line(self) -> str:
        """Say it in one line: millilitres of each class."""
        voxel_ml = float(np.prod(self.spacing)) / 1000
        volumes = ", ".join(
            f"{name} {count * voxel_ml:.1f} ml"
            for name, count in zip(CLASSES[1:], self.voxels[1:], strict=True)
        )
        return "; ".join([f"{self.path}: {volumes} ({self.scheme})", *self.training])


@dataclass(frozen=True, slots=True)
class Work:
    """What is the same for every case."""

    source: Source
    schemes: dict[str, Scheme]
    """To write each case in, by its id."""
    fitted: Fitted
    config: ApplyConfig
    sizes: dict[str, int]
    """Smallest components that stay, by class; empty where nothing is dropped."""
    out: Path
    probabilities: bool
    trained: Mapping[str, NDArray[np.void]]
    """(n,) `trained_cases.ROW` of each run that kept its training cases, by its folder's name."""

    def do(self, case: Prepared) -> Predicted:
        """Label one case and write it."""
        planes, chances = segment(self.fitted, case.image, self.config, keep=self.probabilities)
        label = case.paste(planes)
        if self.sizes:
            label = drop_small(label, self.sizes)
        scheme = self.schemes[case.files.id]
        header = read_source_header(self.source, case.files.images[0].member)
        path = self.out / f"{case.files.id}{SUFFIX}"
        write_nifti(path, [to_file_order(scheme.raw()[label], case.geometry)], header)
        if self.probabilities:
            write_nifti(
                chances_path(self.out, case.files.id),
                (to_file_order(each, case.geometry) for each in spread(case, chances)),
                header,
                n_volumes=len(CLASSES),
            )
        voxels = np.bincount(label.ravel(), minlength=len(CLASSES)).tolist()
        return Predicted(
            case.files.id,
            path,
            scheme.name,
            tuple(voxels),
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
    **settings: Any,  # noqa: ANN401  fields of ApplyConfig, checked there
) -> list[Predicted]:
    """Label raw cases with a fitted network; `bratstrain.predict`.

    Each case becomes `<case>.nii.gz` on the grid of its first modality's file: same shape, axes,
    affine and codes. Every plane with brain is looked at; outside the crop window there is
    background. One case is in memory while the next is read.

    Example:
        bratstrain.predict("runs/a", "BraTS20_Training_001", "predicted", tta="lr")

    Args:
        run: run folder, or several for the mean of their probabilities.
        raw: case folder, data set or archive, labelled or not.
        out: folder to write to; made where it is missing.
        cases: ids of the cases wanted; all by default.
        probabilities: write `<case>_probabilities.nii.gz` too, float32 with the classes along
            the fourth axis, background first.
        force: replace predictions that are there.
        progress: show a bar on standard error, where that is a terminal.
        **settings: fields of `ApplyConfig`.

    Raises:
        BratsError: a run or a case is at fault, the runs do not go together, a case has voxels
            of another size than the runs', or files are there already.
        ValueError: a setting is not allowed.
    """
    config = ApplyConfig(**settings)
    runs = [Path(run)] if isinstance(run, Path | str) else [Path(each) for each in run]
    fitted = load_fitted(runs, config.device)
    sizes = shared_sizes(runs) if config.cleanup else {}
    folder = Path(out)
    with open_source(Path(raw)) as source:
        chosen = choose(scan(source, unlabelled=True).cases, cases, source)
        schemes = schemes_to_write(source, chosen, fitted, config.labels)
        _refuse_existing(folder, chosen, source, force=force, probabilities=probabilities)
        make_folder(folder)
        kept = {run.name: read_trained(run / TRAINED) for run in runs}
        trained = {run: rows for run, rows in kept.items() if rows is not None}
        work = Work(source, schemes, fitted, config, sizes, folder, probabilities, trained)
        return work_through(work, chosen, progress=progress)


def work_through(work: Work, cases: Sequence[CaseFiles], *, progress: bool) -> list[Predicted]:
    """Label case after case while the next is read."""
    warm()
    done = []
    read = partial(prepare_case, source=work.source, fitted=work.fitted, scheme=None)
    bar = tqdm(total=len(cases), desc="predict", unit="case", disable=None if progress else True)
    with bar:
        for case in read_ahead(cases, read):
            if not work.config.any_spacing:
                where = f"{work.source.path}: {case.files.id}"
                check_spacing(work.fitted, where, case.geometry.spacing)
            done.append(work.do(case))
            bar.update()
    return done


def choose(
    cases: Iterable[CaseFiles], wanted: Sequence[str], source: Source
) -> tuple[CaseFiles, ...]:
    """Take the cases that are wanted, all where none is named.

    Raises:
        BratsError: one is not there.
    """
    found = {files.id: files for files in cases}
    missing = [name for name in wanted if name not in found]
    if missing:
        raise BratsError(
            f"{source.path}: holds no case {', '.join(missing)}; "
            f"the first of its {len(found)} cases is {next(iter(found))}"
        )
    return tuple(found[name] for name in sorted(set(wanted))) if wanted else tuple(found.values())


def schemes_to_write(
    source: Source, cases: Sequence[CaseFiles], fitted: Fitted, labels: str
) -> dict[str, Scheme]:
    """Label scheme to write each case in: the one asked for, its own, or else the run's.

    Raises:
        LabelError: the scheme cannot be told.
    """
    known = resolve(source, cases, labels)
    for files in cases:
        if files.id in known:
            continue
        name = labels if labels != "auto" else files.scheme or fitted.scheme
        if name not in SCHEMES:
            raise LabelError(
                f"{source.path}: {files.id} has no label and its name says no scheme; "
                f"say which of {', '.join(SCHEMES)} to write with --labels NAME"
            )
        known[files.id] = SCHEMES[name]
    return known


def spread(case: Prepared, chances: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    """Whole (z, y, x) float32 volume of each class; all background where nothing was looked at."""
    for label, planes in enumerate(chances):
        volume = case.paste(planes - 1) + 1 if label == 0 else case.paste(planes)
        yield volume.astype(np.float32, copy=False)


def chances_path(out: Path, case: str) -> Path:
    """Where the probabilities of a case go."""
    return out / f"{case}{CHANCES}{SUFFIX}"


def _refuse_existing(
    out: Path, cases: Sequence[CaseFiles], source: Source, *, force: bool, probabilities: bool
) -> None:
    """Refuse to write over predictions that nobody gave up, and over scans in any case.

    Raises:
        BratsError: such a file is there.
    """
    paths = [out / f"{files.id}{SUFFIX}" for files in cases]
    if probabilities:
        paths += [chances_path(out, files.id) for files in cases]
    there = [path for path in paths if path.exists()]
    if there and (not force or out.resolve().is_relative_to(source.path.resolve())):
        raise BratsError(
            f"{there[0]}: is there already, {len(there)} files in all; "
            f"name another folder{'' if force else ', or replace them with --force'}"
        )
