"""A cross-validation: every fold fitted and scored, then one table; it can be resumed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from bratsprep.config import FilesConfig
from bratsprep.errors import BratsError
from bratsprep.settings import keywords, take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import open_source
from bratsprep.system.atomic import replacing
from bratsprep.volumes.label_schemes import chosen_scheme
from bratstrain.apply_config import ApplyConfig, CrossvalConfig, CrossvalKeywords, ReportConfig
from bratstrain.config import ModelConfig, Session, TrainConfig
from bratstrain.data.splits import FOLDS, Split
from bratstrain.evaluation.evaluator import EvaluationJob
from bratstrain.evaluation.folders import settings_facts
from bratstrain.evaluation.kept_scores import kept_scores
from bratstrain.evaluation.tables import Report
from bratstrain.inference.nifti_out import make_folder
from bratstrain.pages.crossval import write_crossval_page
from bratstrain.recipes import configure
from bratstrain.runs.ensemble import fold_folder, write_ensemble
from bratstrain.runs.files import SPLIT, versions
from bratstrain.studies.out_of_fold import NAME, out_of_fold
from bratstrain.studies.runner import is_finished
from bratstrain.studies.side_by_side import fit_side_by_side, named_apart
from bratstrain.training.fit import fit_at
from bratstrain.training.prepare_run import run_folder, split_of

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidation:
    """A cross-validation, finished or in part."""

    folder: Path
    n_folds: int
    missing: tuple[int, ...]
    """Folds that are not finished."""
    report: Report | None
    """Scores of every case; None where folds are missing, or other folds were asked for."""
    page: Path | None

    def lines(self) -> list[str]:
        """Summary for the terminal."""
        if self.report is not None:
            return [*self.report.lines(), f"page: {self.page}", f"ensemble: {self.folder}"]
        listed = ",".join(map(str, self.missing))
        if not self.missing:
            way_on = "all are finished: run the same command without --folds for the table"
        else:
            way_on = (
                f"missing: {listed}; run the same command with --folds {listed}, or without "
                "--folds for them and the table"
            )
        return [
            f"{self.folder}: {self.n_folds - len(self.missing)} of {self.n_folds} folds; {way_on}"
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """Data, folder and settings of a cross-validation."""

    data: Path
    raw: Path
    folder: Path
    splits: tuple[Split, ...]
    config: CrossvalConfig
    devices: tuple[str, ...]
    """Where folds are fitted side by side; empty for folds in turn."""
    settings: Mapping[str, Any]
    """Of every fit, by name; the fold is not among them."""
    apply: ApplyConfig
    tell: Tell
    progress: bool

    def run_of(self, fold: int) -> Path:
        """Run folder of a fold."""
        return fold_folder(self.folder, fold)

    def is_finished(self, fold: int) -> bool:
        """Whether a fold is fitted on these data."""
        return is_finished(self.run_of(fold), self.data, self.splits[fold])


def crossval(
    data: Path | str,
    raw: Path | str,
    out: Path | str | None = None,
    *,
    tell: Tell = lambda line: None,
    progress: bool = False,
    **settings: Unpack[CrossvalKeywords],
) -> CrossValidation:
    """Fit every fold, and score each case by the network that has not seen it; `crossval`.

    The same call resumes what was interrupted: finished folds and scores are kept. The folder is
    an ensemble that `predict`, `evaluate` and `export` take in place of a run.

    Example:
        bratstrain.crossval("out.h5", "Task01_BrainTumour.tar", epochs=30).lines()

    Args:
        data: slice file.
        raw: data set or archive of its labelled cases, which are scored over every brain plane.
        out: folder for runs, tables and page; None derives one under `runs` from data and settings.
        tell: receives a line for each step.
        progress: show bars on standard error, where that is a terminal.
        **settings: keywords of `CrossvalConfig` and `FilesConfig`, and of `fit` but for `fold`.

    Raises:
        BratsError: slice file, raw cases, split or runs are at fault.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect.
        Stopped, StoppedFolds: SIGINT or SIGTERM while fitting.
    """
    bench = begun(Path(data), Path(raw), out, settings, (tell, progress))
    folds = bench.config.chosen(len(bench.splits))
    fit_all(bench, [fold for fold in folds if not bench.is_finished(fold)])
    every = range(len(bench.splits))
    missing = tuple(fold for fold in every if not bench.is_finished(fold))
    n_folds = len(bench.splits)
    with open_source(bench.raw) as source:
        kept = []
        for fold in folds:
            tell(f"fold {fold} of {n_folds}: scoring {len(bench.splits[fold].validation)} cases")
            job = EvaluationJob(bench.run_of(fold), "validation", bench.apply, ReportConfig())
            kept.append(kept_scores(job, source, progress=progress))
    if len(folds) < n_folds:
        return CrossValidation(bench.folder, n_folds, missing, None, None)
    make_folder(bench.folder / NAME)
    about = facts_of(bench)
    report = out_of_fold(kept, bench.splits[0].name, about, bench.folder / NAME)
    write_members(bench)
    page = write_crossval_page(report, kept, [bench.run_of(fold) for fold in every], bench.folder)
    return CrossValidation(bench.folder, n_folds, (), report, page)


def begun(
    data: Path,
    raw: Path,
    out: Path | str | None,
    settings: Mapping[str, Any],
    way: tuple[Tell, bool],
) -> Bench:
    """Check the call, and divide the cases into folds.

    Raises:
        BratsError: the slice file is at fault, or its cases cannot be divided.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    own, files, session, _, _ = take(
        "crossval", settings, CrossvalConfig, FilesConfig, Session, TrainConfig, ModelConfig
    )
    config, devices = CrossvalConfig(**own), Session(**session).devices
    if "fold" in settings:
        raise ValueError("fold is what crossval goes through; name some of them with folds")
    session.pop("gpus", None)  # a fold has one
    chosen_scheme(files.get("labels", "auto"))
    names = keywords(TrainConfig) | keywords(ModelConfig)
    of_run = {name: value for name, value in settings.items() if name in names}
    base = configure(**of_run)
    device = devices[0] if devices else session.get("device", "auto")
    trusted = (base.model.kind,) if base.model.is_custom else ()
    apply = ApplyConfig(device=device, trusted_models=trusted, **files)
    with SliceFile(data, prints=False) as file:
        derived = run_folder(file, None, base, {})
        folder = derived.with_name(f"{derived.name}-folds") if out is None else Path(out)
        splits = all_splits(base, file)
    make_folder(folder)
    return Bench(
        data, raw, folder, splits, config, devices, of_run | session, apply,
        tell=way[0], progress=way[1],
    )  # fmt: skip


