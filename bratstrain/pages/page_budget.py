"""Which cases' images a page carries: as many as a number and a size allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bratstrain.pages.sprites import MOST_TELLING, View, packed_views

MEGABYTE: Final = 1_000_000
REST: Final = 400_000
"""Bytes left for all but the images; tables of a thousand cases need about as much."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Images of a page."""

    views: tuple[dict[str, Any], ...]
    """As `sprites.packed` gives them, in the order of the viewer."""
    whole: frozenset[str]
    """Cases with every plane."""
    left_out: int
    """Cases that were wanted and for which there was no room."""

    @property
    def cases(self) -> list[str]:
        """Ids in the order of the viewer."""
        return [view["case"] for view in self.views]


def within(views: Sequence[View], whole: Sequence[str], megabytes: float) -> Shown:
    """Encode cases until a page is full.

    Every case gets a few planes first; then those of `whole` get all of theirs, as far as there is
    room. The last cases are left out where not even that fits; the first is always there.

    Args:
        views: with every plane where it is wanted, in the order of the viewer.
        whole: ids of cases to be shown with every plane, the most important first.
        megabytes: most size of the page.
    """
    room = megabytes * MEGABYTE - REST
    few = packed_views([view.thinned() for view in views])
    while len(few) > 1 and sum(map(size, few)) > room:
        few.pop()
    total = sum(map(size, few))
    places = {view.case: i for i, view in enumerate(views[: len(few)])}
    wanted = [case for case in whole if case in places]
    complete = {case for case in wanted if views[places[case]].thinned() is views[places[case]]}
    rest = [case for case in wanted if case not in complete]
    for case, full in zip(rest, packed_views([views[places[case]] for case in rest]), strict=True):
        more = size(full) - size(few[places[case]])
        if total + more <= room:
            few[places[case]] = full
            total += more
            complete.add(case)
    return Shown(tuple(few), frozenset(complete), len(views) - len(few))


def size(view: dict[str, Any]) -> int:
    """Bytes that a packed case takes on the page, its pictures alone."""
    pictures = [*view["images"], view["truth"], *view["predicted"], view["entropy"] or ""]
    return sum(map(len, pictures))


def images_note(shown: Shown, n_cases: int, most: int, megabytes: float) -> str:
    """State which cases have images on the page, and why others have none.

    Args:
        shown: what is there.
        n_cases: scored cases.
        most: number of cases that was asked for.
        megabytes: most size of the page.
    """
    n = len(shown.views)
    said = f"Images of {n} of {n_cases} cases are on this page"
    if len(shown.whole) == n:
        said += ", with every plane"
    else:
        said += (
            f": {len(shown.whole)} with every plane, {n - len(shown.whole)} with up to "
            f"{MOST_TELLING} planes through the tumour"
        )
    if n == n_cases:
        return f"{said}."
    if shown.left_out:
        return f"{said}; more would take it beyond {megabytes:g} MB (--megabytes)."
    return f"{said}, the worst ones; more with --images (here {most}), one alone with --case ID."
