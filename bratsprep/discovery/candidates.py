"""`Draft`: a case while its files are gathered, and the check that makes `CaseFiles` of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from bratsprep.case import CaseFiles, Channel
from bratsprep.discovery.filenames import LABEL
from bratsprep.discovery.modality_names import BRAIN
from bratsprep.discovery.subjects import subject_and_rule
from bratsprep.errors import SourceError
from bratsprep.sources.source import POINTER_BYTES, Source

_SHOWN: Final = 4
"""Files named in one message."""
_REPEATED: Final = MappingProxyType({LABEL: "mask", BRAIN: "brain mask"})
"""What a role that is no modality is called where it occurs twice."""


@dataclass(slots=True)
class Draft:
    """Files that seem to make one case."""

    id: str
    folder: str
    """Where it lies in the source; empty for the root."""
    release: str = ""
    """As in `CaseFiles`."""
    scheme: str | None = None
    """As in `CaseFiles`."""
    scheme_fault: str = ""
    """As in `CaseFiles`."""
    key: str = ""
    """What the names of its images have in common."""
    subject: str = ""
    """Person, where more than the id is evidence for it."""
    like_labels: list[str] = field(default_factory=list)
    """Files beside it that may be its label, though their names are not known ones."""
    rule: str = ""
    """Name of the rule that found the person."""
    roles: dict[str, list[Channel]] = field(default_factory=dict)
    """Files of each modality, of LABEL and of BRAIN, in the order of their names."""
    is_test: bool = False
    """Whether the release publishes it without a label."""
    place: str = ""
    """What to call it in an error; empty for its folder and id."""

    def add(self, role: str, member: str, index: int | None = None, n_volumes: int = 0) -> None:
        """Put a file to a role."""
        self.roles.setdefault(role, []).append(Channel(member, index, n_volumes))

    def name_subject(self) -> None:
        """Take the subject from the id, unless it is known already."""
        if not self.subject:
            self.subject, self.rule = subject_and_rule(self.id)

    def members(self) -> list[str]:
        """Names of its files, without repeats."""
        return sorted({channel.member for channels in self.roles.values() for channel in channels})

    def has_image(self) -> bool:
        """Whether any modality was found."""
        return any(role not in (LABEL, BRAIN) for role in self.roles)


@dataclass(slots=True)
class Batch:
    """Cases of one layout, and notes about them."""

    drafts: list[Draft] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """Case id, and what keeps it from being a case."""
    layout: str = ""
    """Title of its layout."""
    passed: dict[str, str] = field(default_factory=dict)
    """Reason for each file that is ignored."""


def where(source: Source, draft: Draft) -> str:
    """What to call a case in an error: its row, its folder, or its id in the folder of many."""
    if draft.place:
        return draft.place
    if draft.folder.rpartition("/")[2] == draft.id:
        return source.where(draft.folder)
    return source.where(f"{draft.folder}/{draft.id}" if draft.folder else draft.id)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a case must have."""

    modalities: tuple[str, ...]
    missing: str = "stop"
    """As in `PrepConfig`."""
    unlabelled: bool = False
    """Whether cases without a label are taken."""

    def lacking(self, draft: Draft) -> str:
        """Which modalities a draft must have and has not, as an error message; empty for none."""
        missing = [name for name in self.modalities if name not in draft.roles]
        if not missing or (self.missing == "zeros" and len(missing) < len(self.modalities)):
            return ""
        verb = "is" if len(missing) == 1 else "are"
        listed = (
            ", ".join(role for role in draft.roles if role not in (LABEL, BRAIN)) or "no modality"
        )
        text = f"{', '.join(missing)} {verb} missing; found {listed}"
        if len(missing) == len(self.modalities):
            return text
        return (
            f"{text}; 'bratsprep build' stores such cases with --missing zeros, or other "
            "modalities with --modalities; a run takes them if it was fitted with --drop-modality"
        )


def problems(source: Source, draft: Draft, needs: Needs) -> Iterator[str]:
    """Everything that keeps a draft from being a case, as error messages."""
    place = where(source, draft)
    if lacking := needs.lacking(draft):
        yield f"{place}: {lacking}"
    if LABEL not in draft.roles and not needs.unlabelled:
        names = ", ".join(draft.like_labels[:_SHOWN])
        beside = f"; if one of {names} is the mask, use --label-name PATTERN"
        yield (
            f"{place}: mask is missing; add it, or take such cases with --unlabelled"
            f"{beside if names else ''}"
        )
    for role in (*needs.modalities, LABEL, BRAIN):
        channels = draft.roles.get(role, [])
        if len(channels) > 1:
            names = ", ".join(channel.member for channel in channels)
            advice = "narrow --brain-mask to one" if role == BRAIN else "remove one"
            yield (
                f"{place}: {_REPEATED.get(role, role)} occurs {len(channels)} times; {advice} of "
                f"{names}"
            )
    for member in draft.members():
        yield from small_file(source, member)


def small_file(source: Source, member: str) -> Iterator[str]:
    """Error messages about a file that is too small for a scan: empty, or a Git LFS pointer."""
    if source.members[member] < POINTER_BYTES:
        try:
            source.read(member)
        except SourceError as error:
            yield str(error)


def finished(draft: Draft, modalities: Iterable[str], same_grid: bool = False) -> CaseFiles:
    """Make the case of a draft that has no problems, with those modalities that it has."""
    draft.name_subject()
    label, brain_mask = (
        draft.roles[role][0].member if role in draft.roles else None for role in (LABEL, BRAIN)
    )
    return CaseFiles(
        id=draft.id,
        subject=draft.subject,
        release=draft.release,
        images=tuple(draft.roles.get(name, [None])[0] for name in modalities),
        label=label,
        scheme=draft.scheme,
        scheme_fault=draft.scheme_fault,
        same_grid=same_grid,
        brain_mask=brain_mask,
    )
