"""The command line of bratstrain: parse, call, echo.

Nothing here imports torch: a verb does, at its first use. So help comes at once.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

import bratstrain
from bratstrain import config
from bratstrain.commands.apply import evaluate, export, predict, told
from bratstrain.commands.exit_codes import stopping, tell
from bratstrain.commands.pages import compare, report
from bratstrain.commands.study import study

Function = TypeVar("Function", bound=Callable[..., Any])
FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER: Final = click.Path(file_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(bratstrain.__version__)
def main() -> None:
    """Fit, evaluate and apply segmentation networks on a slice file."""


def options(*each: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Make one decorator of many, shown in the order given."""

    def decorate(function: Function) -> Function:
        for option in reversed(each):
            function = option(function)
        return function

    return decorate


def batch_size(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Read `--batch`: a number, or `auto`, which the settings write as 0."""
    if text is None or text == "auto":
        return None if text is None else 0
    if not text.isdecimal() or int(text) == 0:
        raise click.BadParameter(f"must be auto or at least 1, got {text}")
    return int(text)


def model_options(
    context: click.Context, option: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any] | None:
    """Read each `--model-option NAME=VALUE`; a value that is not JSON is text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise click.BadParameter(f"must be NAME=VALUE, each name once, got {text}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found or None


NETWORK: Final = options(
    click.option(
        "--model", metavar="NAME",
        help=f"{', '.join(config.MODELS)}, or package.module:function for a network of your own.",
    ),
    click.option("--model-option", "model_options", multiple=True, callback=model_options,
                 metavar="NAME=VALUE", help="Argument of that function; may be repeated."),
    click.option("--width", type=int, help="Channels of the first level; doubled at each below."),
    click.option("--depth", type=int, help="Levels, the bottleneck included."),
    click.option("--norm", type=click.Choice(config.NORMS), help="Normalisation layer."),
    click.option("--dropout", type=float, help="Share of channels dropped in residual blocks."),
    click.option("--deep-supervision/--no-deep-supervision", default=None, help="Loss per level."),
)  # fmt: skip
LEARNING: Final = options(
    click.option("--recipe", type=click.Choice(("strong", "deck")), help="What to begin from."),
    click.option("--epochs", type=int, help="Length: times through the training slices."),
    click.option("--steps", type=int, help="Length: optimiser steps."),
    click.option("--minutes", type=float, help="Length: wall time over all sittings."),
    click.option("--batch", "batch_size", callback=batch_size, help="Slices a step, or auto."),
    click.option("--lr", "learning_rate", type=float, help="Highest learning rate."),
    click.option("--loss", type=click.Choice(config.LOSSES)),
    click.option("--augment", type=click.Choice(config.AUGMENTS)),
    click.option("--sampling", type=click.Choice(config.SAMPLINGS)),
    click.option("--block", type=int, help="Neighbouring slices read together, for slow disks."),
    click.option("--schedule", type=click.Choice(config.SCHEDULES)),
    click.option("--warmup", type=int, help="Steps of the rise of the learning rate."),
    click.option("--weight-decay", type=float),
    click.option("--ema", type=float, help="Decay of the averaged weights; 0 keeps none."),
    click.option("--clip", type=float, help="Largest gradient norm; 0 does not clip."),
    click.option("--patience", type=int, help="Validations without a better score; 0 is endless."),
    click.option("--validate-steps", type=int, help="Steps between validations; 0 is an epoch."),
    click.option("--precision", type=click.Choice(config.PRECISIONS)),
    click.option("--compile/--no-compile", default=None, help="Compile the network."),
)
SPLITTING: Final = options(
    click.option("--split", help="subject, nnunet, slice (leaks), or a JSON file."),
    click.option("--fold", type=int, help="0 to 4."),
    click.option("--test-share", type=float, help="Share of the subjects held out of every fold."),
    click.option("--seed", type=int),
)
SITTING: Final = options(
    click.option("--device", help="auto, cpu, cuda or cuda:N."),
    click.option("--threads", type=int, help="Threads that read slices; 0 chooses."),
    click.option("--prefetch", type=int, help="Batches read ahead."),
    click.option("--checkpoint-steps", type=int, help="Steps between checkpoints; 0 for none."),
    click.option("--checkpoint-minutes", type=float, help="Minutes between checkpoints."),
)


@main.command()
@click.argument("data", type=FILE)
@click.option("--run", type=FOLDER, help="Run folder; without it, one is named after the content.")
@NETWORK
@LEARNING
@SPLITTING
@SITTING
def fit(data: Path, run: Path | None, **settings: Any) -> None:
    """Fit a network on a slice file, or go on where a run was cut off.

    What is not said comes from the recipe, or from the run that is gone on with.

    \b
    Example:
        bratstrain fit out.h5 --model residual --epochs 2
    """
    given = {name: value for name, value in settings.items() if value is not None}
    with told(), stopping():
        done = bratstrain.fit(data, run, progress=True, tell=tell, **given)
    for line in done.lines():
        click.echo(line)


for command in (evaluate, predict, report, compare, export, study):
    main.add_command(command)
