"""Commands of the verbs that use a run: evaluate, predict, export.

Nothing here imports torch: a verb does, at its first use.
"""

import json
from pathlib import Path
from typing import Any, Final

import click

import bratstrain
from bratsprep.config import FaultConfig, FilesConfig
from bratsprep.options import (
    FILE,
    FOLDER,
    PLACE,
    exit_if_any,
    given,
    reported,
    settings_options,
)
from bratsprep.settings import keywords
from bratstrain.apply_config import (
    PARTS,
    ApplyConfig,
    CardConfig,
    OutputConfig,
    ReportConfig,
    ScoreConfig,
)

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
    *(name for name in keywords(ApplyConfig) if name not in keywords(FilesConfig)),
    *(name for name in keywords(ReportConfig) if name not in keywords(ScoreConfig)),
)
"""Options of `evaluate` that mean nothing to label files."""
FOR_RESULTS: Final = ("nnunet_results", "as_json", "subjects")
"""Options of `evaluate` that the results of nnU-Net take."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="RUN... RAW")
@click.option("-o", "--out", type=FOLDER, required=True, metavar="DIR", help="Folder to write to.")
@settings_options(ScoreConfig, only=("cases",))
@settings_options(ApplyConfig, without=("same_grid",))
@settings_options(FaultConfig)
@settings_options(OutputConfig)
@click.option("--figures", is_flag=True, help="Draw <case>.png: the plane with most tumour.")
def predict(paths: tuple[str, ...], out: Path, figures: bool, **settings: Any) -> None:
    """Label raw cases: NIfTI files in the space of each scan.

    RUN is a run folder, one of a cross-validation, one that 'bratstrain publish' made, or
    hf://OWNER/NAME; several make an ensemble. RAW is a case folder, a data set or an archive.
    Beside the labels lie volumes.csv (ml of each class and region) and the colours of the labels
    for ITK-SNAP (.label) and 3D Slicer (.ctbl).

    \b
    Example:
        bratstrain predict runs/a raw/BraTS2021_00001 -o predicted
    """
    if len(paths) < 2:
        raise click.UsageError("give at least one RUN, and RAW last")
    with reported():
        draw = bratstrain.draw_case if figures else None
        done = bratstrain.predict(
            paths[:-1], paths[-1], out, draw=draw, progress=True, **given(settings)
        )
    click.echo("\n".join(done.lines()))
    exit_if_any(done.skipped)


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
@click.option(
    "--nnunet-results",
    type=PLACE,
    metavar="DIR",
    help="Show what repeated patients do to an nnU-Net v2 cross-validation: a summary.json of each "
    "fold, without a RUN.",
)
@click.option("--json", "as_json", is_flag=True, help="With --nnunet-results: print JSON.")
@SPLIT
@settings_options(ApplyConfig)
@settings_options(ReportConfig, without=("pictures",))
@click.option("--figure", type=FILE, metavar="PNG", help="Draw the best, median and worst case.")
@click.option("-o", "--out", type=FOLDER, metavar="DIR", help="Folder for the tables.")
def evaluate(
    run: Path | None,
    figure: Path | None,
    nnunet_results: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Score a run, or label files, against the truth; or examine a cross-validation of nnU-Net.

    \b
    Example:
        bratstrain evaluate runs/a --raw Task01_BrainTumour.tar
        bratstrain evaluate --predictions predicted/ --raw raw/
        bratstrain evaluate --nnunet-results nnUNetTrainer__nnUNetPlans__2d --subjects subjects.csv
    """
    context = click.get_current_context()
    if nnunet_results is not None or as_json:
        with reported():
            check_results_alone(context)
            audit = bratstrain.evaluate_nnunet(
                nnunet_results or "", subjects=settings["subjects"] or "auto"
            )
        lines = [json.dumps(audit.to_json(), indent=1)] if as_json else audit.lines()
        click.echo("\n".join(lines))
        return
    with reported():
        if run is None:
            check_alone(context)
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
    exit_if_any(report.set_aside)


def stated(context: click.Context) -> dict[str, str]:
    """Parameters given on the command line or by the environment, and what the user calls them."""
    sources = click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT
    return {
        str(param.name): (
            param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        )
        for param in context.command.params
        if context.get_parameter_source(str(param.name)) in sources
    }


def check_results_alone(context: click.Context) -> None:
    """Refuse what has no effect on the results of nnU-Net.

    Raises:
        ValueError: such an argument was given, or there are no results.
    """
    others = [option for name, option in stated(context).items() if name not in FOR_RESULTS]
    if context.params["nnunet_results"] is None:
        raise ValueError("--json is for --nnunet-results; an evaluation is always written as JSON")
    if others:
        raise ValueError(f"{', '.join(others)}: no effect on --nnunet-results; leave it out")


def check_alone(context: click.Context) -> None:
    """Refuse options that mean nothing without a run.

    Raises:
        ValueError: such an option was given, or files or truth are missing.
    """
    options = [option for name, option in stated(context).items() if name in NEEDS_RUN]
    if options:
        raise ValueError(
            f"{', '.join(options)}: no effect on label files, which are scored as they are; leave "
            "it out, or give a RUN"
        )
    if context.params["predictions"] is None or context.params["raw"] is None:
        raise ValueError("give a RUN, or --predictions and --raw, or --nnunet-results")


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("out", type=FOLDER)
@settings_options(CardConfig, only=("data_license",))
def publish(run: Path, out: Path, **settings: Any) -> None:
    """Write the network of a run to a folder that can be shared, without any patient's data.

    Weights as safetensors, settings and preparation as JSON, a model card, and SHA-256 of each;
    'bratstrain predict' and 'export' read the folder, here or from the Hugging Face Hub.

    \b
    Example:
        bratstrain publish runs/a shared/a --license CC-BY-SA-4.0
    """
    with reported():
        done = bratstrain.publish(run, out, **given(settings))
    click.echo("\n".join(done.lines()))


@click.command()
@click.argument("run")
@click.argument("out", type=FILE)
@settings_options(ApplyConfig, only=("trusted_models",))
def export(run: str, out: Path, trusted_models: tuple[str, ...]) -> None:
    """Write the network of a run as ONNX, checked against onnxruntime.

    \b
    Example:
        bratstrain export runs/a model.onnx
    """
    with reported():
        done = bratstrain.export(run, out, trusted_models=trusted_models)
    click.echo(done.line())
