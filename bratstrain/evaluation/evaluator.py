"""Evaluation: a run on raw cases or a slice file, or label files against the truth."""

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from bratsprep.discovery.subject_tables import read_table
from bratsprep.errors import BratsError
from bratsprep.labels import CLASSES
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source, open_source
from bratsprep.volumes.warm import warm
from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.device import cores
from bratstrain.evaluation.cache_key import (
    DATA_SUFFIX,
    evaluation_folder,
    evaluation_name,
    inputs_digest,
)
from bratstrain.evaluation.case_pairs import LabelPair, SetAside, load_labeller, plane_rows
from bratstrain.evaluation.case_selection import (
    CaseSelection,
    Wanted,
    open_cases,
    select_cases,
    select_from_folder,
)
from bratstrain.evaluation.label_checks import class_order_note, single_class_note
from bratstrain.evaluation.tables import Picture, Report, write_report
from bratstrain.inference.nifti_out import make_folder
from bratstrain.inference.segment import APPLY_SETTINGS, ApplyConfig
from bratstrain.inference.small_components import Tuning, write_cleanup
from bratstrain.runs.files import versions
from bratstrain.runs.fitted import read_split
from bratstrain.scoring import metrics
from bratstrain.scoring.aggregate import Table, summarise
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metrics import CaseScores, score_case

