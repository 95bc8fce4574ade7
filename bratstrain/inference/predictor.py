"""Fitted networks applied to raw cases: NIfTI labels in each scan's own space."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Unpack

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
from bratsprep.volumes.warm import warm_cases
from bratstrain.apply_config import ApplyConfig, OutputConfig, PredictSettings
from bratstrain.data.trained_cases import compare, read_trained
from bratstrain.inference.applied import check_classes, scheme_for, source_choice
from bratstrain.inference.case_output import Draw, OutputFiles, fullest_plane
from bratstrain.inference.nifti_out import make_folder, read_source_header, write_nifti
from bratstrain.inference.segment import (
    Prepared,
    check_spacing,
    prepare_case,
    read_ahead,
    segment,
)
from bratstrain.inference.small_components import LeastSizes, shared_sizes
from bratstrain.inference.to_source import source_label, source_volumes
from bratstrain.inference.viewer_files import (
    colour_tables,
    header_fields,
    refuse_others,
    write_texts,
)
from bratstrain.inference.volumes_csv import (
    VOLUMES,
    part_volumes,
    read_rows,
    row,
    write_rows,
)
from bratstrain.runs.ensemble import every_run
from bratstrain.runs.files import TRAINED
from bratstrain.runs.fitted import Fitted, load_fitted, untold_start
from bratstrain.runs.hub import located


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

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volume of each class and region by name, ml."""
        return part_volumes(self.voxels, self.spacing, self.classes)

    def volumes_text(self) -> str:
        """Millilitres of each class."""
        volumes = self.volumes_ml
        return ", ".join(f"{name} {volumes[name]:.1f} ml" for name in self.classes.tumour)

    def line(self) -> str:
        """Summarise in one line: millilitres of each class."""
        return "; ".join([f"{self.path}: {self.volumes_text()} ({self.scheme})", *self.training])


@dataclass(frozen=True, slots=True)
class Predictions:
    """What `predict` did."""

    cases: tuple[Predicted, ...]
    """Labelled cases, by id."""
    skipped: tuple[SetAside, ...] = ()
    """Faulty cases, which have no prediction."""
    unknown: tuple[str, ...] = ()
    """Runs that keep nothing of their training cases, such as published ones, and those that a
    fine-tuned run began from."""

    def lines(self) -> list[str]:
        """One line a case, what is unknown, then the faulty ones with their faults."""
        notes = [
            f"note: {run} keeps no fingerprints of its training cases, so nobody has looked "
            "whether these people are among them"
            for run in self.unknown
        ]
        return [*(case.line() for case in self.cases), *notes, *skipped_lines(self.skipped)]


