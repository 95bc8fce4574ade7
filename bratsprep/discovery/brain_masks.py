"""Brain masks beside the images: which files they are, and the case of each."""

from collections.abc import Collection, Iterable, Sequence

from bratsprep.config import NO_MASK
from bratsprep.discovery.candidates import Draft, where
from bratsprep.discovery.exclude import matches
from bratsprep.discovery.filenames import is_nifti, leading_word, stem
from bratsprep.discovery.modality_names import BRAIN, bare_key
from bratsprep.errors import LayoutError
from bratsprep.sources.source import Source


def mask_members(source: Source, pattern: str) -> list[str]:
    """NIfTI files that are brain masks by a pattern, in the order of the source.

    Args:
        source: what the files lie in.
        pattern: of file names, or of paths where it has a slash; `none` for no file.

    Raises:
        LayoutError: no file fits the pattern.
    """
    if pattern == NO_MASK:
        return []
    members = [m for m in source.members if is_nifti(m) and matches(m, pattern)]
    if not members:
        raise LayoutError(
            f"{source.path}: no file fits {pattern!r}, which --brain-mask or the run's preparation "
            "names for brain masks; give a quoted pattern such as --brain-mask "
            f"'*_bet_mask.nii.gz', or --brain-mask {NO_MASK} where the images are skull-stripped"
        )
    return members


def refuse_taken(source: Source, members: Collection[str], pattern: str) -> None:
    """Refuse brain masks that are images or labels by a dataset.json.

    Raises:
        LayoutError: there is one.
    """
    if members:
        raise LayoutError(
            f"{source.where(min(members))}: fits --brain-mask {pattern!r}, but dataset.json makes "
            "it an image or a label; narrow the pattern, or move the masks to a folder of their own"
        )


def add_brain_masks(members: Iterable[str], drafts: Sequence[Draft]) -> dict[str, str]:
    """Give each brain mask to its case; changes the drafts.

    Returns:
        Reason for each mask that belongs to no case.
    """
    passed = {}
    for member in members:
        owner = _owner(drafts, member)
        if owner is None:
            passed[member] = "fits --brain-mask, but its name is that of no case"
        else:
            owner.add(BRAIN, member)
    return passed


def without_mask(source: Source, drafts: Iterable[Draft], pattern: str) -> list[tuple[str, str]]:
    """Case id and error message of each case that has no brain mask though a pattern is given."""
    if pattern == NO_MASK:
        return []
    return [
        (
            draft.id,
            (
                f"{where(source, draft)}: brain mask is missing; no file of this case fits "
                f"{pattern!r}, which --brain-mask or the run's preparation names; add it, or give "
                f"--brain-mask {NO_MASK} where the images are skull-stripped"
            ),
        )
        for draft in drafts
        if BRAIN not in draft.roles
    ]


def _owner(drafts: Sequence[Draft], member: str) -> Draft | None:
    """The one case that a brain mask belongs to.

    The longest name of a case that the mask's name begins with decides, in the mask's own folder
    first; without one, the mask belongs to the only case of its folder.
    """
    folder, name = member.rpartition("/")[0], stem(member)
    beside = [draft for draft in drafts if draft.folder == folder]
    for pool in (beside, drafts):
        shared = [max(leading_word(word, name) for word in _names(draft)) for draft in pool]
        longest = max(shared, default=0)
        if longest:
            owners = [draft for draft, size in zip(pool, shared, strict=True) if size == longest]
            return owners[0] if len(owners) == 1 else None
    return beside[0] if len(beside) == 1 else None


def _names(draft: Draft) -> tuple[str, str, str]:
    """Names of a case in its files: the id, and what the names of its images have in common."""
    return draft.id, draft.key, bare_key(draft.key)
