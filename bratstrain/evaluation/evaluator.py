"""Scores that can be believed: a run on raw cases or a slice file, or files against the truth."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bratsprep.labels import CLASSES
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import open_source
from bratsprep.volumes.warm import warm
from bratstrain.data.twins import WITHOUT, Twins
from bratstrain.device import cores
from bratstrain.evaluation.cache_key import inputs_digest
from bratstrain.evaluation.case_pairs import Pair, load_labeller, plane_rows
from bratstrain.evaluation.case_selection import Aim, aim_at_file, aim_at_folder, aim_at_raw
from bratstrain.evaluation.tables import Picture, Report, write_report
from bratstrain.inference.nifti_out import make_folder
from bratstrain.inference.segment import APPLY_SETTINGS, ApplyConfig
from bratstrain.inference.small_components import Tuning, write_cleanup
from bratstrain.runs.files import versions
from bratstrain.runs.fitted import read_split
from bratstrain.scoring import metrics
from bratstrain.scoring.aggregate import CONVENTIONS, Table, summarise
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
    tune_cleanup: bool = False
    """Find which small components had better go, and write cleanup.json into the run."""

    def __post_init__(self) -> None:
        if not self.conventions:
            raise ValueError("conventions must name at least one")
        unknown = sorted(set(self.conventions) - set(CONVENTIONS))
        if unknown:
            raise ValueError(
                f"conventions {', '.join(unknown)} are unknown; known: {', '.join(CONVENTIONS)}"
            )


REPORT_SETTINGS: Final = tuple(known.name for known in fields(ReportConfig))


@dataclass(slots=True)
class Tally:
    """What is gathered while the cases go by."""

    config: ReportConfig
    scores: list[CaseScores] = field(default_factory=list)
    planes: list[dict[str, Any]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tuning: Tuning = field(default_factory=Tuning)
    prints: dict[str, NDArray[np.int8]] = field(default_factory=dict)
    """(5, z, y, x) fingerprint of the images of each case that has one, by id."""
    lost: int = 0
    """Tumour voxels that the network was not shown."""

    def note(self, pair: Pair) -> None:
        """Take from a case all but its scores."""
        self.lost += pair.lost
        if pair.fingerprint is not None:
            self.prints[pair.case] = pair.fingerprint
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
    says. Tables go to `RUN/evaluation-<name>/`, or to `out`.

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
    told = ReportConfig(**{k: v for k, v in settings.items() if k in REPORT_SETTINGS})
    apply = ApplyConfig(**{k: v for k, v in settings.items() if k not in REPORT_SETTINGS})
    _check_call(data, raw, split, apply, told)
    labeller = load_labeller(Path(run), apply)
    splits = read_split(Path(run))
    name = "-".join(
        [split, "raw" if data is None else "slices"]
        + [apply.tta] * (apply.tta != "none")
        + ["cleanup"] * apply.cleanup
    )
    folder = Path(run) / f"evaluation-{name}" if out is None else Path(out)
    about = {"run": Path(run).name, "split digest": splits.digest}
    about |= {setting: getattr(apply, setting) for setting in APPLY_SETTINGS}
    about |= {"device": str(labeller.fitted.device), "precision": labeller.fitted.precision}
    looked_at = split, apply, told.cases, told.conventions
    if data is not None:
        with SliceFile(data, prints=False) as file:
            aim = aim_at_file(labeller, file, splits, split, told.cases)
            about |= {"slice file": file.path.name, "slice file digest": file.digest}
            about[INPUTS] = inputs_digest(Path(run), file, *looked_at)
            return conclude(Path(run), aim, told, (name, about), folder, progress=progress)
    with open_source(Path(str(raw))) as source:
        aim = aim_at_raw(labeller, source, splits, split, told.cases)
        about |= {"raw": source.path.name, "slice file digest": labeller.fitted.data_digest}
        about[INPUTS] = inputs_digest(Path(run), source, *looked_at)
        return conclude(Path(run), aim, told, (name, about), folder, progress=progress)


def score_folders(
    predictions: Path | str,
    raw: Path | str,
    *,
    out: Path | str | None = None,
    labels: str = "auto",
    progress: bool = False,
    **settings: Any,  # noqa: ANN401  fields of ReportConfig, checked there
) -> Report:
    """Score label files that are there already, every plane in original space.

    Args:
        predictions: folder or archive with `<case>.nii.gz`, `<case>_seg.nii.gz` or
            `<case>-seg.nii.gz` of each case.
        raw: data set or archive of the labelled cases.
        out: folder for the tables; `evaluation` beside the files by default.
        labels: label scheme of both sides; `auto` for the source's own.
        progress: show a bar on standard error, where that is a terminal.
        **settings: fields of `ReportConfig`; there is nothing to tune and no picture.

    Raises:
        BratsError: a prediction is missing or on another grid, or the cases are at fault.
        ValueError: a setting is not allowed.
    """
    told = ReportConfig(**settings)
    if told.pictures or told.tune_cleanup:
        raise ValueError("pictures and tune_cleanup need a run, not label files")
    labels = ApplyConfig(labels=labels).labels
    with open_source(Path(predictions)) as files, open_source(Path(raw)) as source:
        aim = aim_at_folder(files, source, labels, told.cases)
        about = {"predictions": files.path.name, "raw": source.path.name, "labels": labels}
        beside = files.path if files.path.is_dir() else files.path.parent
        folder = beside / "evaluation" if out is None else Path(out)
        return conclude(None, aim, told, ("label files", about), folder, progress=progress)


def _check_call(
    data: Path | str | None, raw: Path | str | None, split: str, apply: ApplyConfig,
    told: ReportConfig,
) -> None:  # fmt: skip
    """Refuse what does not go together."""
    if (data is None) == (raw is None):
        raise ValueError("evaluate needs data, a slice file, or raw cases: one of them")
    if split not in SPLIT_PARTS:
        raise ValueError(f"split must be one of {', '.join(SPLIT_PARTS)}, got {split!r}")
    if told.tune_cleanup and (split != "validation" or apply.cleanup):
        raise ValueError(
            "tune_cleanup is for split validation alone, with predictions as they come"
        )


def conclude(
    run: Path | None,
    aim: Aim,
    told: ReportConfig,
    named: tuple[str, dict[str, Any]],
    folder: Path,
    *,
    progress: bool,
) -> Report:
    """Score the cases, tune where that is wanted, and write the tables.

    Args:
        run: run folder; None where nothing is to be tuned.
        aim: the cases.
        told: what to look at.
        named: name of the evaluation, and the facts for its JSON.
        folder: for the tables; made where it is missing.
        progress: show a bar.
    """
    make_folder(folder)
    tally = Tally(told)
    score_pairs(aim, tally, progress=progress)
    name, about = named
    notes = list(aim.notes)
    if tally.lost:
        notes.append(f"{tally.lost} tumour voxels lie outside the crop {aim.space}")
    if run is not None and told.tune_cleanup:
        cleanup = tally.tuning.best(f"{aim.cases}; {aim.planes}")
        write_cleanup(run, cleanup)
        sizes = ", ".join(f"{part} {cleanup.least_voxels[part]}" for part in CLASSES[1:])
        notes.append(
            f"clean-up tuned here and written to {run.name}: components of fewer voxels than "
            f"{sizes} go; mean of classes {cleanup.before:.4f} becomes {cleanup.after:.4f} on "
            "these very cases, and no number in this table is with it"
        )
    repeats = repeats_of(aim, tally)
    table, second = summarise_twice(aim, tally.scores, repeats, told.conventions)
    report = Report(
        name, tuple(notes), about | {"versions": versions()}, tuple(tally.scores), table,
        tuple(tally.planes), tuple(tally.pictures), repeats, second,
    )  # fmt: skip
    write_report(report, folder)
    return report


def repeats_of(aim: Aim, tally: Tally) -> Twins | None:
    """Which of the cases have a twin in training; None where there was no training."""
    if aim.training is None:
        return None
    voxels = {case.case: case.confusion.sum(axis=1) for case in tally.scores}
    return aim.training.twins(voxels, aim.noun, tally.prints)


def summarise_twice(
    aim: Aim, scores: Sequence[CaseScores], repeats: Twins | None, conventions: Sequence[str]
) -> tuple[Table, Table | None]:
    """Average over all cases, and over those without a twin in training where those are fewer."""
    table = summarise(scores, cases=aim.cases, planes=aim.planes, conventions=conventions)
    kept = [case for case in scores if repeats is None or case.case not in repeats.cases]
    if len(kept) in (0, len(scores)):
        return table, None
    name = f"{aim.cases}, {WITHOUT}"
    return table, summarise(kept, cases=name, planes=aim.planes, conventions=conventions)


def score_pairs(aim: Aim, tally: Tally, *, progress: bool) -> None:
    """Score case after case on threads, while the next is being predicted."""
    warm()
    metrics.warm()
    workers = cores()
    off = None if progress else True
    waiting: deque[Future[CaseScores]] = deque()
    with (
        ThreadPoolExecutor(workers, "score") as pool,
        closing(aim.pairs) as pairs,
        tqdm(total=len(aim.ids), desc="evaluate", unit="case", disable=off) as bar,
    ):
        for pair in pairs:
            tally.note(pair)
            waiting.append(pool.submit(_score, pair))
            if len(waiting) > workers:
                tally.scores.append(waiting.popleft().result())
            bar.update()
        tally.scores += [each.result() for each in waiting]


def _score(pair: Pair) -> CaseScores:
    """Score one case."""
    return score_case(pair.truth, pair.predicted, pair.spacing, case=pair.case)
