"""The command line of bratstrain: parse, call, echo.

Nothing here imports torch: a verb does, at its first use. Help is therefore fast.
"""

from pathlib import Path
from typing import Any

import click

import bratstrain
from bratsprep.options import (
    CONTEXT,
    FOLDER,
    SectionedCommand,
    SectionOption,
    combined,
    given,
    reported,
    settings_options,
)
from bratstrain.commands.apply import evaluate, export, predict, publish
from bratstrain.commands.crossval import crossval
from bratstrain.commands.exit_codes import as_rank, ignore, stopping, tell
from bratstrain.commands.pages import card, compare, report
from bratstrain.commands.splits import splits
from bratstrain.commands.study import study
from bratstrain.config import ModelConfig, Session, TrainConfig
from bratstrain.recipes import recipe_defaults

RUN_OPTIONS = combined(
    click.option(
        "--run",
        type=FOLDER,
        cls=SectionOption,
        section="Run",
        help="Run folder; by default one under runs/, named after data and settings.",
    ),
    click.option(
        "--from",
        "start",
        metavar="RUN",
        cls=SectionOption,
        section="Run",
        help="Begin with the weights of this run, its published folder or hf://OWNER/NAME, as far "
        "as they fit; the network's settings are its own by default.",
    ),
    click.option(
        "--quiet",
        is_flag=True,
        cls=SectionOption,
        section="Run",
        help="Print the result alone: no line for the start and the validations, no bar.",
    ),
    settings_options(TrainConfig, recipes=recipe_defaults()),
    settings_options(ModelConfig, recipes=recipe_defaults()),
    settings_options(Session),
)


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="bratsprep")
def main() -> None:
    """Fit, evaluate and apply segmentation networks on a slice file."""


@main.command(cls=SectionedCommand)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@RUN_OPTIONS
def fit(data: Path, run: Path | None, start: str | None, quiet: bool, **settings: Any) -> None:
    """Fit a network on a slice file, or resume an interrupted run.

    Options not given are taken from the recipe, or from the run being resumed. The defaults shown
    are those of the recipes.

    \b
    Example:
        bratstrain fit out.h5 --model residual --epochs 2
    """
    show = ignore if quiet else tell
    with as_rank() as speaks, reported(), stopping(speaks=speaks):
        done = bratstrain.fit(
            data, run, start=start, progress=not quiet, tell=show, **given(settings)
        )
        for line in done.lines() if speaks else ():
            click.echo(line)


@main.command()
@click.argument("folder", type=FOLDER, default="demo")
@click.option(
    "--quick", is_flag=True, help="Few small cases and six steps: shows that everything runs."
)
def demo(folder: Path, quick: bool) -> None:
    """Run the main job on phantoms, from raw files to a report.

    Every step is a command line, which is printed. FOLDER is made, demo by default.

    \b
    Example:
        bratstrain demo demo/
    """
    with reported():
        done = bratstrain.demo(folder, quick=quick)
    click.echo("\n".join(["", *done.lines()]))


for command in (crossval, evaluate, predict, report, compare, card, export, publish, study, splits):
    main.add_command(command)
