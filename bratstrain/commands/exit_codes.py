"""What a long command prints on the way, and how it ends: exit codes, and ranks of a cluster."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bratsprep.options import reported
from bratstrain.ranks.place import place_of
from bratstrain.training.children import leave


@contextmanager
def as_rank() -> Iterator[bool]:
    """Have a command that is one of several ranks speak once and end at once.

    Yields:
        Whether this process speaks to the user: the only one, or the first rank.
    """
    with reported():
        place = place_of(os.environ)
    if place is None:
        yield True
        return
    code = 1
    try:
        yield place.rank == 0
        code = 0
    except click.ClickException as error:
        code = error.exit_code
        if not getattr(error.__cause__, "is_echo", False):  # which the first rank has said
            error.show()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    leave(code)


@contextmanager
def stopping(*, speaks: bool = True) -> Iterator[None]:
    """Print warnings as plain lines; exit with 130 after SIGINT and with 143 after SIGTERM.

    Args:
        speaks: say that the command was stopped.
    """
    plain = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"WARNING: {message}\n"
    try:
        yield
    except KeyboardInterrupt as stop:
        if speaks:
            click.echo(str(stop) or "stopped", err=True)
        sys.exit(128 + getattr(stop, "number", signal.SIGINT))
    finally:
        warnings.formatwarning = plain


def tell(line: str) -> None:
    """Print a line of progress on standard error."""
    click.echo(line, err=True)


def ignore(line: str) -> None:
    """Drop a line of progress."""
