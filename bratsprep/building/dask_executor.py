"""An executor of a Dask cluster, for `build`; needs the extra `dask`."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib import import_module
from typing import Final

from bratsprep.errors import BuildError

RETRIES: Final = 2
"""Of a case whose task failed by no fault of its data; Dask itself repeats those of a lost worker.
"""
WAIT_S: Final = 60
"""For the scheduler, and then for its first worker."""


@contextmanager
def dask_executor(address: str) -> Iterator[tuple[Executor, int]]:
    """Connect to a Dask scheduler for the length of a `with` block.

    Args:
        address: of the scheduler, such as `tcp://node1:8786`.

    Yields:
        Its executor for `build`, and the number of its workers' threads now.

    Raises:
        BuildError: there is no scheduler, or it has no worker.
        ModuleNotFoundError: Dask is not installed.
    """
    try:
        client = import_module("distributed").Client(address, timeout=WAIT_S)
    except (OSError, ValueError) as error:
        raise BuildError(
            f"{address}: no Dask scheduler answers ({error}); start one with 'dask scheduler'"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_S)
        except TimeoutError as error:
            raise BuildError(
                f"{address}: the scheduler has no worker after {WAIT_S} s; start some with "
                f"'dask worker {address}'"
            ) from error
        yield client.get_executor(retries=RETRIES), sum(client.nthreads().values())
