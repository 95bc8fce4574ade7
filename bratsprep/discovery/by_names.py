"""Cases put together from the names of their files, where no dataset.json describes them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bratsprep.discovery.candidates import Batch, Draft
from bratsprep.discovery.exclude import matches
from bratsprep.discovery.filenames import LABEL, FileName, leading_word
from bratsprep.discovery.layouts import PLAIN, layout_of_name, read_name, scheme_of
from bratsprep.discovery.modality_names import bare_key
from bratsprep.discovery.subjects import VISIT_FOLDERS, person_and_visit, subject_and_rule
from bratsprep.sources.source import ARCHIVES, Source

_RELEASED: Final = frozenset({"w39_1998.09.19_segm"})
"""Stems of labels that a release names after another case: that of BraTS20_Training_355."""


@dataclass(slots=True)
class _Gathering:
    """Cases while their files are put together."""

    drafts: dict[str, Draft] = field(default_factory=dict)
    """By what their file names have in common."""
    titles: dict[str, str] = field(default_factory=dict)
    """Layout of each."""
    notes: list[str] = field(default_factory=list)
    passed: dict[str, str] = field(default_factory=dict)
    """Reason for each file that is ignored."""
    problems: list[tuple[str, str]] = field(default_factory=list)


def by_names(
    source: Source, members: Iterable[str], label_name: str = "", others: Sequence[str] = ()
) -> list[Batch]:
    """Put files together whose names hold a modality and, or in a case's folder, a case.

    Args:
        source: what the files lie in.
        members: NIfTI files.
        label_name: pattern of the files that are labels, with `*` and `?`; empty for known names.
        others: modalities beside the usual ones.

    Returns:
        One batch for each layout; the last also says what was ignored.
    """
    gathering = _Gathering()
    images, labels = [], []
    for name in (read_name(member, others) for member in members):
        if label_name and matches(name.member, label_name):
            labels.append(name)
        elif name.role == LABEL and label_name:
            gathering.passed[name.member] = "is a label by its name, but not one of --label-name"
        elif name.role == LABEL:
            labels.append(name)
        elif name.role:
            images.append(name)
        elif name.is_ambiguous:
            problem = f"{source.where(name.member)}: {name.doubt}; rename the file or move it away"
            gathering.problems.append((name.stem, problem))
        else:
            gathering.passed[name.member] = name.doubt or "has no known modality in its name"
    _add_images(gathering, images, plain_ids(source, images))
    for name in sorted(labels, key=lambda label: label.is_automatic):
        _add_label(gathering, name, is_chosen=bool(label_name))
    _name_like_labels(gathering)
    return _batches(gathering)


def plain_ids(source: Source, names: Iterable[FileName]) -> dict[tuple[str, str], str]:
    """Id of each plain case, by folder and by what its file names have in common.

    File names give the id; where they have nothing beside the modality, or the same in several
    folders, the folder's name does, after the person's where it is a visit's.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    for name in names:
        if layout_of_name(name).is_by_folder:
            keys[name.folder].add(name.key)
    folders = Counter(key for inside in keys.values() for key in inside)
    ids = {}
    for folder, inside in keys.items():
        person, own = person_and_visit(folder)
        here = f"{person}_{own}" if person else own or root_name(source)
        is_shared = any(not key or folders[key] > 1 for key in inside)
        for key in inside:
            named = here if len(inside) == 1 or not key else f"{here}_{key}"
            ids[folder, key] = named if is_shared else key
    return ids


def root_name(source: Source) -> str:
    """Name of the folder or archive, without an archive's suffix."""
    name = source.path.resolve().name
    suffix = next((end for end in ARCHIVES if name.lower().endswith(end)), "")
    return name[: len(name) - len(suffix)]


def _slot(name: FileName) -> str:
    """What the files of one case have in common."""
    return f"{name.folder}/ {name.key}" if layout_of_name(name).is_by_folder else name.key


