"""Repeated patients inside a set, or across two: raw data, folders of masks, slice files."""

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Unpack

import numpy as np

from bratsprep.case import MASK_CELLS
from bratsprep.config import FaultConfig, RawSettings, SourceConfig, check_background
from bratsprep.errors import LayoutError
from bratsprep.repeats.case_sets import Collection, is_slice_file, open_collection
from bratsprep.repeats.image_match import match_images
from bratsprep.repeats.mask_details import Agreement, agreement
from bratsprep.repeats.search import Candidate, Pair, candidates, grouped, mask_features
from bratsprep.settings import take
from bratsprep.system.atomic import replacing
from bratsprep.system.faulty_cases import SetAside, skipped_lines
from bratsprep.system.threads import cores

FLOOR: Final = 0.3
"""Agreement of two fingerprints of masks from which the masks themselves are compared: no pair of
Task01 that was confirmed has less than .31."""
COLUMNS: Final = ("case", "subject", "score", "certainty")
"""Of the CSV, before the voxels of each class; `bratsprep build --subjects` takes the first two."""


@dataclass(frozen=True, slots=True)
class Member:
    """A case and its person."""

    case: str
    subject: str
    score: float | None
    """Of its best pair; None where no other case was near enough to be compared with it."""
    certainty: str
    """`certain` or `likely`; `named` where only the names say so; empty where it stands alone."""
    voxels: tuple[int, ...]
    """Of each class but the background; empty for an unlabelled case."""


@dataclass(frozen=True, slots=True)
class Twins:
    """What was found."""

    path: Path
    against: Path | None
    evidence: str
    """`images` or `masks`."""
    members: tuple[Member, ...]
    """The cases of `path`, by id."""
    compared: tuple[Pair, ...]
    """Every candidate with its score, best first."""
    classes: tuple[str, ...] = ()
    """Names of the classes of the labels of `path`, without the background."""
    skipped: tuple[SetAside, ...] = ()
    """Faulty cases of both sets that were set aside; they were not compared."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Those that are one person."""
        return tuple(pair for pair in self.compared if pair.certainty)

    def to_json(self) -> dict[str, Any]:
        """Give everything but the rejected candidates as what `json.dumps` takes."""
        return {
            "path": str(self.path),
            "against": None if self.against is None else str(self.against),
            "evidence": self.evidence,
            "pairs": [{**asdict(pair), "certainty": pair.certainty} for pair in self.pairs],
            "cases": [asdict(member) for member in self.members],
            "skipped": [asdict(case) for case in self.skipped],
        }

    def lines(self) -> list[str]:
        """Say it for a terminal."""
        where = f"{self.path}" + (f" against {self.against}" if self.against else "")
        count = Counter(pair.certainty for pair in self.pairs)
        people = len({member.subject for member in self.members})
        twins = sum(member.certainty in ("certain", "likely") for member in self.members)
        lines = [
            f"{where}: {len(self.members)} cases by their {self.evidence}",
            f"pairs   {count['certain']} certain, {count['likely']} likely",
            f"people  {people}; {twins} cases are of a person who is there again",
        ]
        if self.pairs:
            wide = [max(len(getattr(p, side)) for p in self.pairs) for side in ("first", "second")]
            lines += ["", *(_line(pair, wide) for pair in self.pairs)]
        return lines + (["", *skipped_lines(self.skipped)] if self.skipped else [])

    def write(self, path: Path) -> None:
        """Write the table of cases and subjects that `build --subjects` takes.

        Raises:
            BuildError: it cannot be written.
        """
        table = io.StringIO(newline="")
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([*COLUMNS, *self.classes])
        for member in self.members:
            voxels = member.voxels or [""] * len(self.classes)
            score = "" if member.score is None else f"{member.score:.3f}"
            writer.writerow([member.case, member.subject, score, member.certainty, *voxels])
        with replacing(path) as file:
            file.write(table.getvalue().encode())


