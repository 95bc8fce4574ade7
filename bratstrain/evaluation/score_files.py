"""Scores of label files, whatever program wrote them; torch is not needed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from bratsprep.config import FilesConfig
from bratsprep.settings import take
from bratsprep.sources.source import Source, open_source
from bratsprep.volumes.label_schemes import chosen_scheme
from bratstrain.apply_config import ReportConfig, ScoreConfig, ScoreFilesSettings
from bratstrain.evaluation.folder_selection import Wanted, select_from_folder
from bratstrain.evaluation.folders import DATA_SUFFIX, evaluation_folder, files_tag, settings_facts
from bratstrain.evaluation.scorer import Destination, conclude
from bratstrain.evaluation.tables import Report


def score_folders(
    predictions: Path | str,
    raw: Path | str,
    *,
    out: Path | str | None = None,
    prediction_labels: Path | str = "auto",
    progress: bool = False,
    **settings: Unpack[ScoreFilesSettings],
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
        prediction_labels: label scheme of the predictions; `auto` for that of the truth.
        progress: show a bar on standard error, where that is a terminal.
        **settings: keywords of `bratstrain.apply_config.ScoreConfig`, and of
            `bratsprep.config.FilesConfig` for the truth.

    Raises:
        BratsError: a prediction is missing or on another grid, or the cases are at fault.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed.
    """
    own, of_truth = take("score_folders", settings, ScoreConfig, FilesConfig)
    config, choice = ReportConfig(**own), FilesConfig(**of_truth)
    truth, predicted = chosen_scheme(choice.labels)[1], chosen_scheme(prediction_labels)[1]
    wanted = Wanted(tuple(config.cases), config.skip)
    with open_source(Path(predictions)) as files, open_source(Path(raw)) as source:
        selection = select_from_folder(files, source, choice, (truth, predicted), wanted)
        labels = choice, chosen_scheme(prediction_labels)[0]
        destination = destination_of(files, source, config.cases, labels, out)
        return conclude(selection, config, destination, progress=progress)


def destination_of(
    files: Source,
    source: Source,
    cases: Sequence[str],
    labels: tuple[FilesConfig, str],
    out: Path | str | None,
) -> Destination:
    """Name, facts and folder of an evaluation of label files.

    Args:
        files: the predictions.
        source: the data set of the truth.
        cases: ids to score; empty for all.
        labels: settings of the truth, and label scheme of the predictions.
        out: folder for the tables; None for one beside the files.
    """
    about = {"predictions": files.path.name, "raw": source.path.name, **settings_facts(labels[0])}
    about["prediction labels"] = labels[1]
    beside = files.path if files.path.is_dir() else files.path.parent
    name = "-".join([DATA_SUFFIX.sub("", files.path.resolve().name), *files_tag(labels[0])])
    folder = evaluation_folder(beside, name, source, cases)
    return Destination("label files", about, folder if out is None else Path(out))
