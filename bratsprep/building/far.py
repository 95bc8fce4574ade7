"""Cases converted by an executor: in other processes, or on other machines.

A task carries the path of the source, the settings and the files of one case, and brings back rows
and chunks. This process alone writes, in the order of the cases, so that neither the bytes of the
slice file nor the way to resume depend on where a case was converted.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from bratsprep.building.case_work import Bench, Made, Order, brain_box, convert
from bratsprep.building.summary import versions
from bratsprep.case import Box, CaseFiles
from bratsprep.errors import BratsError, BuildError
from bratsprep.labels import Scheme
from bratsprep.slicefile.chunks import Pages
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Pool
from bratsprep.system.threads import caught, cores, ordered

WIDTH: Final = 32
"""Workers that an executor is taken to have where it does not say."""
Result = TypeVar("Result")
_BENCHES: Final[dict[str, Bench]] = {}
"""Of the build that this process works for, by its token; one at most."""
_OPENING: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Errand:
    """What a process elsewhere needs to work on the cases of one build."""

    token: str
    """Of this build alone: a process keeps the source open from one case to the next."""
    path: Path
    """Of the source, absolute."""
    order: Order
    versions: Mapping[str, str]
    """Of the programs that decide what stands in the file."""


def errand(path: Path, order: Order) -> Errand:
    """Make the errand of a build from the path of its source and how its cases are converted."""
    return Errand(uuid4().hex, path.absolute(), order, versions(order.frame.config))


def convert_far(sent: Errand, files: CaseFiles, scheme: Scheme | None) -> Made | BratsError:
    """Convert a case in a process of an executor.

    Args:
        sent: of the build.
        files: the case.
        scheme: of its label; None without one.

    Returns:
        Rows and chunks, which this process does not use again; or why there are none.
    """

    def work(files: CaseFiles) -> Made:
        bench = _bench(sent)
        made = convert(bench, sent.order, files, scheme)
        own = replace(made.converted, chunks=made.converted.chunks.copied())
        bench.pages.give_back(made.converted.chunks)
        return replace(made, converted=own)

    return caught(work, files)


def box_far(sent: Errand, files: CaseFiles) -> Box | BratsError:
    """Brain box of a case, by a process of an executor; or why there is none.

    Args:
        sent: of the build.
        files: the case.
    """
    return caught(lambda each: brain_box(_bench(sent), sent.order, each), files)


def _bench(sent: Errand) -> Bench:
    """The bench of this process for a build; that of an earlier build is closed."""
    with _OPENING:
        if sent.token not in _BENCHES:
            own = versions(sent.order.frame.config)
            if own != sent.versions:
                differing = [
                    f"{name} {own[name]} instead of {wanted}"
                    for name, wanted in sent.versions.items()
                    if own[name] != wanted
                ]
                raise BuildError(
                    f"a worker has {', '.join(differing)}; every worker must have the versions of "
                    "the process that builds, or bytes would depend on who converts a case"
                )
            for old in _BENCHES.values():
                old.source.close()
            _BENCHES.clear()
            source = open_source(sent.path)
            count = cores()
            _BENCHES[sent.token] = Bench(source, Pool(count, 2**62), Pool(count, 2**62), Pages())
        return _BENCHES[sent.token]


def far_results(
    cases: Iterable[CaseFiles],
    submit: Callable[[CaseFiles], "Future[Result | BratsError]"],
    width: int,
    given: Path,
) -> Generator[tuple[CaseFiles, Result | BratsError], None, None]:
    """Results of an executor in the order of the cases, with errors that name the source as given.

    Args:
        cases: what to work on.
        submit: begins the work on a case.
        width: workers; half as many finished cases again may wait for an earlier one.
        given: path of the source as the caller wrote it.

    Yields:
        Case and result; a BratsError is a result too.

    Raises:
        BuildError: the executor has failed, for instance as a worker died.
    """
    try:
        for files, result in ordered(cases, submit, width + width // 2):
            if isinstance(result, BratsError):
                text = str(result).replace(str(given.absolute()), str(given))
                yield files, type(result)(text)
            else:
                yield files, result
    except BratsError:
        raise
    except Exception as error:
        raise BuildError(
            f"the executor has failed: {type(error).__name__}: {error}; finished cases are kept, "
            "so run the same command again to resume"
        ) from error


def width_of(executor: Executor, workers: int) -> int:
    """Workers of an executor: as many as the caller says, or it does.

    Args:
        executor: any.
        workers: what the caller says; 0 for nothing.
    """
    stated = getattr(executor, "_max_workers", None)
    return workers or (stated if isinstance(stated, int) else WIDTH)