SPLIT_PARTS: Final = ("validation", "test", "train", "all")
SHOWN: Final = ("brats", "brats2023", "brats2024", "nnunet")
"""Conventions of every report; `present` hides false positives and is shown on request."""
INPUTS: Final = "inputs digest"
"""Name of the fact that tells evaluations of the same inputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """What is looked at, and what is written about it."""

    cases: tuple[str, ...] = ()
    """Ids of the cases wanted; all by default."""
    conventions: tuple[str, ...] = SHOWN
    """The first one is that of the headline."""
    planes: bool = False
    """Count every plane into planes.csv."""
    pictures: bool = False
    """Keep the fullest plane of each case, for a figure."""
    on_error: str = "stop"
    """`stop`, or `skip` to set a case at fault aside with its reason."""
    subjects: str = ""
    """CSV file with the columns case and subject, which goes before what names say; none if ''."""
    tune_cleanup: bool = False
    """Tune the minimum component size of each class, and write cleanup.json into the run."""

    def __post_init__(self) -> None:
        if self.on_error not in ("stop", "skip"):
            raise ValueError(f"on_error must be stop or skip, got {self.on_error!r}")
        if not self.conventions:
            raise ValueError("conventions must name at least one")
        unknown = sorted(set(self.conventions) - set(CONVENTIONS))
        if unknown:
            raise ValueError(
                f"conventions {', '.join(unknown)} are unknown; known: {', '.join(CONVENTIONS)}"
            )

    def wanted(self) -> Wanted:
        """Which cases are wanted.

        Raises:
            BratsError: the table of subjects cannot be read.
        """
        subjects = read_table(Path(self.subjects)).subjects if self.subjects else {}
        return Wanted(self.cases, self.on_error == "skip", subjects)


REPORT_SETTINGS: Final = tuple(setting.name for setting in fields(ReportConfig))


@dataclass(slots=True)
class Tally:
    """What is collected while the cases are scored."""

    config: ReportConfig
    scores: list[CaseScores] = field(default_factory=list)
    planes: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tuning: Tuning = field(default_factory=Tuning)
    lost: int = 0
    """Tumour voxels that the network was not shown."""
    set_aside: list[SetAside] = field(default_factory=list)
    """Cases at fault."""

    def note(self, pair: LabelPair) -> None:
        """Take from a case all but its scores."""
        self.lost += pair.lost
        if self.config.planes:
            self.planes += plane_rows(pair)
        if self.config.pictures and pair.picture is not None:
            self.pictures.append(pair.picture)
        if self.config.tune_cleanup:
            self.tuning.add(pair.case, pair.truth, pair.predicted)


def evaluate(
    run: Path | str,
    *,
    data: Path | str | None = None,
    raw: Path | str | None = None,
    split: str = "validation",
    out: Path | str | None = None,
    progress: bool = False,
    **settings: Any,  # noqa: ANN401  fields of ApplyConfig and ReportConfig, checked there
) -> Report:
    """Score a run; `bratstrain.evaluate`.

    From raw cases every plane with brain is predicted and scored in original space, and what the
    crop cut off counts as missed. From a slice file only its planes are seen, which every table
    says. Tables go to `RUN/evaluation-<name>-<data set>-<digest>/`, or to `out`.

    Example:
        bratstrain.evaluate("runs/a", raw="Task01_BrainTumour.tar").table

    Args:
        run: run folder.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of the run's split: `validation`, `test`, `train`, or `all` cases there are.
        out: folder for the tables.
        progress: show a bar on standard error, where that is a terminal.
        **settings: fields of `ApplyConfig` and `ReportConfig`.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
        ValueError: a setting is not allowed.
    """
    report_config = ReportConfig(**{k: v for k, v in settings.items() if k in REPORT_SETTINGS})
    apply = ApplyConfig(**{k: v for k, v in settings.items() if k not in REPORT_SETTINGS})
    folder = None if out is None else Path(out)
    _check_call(split, apply, report_config)
    with open_cases(data, raw) as where:
        return evaluate_cases(
            Path(run), where, split, apply, report_config, folder=folder, progress=progress
        )


def evaluate_cases(
    run: Path,
    where: SliceFile | Source,
    part: str,
    apply: ApplyConfig,
    report_config: ReportConfig,
    *,
    folder: Path | None = None,
    progress: bool = False,
) -> Report:
    """Score a run on an open slice file or open raw cases, and write the tables.

    Args:
        run: run folder.
        where: slice file or raw cases, open.
        part: `validation`, `test`, `train` or `all`.
        apply: how the networks are applied.
        report_config: what is looked at and written.
        folder: for the tables; None for one in the run folder.
        progress: show a bar on standard error, where that is a terminal.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
    """
    labeller, splits, cases = load_labeller(run, apply), read_split(run), report_config.cases
    selection = select_cases(labeller, where, splits, part, report_config.wanted())
    about: dict[str, Any] = {"run": run.name, "split digest": splits.digest}
    about |= {setting: getattr(apply, setting) for setting in APPLY_SETTINGS}
    about |= {"device": str(labeller.fitted.device), "precision": labeller.fitted.precision}
    if isinstance(where, SliceFile):
        about |= {"slice file": where.path.name, "slice file digest": where.digest}
    else:
        about |= {"raw": where.path.name, "slice file digest": labeller.fitted.data_digest}
    about[INPUTS] = inputs_digest(run, where, part, apply, cases, report_config.conventions)
    name = evaluation_name(where, part, apply)
    folder = evaluation_folder(run, name, where, cases) if folder is None else folder
    destination = Destination(name, about, folder, run)
    return conclude(selection, report_config, destination, progress=progress)


def score_folders(
    predictions: Path | str,
    raw: Path | str,
    *,
    out: Path | str | None = None,
    labels: str = "auto",
    prediction_labels: str = "auto",
    progress: bool = False,
    **settings: Any,  # noqa: ANN401  fields of ReportConfig, checked there
) -> Report:
    """Score label files that are there already, every plane in original space.

    Args:
        predictions: folder or archive with `<case>.nii.gz`, `<case>_seg.nii.gz` or
            `<case>-seg.nii.gz` of each case.
        raw: data set or archive of the labelled cases.
        out: folder for the tables; `evaluation-<name>-<data set>-<digest>` beside the files by
            default.
        labels: label scheme of the truth; `auto` for the source's own.
        prediction_labels: label scheme of the predictions; `auto` for that of the truth.
        progress: show a bar on standard error, where that is a terminal.
        **settings: fields of `ReportConfig`; there is nothing to tune and no picture.

    Raises:
        BratsError: a prediction is missing or on another grid, or the cases are at fault.
        ValueError: a setting is not allowed.
    """
    report_config = ReportConfig(**settings)
    if report_config.pictures or report_config.tune_cleanup:
        raise ValueError("pictures and tune_cleanup need a run, not label files")
    if report_config.subjects:
        raise ValueError("subjects needs a run: who label files were fitted on is not known")
    for name in (labels, prediction_labels):
        ApplyConfig(labels=name)
    with open_source(Path(predictions)) as files, open_source(Path(raw)) as source:
        selection = select_from_folder(
            files, source, labels, prediction_labels, report_config.wanted()
        )
        about = {"predictions": files.path.name, "raw": source.path.name, "labels": labels}
        about["prediction labels"] = prediction_labels
        beside = files.path if files.path.is_dir() else files.path.parent
        name = DATA_SUFFIX.sub("", files.path.resolve().name)
        folder = evaluation_folder(beside, name, source, report_config.cases)
        folder = folder if out is None else Path(out)
        destination = Destination("label files", about, folder)
        return conclude(selection, report_config, destination, progress=progress)


def _check_call(split: str, apply: ApplyConfig, report_config: ReportConfig) -> None:
    """Refuse options that do not go together."""
    if split not in SPLIT_PARTS:
        raise ValueError(f"split must be one of {', '.join(SPLIT_PARTS)}, got {split!r}")
    if report_config.tune_cleanup and (split != "validation" or apply.cleanup):
        raise ValueError(
            "tune_cleanup is for split validation alone, with predictions as they come"
        )


@dataclass(frozen=True, slots=True)
class Destination:
    """Name, facts and folder of an evaluation."""

    name: str
    about: Mapping[str, Any]
    """Facts for the JSON."""
    folder: Path
    """For the tables; made where it is missing."""
    run: Path | None = None
    """Run folder that a tuned clean-up is written to; None where nothing is tuned."""


def conclude(
    selection: CaseSelection,
    report_config: ReportConfig,
    destination: Destination,
    *,
    progress: bool,
) -> Report:
    """Score the cases, tune the clean-up where that is asked for, and write the tables.

    Args:
        selection: the cases.
        report_config: what is looked at and written.
        destination: name, facts and folder of the evaluation.
        progress: show a bar.

    Raises:
        BratsError: a case is at fault, or a file cannot be written.
    """
    make_folder(destination.folder)
    tally = Tally(report_config)
    score_pairs(selection, tally, progress=progress)
    if not tally.scores:
        raise BratsError(
            f"{selection.cases}: none of the {len(selection.ids)} cases can be scored; "
            f"{tally.set_aside[0].reason}"
        )
    notes = list(selection.notes)
    if tally.lost:
        notes.append(f"{tally.lost} tumour voxels lie outside the crop {selection.space}")
    if destination.run is not None and report_config.tune_cleanup:
        notes.append(tune_cleanup(destination.run, selection, tally.tuning))
    if destination.run is None:
        scores = tally.scores
        notes += filter(None, (class_order_note(scores), single_class_note(scores)))
    repeats = repeats_of(selection, tally.scores)
    table, second = summarise_twice(selection, tally.scores, repeats, report_config.conventions)
    report = Report(
        name=destination.name,
        notes=tuple(notes),
        about={**destination.about, "versions": versions()},
        scores=tuple(tally.scores),
        table=table,
        planes=tuple(tally.planes),
        pictures=tuple(tally.pictures),
        repeats=repeats,
        table_without_twins=second,
        folder=destination.folder,
        set_aside={fault.case: fault.reason for fault in tally.set_aside},
    )
    write_report(report, destination.folder)
    return report


def tune_cleanup(run: Path, selection: CaseSelection, tuning: Tuning) -> str:
    """Write the best sizes of the clean-up into a run folder, and describe them in a note."""
    cleanup = tuning.best(f"{selection.cases}; {selection.planes}")
    write_cleanup(run, cleanup)
    sizes = ", ".join(f"{part} {cleanup.least_voxels[part]}" for part in CLASSES[1:])
    return (
        f"clean-up tuned here and written to {run.name}: components of fewer voxels than "
        f"{sizes} go; mean of classes {cleanup.before:.4f} becomes {cleanup.after:.4f} on "
        "these very cases, and no number in this table is with it"
    )


def repeats_of(selection: CaseSelection, scores: Sequence[CaseScores]) -> Twins | None:
    """Which of the cases have a twin in training; None where there was no training."""
    if selection.training is None:
        return None
    voxels = {case.case: case.confusion.sum(axis=1) for case in scores}
    return selection.training.twins(voxels, selection.noun)


def summarise_twice(
    selection: CaseSelection,
    scores: Sequence[CaseScores],
    repeats: Twins | None,
    conventions: Sequence[str],
) -> tuple[Table, Table | None]:
    """Average over all cases, and over those without a twin in training where those are fewer."""
    table = summarise(
        scores, cases=selection.cases, planes=selection.planes, conventions=conventions
    )
    kept = [case for case in scores if repeats is None or case.case not in repeats.cases]
    if len(kept) in (0, len(scores)):
        return table, None
    name = f"{selection.cases}, {WITHOUT}"
    return table, summarise(kept, cases=name, planes=selection.planes, conventions=conventions)


def score_pairs(selection: CaseSelection, tally: Tally, *, progress: bool) -> None:
    """Score case after case on threads, while the next is being predicted."""
    warm()
    metrics.warm()
    conventions = (CONVENTIONS[name] for name in tally.config.conventions)
    rules = tuple(dict.fromkeys(rule.rules for rule in conventions if rule.rules))
    workers = cores()
    off = None if progress else True
    waiting: deque[Future[CaseScores]] = deque()
    with (
        ThreadPoolExecutor(workers, "score") as pool,
        closing(selection.pairs) as pairs,
        tqdm(total=len(selection.ids), desc="evaluate", unit="case", disable=off) as bar,
    ):
        tally.set_aside += selection.set_aside
        for pair in pairs:
            if isinstance(pair, SetAside):
                tally.set_aside.append(pair)
                continue
            tally.note(pair)
            waiting.append(pool.submit(_score, pair, rules))
            if len(waiting) > workers:
                tally.scores.append(waiting.popleft().result())
            bar.update()
        tally.scores += [score.result() for score in waiting]


def _score(pair: LabelPair, rules: Sequence[str]) -> CaseScores:
    """Score one case, its lesions by some rules."""
    return score_case(
        pair.truth, pair.predicted, pair.spacing, case=pair.case, lesions=rules, files=pair.files
    )
