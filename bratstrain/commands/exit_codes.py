"""How a long command ends: warnings as lines, and an exit code for each signal."""

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def stopping() -> Iterator[None]:
    """Give warnings a line for people; exit with 130 after SIGINT and with 143 after SIGTERM."""
    plain = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"WARNING: {message}\n"
    try:
        yield
    except KeyboardInterrupt as stop:
        click.echo(str(stop) or "stopped", err=True)
        sys.exit(128 + getattr(stop, "number", signal.SIGINT))
    finally:
        warnings.formatwarning = plain


def tell(line: str) -> None:
    """Say something on the way, on standard error."""
    click.echo(line, err=True)
