"""Commands of the verbs that use a run: evaluate, predict, export.

Nothing here imports torch: a verb does, at its first use.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

import bratstrain
from bratsprep.config import LABELS
from bratsprep.errors import BratsError

RUN: Final = click.Path(file_okay=False, path_type=Path)
FILE: Final = click.Path(dir_okay=False, path_type=Path)
PLACE: Final = click.Path(path_type=Path)
SPLIT_PARTS: Final = ("validation", "test", "train", "all")
NEEDS_RUN: Final = (
    "data", "split", "tta", "cleanup", "any_spacing", "batch_size", "device", "tune_cleanup",
    "figure", "subjects",
)  # fmt: skip
"""Options of `evaluate` that mean nothing to label files."""
EXTRAS: Final = {"matplotlib": "plot", "torch": "train", "tensorboard": "train"}
"""Which extra brings what is missing; `export` brings the rest."""


@contextmanager
def told() -> Iterator[None]:
    """Turn what can go wrong into a message and an exit code: 1 the data's fault, 2 the call's."""
    try:
        yield
    except BratsError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except ModuleNotFoundError as error:
        name = str(error.name).partition(".")[0]
        extra = EXTRAS.get(name, "export")
        raise click.ClickException(
            f"{name} is missing; install it with: pip install 'bratsprep[{extra}]'"
        ) from error


ONLY_CASES: Final = click.option("--case", "cases", multiple=True, metavar="ID", help="Only these.")


def applying(command: Callable[..., None]) -> Callable[..., None]:
    """The options that are fields of ApplyConfig, but for the choice of cases."""
    options = (
        click.option("--tta", type=click.Choice(["none", "lr", "lr+ap"]), default="none",
                     show_default=True, help="Average over flips: left-right, and front-back too."),
        click.option("--cleanup", is_flag=True, help="Drop small components, by sizes that "
                     "'evaluate --tune-cleanup' found on validation cases."),
        click.option("--labels", type=click.Choice(LABELS), default="auto",
                     show_default=True, help="Label scheme of the files."),
        click.option("--any-spacing", is_flag=True, help="Go ahead with other voxel sizes."),
        click.option("--batch", "batch_size", default=16, show_default=True, metavar="N",
                     help="Planes at a time."),
        click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N."),
    )  # fmt: skip
    return functools.reduce(lambda done, option: option(done), reversed(options), command)


@click.command()
@click.argument("paths", nargs=-1, required=True, type=PLACE, metavar="RUN... RAW")
@click.option("-o", "--out", type=RUN, required=True, metavar="DIR", help="Folder to write to.")
@ONLY_CASES
@applying
@click.option("--probabilities", is_flag=True, help="Write <case>_probabilities.nii.gz too.")
@click.option("--force", is_flag=True, help="Replace predictions that are there.")
def predict(paths: tuple[Path, ...], out: Path, **settings: object) -> None:
    """Label raw cases: NIfTI files in each scan's own space.

    RAW is a case folder, a data set or an archive. Several RUNs make an ensemble.

    \b
    Example:
        bratstrain predict runs/a raw/BraTS2021_00001 -o predicted
    """  # noqa: D301 (click wants a real backspace)
    if len(paths) < 2:
        raise click.UsageError("give at least one RUN, and RAW last")
    with told():
        done = bratstrain.predict(paths[:-1], paths[-1], out, progress=True, **settings)
    for each in done:
        click.echo(each.line())


@click.command()
@click.argument("run", type=RUN, required=False)
@click.option("--data", type=FILE, metavar="H5", help="Slice file: its planes only.")
@click.option("--raw", type=PLACE, metavar="RAW", help="Raw cases: every plane, original space.")
@click.option("--predictions", type=PLACE, metavar="DIR", help="Score these files, without a RUN.")
@click.option("--split", type=click.Choice(SPLIT_PARTS), default="validation", show_default=True,
              help="Part of the run's split; all is every case that is there.")  # fmt: skip
@ONLY_CASES
@applying
@click.option(
    "--convention",
    "conventions",
    multiple=True,
    metavar="NAME",
    help="Instead of brats, brats2023, brats2024 and nnunet; first is the headline's.",
)
@click.option("--prediction-labels", type=click.Choice(LABELS), default="auto", show_default=True,
              help="Label scheme of --predictions; auto is that of the truth.")  # fmt: skip
@click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop",
              show_default=True, help="skip sets a case at fault aside; exit code 1.")  # fmt: skip
@click.option("--subjects", type=FILE, metavar="CSV", help="Table of case and subject ids.")
@click.option("--planes", is_flag=True, help="Count every plane into planes.csv.")
@click.option("--tune-cleanup", is_flag=True, help="Tune the minimum component size of each class.")
@click.option("--figure", type=FILE, metavar="PNG", help="Best, median and worst case.")
@click.option("-o", "--out", type=RUN, metavar="DIR", help="For the tables.")
def evaluate(run: Path | None, figure: Path | None, **settings: object) -> None:
    """Score a run, or label files, against the truth.

    \b
    Example:
        bratstrain evaluate runs/a --raw Task01_BrainTumour.tar
        bratstrain evaluate --predictions predicted/ --raw raw/
    """  # noqa: D301 (click wants a real backspace)
    given = {name: value for name, value in settings.items() if value not in ((), None)}
    if "subjects" in given:
        given["subjects"] = str(given["subjects"])
    with told():
        if run is None:
            check_alone(click.get_current_context())
            kept = {name: value for name, value in given.items() if name not in NEEDS_RUN}
            report = bratstrain.score_folders(progress=True, **kept)
        elif "predictions" in given:
            raise ValueError("give RUN or --predictions, not both")
        else:
            if given.pop("prediction_labels") != "auto":
                raise ValueError("prediction_labels is for --predictions; a run has no labels")
            report = bratstrain.evaluate(run, progress=True, pictures=figure is not None, **given)
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
    said = click.core.ParameterSource.COMMANDLINE
    extra = [name for name in NEEDS_RUN if context.get_parameter_source(name) is said]
    if extra:
        raise ValueError(f"{', '.join(extra)} need a RUN; label files are scored as they are")
    if context.params["predictions"] is None or context.params["raw"] is None:
        raise ValueError("give a RUN, or --predictions and --raw")


@click.command()
@click.argument("run", type=RUN)
@click.argument("out", type=FILE)
def export(run: Path, out: Path) -> None:
    """Write the network of a run as ONNX, checked against onnxruntime.

    \b
    Example:
        bratstrain export runs/a model.onnx
    """  # noqa: D301 (click wants a real backspace)
    with told():
        done = bratstrain.export(run, out)
    click.echo(done.line())
