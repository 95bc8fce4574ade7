"""What a source's files were taken for: the record that `build` and `inspect` always show."""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from bratsprep.case import CaseFiles
from bratsprep.discovery.modality_names import BRAIN, LABEL
from bratsprep.discovery.subjects import near_ids

_SHOWN: Final = 3
"""Patterns, reasons or groups of ids listed in one line."""


@dataclass(frozen=True, slots=True)
class RolePattern:
    """Files of one role whose names have the same form."""

    role: str
    """A modality, LABEL or BRAIN."""
    pattern: str
    """File name with `*` for the case, and the volume of a 4D file."""
    count: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Files that were ignored for one reason."""

    reason: str
    count: int
    example: str

    def line(self) -> str:
        """The files and the reason in one line."""
        if self.count <= 1:
            return f"{self.example}: {self.reason}"
        return f"{self.count} files, such as {self.example}: {self.reason}"


@dataclass(frozen=True, slots=True)
class FileMapping:
    """What the files of a source were taken for."""

    layout: str
    cases: int
    modalities: tuple[str, ...]
    """Those that are looked for."""
    subjects: int
    roles: tuple[RolePattern, ...]
    schemes: tuple[tuple[str, int], ...]
    """Labelled cases by the evidence for their scheme."""
    rules: tuple[tuple[str, int], ...]
    """Cases by the rule that found their subject."""
    near: tuple[tuple[str, ...], ...]
    """Subjects that share a stem and differ in a short suffix."""
    ignored: tuple[Ignored, ...]
    assumed: tuple[str, ...] = ()
    """What the files do not say and is assumed."""

    def lines(self) -> list[str]:
        """The mapping as lines for a terminal."""
        lines = [f"{'layout':<9}{self.layout}"]
        lines += [f"{'assumed':<9}{text}" for text in self.assumed]
        has_masks = any(pattern.role == BRAIN for pattern in self.roles)
        for role in (*self.modalities, LABEL, *([BRAIN] if has_masks else [])):
            patterns = [pattern for pattern in self.roles if pattern.role == role]
            text = "; ".join(
                f"{pattern.pattern}  {pattern.count} of {self.cases}"
                for pattern in patterns[:_SHOWN]
            )
            more = f"; and {len(patterns) - _SHOWN} more" if len(patterns) > _SHOWN else ""
            lines.append(f"{role:<9}{text or f'none of {self.cases}'}{more}")
        if self.schemes:
            lines.append(f"{'scheme':<9}" + counts(self.schemes))
        lines.append(
            f"{'subjects':<9}{self.subjects} people in {self.cases} cases, by {counts(self.rules)}"
        )
        lines += [
            f"{'':<9}{', '.join(group)} differ in a short suffix and are taken as "
            f"{len(group)} people; if not, join them with --subjects CSV"
            for group in self.near[:_SHOWN]
        ]
        lines += [f"{'ignored':<9}{one.line()}" for one in self.ignored]
        return lines

    def to_json(self) -> dict[str, Any]:
        """The mapping as what `json.dumps` takes."""
        return asdict(self)


def counts(pairs: Iterable[tuple[str, int]]) -> str:
    """Names with their counts, such as `LPS: 4, RAS: 1`."""
    return ", ".join(f"{name}: {count}" for name, count in pairs)


def map_files(
    layout: str,
    cases: Sequence[CaseFiles],
    rules: Mapping[str, str],
    ignored: Iterable[Ignored],
    labels: str,
    modalities: tuple[str, ...],
) -> FileMapping:
    """Describe what the files of a source were taken for.

    Args:
        layout: name for people.
        cases: the cases.
        rules: name of the rule that found the subject of each case, by its id.
        ignored: files that were ignored.
        labels: label scheme that is asked for, or `auto`.
        modalities: those that are asked for, in the order of the images.
    """
    patterns: Counter[tuple[str, str]] = Counter()
    for files in cases:
        patterns.update(_patterns(files, modalities))
    schemes = Counter(_evidence(files, labels) for files in cases if files.label is not None)
    return FileMapping(
        layout=layout,
        cases=len(cases),
        modalities=modalities,
        subjects=len({files.subject for files in cases}),
        roles=tuple(RolePattern(*key, count) for key, count in patterns.most_common()),
        schemes=tuple(schemes.most_common()),
        rules=tuple(Counter(rules[files.id] for files in cases).most_common()),
        near=tuple(tuple(group) for group in near_ids(files.subject for files in cases).values()),
        ignored=tuple(ignored),
    )


def _evidence(files: CaseFiles, labels: str) -> str:
    """What decides the label scheme of a case."""
    if labels != "auto":
        return f"{labels} (--labels)"
    return f"{files.scheme} (names)" if files.scheme else "from the label values"


def _patterns(files: CaseFiles, modalities: tuple[str, ...]) -> list[tuple[str, str]]:
    """Role and file-name pattern of each file of a case."""
    members = list(dict.fromkeys(channel.member for channel in files.channels))
    names = [posixpath.basename(member) for member in members]
    shared = posixpath.commonprefix(names) if len(names) > 1 else ""
    start = re.sub(r"[^-_. ]*$", "", shared)
    if files.id and any(name.startswith(files.id) for name in names):
        start = files.id
    patterns = []
    for role, channel in zip(modalities, files.images, strict=False):
        if channel is None:
            continue
        volume = "" if channel.index is None else f"[{channel.index}]"
        patterns.append((role, _pattern(posixpath.basename(channel.member), start) + volume))
    for role, member in ((LABEL, files.label), (BRAIN, files.brain_mask)):
        if member is None:
            continue
        name = posixpath.basename(member)
        shared = posixpath.commonprefix([name, f"{start.rstrip('-_. ')}."])
        whole = re.sub(r"[^-_. ]*$", "", shared) if shared != start else start
        patterns.append((role, _pattern(name, whole)))
    return patterns


def _pattern(name: str, start: str) -> str:
    """A file name with `*` for the start that it shares with its case."""
    bare = start.rstrip("-_. ")
    return f"*{name[len(bare) :]}" if bare and name.startswith(bare) else name