def _line(pair: Pair, wide: list[int]) -> str:
    """One pair with its reasons."""
    reasons = "  ".join(f"{name} {value:.2f}" for name, value in pair.reasons.items())
    mirrored = f"  mirrored in {pair.flip}" if pair.flip else ""
    names = f"{pair.first:<{wide[0]}} = {pair.second:<{wide[1]}}"
    return f"{names}  {pair.score:.3f} {pair.certainty:<7}  {reasons}{mirrored}"


def twins(
    path: Path | str,
    against: Path | str | None = None,
    *,
    background: str = "auto",
    workers: int = 0,
    progress: bool = False,
    **settings: Unpack[RawSettings],
) -> Twins:
    """Find the cases that show one person, whatever their names say.

    Images decide where both sides have them, else masks do.

    Args:
        path: slice file, or folder or archive of cases or of masks alone.
        against: another one to look for the same people in; None looks inside the first.
        background: as in `PrepConfig`; of raw images.
        workers: threads; 0 uses every core.
        progress: show a bar on standard error where that is a terminal.
        **settings: keywords of `bratsprep.config.SourceConfig` and `FaultConfig`, for raw data; a
            table lists the cases of the first.

    Raises:
        BratsError: there is nothing to compare, or it is broken.
        TypeError: a keyword is unknown.
        ValueError: a value is not allowed, or has no effect.
    """
    labels, faults = take("twins", settings, SourceConfig, FaultConfig)
    choice, skip = SourceConfig(**labels), FaultConfig(**faults).skip
    if workers < 0:
        raise ValueError(f"workers must be at least 0, got {workers}")
    check_effects(Path(path), None if against is None else Path(against), choice, background)
    choices = choice, replace(choice, case_table="")
    shown = progress and sys.stderr.isatty()
    with ExitStack() as stack:
        sides = [
            stack.enter_context(
                open_collection(
                    Path(side), files, background, workers or cores(), skip=skip, shown=shown
                )
            )
            for side, files in zip((path, against), choices, strict=True)
            if side is not None
        ]
        first, second = sides[0], sides[1] if against is not None else None
        if all(side.has_images for side in sides) and shared_modalities(sides):
            evidence, compared = "images", by_images(first, second, workers or cores())
        else:
            evidence, compared = "masks", by_masks(first, second, workers or cores())
    compared = sorted(compared, key=best_first)
    people = inside(first, compared) if second is None else across(first, second, compared)
    members = _members(first, people, compared, second is None)
    other = None if against is None else Path(against)
    skipped = tuple(case for side in sides for case in side.skipped)
    classes = first.classes.tumour
    return Twins(Path(path), other, evidence, members, tuple(compared), classes, skipped)


def check_effects(path: Path, against: Path | None, choice: SourceConfig, background: str) -> None:
    """Refuse settings of raw files where there are none; arguments as of `twins`.

    Raises:
        ValueError: a setting has no effect.
    """
    if is_slice_file(path):
        SourceConfig(case_table=choice.case_table).refuse_for_slice_file(path)
    if all(is_slice_file(side) for side in (path, against or path)):
        choice.refuse_for_slice_file(path, background=background)
    check_background(background, choice, images=True)


def shared_modalities(sides: Sequence[Collection]) -> tuple[str, ...]:
    """Modalities that all sets have, in the order of the first."""
    return tuple(
        name for name in sides[0].modalities if all(name in side.modalities for side in sides)
    )


def by_images(first: Collection, second: Collection | None, workers: int) -> list[Pair]:
    """Compare cases by the fingerprints of their images."""
    sides = [side for side in (first, second) if side is not None]
    shared = shared_modalities(sides)
    prints = [
        np.stack([case.image for case in side.cases if case.image is not None])[
            :, [0, *(1 + side.modalities.index(name) for name in shared)]
        ]
        for side in sides
    ]
    matches = match_images(prints[0], None if second is None else prints[1], workers=workers)
    return [
        Pair(
            sides[0].cases[match.first].id,
            sides[-1].cases[match.second].id,
            match.score,
            "images",
            dict(zip(shared, match.maps, strict=True)),
            axes_of(match.flip),
        )
        for match in matches
    ]