def _add_images(
    gathering: _Gathering, images: Iterable[FileName], ids: dict[tuple[str, str], str]
) -> None:
    for name in images:
        layout = layout_of_name(name)
        slot = _slot(name)
        if slot not in gathering.drafts:
            case = ids.get((name.folder, name.key), name.key)
            known = scheme_of(case)
            if name.layout and layout.scheme:
                known = layout.scheme, ""
            draft = Draft(case, name.folder, layout.release, *known)
            draft.key = name.key
            draft.subject, draft.rule = _subject(case, name)
            gathering.drafts[slot] = draft
            gathering.titles[slot] = layout.title
        draft = gathering.drafts[slot]
        for index, role in enumerate(name.volumes):
            draft.add(role, name.member, index, len(name.volumes))
        if not name.volumes:
            draft.add(name.role, name.member)


def _subject(case: str, name: FileName) -> tuple[str, str]:
    """Subject of a case, and the name of the rule that found it."""
    person, own = person_and_visit(name.folder)
    if person and case != name.key and case.startswith(f"{person}_{own}"):
        return person, VISIT_FOLDERS
    return subject_and_rule(bare_key(case))


def _add_label(gathering: _Gathering, name: FileName, *, is_chosen: bool) -> None:
    """Give a label to its case, or say why it has none."""
    drafts = gathering.drafts
    slot = _slot(name)
    owner = drafts.get(slot) if not is_chosen else None
    owner = owner or _owner(list(drafts.values()), name, is_chosen=is_chosen)
    if owner is not None and name.is_automatic and LABEL in owner.roles:
        gathering.passed[name.member] = "is an automatic label; the corrected one is taken"
        return
    if owner is not None:
        owner.add(LABEL, name.member)
        if name.stem.lower() in _RELEASED:
            gathering.notes.append(f"{owner.id}: mask is named {name.member.rpartition('/')[2]}")
        return
    has_neighbours = any(draft.folder == name.folder for draft in drafts.values())
    if has_neighbours or is_chosen:
        gathering.passed[name.member] = "looks like a label, but its name is that of no case"
        return
    case = name.key or name.folder.rpartition("/")[2]
    layout = layout_of_name(name)
    draft = drafts.setdefault(slot, Draft(case, name.folder, layout.release))
    gathering.titles.setdefault(slot, layout.title)
    draft.add(LABEL, name.member)


def _owner(drafts: Sequence[Draft], name: FileName, *, is_chosen: bool) -> Draft | None:
    """The one case that a label of another name than its images belongs to."""
    beside = _beside_or_above(drafts, name.folder)
    same = [draft for draft in beside if bare_key(draft.key) == name.key] if name.key else []
    if not same and name.key:
        same = [draft for draft in drafts if draft.key == name.key]
    if is_chosen and not same:
        shared = [leading_word(draft.key, name.stem) for draft in beside]
        longest = max(shared, default=0)
        same = [d for d, size in zip(beside, shared, strict=True) if longest and size == longest]
    is_alone = len(beside) == 1 and (is_chosen or not name.key or name.stem.lower() in _RELEASED)
    if not same and is_alone:
        same = beside
    return same[0] if len(same) == 1 else None


def _beside_or_above(drafts: Sequence[Draft], folder: str) -> list[Draft]:
    """Cases in a folder or, where it has none, in the nearest folder above that has one."""
    while True:
        beside = [draft for draft in drafts if draft.folder == folder]
        if beside or not folder:
            return beside
        folder = folder.rpartition("/")[0]


def _name_like_labels(gathering: _Gathering) -> None:
    """Remember beside each case without a label a file that may be one."""
    unlabelled: dict[str, list[Draft]] = defaultdict(list)
    for draft in gathering.drafts.values():
        if LABEL not in draft.roles:
            unlabelled[draft.folder].append(draft)
    for member, reason in gathering.passed.items():
        folder, _, file = member.rpartition("/")
        for draft in unlabelled[folder] if "label" in reason else ():
            if len(unlabelled[folder]) == 1 or leading_word(draft.key, file):
                draft.like_labels.append(file)


def _batches(gathering: _Gathering) -> list[Batch]:
    """One batch for each layout, and what was ignored in that of plain folders."""
    batches: dict[str, Batch] = {}
    for slot, draft in gathering.drafts.items():
        draft.is_test = "validation" in draft.id.lower() and LABEL not in draft.roles
        title = gathering.titles[slot]
        batches.setdefault(title, Batch(layout=title)).drafts.append(draft)
    rest = batches.setdefault(PLAIN.title, Batch(layout=PLAIN.title))
    rest.notes += gathering.notes
    rest.problems += gathering.problems
    rest.passed.update(gathering.passed)
    return list(batches.values())
