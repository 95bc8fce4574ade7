"""The command of a study: several builds and runs, and one table.

Nothing here imports torch: the verb does, at its first use.
"""

from pathlib import Path

import click

import bratstrain
from bratsprep.config import LABELS
from bratstrain.commands.apply import PLACE, RUN, told
from bratstrain.commands.exit_codes import stopping, tell


@click.command()
@click.argument("file", type=PLACE)
@click.option("--raw", type=PLACE, required=True, metavar="RAW", help="Labelled raw cases.")
@click.option("--profile", default="", metavar="NAME", help="Sizes to take, such as demo or full.")
@click.option("-o", "--out", type=RUN, metavar="DIR", help="For slice files, runs and tables; "
              "runs/FILE-PROFILE by default.")  # fmt: skip
@click.option("--labels", type=click.Choice(LABELS), default="auto", show_default=True,
              help="Label scheme of the raw cases.")  # fmt: skip
@click.option("--subjects", default="auto", show_default=True, metavar="CSV|names|auto",
              help="Who is who, as for 'bratsprep build'.")  # fmt: skip
@click.option("--workers", default=0, metavar="N", help="Threads that build; all cores by default.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or cuda:N.")
@click.option("--threads", default=0, metavar="N", help="Threads that read slices; 0 chooses.")
def study(file: Path, **settings: object) -> None:
    """Do the experiments of a TOML file and compare what they claim with what holds.

    FILE is a path, or the name of a study that comes along: deck or negatives. All is held
    against cases that no experiment has seen. Run the same command again to go on.

    \b
    Example:
        bratstrain study deck --raw raw/ --profile demo
    """  # noqa: D301 (click wants a real backspace)
    with told(), stopping():
        done = bratstrain.study(file, progress=True, tell=tell, **settings)
    for line in done.lines():
        click.echo(line)
