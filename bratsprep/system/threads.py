"""A few threads that work through many items in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import get_ident
from typing import Final, Protocol, TypeVar

from threadpoolctl import ThreadpoolController

from bratsprep.errors import BratsError, BuildError
from bratsprep.system.limits import usable_cores


class Named(Protocol):
    """Anything with an id for messages, such as a case."""

    @property
    def id(self) -> str:
        """Name of the item."""


Item = TypeVar("Item", bound=Named)
Made = TypeVar("Made")
LOOK_AHEAD: Final = 2
"""Finished cases that may wait for an earlier one, above one a worker."""


def cores() -> int:
    """Processor cores that this process may use; fewer by the quota of a container."""
    return usable_cores()


def caught(work: Callable[[Item], Made], item: Item) -> Made | BratsError:
    """Do the work for one item; a fault of the data is a result, and so is a lack of memory."""
    try:
        return work(item)
    except BratsError as error:
        return error
    except MemoryError as error:
        return BuildError(f"{item.id}: does not fit into memory ({error}); lower --workers")


@contextmanager
def pool_of(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Threads for a generator; they are waited for at its end, and work not begun is dropped.

    A generator that nobody closes is ended by the garbage collector in whichever thread that runs:
    a thread of the pool itself cannot wait for its own end, and does not.

    Args:
        workers: threads, at least 1.
        name: how their names begin.
    """
    own: set[int] = set()
    threads = ThreadPoolExecutor(workers, name, initializer=lambda: own.add(get_ident()))
    try:
        yield threads
    finally:
        threads.shutdown(wait=get_ident() not in own, cancel_futures=True)


def in_order(
    cases: Iterable[Item],
    work: Callable[[Item], Made],
    workers: int,
) -> Generator[tuple[Item, Made | BratsError], None, None]:
    """Do the work for each case on threads; results come in the order of the cases.

    Threads suffice: unpacking, kernels and packing all let go of the interpreter's lock. At most
    `workers + LOOK_AHEAD` results are held, whatever the number of cases.

    Args:
        cases: what to work on.
        work: called with a case.
        workers: threads, at least 1.

    Yields:
        Case and result; a BratsError is a result too, any other exception is raised here.
    """
    with pool_of(workers, "case") as threads:
        yield from ordered(cases, lambda files: threads.submit(caught, work, files), workers)


def ordered(
    cases: Iterable[Item], submit: Callable[[Item], Future[Made]], workers: int
) -> Generator[tuple[Item, Made], None, None]:
    """Begin the work for each case, and give the results in the order of the cases.

    Args:
        cases: what to work on.
        submit: begins the work for a case.
        workers: how many cases are worked on at once; `workers + LOOK_AHEAD` are begun.

    Yields:
        Case and result.
    """
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    try:
        for files in cases:
            waiting.append((files, submit(files)))
            if len(waiting) >= workers + LOOK_AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


@contextmanager
def few_blas_threads() -> Iterator[None]:
    """Within, NumPy's products of matrices take one thread, in the whole process.

    By itself OpenBLAS starts as many as there are cores, for any product of a few hundred rows. On
    cores that others use as well these wait for each other in loops: 24 fingerprints took .92
    instead of .05 s of processor time.
    """
    with ThreadpoolController().select(user_api="blas").limit(limits=1):
        yield
