"""Which cases a folder or archive holds, told from names alone; no voxel is read."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Unpack

from bratsprep.case import CaseFiles
from bratsprep.config import NO_MASK, SourceConfig, SourceSettings
from bratsprep.discovery.brain_masks import (
    add_brain_masks,
    mask_members,
    refuse_taken,
    without_mask,
)
from bratsprep.discovery.by_names import by_names
from bratsprep.discovery.candidates import Batch, Draft, Needs, finished, problems, where
from bratsprep.discovery.case_table import table_batch
from bratsprep.discovery.dataset_json import FOLDERS, Manifest, read_manifests
from bratsprep.discovery.exclude import exclude
from bratsprep.discovery.filenames import (
    LABEL,
    canonical_names,
    file_name,
    is_nifti,
    stem,
    unusual,
)
from bratsprep.discovery.layouts import LAYOUTS, PLAIN, assumptions, patterns, scheme_of
from bratsprep.discovery.mapping import FileMapping, Ignored, map_files
from bratsprep.discovery.subjects import subject_and_rule
from bratsprep.errors import LayoutError
from bratsprep.settings import take
from bratsprep.sources.source import ARCHIVES, Source
from bratsprep.system.faulty_cases import SetAside, advised

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
    """What was unusual, and how it was dealt with."""
    mapping: FileMapping
    """What the files were taken for."""
    set_aside: tuple[SetAside, ...] = ()
    """Cases that cannot be put together, sorted by id."""


def scan(
    source: Source,
    *,
    unlabelled: bool = False,
    skip: bool = False,
    test_labels: bool = False,
    **choice: Unpack[SourceSettings],
) -> Found:
    """Find every case of a source.

    Args:
        source: a folder or archive.
        unlabelled: take cases without a label along, those of the test sets included.
        skip: set cases aside that cannot be put together.
        test_labels: take the labels of a described test set (`labelsTs`) too.
        **choice: keywords of `bratsprep.config.SourceConfig`. With `labels` at `auto` and
            `unlabelled`, labels of a release whose scheme its ids do not decide are left out.
            Files that a dataset.json describes are not looked for by `label_name`. `modalities`
            are in the order of `CaseFiles.images`; empty where only labels are asked for.

    Raises:
        LayoutError: there is no case, or some cannot be put together: all are listed. With
            `skip`, none can.
        SourceError: a dataset.json cannot be read.
        TypeError: a keyword is unknown.
        ValueError: patterns are given with a table of cases, where they have no effect.
    """
    (own,) = take("scan", choice, SourceConfig)
    files = SourceConfig(**own)
    needs = Needs(canonical_names(files.modalities), files.missing, unlabelled)
    source, excluded = exclude(source, files.exclude)
    batches = gather(source, files)
    notes = [note for batch in batches for note in batch.notes]
    faults = [fault for batch in batches for fault in batch.problems]
    drafts, n_tests = training_cases(batches, unlabelled)
    if n_tests and not unlabelled:
        notes.append(f"{n_tests} cases of a test set have no label and are left out; --unlabelled")
    if not faults and not any(files.case_table or draft.has_image() for draft in drafts):
        raise LayoutError(nothing(source, n_tests))
    if not test_labels:
        drop_test_labels(drafts)
    if unlabelled and files.labels == "auto":
        notes += drop_labels(drafts)
    faults += case_faults(source, drafts, needs, files.brain_mask)
    good, bad = sorted_out(source, drafts, faults, skip=skip)
    cases = tuple(finished(draft, needs.modalities, files.same_grid) for draft in good)
    rules = {draft.id: draft.rule for draft in good}
    ignored = [*excluded, *ignored_files(batches), *foreign(source)]
    names = titles(batches, unlabelled)
    mapping = replace(
        map_files(" + ".join(names), cases, rules, ignored, str(files.labels), needs.modalities),
        assumed=assumptions(names),
    )
    aside = tuple(SetAside(case, reason) for case, reason in sorted(bad.items()))
    return Found(mapping.layout, cases, source.passed_over, tuple(notes), mapping, aside)


def training_cases(batches: Iterable[Batch], unlabelled: bool) -> tuple[list[Draft], int]:
    """Cases of all batches, of test sets only with `unlabelled`; and how many are of test sets."""
    drafts = [draft for batch in batches for draft in batch.drafts]
    tests = sum(draft.is_test for draft in drafts)
    return [draft for draft in drafts if unlabelled or not draft.is_test], tests


def sorted_out(
    source: Source, drafts: Sequence[Draft], faults: Sequence[tuple[str, str]], *, skip: bool
) -> tuple[list[Draft], dict[str, str]]:
    """Divide drafts into those that are cases and those that are set aside.

    Args:
        source: for the error.
        drafts: what was gathered.
        faults: case id and error message of everything that is wrong.
        skip: as in `scan`.

    Returns:
        The cases by id; and all that is wrong with each other one.

    Raises:
        LayoutError: there are faults, and either `skip` is off or no case is left.
    """
    bad = joined_faults(faults)
    good = [draft for draft in drafts if draft.id not in bad]
    if faults and not (skip and good):
        error = LayoutError(listing(source, [fault for _, fault in faults]))
        raise error if skip else advised(error)
    return sorted(good, key=lambda draft: draft.id), bad


def case_faults(
    source: Source, drafts: Sequence[Draft], needs: Needs, brain_mask: str
) -> list[tuple[str, str]]:
    """Case id and error message of everything that keeps drafts from being cases."""
    faults = [(draft.id, fault) for draft in drafts for fault in problems(source, draft, needs)]
    return [*faults, *without_mask(source, drafts, brain_mask), *twice(source, drafts)]


def titles(batches: Iterable[Batch], unlabelled: bool) -> list[str]:
    """Titles of the layouts whose cases are taken, sorted."""
    return sorted(
        {
            batch.layout
            for batch in batches
            if any(unlabelled or not draft.is_test for draft in batch.drafts)
        }
    )


def ignored_files(batches: Iterable[Batch]) -> list[Ignored]:
    """NIfTI files that no case has, by the reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for batch in batches:
        for member, reason in batch.passed.items():
            reasons[reason].append(member)
    return [Ignored(reason, len(files), min(files)) for reason, files in reasons.items()]