@dataclass(frozen=True, slots=True)
class Work:
    """What all cases of a call share."""

    source: Source
    schemes: dict[str, Scheme]
    """Label scheme in which each case is written, by its id."""
    fitted: Fitted
    config: ApplyConfig
    sizes: LeastSizes
    out: OutputFiles
    draw: Draw | None
    """Draws each case; None for no figures."""
    rows: dict[str, dict[str, str]]
    """Rows of the table of volumes by case, those of earlier calls included."""
    trained: Mapping[str, NDArray[np.void]]
    """(n,) `trained_cases.row_dtype` of each run that kept its training cases, by its folder."""

    def do(self, case: Prepared) -> Predicted:
        """Label one case and write it."""
        keep = self.out.probabilities or case.is_resampled
        planes, probability = segment(self.fitted, case.image, case.z, self.config, keep=keep)
        label = source_label(case, planes, probability, self.fitted.model.nesting)
        label = self.sizes.clean(label, case.geometry.spacing, self.fitted.classes)
        scheme, case_id = self.schemes[case.files.id], case.files.id
        header = read_source_header(self.source, case.files.first)
        raw = to_file_order(scheme.raw()[label], case.geometry)
        write_nifti(self.out.label(case_id), [raw], header, fields=header_fields(scheme))
        if self.out.probabilities:
            write_nifti(
                self.out.probability(case_id),
                (
                    to_file_order(volume, case.geometry)
                    for volume in source_volumes(case, probability)
                ),
                header,
                n_volumes=len(self.fitted.classes),
            )
        voxels = np.bincount(label.ravel(), minlength=len(self.fitted.classes)).tolist()
        done = Predicted(
            case_id,
            self.out.label(case_id),
            scheme.name,
            tuple(voxels),
            self.fitted.classes,
            tuple(case.geometry.spacing.tolist()),
            tuple(self.compared(case)),
        )
        self.picture(case, planes if case.is_resampled else case.box.cut(label)[case.z], done)
        return done

    def note(self, done: Predicted) -> None:
        """Add a case to the table of volumes; an interrupted call leaves those that it did."""
        self.rows[done.case] = row(done.case, done.scheme, done.volumes_ml)
        write_rows(self.out.folder / VOLUMES, self.rows, self.fitted.classes)

    def picture(self, case: Prepared, planes: NDArray[np.uint8], done: Predicted) -> None:
        """Draw a case where figures are wanted.

        Args:
            case: as the network saw it.
            planes: (s, h, w) uint8 stored classes of its planes.
            done: what was written of it.
        """
        if self.draw is None:
            return
        of = self.fitted.preparation.channels, self.fitted.shown, self.fitted.classes
        plane = fullest_plane(case, planes, of, done.volumes_text())
        self.draw(self.out.figure(done.case), plane)

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
    draw: Draw | None = None,
    progress: bool = False,
    **settings: Unpack[PredictSettings],
) -> Predictions:
    """Label raw cases with a fitted network; `bratstrain.predict`.

    Each case becomes `<case>.nii.gz` on the grid of its first modality's file: same shape, axes,
    affine and codes. Every plane with brain is predicted; outside of the crop window the label is
    background. One case is in memory while the next is read. Beside the labels lie `volumes.csv`,
    with millilitres of every class and region, and the colours and names of the label scheme for
    ITK-SNAP (`<scheme>.label`) and 3D Slicer (`<scheme>.ctbl`). Probabilities are
    `<case>_probabilities.nii.gz`, (x, y, z, classes) float32, background first.

    Example:
        bratstrain.predict("runs/a", "BraTS20_Training_001", "predicted", tta="lr")

    Args:
        run: run folder, published folder or `hf://owner/name`, or several for the mean of their
            probabilities.
        raw: case folder, data set or archive, labelled or not.
        out: folder to write to; made where it is missing.
        cases: ids of the cases to label; all by default.
        draw: draws `<case>.png` of each case, such as `bratstrain.draw_case`; None draws nothing.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig`, all but `same_grid`, of
            `bratstrain.apply_config.OutputConfig` and of `bratsprep.config.FaultConfig`.

    Raises:
        BratsError: a run or a case is at fault, the runs were fitted on different slices, a case
            has voxels of another size than the runs', or output files exist already.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    own, written, on_fault = take("predict", settings, ApplyConfig, OutputConfig, FaultConfig)
    config, skip, output = ApplyConfig(**own), FaultConfig(**on_fault).skip, OutputConfig(**written)
    if config.same_grid:
        raise ValueError("same_grid has no effect on predictions; leave it out")
    chosen_scheme(config.labels)
    given = [run] if isinstance(run, Path | str) else run
    runs = every_run([located(one) for one in given])
    fitted = load_fitted(runs, config.device, config.trusted_models)
    sizes = shared_sizes(runs, fitted.classes) if config.cleanup else LeastSizes()
    files = OutputFiles(Path(out), output.probabilities, draw is not None)
    with open_source(Path(raw)) as source:
        choice = source_choice(config, fitted)
        found = scan(source, unlabelled=True, skip=True, **asdict(choice))
        chosen, faulty = usable(found, cases, source, skip=skip)
        schemes = schemes_to_write(source, chosen, fitted, config.labels)
        files.refuse_existing(chosen, source, force=output.force)
        rows = start_output(files.folder, schemes.values(), fitted.classes, force=output.force)
        kept = {run.name: read_trained(run / TRAINED) for run in runs}
        trained = {run: rows for run, rows in kept.items() if rows is not None}
        work = Work(source, schemes, fitted, config, sizes, files, draw, rows, trained)
        done = work_through(work, chosen, faulty, skip=skip, progress=progress)
    check_any_left(raw, len(done), faulty)
    unknown = (
        *(run for run in kept if run not in trained),
        *(f"{start}, which {run.name} began from," for run in runs if (start := untold_start(run))),
    )
    return Predictions(tuple(done), tuple(sorted(faulty, key=lambda case: case.id)), unknown)


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
    warm_cases(work.source, cases)

    def read(files: CaseFiles, buffers: Buffers) -> Prepared:
        case = prepare_case(files, buffers, work.source, work.fitted, None)
        if not work.config.any_spacing:
            where = f"{work.source.path}: {files.id}"
            check_spacing(work.fitted, where, np.array(case.grid.spacing))
        return case

    hidden = None if progress else True
    with (
        closing(read_ahead(cases, read)) as coming,
        tqdm(total=len(cases), desc="predict", unit="case", disable=hidden) as bar,
    ):
        done = []
        for case in without_faulty(coming, faulty, skip=skip):
            done.append(work.do(case))
            work.note(done[-1])
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


def start_output(
    folder: Path, schemes: Iterable[Scheme], classes: ClassSet, *, force: bool
) -> dict[str, dict[str, str]]:
    """Make the folder, write the colour tables, and read the volumes that are there already.

    Args:
        folder: of the predictions.
        schemes: in which cases are written.
        classes: of the labels.
        force: replace colour tables that say something else.

    Raises:
        BratsError: a file there is another one than this would write, or cannot be read.
    """
    tables = colour_tables(folder, schemes)
    refuse_others(tables, force=force)
    rows = read_rows(folder / VOLUMES, classes)
    make_folder(folder)
    write_texts(tables)
    return rows
