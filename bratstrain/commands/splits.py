"""The command that deals raw cases into folds, for nnU-Net.

Nothing here imports torch, nor does the verb.
"""

from pathlib import Path
from typing import Any

import click

import bratstrain
from bratsprep.options import FILE, PLACE, WORKERS, given, reported, settings_options
from bratstrain.apply_config import SplitsConfig


@click.command()
@click.argument("raw", type=PLACE)
@click.option(
    "-o",
    "--out",
    type=FILE,
    required=True,
    metavar="JSON",
    help="File to write, splits_final.json for nnU-Net.",
)
@settings_options(SplitsConfig)
@WORKERS
@click.option("--force", is_flag=True, help="Replace an existing file.")
def splits(raw: Path, out: Path, **settings: Any) -> None:
    """Deal raw cases into folds for nnU-Net v2, without a patient in two of them.

    Cases of one patient are found as by 'bratsprep build'. With --repeats off, no image is read:
    names and --subjects identify patients, and the NIfTI data set of any task is accepted. nnU-Net
    reads the file from the folder of the data set under nnUNet_preprocessed.

    \b
    Example:
        bratstrain splits nnUNet_raw/Dataset001_BrainTumour -o splits_final.json
    """
    with reported():
        done = bratstrain.splits(raw, out, progress=True, **given(settings))
    click.echo("\n".join(done.lines()))
