"""Runs by name: a folder here, or a published network on the Hugging Face Hub."""

import re
from importlib import import_module
from pathlib import Path
from typing import Final

from bratsprep.errors import BratsError
from bratstrain.runs.published import FILES, SUMS

_ADDRESS: Final = re.compile(
    r"hf://(?P<name>\w[\w.-]*/\w[\w.-]*?)(?:@(?P<revision>[\w./-]+))?/?", re.ASCII
)


def located(run: Path | str) -> Path:
    """Folder of a run; a published one on the Hub is downloaded into the Hub's own cache.

    Only the files of a published network are taken, none of which can hold code that is run.

    Args:
        run: folder, `hf://owner/name` or `hf://owner/name@revision`.

    Raises:
        BratsError: the address is not one, or the network cannot be downloaded.
        ModuleNotFoundError: `huggingface_hub` is not installed.
    """
    if not str(run).startswith("hf:"):
        return Path(run)
    match = _ADDRESS.fullmatch(str(run))
    if match is None:
        raise BratsError(f"{run}: is no address of a network; write hf://OWNER/NAME as text")
    hub = import_module("huggingface_hub")
    try:
        folder = hub.snapshot_download(
            match["name"], revision=match["revision"], allow_patterns=[*FILES, SUMS]
        )
    except (OSError, ValueError, RuntimeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise BratsError(f"{run}: cannot be downloaded: {reason}") from error
    return Path(folder)