def all_splits(base: TrainConfig, file: SliceFile) -> tuple[Split, ...]:
    """Split of every fold, which together hold out each case once.

    Raises:
        BratsError: there is one fold alone, or a case is held out twice.
        ValueError: the split deals slices.
    """
    if base.split == "slice":
        raise ValueError("split slice puts a case into several folds; take split subject")
    splits: list[Split] = []
    for fold in range(FOLDS):
        try:
            splits.append(split_of(replace(base, fold=fold), file))
        except BratsError:
            if len(splits) < 2:
                raise
            break
    ids = [str(case) for split in splits for case in split.validation]
    names, counts = np.unique(ids, return_counts=True)
    if counts.max() > 1:
        raise BratsError(
            f"{file.path}: case {names[counts.argmax()]} is validated on in two folds of split "
            f"{base.split}; a cross-validation holds each case out once"
        )
    return tuple(splits)


def fit_all(bench: Bench, folds: list[int]) -> None:
    """Fit some folds, in turn here, or side by side on several devices.

    Raises:
        BratsError: a run is at fault.
        Stopped, StoppedFolds: a signal was received.
    """
    runs = {bench.run_of(fold): {**bench.settings, "fold": fold} for fold in folds}
    if bench.devices:
        places = named_apart(bench.devices)
        fit_side_by_side(bench.data, runs, places, bench.tell)
        return
    for run, settings in runs.items():
        bench.tell(f"{run.name} of {len(bench.splits)} folds")
        fit_at(None, bench.data, run, progress=bench.progress, tell=bench.tell, **settings)


def facts_of(bench: Bench) -> dict[str, Any]:
    """Facts of the table, for the JSON."""
    with SliceFile(bench.data, prints=False) as file:
        digest, modalities = file.digest, list(file.modalities)
    return {
        "run": bench.folder.name,
        "folds": len(bench.splits),
        **settings_facts(bench.apply),
        "modalities": modalities,
        "raw": bench.raw.name,
        "slice file digest": digest,
        "split digests": [split.digest for split in bench.splits],
        "versions": versions(),
    }


def write_members(bench: Bench) -> None:
    """Make the folder an ensemble, whose training cases are those of all folds."""
    first = bench.splits[0]
    known = sorted({str(case) for split in bench.splits for case in split.validation})
    whole = replace(first, fold=0, train=tuple(known), validation=(), leaks=False)
    with replacing(bench.folder / SPLIT) as file:
        file.write(whole.to_json().encode())
    write_ensemble(bench.folder, len(bench.splits), {"data": bench.data.name})
