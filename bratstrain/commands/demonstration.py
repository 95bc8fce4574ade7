"""`demo`: the main job on phantoms, from raw files to a report, in a folder of the user's.

Its steps are command lines, which are printed and run by the programs' own parsers: what a reader
of the output types does the same.
"""

import shlex
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from bratsprep.errors import BratsError
from bratsprep.system.atomic import make_empty
from bratstrain.commands.ahead import Ahead

NEEDED: Final = ("torch", "tensorboard", "matplotlib")
"""Modules of the extras `train` and `plot`, which the steps use."""
FOLDER: Final = "FOLDER"
"""Stands for the folder in a command line."""
RAW: Final = "bratsprep phantom FOLDER/raw --cases 24 --shape 80x80x52"
BUILD: Final = "bratsprep build FOLDER/raw FOLDER/train.h5 --crop 80x64 --negatives 0.5"
FIT: Final = (
    "bratstrain fit FOLDER/train.h5 --model residual --width 16 --depth 4 --batch 8 --epochs 3 "
    "--test-share 0.2 --run FOLDER/run"
)
EVALUATE: Final = (
    "bratstrain evaluate FOLDER/run --raw FOLDER/raw --split test --figure FOLDER/figure.png"
)
STEPS: Final = (
    RAW,
    BUILD,
    "bratsprep verify FOLDER/train.h5 FOLDER/raw",
    "bratsprep inspect FOLDER/train.h5 --html FOLDER/inspect.html",
    "bratsprep preview FOLDER/train.h5 -o FOLDER/preview.png",
    FIT,
    EVALUATE,
    "bratstrain predict FOLDER/run FOLDER/raw -o FOLDER/predicted",
    "bratstrain report FOLDER/run --raw FOLDER/raw --split test -o FOLDER/report.html",
)
"""Command lines of the demo, in order."""
SMALLER: Final = MappingProxyType(
    {
        RAW: "bratsprep phantom FOLDER/raw --cases 6 --shape 48x48x32",
        BUILD: "bratsprep build FOLDER/raw FOLDER/train.h5 --crop 48x48 --negatives 0.3",
        FIT: "bratstrain fit FOLDER/train.h5 --model residual --width 4 --depth 3 --batch 4 "
        "--steps 6 --test-share 0.3 --run FOLDER/run",
    }
)
"""Those of the quick demo that differ."""
AHEAD: Final = MappingProxyType({BUILD: "build", EVALUATE: "scores"})
"""Steps that wait for their kernels, which a second process compiles meanwhile."""
PROGRAMS: Final = MappingProxyType(
    {"bratsprep": "bratsprep.cli", "bratstrain": "bratstrain.commands.cli"}
)
"""Modules of the commands, imported at their use: they import the packages, which name `demo`."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What `demo` made."""

    folder: Path

    @property
    def pages(self) -> tuple[Path, ...]:
        """Pages to look at, the report first."""
        return self.folder / "report.html", self.folder / "inspect.html"

    def lines(self) -> list[str]:
        """Name the pages to open."""
        report, inspection = (page.resolve() for page in self.pages)
        return [
            f"open   {report}",
            f"also   {inspection}",
            "next   your own data: the same commands with your folder or archive in place of raw",
        ]


def demo(
    folder: Path | str = "demo", *, quick: bool = False, tell: Tell = click.echo
) -> Demonstration:
    """Run the main job on phantoms, from raw files to a report; `bratstrain.demo`.

    The output of every step goes to the terminal.

    Example:
        bratstrain.demo("demo").pages

    Args:
        folder: to make; it may exist where it is empty.
        quick: few and small cases and six steps: shows that everything runs, and learns nothing.
        tell: receives each command line before it is run.

    Raises:
        BratsError: the folder holds something, or cannot be made.
        ClickException: a step failed.
        ModuleNotFoundError: an extra is not installed.
    """
    place = Path(folder)
    for name in NEEDED:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"{name} is missing", name=name)
    make_empty(place)
    with closing(Ahead(*AHEAD.values())) as ahead:
        for step in STEPS:
            line = SMALLER.get(step, step) if quick else step
            words = [word.replace(FOLDER, str(place), 1) for word in line.split()]
            tell(f"$ {shlex.join(words)}")
            if step in AHEAD:
                ahead.wait(AHEAD[step])
            code = program(words[0]).main(words[1:], prog_name=words[0], standalone_mode=False)
            if code:
                raise BratsError(f"{place}: '{words[0]} {words[1]}' ended with exit code {code}")
    return Demonstration(place)


def program(name: str) -> click.Command:
    """Find the command of a program."""
    command: click.Command = import_module(PROGRAMS[name]).main
    return command
