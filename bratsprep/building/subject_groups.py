"""Cases of one person under several subjects: found by their fingerprints, and put together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from bratsprep.discovery.subject_tables import SubjectTable
from bratsprep.repeats.image_match import comparable, match_images
from bratsprep.repeats.search import Pair, Subjects

POSED_SHARE: Final = 24
"""Poses are tried for one pair to so many cases, which keeps the search below 3 % of a build."""
SHOWN: Final = 5
"""Pairs listed of each kind."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which cases of a build show one person by their images."""

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
        compared = f"{self.compared} of {self.n_cases} cases compared by image fingerprint"
        counts = [
            (self.grouped, "certain, put into one subject"),
            (self.contradicted, "certain, kept apart as the table of subjects says"),
            (self.likely, "likely, kept apart: look at them, and decide with --subjects CSV"),
        ]
        results = [f"{len(pairs)} {what}" for pairs, what in counts if pairs]
        result = "; ".join(results) or "no pair of different subjects shows one person"
        lines = [f"{compared}: {result}"]
        for pairs, what in counts:
            named = [f"{pair.first} = {pair.second} ({pair.score:.2f})" for pair in pairs[:SHOWN]]
            rest = f" and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
            if pairs:
                lines.append(f"  {what.partition(',')[0]}: {', '.join(named)}{rest}")
        return lines


def pinned(people: SubjectTable, ids: Iterable[str]) -> list[str]:
    """Ids of the cases whose subject the user gave: those of a table, or all with `names`.

    Args:
        people: the table of subjects.
        ids: of all cases.
    """
    if people.key == "names":
        return list(ids)
    return list(people.subjects) if people.key.startswith("csv:") else []


def find_repeats(
    cases: Sequence[np.void],
    named: Mapping[str, str],
    mode: str,
    pinned: Collection[str],
    workers: int,
) -> Repeats:
    """Compare all cases of a build, and put those that are certainly one person together.

    The result depends on the cases and their names alone: not on the number of workers, and not
    on the subjects in the rows, which an earlier search may have given them.

    Args:
        cases: rows of /case, sorted by id.
        named: subject of each case by its name or the table of subjects, by case id.
        mode: `group`, `name` or `off`, as in `PrepConfig.repeats`.
        pinned: ids of the cases whose subject the user gave; these stay as they are.
        workers: threads.
    """
    if mode == "off":
        return Repeats(mode)
    rows = comparable([int(case["brain_voxels"]) for case in cases])
    pairs = certain_and_likely([cases[row] for row in rows], workers)
    news = [pair for pair in pairs if named[pair.first] != named[pair.second]]
    certain = [pair for pair in news if pair.certainty == "certain"]
    likely = tuple(pair for pair in news if pair.certainty == "likely")
    subjects = Subjects(named, pinned if mode == "group" else named)
    refused = [pair for pair in certain if not subjects.join(pair)]
    grouped = tuple(pair for pair in certain if pair not in refused)
    found = subjects.of_cases()
    changed = {case: found[case] for case in named if found[case] != named[case]}
    return Repeats(mode, len(rows), len(cases), grouped, likely, tuple(refused), changed)


def certain_and_likely(cases: Sequence[np.void], workers: int) -> list[Pair]:
    """Pairs of cases that are certainly or likely one person, best first.

    Args:
        cases: rows of /case.
        workers: threads.
    """
    if len(cases) < 2:
        return []
    prints = np.stack([case["fingerprint"] for case in cases])
    n_posed = -(-len(cases) // POSED_SHARE)
    matches = match_images(prints, n_posed=n_posed, workers=workers)
    ids = [str(case["id"]) for case in cases]
    pairs = [Pair(ids[match.first], ids[match.second], match.score, "images") for match in matches]
    return [pair for pair in pairs if pair.certainty]
