"""Commands that make pages: report, compare.

Nothing here imports torch: a verb does, at its first use.
"""

import functools
from collections.abc import Callable
from pathlib import Path

import click

import bratstrain
from bratstrain.commands.apply import FILE, PLACE, RUN, SPLIT_PARTS, applying, told


def looking(command: Callable[..., None]) -> Callable[..., None]:
    """Where the cases are, and what changes how they are seen."""
    options = (
        click.option("--data", type=FILE, metavar="H5", help="Slice file: its planes only."),
        click.option("--raw", type=PLACE, metavar="RAW", help="Raw cases: every plane."),
        click.option("--split", type=click.Choice(SPLIT_PARTS), default="validation",
                     show_default=True, help="Part of the run's split; all is every case there."),
        applying,
    )  # fmt: skip
    return functools.reduce(lambda done, option: option(done), reversed(options), command)


@click.command()
@click.argument("run", type=RUN)
@looking
@click.option(
    "-o", "--out", type=FILE, metavar="HTML", help="Page; report.html in RUN if not said."
)
def report(run: Path, **settings: object) -> None:
    """Write a run as one page: scores, curves, and cases to page through.

    The page needs nothing else: no network, no other file.

    \b
    Example:
        bratstrain report runs/a --raw Task01_BrainTumour.tar -o report.html
    """  # noqa: D301 (click wants a real backspace)
    with told():
        done = bratstrain.report(run, progress=True, **settings)
    click.echo(done.line())


@click.command()
@click.argument("runs", nargs=-1, required=True, type=RUN, metavar="RUN RUN...")
@looking
@click.option("-o", "--out", type=FILE, default=Path("compare.html"), show_default=True,
              metavar="HTML", help="Page; the numbers go beside it as .json and .csv.")  # fmt: skip
def compare(runs: tuple[Path, ...], **settings: object) -> None:
    """Hold runs against each other on the same cases, case by case.

    \b
    Example:
        bratstrain compare runs/a runs/b --raw Task01_BrainTumour.tar
    """  # noqa: D301 (click wants a real backspace)
    with told():
        done = bratstrain.compare(runs, progress=True, **settings)
    click.echo("\n".join(done.lines()))
    click.echo(f"wrote {', '.join(map(str, done.pages))}", err=True)
