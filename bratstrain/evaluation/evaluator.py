"""Patient-level scores of a run, on raw cases or on a slice file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Unpack

from bratsprep.discovery.subject_tables import read_table
from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import Source
from bratstrain.apply_config import PARTS, ApplyConfig, EvaluateSettings, Part, ReportConfig
from bratstrain.evaluation.cache_key import inputs_digest, weights_digest
from bratstrain.evaluation.case_pairs import load_labeller
from bratstrain.evaluation.case_selection import open_cases, select_cases
from bratstrain.evaluation.folder_selection import Wanted
from bratstrain.evaluation.folders import (
    evaluation_folder,
    evaluation_name,
    settings_facts,
)
from bratstrain.evaluation.scorer import Destination, Watch, conclude
from bratstrain.evaluation.tables import Report
from bratstrain.runs.fitted import read_split

INPUTS: Final = "inputs digest"
"""Name of the fact that tells evaluations of the same inputs."""
WEIGHTS: Final = "weights digest"
"""Name of the fact that tells evaluations of the same weights."""


@dataclass(frozen=True, slots=True)
class EvaluationJob:
    """What is evaluated, and how."""

    run: Path
    part: Part
    """Part of the run's split, or `all`."""
    apply: ApplyConfig
    config: ReportConfig
    out: Path | None = None
    """Folder for the tables; None for one in the run folder."""

    def inputs(self, where: SliceFile | Source) -> str:
        """Digest of all that decides the tables."""
        return inputs_digest(self.run, where, self.part, self.apply, self.config)

    def name(self, where: SliceFile | Source) -> str:
        """Name of the evaluation."""
        return evaluation_name(where, self.part, self.apply)

    def folder(self, where: SliceFile | Source) -> Path:
        """Folder that the tables are written to."""
        if self.out is not None:
            return self.out
        return evaluation_folder(self.run, self.name(where), where, self.config.cases)


def evaluate(
    run: Path | str,
    *,
    data: Path | str | None = None,
    raw: Path | str | None = None,
    split: Part = "validation",
    out: Path | str | None = None,
    progress: bool = False,
    **settings: Unpack[EvaluateSettings],
) -> Report:
    """Score a run; `bratstrain.evaluate`.

    From raw cases every plane with brain is predicted and scored in original space, and tumour
    outside the crop counts as missed. From a slice file only its planes are seen, which every
    table states. Tables go to `RUN/evaluation-<name>-<data set>-<digest>/`, or to `out`.

    Example:
        bratstrain.evaluate("runs/a", raw="Task01_BrainTumour.tar").table

    Args:
        run: run folder.
        data: slice file; this or `raw`.
        raw: data set or archive of labelled cases.
        split: part of the run's split: `validation`, `test`, `train`, or `all` cases of the data.
        out: folder for the tables.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ApplyConfig` and `ReportConfig`.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect beside the others.
    """
    to_apply, to_report = take("evaluate", settings, ApplyConfig, ReportConfig)
    apply, config = ApplyConfig(**to_apply), ReportConfig(**to_report)
    check_call(split, apply, config)
    job = EvaluationJob(Path(run), split, apply, config, None if out is None else Path(out))
    with open_cases(data, raw, apply) as where:
        return evaluate_opened(job, where, progress=progress)


def evaluate_opened(
    job: EvaluationJob,
    where: SliceFile | Source,
    *,
    progress: bool = False,
    watch: Watch | None = None,
) -> Report:
    """Score a run on an open slice file or open raw cases, and write the tables.

    Args:
        job: what to evaluate, and how.
        where: slice file or raw cases, open.
        progress: show a bar on standard error, where that is a terminal.
        watch: sees each case with its images and scores.

    Raises:
        BratsError: run, cases or slice file are at fault, or do not go together.
    """
    labeller, split = load_labeller(job.run, job.apply), read_split(job.run)
    wanted = wanted_cases(job.config, images=watch is not None)
    selection = select_cases(labeller, where, split, job.part, wanted)
    about: dict[str, Any] = {"run": job.run.name, "split digest": split.digest}
    about |= settings_facts(job.apply)
    about["modalities"] = list(labeller.fitted.preparation.channels)
    about |= {"device": str(labeller.fitted.device), "precision": labeller.fitted.precision}
    if isinstance(where, SliceFile):
        about |= {"slice file": where.path.name, "slice file digest": where.digest}
    else:
        about |= {"raw": where.path.name, "slice file digest": labeller.fitted.data_digest}
    about[INPUTS] = job.inputs(where)
    about[WEIGHTS] = weights_digest(job.run)
    destination = Destination(job.name(where), about, job.folder(where), job.run)
    return conclude(selection, job.config, destination, progress=progress, watch=watch)


def wanted_cases(config: ReportConfig, *, images: bool) -> Wanted:
    """Which cases are wanted.

    Args:
        config: what is looked at.
        images: keep the modalities of each case with its pair.

    Raises:
        BratsError: the table of subjects cannot be read.
    """
    subjects = read_table(Path(config.subjects)).subjects if config.subjects else {}
    return Wanted(tuple(config.cases), config.skip, subjects, images)


def check_call(split: str, apply: ApplyConfig, config: ReportConfig) -> None:
    """Refuse arguments that do not go together.

    Raises:
        ValueError: they do not.
    """
    if split not in PARTS:
        raise ValueError(f"split must be one of {', '.join(PARTS)}, got {split!r}")
    if config.tune_cleanup and (split != "validation" or apply.cleanup):
        raise ValueError("tune_cleanup needs split validation, and predictions without cleanup")