def by_masks(first: Collection, second: Collection | None, workers: int) -> list[Pair]:
    """Compare cases by their labels: fingerprints name candidates, fine structure confirms them.

    Raises:
        LayoutError: a side has neither images nor labels that both could be compared by.
    """
    sides = [side for side in (first, second) if side is not None]
    for side in sides:
        if all(case.mask is None for case in side.cases):
            raise LayoutError(
                f"{side.path}: has no label, and not both sides have images; nothing to compare"
            )
    blank = np.zeros((2, *MASK_CELLS), np.uint8)
    features = [
        mask_features(np.stack([blank if c.mask is None else c.mask for c in side.cases]))
        for side in sides
    ]
    found = candidates(features[0], None if second is None else features[1], FLOOR)

    def confirmed(each: Candidate) -> Pair:
        details = sides[-1].details(each.second)
        if any(each.flip):
            details = details.mirrored((False, *each.flip))
        agreed = agreement(first.details(each.first), details)
        names = sides[0].cases[each.first].id, sides[-1].cases[each.second].id
        return judged(names, agreed, axes_of(each.flip))

    with ThreadPoolExecutor(workers, "pair") as threads:
        return list(threads.map(confirmed, found))


def judged(names: tuple[str, str], agreed: Agreement, flip: str) -> Pair:
    """Give two masks the score that holds for them.

    Where only one of them has a core, or has ET, the whole tumour decides if it says that they are
    one person: regions that are drawn by other conventions say nothing of the person.

    Args:
        names: ids of the cases.
        agreed: how far their masks agree.
        flip: axes along which the second is mirrored.
    """
    pair = Pair(*names, clipped(agreed.score), "masks", agreed.regions, flip)
    if pair.certainty or not agreed.is_whole_tumour_only:
        return pair
    whole = clipped(next(iter(agreed.regions.values()), 0.0))
    alone = Pair(*names, whole, "whole tumour", agreed.regions, flip)
    return alone if alone.certainty else pair


def clipped(score: float) -> float:
    """A correlation between -1 and 1, beyond which only rounding leads."""
    return min(max(score, -1.0), 1.0)


def best_first(pair: Pair) -> tuple[int, float, str, str]:
    """Key to sort pairs by: certain ones first, as scores of two kinds of evidence differ."""
    rank = ("certain", "likely", "").index(pair.certainty)
    return rank, -pair.score, pair.first, pair.second


def axes_of(flip: tuple[bool, bool]) -> str:
    """Names of the axes that a flip of (y, x) turns, such as `x`."""
    return "".join(axis for axis, is_turned in zip("yx", flip, strict=True) if is_turned)


def inside(first: Collection, pairs: Iterable[Pair]) -> dict[str, str]:
    """Subject of each case of one set, the found pairs joined with what the names say."""
    return grouped({case.id: case.subject for case in first.cases}, pairs)


def across(first: Collection, second: Collection, pairs: Iterable[Pair]) -> dict[str, str]:
    """Subject of each case of the first set: that of the second where a pair was found.

    Args:
        first: whose cases are asked for.
        second: whose subjects are taken over.
        pairs: between the two, best first.
    """
    named = {case.id: case.subject for case in first.cases}
    theirs = {case.id: case.subject for case in second.cases}
    taken: dict[str, str] = {}
    for pair in pairs:
        if pair.certainty:
            taken.setdefault(named[pair.first], theirs[pair.second])
    return {case: taken.get(subject, subject) for case, subject in named.items()}


def _members(
    first: Collection, people: Mapping[str, str], pairs: list[Pair], is_one_set: bool
) -> tuple[Member, ...]:
    """Every case of the first set with its person."""
    score: dict[str, float] = {}
    certainty: dict[str, str] = {}
    for pair in pairs:  # best first
        for case in (pair.first, pair.second) if is_one_set else (pair.first,):
            score.setdefault(case, pair.score)
            certainty.setdefault(case, pair.certainty)
    size = Counter(people.values())
    return tuple(
        Member(
            case.id,
            people[case.id],
            score.get(case.id),
            certainty.get(case.id) or ("named" if size[people[case.id]] > 1 else ""),
            case.voxels,
        )
        for case in first.cases
    )
