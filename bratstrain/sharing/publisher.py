"""`publish`: the network of a run as a folder that can be given to others."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from bratsprep.errors import BratsError
from bratsprep.system.atomic import make_empty
from bratstrain.runs.checkpoint import Weights, assemble, load, read_config
from bratstrain.runs.files import FACTS, read_json
from bratstrain.runs.fitted import best_of, fitted_of
from bratstrain.runs.published import write_published
from bratstrain.sharing.card import shared_card

SHARED_FACTS: Final = ("scheme", "spacings", "versions")
"""Facts of a run that say nothing of a person or a machine."""


@dataclass(frozen=True, slots=True)
class Published:
    """What `publish` wrote."""

    folder: Path
    sums: Mapping[str, str]
    """SHA-256 of each file by name."""

    def lines(self) -> list[str]:
        """One line a file, and how to use the folder."""
        lines = [f"{digest}  {self.folder / name}" for name, digest in self.sums.items()]
        return [*lines, f"use      bratstrain predict {self.folder} RAW -o DIR"]


def publish(run: Path | str, out: Path | str, *, data_license: str = "") -> Published:
    """Write the network of a run to a folder for others; `bratstrain.publish`.

    Weights as safetensors, settings and preparation as JSON, a model card, and the SHA-256 of
    each. Neither ids nor fingerprints of cases are written, nor paths of this machine.

    Example:
        bratstrain.publish("runs/a", "shared/a")

    Args:
        run: finished run folder.
        out: folder to make; it may exist where it is empty.
        data_license: of the data that it was fitted on, for the card; not stated by default.

    Raises:
        BratsError: the folder is no finished run, its network is made by code of the user, or
            `out` holds something or cannot be written.
        TypeError: a keyword is unknown.
    """
    source, folder = Path(run), Path(out)
    best = best_of(source)
    weights = load(best, Weights)
    model = read_config(best, weights.config).model
    if model.is_custom:
        raise BratsError(
            f"{source}: its network is made by {model.kind}, code that a published folder cannot "
            "hold; share the run folder together with that code"
        )
    loaded = source, assemble(best, weights), weights
    fitted_of([loaded], torch.device("cpu"))  # refuses what 'predict' would refuse
    facts = shared_facts(read_json(source / FACTS))
    card = shared_card(source, weights, data_license)
    make_empty(folder)
    sums = write_published(folder, weights, facts, card)
    return Published(folder, sums)


def shared_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the facts of a run that say nothing of a person or a machine."""
    kept = {name: facts[name] for name in SHARED_FACTS if name in facts}
    return {"versions": {"python": platform.python_version()}, **kept}
