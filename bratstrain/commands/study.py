"""The command of a study: several builds and runs, and one table.

Nothing here imports torch: the verb does, at its first use.
"""

from pathlib import Path
from typing import Any

import click

import bratstrain
from bratsprep.options import FOLDER, PLACE, given, reported, settings_options
from bratstrain.apply_config import StudyConfig
from bratstrain.commands.exit_codes import stopping, tell


@click.command()
@click.argument("file", type=PLACE)
@click.option("--raw", type=PLACE, required=True, metavar="RAW", help="Labelled raw cases.")
@click.option(
    "-o",
    "--out",
    type=FOLDER,
    metavar="DIR",
    help="Folder for slice files, runs and tables; runs/FILE-PROFILE by default.",
)
@settings_options(StudyConfig)
def study(file: Path, **settings: Any) -> None:
    """Run the experiments of a TOML file and score all on the same held-out patients.

    FILE is a path, or the name of a built-in study: deck or negatives. The table shows the score
    of each experiment under its own protocol beside the held-out score. Repeat the same command to
    resume an interrupted study.

    \b
    Example:
        bratstrain study deck --raw raw/ --profile demo
    """
    with reported(), stopping():
        done = bratstrain.study(file, progress=True, tell=tell, **given(settings))
    for line in done.lines():
        click.echo(line)