def foreign(source: Source) -> list[Ignored]:
    """Files of other kinds that may hold scans by their suffix, and archives that are not read."""
    found = [Ignored(reason, 1, archive) for archive, reason in source.unread.items()]
    for suffix, (count, first) in source.foreign.items():
        is_archive = suffix.endswith(ARCHIVES) or suffix in (".7z", ".rar")
        advice = "unpack it, or build from it alone" if is_archive else "convert it to .nii.gz"
        found.append(Ignored(f"{suffix} is not read here; {advice}", count, first))
    return found


def drop_test_labels(drafts: Iterable[Draft]) -> None:
    """Leave out the labels of test sets, which are for scores alone; changes the drafts."""
    for draft in drafts:
        if draft.is_test:
            draft.roles.pop(LABEL, [])


def drop_labels(drafts: Iterable[Draft]) -> list[str]:
    """Leave out the labels whose case ids leave several schemes open; changes the drafts.

    Returns:
        A note for each reason, with the number of labels.
    """
    reasons: Counter[str] = Counter()
    for draft in drafts:
        if LABEL in draft.roles and scheme_of(draft.id)[1]:
            del draft.roles[LABEL]
            reasons[draft.scheme_fault] += 1
    return [f"{count} labels are left out: {reason}" for reason, count in reasons.items()]


