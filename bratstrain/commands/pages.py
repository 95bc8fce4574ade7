"""Commands that make pages: report, compare, card.

Nothing here imports torch: a verb does, at its first use.
"""

from pathlib import Path
from typing import Any

import click

import bratstrain
from bratsprep.config import FaultConfig
from bratsprep.options import (
    FILE,
    FOLDER,
    combined,
    exit_if_any,
    given,
    reported,
    settings_options,
)
from bratstrain.apply_config import ApplyConfig, CardConfig, ShownConfig
from bratstrain.commands.apply import DATA, RAW, SPLIT

VIEWED = combined(DATA, RAW, SPLIT, settings_options(ApplyConfig), settings_options(FaultConfig))
"""Options of the cases, and of how a run is applied to them."""


@click.command()
@click.argument("run", type=FOLDER)
@VIEWED
@settings_options(ShownConfig)
@click.option(
    "-o", "--out", type=FILE, metavar="HTML", help="Page to write; RUN/report.html by default."
)
def report(run: Path, **settings: Any) -> None:
    """Write a page about a run: scores, curves, and cases to look through.

    The page is self-contained and makes no network requests.

    \b
    Example:
        bratstrain report runs/a --raw Task01_BrainTumour.tar -o report.html
    """
    with reported():
        done = bratstrain.report(run, progress=True, **given(settings))
    click.echo(done.line())
    exit_if_any(done.set_aside)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER, metavar="RUN RUN...")
@VIEWED
@click.option(
    "-o",
    "--out",
    type=FILE,
    default=Path("compare.html"),
    show_default=True,
    metavar="HTML",
    help="Page to write; the numbers go beside it as .json and .csv.",
)
def compare(runs: tuple[Path, ...], **settings: Any) -> None:
    """Compare runs on the same cases, case by case.

    \b
    Example:
        bratstrain compare runs/a runs/b --raw Task01_BrainTumour.tar
    """
    with reported():
        done = bratstrain.compare(runs, progress=True, **given(settings))
    click.echo("\n".join(done.lines()))
    click.echo(f"wrote {', '.join(map(str, done.pages))}", err=True)
    exit_if_any(done.set_aside)


@click.command()
@click.argument("run", type=FOLDER)
@settings_options(CardConfig)
@click.option(
    "-o", "--out", type=FILE, metavar="MD", help="File to write; RUN/README.md by default."
)
def card(run: Path, **settings: Any) -> None:
    """Write a model card of a run, with the front matter that model hubs read.

    Data, split, repeated patients, scores, preparation, network, limits. What no file knows is said
    to be unknown, for a person to fill in.

    \b
    Example:
        bratstrain card runs/a --license CC-BY-SA-4.0
    """
    with reported():
        done = bratstrain.card(run, **given(settings))
    click.echo("\n".join(done.lines()))
