"""A build in parts: each part is a journal and its chunks, and the build itself joins them.

A part is no slice file, so that nobody takes one for the whole. Its chunks lie one after the other
in a plain file, to which an interrupted part is added. Joining is what resuming a build is: the
finished cases are taken from the journals, checked, and what is missing is converted.
"""

import heapq
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bratsprep.building.journal import Journal
from bratsprep.building.journal_lines import Entry
from bratsprep.building.memory_budget import packed_bytes
from bratsprep.case import CaseFiles
from bratsprep.part import Part
from bratsprep.sources.source import Source

_NAME: Final = re.compile(r"\.part-([0-9]+)-of-([0-9]+)\.journal")


def deal(source: Source, cases: Sequence[CaseFiles], of: int) -> list[tuple[CaseFiles, ...]]:
    """Deal cases to parts: the largest go first, each to the part that has least so far.

    Every part deals alike, since names and sizes are all that it depends on.

    Args:
        source: what the cases lie in.
        cases: all of them.
        of: number of parts.

    Returns:
        Cases of each part, in the order of all.
    """
    loads = [(0, i) for i in range(of)]
    place = {}
    sizes = {files.id: packed_bytes(source, files) for files in cases}
    for size, case in sorted((-size, case) for case, size in sizes.items()):
        load, i = heapq.heappop(loads)
        heapq.heappush(loads, (load - size, i))
        place[case] = i
    dealt: list[list[CaseFiles]] = [[] for _ in range(of)]
    for files in cases:
        dealt[place[files.id]].append(files)
    return [*map(tuple, dealt)]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that lie beside an output."""

    journals: dict[Part, Journal]
    """Each locked."""

    def entries(self) -> Iterable[Entry]:
        """Finished cases of all parts."""
        for journal in self.journals.values():
            yield from journal.entries

    def lacking(self, source: Source, cases: Sequence[CaseFiles], done: Iterable[str]) -> list[str]:
        """Say which parts are missing or unfinished, and how many cases are therefore built now.

        Args:
            source: what the cases lie in.
            cases: all of them.
            done: ids of those that are finished.
        """
        finished = set(done)
        return [
            self._joined(deal(source, cases, of), finished)
            for of in sorted({part.of for part in self.journals})
        ]

    def _joined(self, dealt: Sequence[Sequence[CaseFiles]], finished: set[str]) -> str:
        """Say how many parts of one number are joined, and which are not."""
        left = {}
        n_ready = 0
        for number, cases in enumerate(dealt, 1):
            journal = self.journals.get(Part(number, len(dealt)))
            if journal is not None and journal.is_finished:
                n_ready += 1
            elif ids := {files.id for files in cases} - finished:
                left[number] = len(ids)
        joined = f"{n_ready} of {len(dealt)} joined"
        if not left:
            return joined
        n_cases, is_one = sum(left.values()), len(left) == 1
        return (
            f"{joined}; {_listed([*left])} {'is' if is_one else 'are'} missing or unfinished: "
            f"converting {n_cases} case{'s' * (n_cases != 1)} of {'it' if is_one else 'them'} here"
        )

    def remove(self) -> None:
        """Remove all parts: the slice file is whole."""
        for journal in self.journals.values():
            journal.remove()

    def close(self) -> None:
        """Unlock all parts."""
        for journal in self.journals.values():
            journal.close()


def open_parts(out: Path) -> Parts:
    """Find and lock the parts beside an output.

    Raises:
        BuildError: another process is building one.
    """
    parts = Parts({})
    try:
        for path in sorted(out.parent.iterdir()):
            match = _NAME.fullmatch(path.name.removeprefix(out.name))
            if match is not None and path.name.startswith(out.name):
                part = Part(int(match[1]), int(match[2]))
                parts.journals[part] = Journal(out.with_name(part.name(out.name)))
    except BaseException:
        parts.close()
        raise
    return parts


def _listed(parts: Sequence[int]) -> str:
    """Name parts by their numbers: `parts 3 and 11`."""
    numbers = [str(number) for number in parts]
    if len(numbers) == 1:
        return f"part {numbers[0]}"
    return f"parts {', '.join(numbers[:-1])} and {numbers[-1]}"
