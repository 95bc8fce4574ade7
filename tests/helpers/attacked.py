"""What the tests of attacks share: refusals with little memory, and nothing written outside."""

import tracemalloc
from contextlib import contextmanager

import pytest

from bratsprep.errors import BratsError

MB = 1 << 20


@contextmanager
def refused(message, folder=None, most_mb=24):
    """Expect one of our errors, little memory, and no new file beside a folder.

    Args:
        message: regular expression that the error must hold.
        folder: nothing may appear in it.
        most_mb: memory that Python and NumPy may take meanwhile.
    """
    before = everything(folder)
    tracemalloc.start()
    try:
        with pytest.raises(BratsError, match=message) as caught:
            yield caught
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most_mb * MB
    assert everything(folder) == before


def everything(folder):
    """All paths under a folder, or nothing where there is none."""
    return set() if folder is None else set(folder.rglob("*"))
