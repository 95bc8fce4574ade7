"""Faulty cases: a command stops at the first, or sets them aside and lists them at the end.

Every verb with `on_error` decides by `set_aside`, so that all of them treat a fault alike.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from bratsprep.errors import BratsError
from bratsprep.system.threads import Named

Fault = TypeVar("Fault", bound=BratsError)
Item = TypeVar("Item", bound=Named)
Made = TypeVar("Made")
ADVICE: Final = "to go on without faulty cases, use --on-error skip"
"""Note of an error that `on_error` decides about; commands with that option print it."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A case that was left out, and why."""

    id: str
    reason: str


def advised(error: Fault) -> Fault:
    """Add the way on to an error that stops a command because of faulty cases."""
    error.add_note(ADVICE)
    return error


def set_aside(case: str, error: BratsError, *, skip: bool) -> SetAside:
    """Set a faulty case aside, or stop at it.

    Args:
        case: its id.
        error: what is wrong with it.
        skip: whether faulty cases are set aside.

    Raises:
        BratsError: the error itself, where they are not.
    """
    if not skip:
        raise advised(error)
    return SetAside(case, str(error))


def without_faulty(
    results: Iterable[tuple[Item, Made | BratsError]], faulty: list[SetAside], *, skip: bool
) -> Iterator[Made]:
    """Pass on what was made of each case; faulty ones are added to a list.

    Args:
        results: case and result, as `bratsprep.system.threads.in_order` yields them.
        faulty: receives the cases that are set aside.
        skip: whether faulty cases are set aside.

    Raises:
        BratsError: a case is faulty, and such cases are not set aside.
    """
    for item, result in results:
        if isinstance(result, BratsError):
            faulty.append(set_aside(item.id, result, skip=skip))
        else:
            yield result


def check_any_left(where: object, n_left: int, faulty: Sequence[SetAside]) -> None:
    """Refuse a set in which every case is faulty.

    Args:
        where: name of the set, for the error.
        n_left: cases that are not faulty.
        faulty: cases that were set aside.

    Raises:
        BratsError: no case is left.
    """
    if faulty and not n_left:
        raise BratsError(
            f"{where}: every one of the {len(faulty)} cases is faulty, such as {faulty[0].id}: "
            f"{faulty[0].reason}"
        )


def skipped_lines(faulty: Sequence[SetAside]) -> list[str]:
    """List the cases that were set aside for a terminal; nothing where there are none."""
    if not faulty:
        return []
    count = f"{len(faulty)} case{'' if len(faulty) == 1 else 's'}"
    return [f"skipped  {count}:", *(f"  {case.id}: {case.reason}" for case in faulty)]
