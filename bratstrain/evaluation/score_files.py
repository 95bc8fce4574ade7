"""Scores of label files, whatever program wrote them; torch is not needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from bratsprep.settings import take
from bratsprep.sources.source import Source, open_source
from bratsprep.volumes.label_schemes import chosen_scheme
from bratstrain.apply_config import ReportConfig, ScoreConfig, ScoreSettings
from bratstrain.evaluation.folder_selection import Wanted, select_from_folder
from bratstrain.evaluation.folders import DATA_SUFFIX, evaluation_folder
from bratstrain.evaluation.scorer import Destination, conclude
from bratstrain.evaluation.tables import Report


def score_folders(
    predictions: Path | str,
    raw: Path | str,
    *,
    out: Path | str | None = None,
    labels: Path | str = "auto",
    prediction_labels: Path | str = "auto",
    progress: bool = False,
    **settings: Unpack[ScoreSettings],
) -> Report:
    """Score existing label files, every plane in original space; `bratstrain.score_folders`.

    Example:
        bratstrain.score_folders("predicted", "Task01_BrainTumour.tar").table

    Args:
        predictions: folder or archive with `<case>.nii.gz`, `<case>_seg.nii.gz` or
            `<case>-seg.nii.gz` of each case.
        raw: data set or archive of the labelled cases.
        out: folder for the tables; `evaluation-<name>-<data set>-<digest>` beside the files by
            default.
        labels: label scheme of the truth; `auto` for the source's own.
        prediction_labels: label scheme of the predictions; `auto` for that of the truth.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ScoreConfig`.

    Raises:
        BratsError: a prediction is missing or on another grid, or the cases are at fault.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    (own,) = take("score_folders", settings, ScoreConfig)
    config = ReportConfig(**own)
    (key, truth), (other, predicted) = map(chosen_scheme, (labels, prediction_labels))
    wanted = Wanted(tuple(config.cases), config.on_error == "skip")
    with open_source(Path(predictions)) as files, open_source(Path(raw)) as source:
        selection = select_from_folder(files, source, (truth, predicted), wanted)
        destination = destination_of(files, source, config.cases, (key, other), out)
        return conclude(selection, config, destination, progress=progress)


def destination_of(
    files: Source,
    source: Source,
    cases: Sequence[str],
    labels: tuple[str, str],
    out: Path | str | None,
) -> Destination:
    """Name, facts and folder of an evaluation of label files.

    Args:
        files: the predictions.
        source: the data set of the truth.
        cases: ids to score; empty for all.
        labels: label schemes of truth and predictions.
        out: folder for the tables; None for one beside the files.
    """
    about = {"predictions": files.path.name, "raw": source.path.name, "labels": labels[0]}
    about["prediction labels"] = labels[1]
    beside = files.path if files.path.is_dir() else files.path.parent
    name = DATA_SUFFIX.sub("", files.path.resolve().name)
    folder = evaluation_folder(beside, name, source, cases)
    return Destination("label files", about, folder if out is None else Path(out))
