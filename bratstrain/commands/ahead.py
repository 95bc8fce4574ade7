"""Compile kernels that later steps need, in a second process, while the first steps run.

python -m bratstrain.commands.ahead build scores
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import click
import numpy as np

from bratsprep.volumes.warm import warm_build
from bratstrain.scoring import metrics

WARM: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {"build": partial(warm_build, 4, np.int16), "scores": metrics.warm}
)
"""What can be compiled, by the name that is said when it is done: as for phantoms."""


class Ahead:
    """A process that compiles, to be closed.

    Nothing depends on it: what it has not compiled, the step that needs it compiles.

    Args:
        names: from `WARM`, in the order of their need.
    """

    def __init__(self, *names: str) -> None:
        words = [sys.executable, "-m", __name__, *names]
        self._process = subprocess.Popen(  # noqa: S603  our own module
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def wait(self, name: str) -> bool:
        """Wait until something is compiled; False where the process ended without it."""
        return any(line.rstrip() == name for line in self._process.stdout or ())

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._process.terminate()
        self._process.communicate()


def main() -> None:
    """Compile what is named, and say the name of each when it is done."""
    for name in sys.argv[1:]:
        WARM[name]()
        click.echo(name)


if __name__ == "__main__":
    main()
