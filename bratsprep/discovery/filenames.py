"""What the name of one NIfTI file means: its role, and the case that it belongs to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bratsprep.config import USUAL_MODALITIES
from bratsprep.discovery.modality_names import LABEL as LABEL
from bratsprep.discovery.modality_names import read_words

_SUFFIX: Final = re.compile(r"\.(nii(\.gz)?|mha)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of one NIfTI file means."""

    member: str
    folder: str
    key: str
    """What is left beside the role: the case id, or empty."""
    role: str
    """A modality, or LABEL; empty where it is none of them."""
    doubt: str = ""
    """Why it has no role though its name has a word of one; empty where it has no such word."""
    is_ambiguous: bool = False
    """Whether it may well be a modality, so that it must not be ignored."""
    is_automatic: bool = False
    """Whether it is a label that no one corrected: another label of the case goes before it."""
    volumes: tuple[str, ...] = ()
    """Modality of each volume of a 4D file; empty for a file of one role."""
    layout: str = ""
    """Key of the layout whose reader understood it; empty where its words did."""

    @property
    def stem(self) -> str:
        """File name without folders and suffix."""
        return stem(self.member)


def is_nifti(member: str) -> bool:
    """Whether a member's name is that of a NIfTI file, or of a MetaImage."""
    return _SUFFIX.search(member) is not None


def stem(member: str) -> str:
    """File name without folders and without `.nii`, `.nii.gz` or `.mha`."""
    return _SUFFIX.sub("", member.rpartition("/")[2])


def leading_word(word: str, name: str) -> int:
    """Length of a whole word that a name begins with; 0 where it begins otherwise.

    `A_1` leads `A_1_mask`, and not `A_10_mask`.
    """
    rest = name.removeprefix(word)
    is_start = bool(word) and name.startswith(word) and not rest[:1].isalnum()
    return len(word) if is_start else 0


def file_name(member: str, others: Sequence[str] = ()) -> FileName:
    """Find the role and the case in the name of a NIfTI file.

    Args:
        member: its path.
        others: modalities beside the usual ones, which a name has at its end after - or _.
    """
    folder = member.rpartition("/")[0]
    for other in others:
        match = re.fullmatch(rf"(.*)[-_]{re.escape(other)}", stem(member), re.IGNORECASE)
        if match:
            return FileName(member, folder, match[1], other)
    reading = read_words(stem(member))
    return FileName(member, folder, reading.key, reading.role, reading.doubt, reading.is_ambiguous)


def modality(name: str) -> str | None:
    """Modality that a channel's name means, such as `T1w`, `t1gd` or `T1 post`; None for none."""
    role = read_words(name.replace("/", " ")).role
    return role if role in USUAL_MODALITIES else None


def channel_role(name: str) -> str:
    """Modality that a channel's name means: a usual one, or the name itself in small letters."""
    return modality(name) or re.sub(r"[^a-z0-9.+]+", "_", name.lower()).strip("_")


def canonical_names(modalities: str) -> tuple[str, ...]:
    """Split a list by commas into the names that are stored, such as t1gd for T1ce."""
    return tuple(channel_role(name.strip()) for name in modalities.split(",") if name.strip())


def unusual(modalities: Iterable[str]) -> list[str]:
    """List those modalities that are none of the usual ones."""
    return [name for name in modalities if name not in USUAL_MODALITIES]
