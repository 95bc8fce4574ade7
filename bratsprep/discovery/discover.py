"""Which cases a folder or archive holds, told from names alone; no voxel is read."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bratsprep.case import CaseFiles
from bratsprep.discovery.candidates import Batch, Draft, finished, problems, where
from bratsprep.discovery.dataset_json import (
    DECATHLON_ORDER,
    FOLDERS,
    Manifest,
    bare_decathlon,
    decathlon,
    nnunet,
    read_manifests,
)
from bratsprep.discovery.filenames import (
    DECATHLON,
    LABEL,
    FileName,
    file_name,
    is_nifti,
    is_paediatric,
    release,
    stem,
    subject,
)
from bratsprep.errors import LayoutError
from bratsprep.sources.source import ARCHIVES, Source

LAYOUTS: Final = {
    "brats2017": "BraTS 2017-2021",
    "brats2023": "BraTS 2023",
    "brats2024": "BraTS 2024",
    "plain": "plain folders",
}
LOOKED_FOR: Final = (
    "dataset.json with imagesTr (Decathlon, nnU-Net), *_flair/_t1/_t1ce/_t2/_seg.nii[.gz], "
    "*-t2f/-t1n/-t1c/-t2w/-seg.nii[.gz], or names with flair, t1, t1gd, t2 and seg as words"
)
MAX_LISTED: Final = 20
"""Problems listed in one error."""


@dataclass(frozen=True, slots=True)
class Found:
    """The cases of a source."""

    layout: str
    """Name for people; `A + B` where several layouts lie side by side."""
    cases: tuple[CaseFiles, ...]
    """Sorted by id."""
    passed_over: int
    """AppleDouble and other dot files."""
    notes: tuple[str, ...]
    """What was odd, and was dealt with."""
    bad: tuple[tuple[str, str], ...] = ()
    """Id and reason of each case that was set aside."""


def scan(source: Source, *, unlabelled: bool = False, skip: bool = False) -> Found:
    """Find every case of a source.

    Args:
        source: a folder or archive.
        unlabelled: take cases without a label along, those of the test sets included.
        skip: set cases aside that cannot be put together.

    Raises:
        LayoutError: there is no case, or some cannot be put together: all are listed. With
            `skip`, none can.
        SourceError: a dataset.json cannot be read.
    """
    batches = gather(source)
    notes = [note for batch in batches for note in batch.notes]
    faults = [fault for batch in batches for fault in batch.problems]
    drafts = [draft for batch in batches for draft in batch.drafts]
    left = sum(draft.is_test for draft in drafts)
    if left and not unlabelled:
        notes.append(f"{left} cases of a test set have no label and are left out; --unlabelled")
        drafts = [draft for draft in drafts if not draft.is_test]
    if not faults and not any(draft.has_image() for draft in drafts):
        raise LayoutError(nothing(source, left))
    faults += [
        (draft.id, fault) for draft in drafts for fault in problems(source, draft, unlabelled)
    ]
    faults += twice(source, drafts)
    bad = set_aside(faults)
    good = [draft for draft in drafts if draft.id not in bad]
    if faults and not (skip and good):
        raise LayoutError(listing(source, [fault for _, fault in faults]))
    layouts = {
        batch.layout
        for batch in batches
        if any(unlabelled or not draft.is_test for draft in batch.drafts)
    }
    cases = tuple(sorted(map(finished, good), key=lambda case: case.id))
    named = " + ".join(sorted(layouts))
    return Found(named, cases, source.passed_over, tuple(notes), tuple(sorted(bad.items())))


def set_aside(faults: Iterable[tuple[str, str]]) -> dict[str, str]:
    """All that is wrong with each case, by its id."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for case, fault in faults:
        reasons[case].append(fault)
    return {case: "; ".join(found) for case, found in reasons.items()}


def mask_files(source: Source) -> Found:
    """Find label files whose images are not needed, such as a folder of masks alone.

    Every NIfTI file counts that is neither named for a modality nor lies among images.

    Returns:
        Cases without images: `images` is empty.

    Raises:
        LayoutError: there is no such file, or two are of the same case.
    """
    cases: dict[str, CaseFiles] = {}
    manifests = read_manifests(source)
    for member in filter(is_nifti, source.members):
        name = file_name(member)
        folder = member.rpartition("/")[0]
        if folder.endswith(("imagesTr", "imagesTs")) or (name and name.role != LABEL):
            continue
        case = (name.key if name else "") or stem(member)
        if case in cases:
            raise LayoutError(
                f"{source.where(member)}: is a second mask of {case}; "
                f"the first is {cases[case].label}"
            )
        named = [found.scheme for found in manifests if member.startswith(found.root)]
        scheme = next(iter(named), None) or scheme_of(case)
        cases[case] = CaseFiles(case, subject(case), "plain", (), member, scheme)
    if not cases:
        raise LayoutError(nothing(source, 0))
    ordered = tuple(cases[case] for case in sorted(cases))
    return Found("masks only", ordered, source.passed_over, ())