def joined_faults(faults: Iterable[tuple[str, str]]) -> dict[str, str]:
    """All that is wrong with each case, by its id."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for case, fault in faults:
        reasons[case].append(fault)
    return {case: "; ".join(found) for case, found in reasons.items()}


def mask_files(source: Source, excluded: Sequence[Ignored] = ()) -> Found:
    """Find label files whose images are not needed, such as a folder of masks alone.

    Every NIfTI file counts that is neither named for a modality nor lies among images.

    Args:
        source: a folder or archive.
        excluded: what was left out of it, for the mapping.

    Returns:
        Cases without images: `images` is empty.

    Raises:
        LayoutError: there is no such file, or two are of the same case.
    """
    cases: dict[str, CaseFiles] = {}
    rules: dict[str, str] = {}
    manifests = read_manifests(source)
    for member in filter(is_nifti, source.members):
        name = file_name(member)
        is_image = name.role not in ("", LABEL) or name.is_ambiguous
        if name.folder.endswith(("imagesTr", "imagesTs")) or is_image:
            continue
        case = name.key or stem(member)
        if case in cases:
            raise LayoutError(
                f"{source.where(member)}: is a second mask of {case}; "
                f"the first is {cases[case].label}"
            )
        person, rules[case] = subject_and_rule(case)
        scheme, fault = mask_scheme(case, member, manifests)
        cases[case] = CaseFiles(case, person, PLAIN.release, (), member, scheme, fault)
    if not cases:
        raise LayoutError(nothing(source, 0))
    ordered = tuple(cases[case] for case in sorted(cases))
    mapping = map_files("masks only", ordered, rules, [*excluded, *foreign(source)], "auto", ())
    return Found("masks only", ordered, source.passed_over, (), mapping)


def mask_scheme(case: str, member: str, manifests: Iterable[Manifest]) -> tuple[str | None, str]:
    """Scheme of a mask without images, from its dataset.json or else its case id.

    Returns:
        As `scheme_of`.
    """
    for manifest in manifests:
        is_described = manifest.scheme is not None or bool(manifest.scheme_fault)
        if is_described and member.startswith(manifest.root):
            return manifest.scheme, manifest.scheme_fault
    return scheme_of(case)


def gather(source: Source, choice: SourceConfig) -> list[Batch]:
    """Sort the files of a source into cases, one batch for each layout or for the table.

    Raises:
        LayoutError: a dataset.json or the table of cases cannot be understood.
        ValueError: patterns are given with a table of cases, where they have no effect.
    """
    modalities = canonical_names(choice.modalities)
    if choice.case_table:
        patterns = {"label_name": "", "exclude": (), "brain_mask": NO_MASK}
        useless = [name for name, off in patterns.items() if getattr(choice, name) != off]
        if useless:
            raise ValueError(
                f"{' and '.join(useless)} have no effect with a table of cases, which lists every "
                "file; leave them out"
            )
        return [table_batch(source, choice.case_table, Needs(modalities, choice.missing))]
    broken = Batch(problems=[(stem(name), error) for name, error in source.broken.items()])
    masks = mask_members(source, choice.brain_mask)
    manifests = read_manifests(source)
    batches = [batch for manifest in manifests for batch in by_manifest(source, manifest)]
    described = tuple(f"{manifest.root}{folder}/" for manifest in manifests for folder in FOLDERS)
    taken = {m for batch in batches for draft in batch.drafts for m in draft.members()}
    rest = [
        member
        for member in source.members
        if is_nifti(member) and not member.startswith(described) and member not in {*taken, *masks}
    ]
    refuse_taken(source, taken.intersection(masks), choice.brain_mask)
    batches += [broken, *by_names(source, rest, choice.label_name, unusual(modalities))]
    batches[-1].passed |= add_brain_masks(masks, [d for batch in batches for d in batch.drafts])
    return batches


def by_manifest(source: Source, manifest: Manifest) -> Iterator[Batch]:
    """Gather the cases that a dataset.json describes."""
    for layout in LAYOUTS.values():
        if layout.cases is None or not layout.reads(manifest):
            continue
        batch = layout.cases(source, manifest)
        batch.layout = layout.title
        for draft in batch.drafts:
            by_id = layout.scheme if layout.matches(draft.id) else None
            draft.release = layout.release
            draft.scheme = manifest.scheme or (None if manifest.scheme_fault else by_id)
            draft.scheme_fault = manifest.scheme_fault
        yield batch


def twice(source: Source, drafts: Iterable[Draft]) -> list[tuple[str, str]]:
    """Case ids that occur more than once, with what to say about them."""
    places: dict[str, list[str]] = defaultdict(list)
    for draft in drafts:
        places[draft.id].append(where(source, draft))
    return [
        (
            case,
            (
                f"{found[0]}: case {case} occurs again as {', '.join(found[1:])}; rename one, or "
                "remove it if both are the same"
            ),
        )
        for case, found in places.items()
        if len(found) > 1
    ]


def listing(source: Source, faults: list[str]) -> str:
    """One message for all problems, the first twenty by name."""
    if len(faults) == 1:
        return faults[0]
    shown = "".join(f"\n  {fault}" for fault in faults[:MAX_LISTED])
    more = f"\n  and {len(faults) - MAX_LISTED} more" if len(faults) > MAX_LISTED else ""
    return f"{source.path}: {len(faults)} problems; correct them:{shown}{more}"


def nothing(source: Source, left: int) -> str:
    """Say what was looked for, and what there is instead."""
    names = list(source.members)
    found = f"{len(names)} files, such as {', '.join(names[:3])}" if names else "no such file"
    others = "; ".join(one.line() for one in foreign(source))
    found += f"; {others}" if others else ""
    if left:
        found = f"{left} unlabelled cases, to be taken with --unlabelled"
    return (
        f"{source.path}: holds no case; looked for {patterns()}; found {found}; files of other "
        "names can be listed with --cases"
    )


def find_cases_or_masks(
    source: Source, *, skip: bool = False, **choice: Unpack[SourceSettings]
) -> Found:
    """Find the cases of a source, or its masks where it holds nothing else.

    Args:
        source: a folder or archive.
        skip: as in `scan`.
        **choice: as in `scan`.

    Raises:
        LayoutError: it holds neither.
    """
    try:
        return scan(source, unlabelled=True, skip=skip, **choice)
    except LayoutError:
        patterns = choice.get("exclude", ())
        is_told = choice.get("case_table") or choice.get("brain_mask", NO_MASK) != NO_MASK
        masks = None if is_told else _masks_alone(source, patterns)
        if masks is None:
            raise
        return masks


def _masks_alone(source: Source, patterns: Sequence[str]) -> Found | None:
    """The masks of a source that holds nothing else; None for any other source."""
    source, excluded = exclude(source, patterns)
    try:
        masks = mask_files(source, excluded)
    except LayoutError:
        return None
    return masks if len(masks.cases) == sum(map(is_nifti, source.members)) else None
