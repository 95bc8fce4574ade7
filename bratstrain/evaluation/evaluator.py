"""Patient-level scores of a run, on raw cases or on a slice file."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Unpack

from bratsprep.settings import take
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import open_source
from bratstrain.apply_config import PARTS, ApplyConfig, EvaluateSettings, Part, ReportConfig
from bratstrain.evaluation.cache_key import inputs_digest
from bratstrain.evaluation.case_pairs import load_labeller
from bratstrain.evaluation.case_selection import aim_at_file, aim_at_raw
from bratstrain.evaluation.scorer import conclude
from bratstrain.evaluation.tables import Report
from bratstrain.runs.fitted import read_split

INPUTS: Final = "inputs digest"
"""Name of the fact that tells evaluations of the same inputs."""


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
    table states. Tables go to `RUN/evaluation-<name>/`, or to `out`.

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
    check_call(data, raw, split, apply, config)
    labeller = load_labeller(Path(run), apply)
    splits = read_split(Path(run))
    name = "-".join(
        [split, "raw" if data is None else "slices"]
        + [apply.tta] * (apply.tta != "none")
        + ["cleanup"] * apply.cleanup
    )
    folder = Path(run) / f"evaluation-{name}" if out is None else Path(out)
    about: dict[str, Any] = {"run": Path(run).name, "split digest": splits.digest, **asdict(apply)}
    about |= {"device": str(labeller.fitted.device), "precision": labeller.fitted.precision}
    looked_at = split, apply, config.cases, config.conventions
    if data is not None:
        with SliceFile(data, prints=False) as file:
            aim = aim_at_file(labeller, file, splits, split, config.cases)
            about |= {"slice file": file.path.name, "slice file digest": file.digest}
            about[INPUTS] = inputs_digest(Path(run), file, *looked_at)
            return conclude(Path(run), aim, config, (name, about), folder, progress=progress)
    with open_source(Path(str(raw))) as source:
        aim = aim_at_raw(labeller, source, splits, split, config.cases)
        about |= {"raw": source.path.name, "slice file digest": labeller.fitted.data_digest}
        about[INPUTS] = inputs_digest(Path(run), source, *looked_at)
        return conclude(Path(run), aim, config, (name, about), folder, progress=progress)


def check_call(
    data: Path | str | None,
    raw: Path | str | None,
    split: str,
    apply: ApplyConfig,
    config: ReportConfig,
) -> None:
    """Refuse arguments that do not go together.

    Raises:
        ValueError: they do not.
    """
    if (data is None) == (raw is None):
        raise ValueError("evaluate needs data, a slice file, or raw cases: one of them")
    if split not in PARTS:
        raise ValueError(f"split must be one of {', '.join(PARTS)}, got {split!r}")
    apply.check_effects(data)
    if config.tune_cleanup and (split != "validation" or apply.cleanup):
        raise ValueError("tune_cleanup needs split validation, and predictions without cleanup")
