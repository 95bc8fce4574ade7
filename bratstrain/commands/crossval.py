"""The command of a cross-validation: every fold, and one table.

Nothing here imports torch: the verb does, at its first use.
"""

from pathlib import Path
from typing import Any

import click

import bratstrain
from bratsprep.config import FilesConfig
from bratsprep.options import (
    FOLDER,
    PLACE,
    SectionedCommand,
    SectionOption,
    given,
    reported,
    settings_options,
)
from bratstrain.apply_config import CrossvalConfig
from bratstrain.commands.exit_codes import ignore, stopping, tell
from bratstrain.config import ModelConfig, Session, TrainConfig
from bratstrain.recipes import recipe_defaults


@click.command(cls=SectionedCommand)
@click.argument("data", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--raw", type=PLACE, required=True, metavar="RAW", help="Labelled raw cases of DATA, to score.",
    cls=SectionOption, section="Cross-validation",
)  # fmt: skip
@click.option(
    "-o", "--out", type=FOLDER, metavar="DIR", cls=SectionOption, section="Cross-validation",
    help="Folder for runs, table and page; by default one under runs/, named after data and "
    "settings.",
)  # fmt: skip
@settings_options(CrossvalConfig)
@click.option(
    "--quiet", is_flag=True, cls=SectionOption, section="Cross-validation",
    help="Print the result alone: no line for steps, no bar.",
)  # fmt: skip
@settings_options(TrainConfig, recipes=recipe_defaults(), without=("fold",))
@settings_options(ModelConfig, recipes=recipe_defaults())
@settings_options(Session)
@settings_options(FilesConfig)
def crossval(data: Path, quiet: bool, **settings: Any) -> None:
    """Fit every fold, and score each case by the network that has not seen it.

    Repeat the same command to resume. The folder is an ensemble for predict, evaluate and export.

    \b
    Example:
        bratstrain crossval out.h5 --raw raw/ --epochs 30 --gpus 0,1
    """
    show = ignore if quiet else tell
    with reported(), stopping():
        done = bratstrain.crossval(data, progress=not quiet, tell=show, **given(settings))
    for line in done.lines():
        click.echo(line)
