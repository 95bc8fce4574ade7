"""What a long command prints on the way, and its exit code after each signal."""

import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def stopping() -> Iterator[None]:
    """Print warnings as plain lines; exit with 130 after SIGINT and with 143 after SIGTERM."""
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
    """Print a line of progress on standard error."""
    click.echo(line, err=True)


def ignore(line: str) -> None:
    """Drop a line of progress."""
