"""What names mean: modality and case of a file, subject of a case."""

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bratsprep.labels import MODALITIES

LABEL: Final = "label"
"""Role of a file that holds the label; the others are MODALITIES."""
TOKENS: Final = MappingProxyType(
    {
        **dict.fromkeys(("flair", "t2f", "t2flair"), "flair"),
        **dict.fromkeys(("t1", "t1w", "t1n"), "t1w"),
        **dict.fromkeys(("t1gd", "t1ce", "t1c", "t1post"), "t1gd"),
        **dict.fromkeys(("t2", "t2w"), "t2w"),
        **dict.fromkeys(("seg", "segm", "segmentation", "mask", "label"), LABEL),
    }
)
_CONTRAST: Final = frozenset({"gd", "ce", "c", "post", "contrast", "postcontrast"})
"""Turn the t1 before them into t1gd."""
_NOT_TUMOUR: Final = frozenset({"brain", "head", "skull"})
"""A mask of these is no label."""
_TOKEN: Final = re.compile(r"[^-_. ]+")
_SUFFIX: Final = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_BRATS2023: Final = re.compile(r"(brats-([a-z]+)-\d+)(?:-(\d{3}))?", re.IGNORECASE)
_VISIT: Final = re.compile(r"(brats1[789]_[a-z0-9]+_[a-z0-9]+)_\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of one NIfTI file says."""

    member: str
    folder: str
    key: str
    """What is left beside the modality: the case id, or empty."""
    role: str
    """One of MODALITIES, or LABEL."""


def is_nifti(member: str) -> bool:
    """Whether a member's name is that of a NIfTI file."""
    return _SUFFIX.search(member) is not None


def stem(member: str) -> str:
    """File name without folders and without `.nii` or `.nii.gz`."""
    return _SUFFIX.sub("", member.rpartition("/")[2])


def file_name(member: str) -> FileName | None:
    """Find the modality and the case in the name of a NIfTI file; None where there is none.

    The last word that is a modality counts, so `T2_FLAIR` is flair and `T1w_seg` a label.
    """
    text = stem(member)
    words = list(_TOKEN.finditer(text))
    roles = [word_role(word[0]) for word in words]
    last = max((i for i, role in enumerate(roles) if role), default=None)
    if last is None:
        return None
    role = roles[last]
    after = last + 1
    if role == "t1w" and after < len(words) and words[after][0].lower() in _CONTRAST:
        role = "t1gd"
        after += 1
    first = last
    while first > 0 and roles[first - 1]:
        first -= 1
    before = text[: words[first].start()].rstrip("-_. ")
    if role == LABEL and first > 0 and words[first - 1][0].lower() in _NOT_TUMOUR:
        return None
    rest = text[words[after].start() :] if after < len(words) else ""
    return FileName(member, member.rpartition("/")[0], before or rest, role)


def word_role(word: str) -> str:
    """Modality or LABEL that a word means; empty where it means none."""
    return TOKENS.get(word.lower(), "")


def modality(name: str) -> str | None:
    """Modality that a channel's name means, such as `T1w`, `t1gd` or `T1 post`."""
    found = file_name(name.replace("/", " "))
    return found.role if found and found.role in MODALITIES else None


def subject(case: str) -> str:
    """Person of a case: its id without the time point or visit of BraTS."""
    match = _BRATS2023.fullmatch(case) or _VISIT.fullmatch(case)
    return match[1] if match else case
