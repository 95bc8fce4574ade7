"""Commands of the verbs that use a run: evaluate, predict, export.

Nothing here imports torch: a verb does, at its first use.
"""

from pathlib import Path
from typing import Any, Final

import click

import bratstrain
from bratsprep.options import FILE, FOLDER, PLACE, given, reported, settings_options
from bratsprep.settings import keywords
from bratstrain.apply_config import PARTS, ApplyConfig, ReportConfig, ScoreConfig

DATA = click.option("--data", type=FILE, metavar="H5", help="Slice file: its planes only.")
RAW = click.option("--raw", type=PLACE, metavar="RAW", help="Raw cases: every plane.")
SPLIT = click.option(
    "--split",
    type=click.Choice(PARTS),
    default="validation",
    show_default=True,
    help="Part of the run's split; all takes every case of the data.",
)
NEEDS_RUN: Final = (
    "data",
    "split",
    "figure",
    *(name for name in keywords(ApplyConfig) if name != "labels"),
    *(name for name in keywords(ReportConfig) if name not in keywords(ScoreConfig)),
)
"""Options of `evaluate` that mean nothing to label files."""


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PLACE, metavar="RUN... RAW")
@click.option("-o", "--out", type=FOLDER, required=True, metavar="DIR", help="Folder to write to.")
@settings_options(ScoreConfig, only=("cases",))
@settings_options(ApplyConfig)
@click.option("--probabilities", is_flag=True, help="Write <case>_probabilities.nii.gz too.")
@click.option("--force", is_flag=True, help="Replace existing predictions.")
def predict(paths: tuple[Path, ...], out: Path, **settings: Any) -> None:
    """Label raw cases: NIfTI files in the space of each scan.

    RAW is a case folder, a data set or an archive. Several RUNs make an ensemble.

    \b
    Example:
        bratstrain predict runs/a raw/BraTS2021_00001 -o predicted
    """
    if len(paths) < 2:
        raise click.UsageError("give at least one RUN, and RAW last")
    with reported():
        done = bratstrain.predict(paths[:-1], paths[-1], out, progress=True, **given(settings))
    for predicted in done:
        click.echo(predicted.line())


@click.command()
@click.argument("run", type=FOLDER, required=False)
@DATA
@RAW
@click.option(
    "--predictions",
    type=PLACE,
    metavar="DIR",
    help="Score these label files against --raw, without a RUN.",
)
@click.option(
    "--prediction-labels",
    default=None,
    metavar="NAME|TOML",
    help="Label scheme of --predictions; that of the truth by default.",
)
@SPLIT
@settings_options(ApplyConfig)
@settings_options(ReportConfig, without=("pictures",))
@click.option("--figure", type=FILE, metavar="PNG", help="Draw the best, median and worst case.")
@click.option("-o", "--out", type=FOLDER, metavar="DIR", help="Folder for the tables.")
def evaluate(run: Path | None, figure: Path | None, **settings: Any) -> None:
    """Score a run, or label files, against the truth.

    \b
    Example:
        bratstrain evaluate runs/a --raw Task01_BrainTumour.tar
        bratstrain evaluate --predictions predicted/ --raw raw/
    """
    with reported():
        if run is None:
            check_alone(click.get_current_context())
            kept = {name: value for name, value in given(settings).items() if name != "split"}
            report = bratstrain.score_folders(progress=True, **kept)
        elif settings.pop("predictions") is not None:
            raise ValueError("give RUN or --predictions, not both")
        else:
            if settings.pop("prediction_labels") is not None:
                raise ValueError("prediction_labels is for --predictions; a run has no labels")
            pictures = figure is not None
            report = bratstrain.evaluate(run, progress=True, pictures=pictures, **given(settings))
        if figure is not None:
            bratstrain.draw_report(figure, report)
    click.echo("\n".join(report.lines()))
    if report.set_aside:
        click.get_current_context().exit(1)


def check_alone(context: click.Context) -> None:
    """Refuse options that mean nothing without a run.

    Raises:
        ValueError: such an option was given, or files or truth are missing.
    """
    sources = click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT
    options = [
        param.opts[0]
        for param in context.command.params
        if param.name in NEEDS_RUN and context.get_parameter_source(str(param.name)) in sources
    ]
    if options:
        raise ValueError(
            f"{', '.join(options)}: no effect on label files, which are scored as they are; leave "
            "it out, or give a RUN"
        )
    if context.params["predictions"] is None or context.params["raw"] is None:
        raise ValueError("give a RUN, or --predictions and --raw")


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("out", type=FILE)
@settings_options(ApplyConfig, only=("trusted_models",))
def export(run: Path, out: Path, trusted_models: tuple[str, ...]) -> None:
    """Write the network of a run as ONNX, checked against onnxruntime.

    \b
    Example:
        bratstrain export runs/a model.onnx
    """
    with reported():
        done = bratstrain.export(run, out, trusted_models=trusted_models)
    click.echo(done.line())