def gather(source: Source) -> list[Batch]:
    """Sort the files of a source into cases, one batch a layout."""
    manifests = read_manifests(source)
    roots = {manifest.root for manifest in manifests}
    manifests += [
        Manifest(
            name=f"{source.path}/{root}",
            root=root,
            channels=tuple(enumerate(DECATHLON_ORDER)),
            scheme="msd",
            training=(),
            test=(),
            is_nnunet=False,
        )
        for root in bare_decathlon(source.members)
        if root not in roots
    ]
    batches = [(nnunet if each.is_nnunet else decathlon)(source, each) for each in manifests]
    described = tuple(f"{each.root}{folder}/" for each in manifests for folder in FOLDERS)
    rest = [m for m in source.members if is_nifti(m) and not m.startswith(described)]
    return batches + by_names(source, rest)


def by_names(source: Source, members: Iterable[str]) -> list[Batch]:
    """Put files together whose names hold a modality and, or in a case's folder, a case."""
    names = {member: file_name(member) for member in members}
    unknown = [member for member, name in names.items() if name is None]
    ids = plain_ids(source, [name for name in names.values() if name])
    drafts: dict[str, Draft] = {}
    for name in filter(None, names.values()):
        kind = release(name.key)
        case = ids.get((name.folder, name.key), name.key)
        slot = name.key if kind != "plain" else f"{name.folder}/ {name.key}"
        draft = drafts.setdefault(slot, Draft(case, kind, name.folder, scheme_of(case)))
        draft.add(name.role, name.member)
    notes = adopt_masks(drafts)
    if unknown:
        notes.append(f"{len(unknown)} NIfTI files of no known modality, such as {unknown[0]}")
    batches: dict[str, Batch] = {}
    for draft in drafts.values():
        draft.is_test = "validation" in draft.id.lower() and LABEL not in draft.roles
        batches.setdefault(draft.release, Batch(LAYOUTS[draft.release])).drafts.append(draft)
    batches.setdefault("plain", Batch(LAYOUTS["plain"])).notes.extend(notes)
    return list(batches.values())


def plain_ids(source: Source, names: Iterable[FileName]) -> dict[tuple[str, str], str]:
    """Id of each plain case, by folder and by what its file names have in common.

    File names give the id; where they have nothing beside the modality, or the same in several
    folders, the folder's name does.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    for name in names:
        if release(name.key) == "plain" and name.role != LABEL:
            keys[name.folder].add(name.key)
    folders = Counter(key for inside in keys.values() for key in inside)
    ids = {}
    for folder, inside in keys.items():
        here = folder.rpartition("/")[2] or root_name(source)
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


def adopt_masks(drafts: dict[str, Draft]) -> list[str]:
    """Give a mask of another name to the one case in its folder; changes the drafts.

    BraTS20_Training_355 holds its mask as `W39_1998.09.19_Segm.nii`.
    """
    notes = []
    at: dict[str, list[str]] = defaultdict(list)
    for slot, draft in drafts.items():
        at[draft.folder].append(slot)
    for slots in at.values():
        owners = [drafts[slot] for slot in slots if drafts[slot].has_image()]
        strays = [slot for slot in slots if not drafts[slot].has_image()]
        if len(owners) != 1:
            continue
        for slot in strays:
            for channel in drafts.pop(slot).roles[LABEL]:
                owners[0].add(LABEL, channel.member)
                named = channel.member.rpartition("/")[2]
                notes.append(f"{owners[0].id}: mask is named {named}")
    return notes


def scheme_of(case: str) -> str | None:
    """Label scheme that a case id is evidence for."""
    if DECATHLON.fullmatch(case):
        return "msd"
    kind = release(case)
    return None if kind == "plain" or is_paediatric(case) else kind


def twice(source: Source, drafts: Iterable[Draft]) -> list[tuple[str, str]]:
    """Case ids that occur more than once, with what to say about them."""
    places: dict[str, list[str]] = defaultdict(list)
    for draft in drafts:
        places[draft.id].append(where(source, draft))
    advice = "keep one if they are the same examination, else rename one"
    return [
        (case, f"{found[0]}: case {case} is there again as {', '.join(found[1:])}; {advice}")
        for case, found in places.items()
        if len(found) > 1
    ]


def listing(source: Source, faults: list[str]) -> str:
    """One message for all problems, the first twenty by name."""
    if len(faults) == 1:
        return faults[0]
    shown = "".join(f"\n  {fault}" for fault in faults[:MAX_LISTED])
    more = f"\n  and {len(faults) - MAX_LISTED} more" if len(faults) > MAX_LISTED else ""
    return f"{source.path}: {len(faults)} problems; settle them or leave the cases out{shown}{more}"


def nothing(source: Source, left: int) -> str:
    """Say what was looked for, and what there is instead."""
    names = list(source.members)
    found = f"{len(names)} files, such as {', '.join(names[:3])}" if names else "no such file"
    if left:
        found = f"{left} unlabelled cases, to be taken with --unlabelled"
    return f"{source.path}: holds no case; looked for {LOOKED_FOR}; found {found}"


def find_cases_or_masks(source: Source) -> Found:
    """Find the cases of a source, or its masks where it holds nothing else.

    Raises:
        LayoutError: it holds neither.
    """
    try:
        return scan(source, unlabelled=True)
    except LayoutError:
        scans = sum(map(is_nifti, source.members))
        masks = mask_files(source) if scans else None
        if masks is None or len(masks.cases) != scans:
            raise
        return masks
