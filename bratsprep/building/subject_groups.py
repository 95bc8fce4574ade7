"""Cases of one person under several subjects: found by their fingerprints, and put together."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bratsprep.case import CaseRow
from bratsprep.repeats.image_match import comparable, match_images
from bratsprep.repeats.search import Pair, Subjects

POSED_SHARE: Final = 24
"""Poses are tried for one pair to so many cases, which keeps the search below 3 % of a build."""
SHOWN: Final = 5
"""Pairs listed of each kind."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """What the images of a build say of the persons of its cases."""

    mode: str
    """`group`, `name` or `off`, as in `PrepConfig.repeats`."""
    compared: int = 0
    """Cases whose brains are large enough to be told apart."""
    n_cases: int = 0
    grouped: tuple[Pair, ...] = ()
    """Certain pairs of different subjects, now of one."""
    likely: tuple[Pair, ...] = ()
    """Pairs of different subjects that are probably one person."""
    contradicted: tuple[Pair, ...] = ()
    """Certain pairs that the table of subjects, or `--subjects names`, keeps apart."""
    subjects: Mapping[str, str] = field(default_factory=dict)
    """Subject of each case whose subject changes, by id."""

    def lines(self) -> list[str]:
        """Describe the result in a few lines for a terminal; the first states what was compared."""
        if self.mode == "off":
            return ["not looked for (--repeats off)"]
        lines = [f"{self.compared} of {self.n_cases} cases compared by image fingerprint: "]
        counts = [
            (self.grouped, "certain, put into one subject"),
            (self.contradicted, "certain, kept apart as the table of subjects says"),
            (self.likely, "likely, kept apart: look at them, and decide with --subjects CSV"),
        ]
        said = [f"{len(pairs)} {what}" for pairs, what in counts if pairs]
        lines[0] += "; ".join(said) or "no pair of different subjects shows one person"
        for pairs, what in counts:
            named = [f"{pair.first} = {pair.second} ({pair.score:.2f})" for pair in pairs[:SHOWN]]
            more = len(pairs) - SHOWN
            if pairs:
                rest = f" and {more} more" if more > 0 else ""
                lines.append(f"  {what.partition(',')[0]}: {', '.join(named)}{rest}")
        return lines


def find_repeats(
    cases: Sequence[CaseRow], mode: str, pinned: Collection[str], workers: int
) -> Repeats:
    """Compare all cases of a build, and put those that are certainly one person together.

    The result depends on the cases alone, not on the number of workers.

    Args:
        cases: their rows, sorted by id.
        mode: `group`, `name` or `off`, as in `PrepConfig.repeats`.
        pinned: ids of the cases whose subject the user gave; these stay as they are.
        workers: threads.
    """
    if mode == "off":
        return Repeats(mode)
    rows = comparable([case.brain_voxels for case in cases])
    pairs = certain_and_likely([cases[row] for row in rows], workers)
    named = {case.id: case.subject for case in cases}
    news = [pair for pair in pairs if named[pair.first] != named[pair.second]]
    certain = [pair for pair in news if pair.certainty == "certain"]
    likely = tuple(pair for pair in news if pair.certainty == "likely")
    people = Subjects(named, pinned if mode == "group" else named)
    refused = [pair for pair in certain if not people.join(pair)]
    grouped = tuple(pair for pair in certain if pair not in refused)
    found = people.of_cases()
    changed = {case: found[case] for case in named if found[case] != named[case]}
    return Repeats(mode, len(rows), len(cases), grouped, likely, tuple(refused), changed)


def certain_and_likely(cases: Sequence[CaseRow], workers: int) -> list[Pair]:
    """Pairs of cases that are certainly or likely one person, best first."""
    if len(cases) < 2:
        return []
    prints = np.stack([case.fingerprint for case in cases])
    n_posed = -(-len(cases) // POSED_SHARE)
    matches = match_images(prints, n_posed=n_posed, workers=workers)
    pairs = [Pair(cases[m.first].id, cases[m.second].id, m.score, "images") for m in matches]
    return [pair for pair in pairs if pair.certainty]
