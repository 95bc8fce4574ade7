"""What the name of one NIfTI file means: its role, and the case that it belongs to."""

import re
from dataclasses import dataclass
from typing import Final

from bratsprep.discovery.modality_names import LABEL as LABEL
from bratsprep.discovery.modality_names import read_words
from bratsprep.labels import MODALITIES

_SUFFIX: Final = re.compile(r"\.(nii(\.gz)?|mha)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of one NIfTI file means."""

    member: str
    folder: str
    key: str
    """What is left beside the role: the case id, or empty."""
    role: str
    """One of MODALITIES, or LABEL; empty where it is none of them."""
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


def file_name(member: str) -> FileName:
    """Find the role and the case in the name of a NIfTI file."""
    reading = read_words(stem(member))
    folder = member.rpartition("/")[0]
    return FileName(member, folder, reading.key, reading.role, reading.doubt, reading.is_ambiguous)


def modality(name: str) -> str | None:
    """Modality that a channel's name means, such as `T1w`, `t1gd` or `T1 post`; None for none."""
    role = read_words(name.replace("/", " ")).role
    return role if role in MODALITIES else None
