"""What `benchmarks.accuracy` compares: sides, folds, seeds, minutes and clock, from a TOML file."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the programs, with its settings."""

    name: str
    minutes: Sequence[float]
    """Of training at which it is scored, rising. Each of ours is a run of its own, whose learning
    rate falls to its end; nnU-Net's are the weights on the way of one run, of the last of them."""
    configuration: str = ""
    """nnU-Net's, such as 2d or 3d_fullres; empty for ours."""
    earlier: bool = False
    """Ours as it was: the packages of the checkout that the command is given."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of our fit."""
    prepare: dict[str, Any] = field(default_factory=dict)
    """Of our build."""
    tta: str = "lr+ap"
    mirroring: bool = True
    """Of nnU-Net's labelling."""

    @property
    def slug(self) -> str:
        """Name of its folder."""
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole comparison."""

    sides: tuple[Side, ...]
    lead: str
    """Name of the side that the others are compared with."""
    folds: Sequence[int] = (0,)
    seeds: Sequence[int] = (0,)
    clock: str = "wall"
    """A name in `benchmarks.peers.clocks.CLOCKS`."""
    device: str = "auto"
    threads: int = 0
    """Of torch on a CPU; 0 is torch's own choice."""
    processes: int = 2
    """Of nnU-Net, for preparing, and by the wall for augmenting too."""
    labels: str = "auto"
    note: str = ""
    """Words for the results, such as what the cases are."""

    def __post_init__(self) -> None:
        names = [side.name for side in self.sides]
        if len(set(names)) < len(names):
            raise ValueError(f"sides must have names of their own, got {', '.join(names)}")
        if self.lead not in names:
            raise ValueError(f"lead must be one of {', '.join(names)}, got {self.lead!r}")
        for side in self.sides:
            if not side.minutes or list(side.minutes) != sorted(set(side.minutes)):
                raise ValueError(f"{side.name}: minutes must rise, got {side.minutes}")
        if self.clock == "processor" and not (self.device == "cpu" and self.threads):
            raise ValueError("the processor's clock needs device cpu and a number of threads")


def read_plan(path: Path) -> Plan:
    """Read a plan.

    Raises:
        TypeError: a key is unknown or missing.
        ValueError: a value does not fit the others.
    """
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    sides = tuple(Side(**side) for side in given.pop("sides"))
    return Plan(sides=sides, **given)
