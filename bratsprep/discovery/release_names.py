"""File names that only one layout has: BIDS, UPENN-GBM, BraTS 2015, and a folder a modality.

Each reader gives the role and the case of a file, or None where the name is not of its layout.
"""

import re
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from bratsprep.discovery.filenames import LABEL, FileName, file_name, stem
from bratsprep.discovery.modality_names import is_ruled_out, read_words, role_of
from bratsprep.sources.slice_stacks import IMAGE, MASK

_BIDS: Final = re.compile(
    r"(?P<case>sub-[A-Za-z0-9]+(?P<session>_ses-[A-Za-z0-9]+)?)"
    r"(?P<entities>(?:_[A-Za-z]+-[A-Za-z0-9+]+)*)_(?P<suffix>T1w|T2w|FLAIR|dseg|mask)"
)
_BIDS_ROLES: Final = MappingProxyType(
    {"T1w": "t1w", "T2w": "t2w", "FLAIR": "flair", "dseg": LABEL, "mask": LABEL}
)
_TISSUE_PIPELINES: Final = ("fmriprep", "smriprep", "freesurfer", "fastsurfer", "cat12", "ants")
"""Pipelines whose `dseg` files are of tissues or of regions of the healthy brain."""
_TUMOUR_LABELS: Final = frozenset({"tumor", "tumour", "lesion", "glioma"})
"""Values of BIDS' `label-` and `desc-` that make a `mask` the tumour's."""
_HEALTHY: Final = frozenset({"aseg", "aparcaseg", "gm", "wm", "csf", "brain", "tissue", "hemi"})
_UPENN: Final = re.compile(r"(UPENN-GBM-\d+_\d+)_automated_approx_segm", re.IGNORECASE)
_BRATS2015: Final = re.compile(
    r"VSD\.Brain(?:_3more)?\.XX\.O\.(?:MR_)?(?P<kind>Flair|T1c|T1|T2|OT)(?:_reg)?\.\d+",
    re.IGNORECASE,
)
_KAGGLE: Final = re.compile(rf"(?P<case>volume_\d+)_(?P<kind>{IMAGE}|{MASK})")
_KAGGLE_ORDER: Final = ("flair", "t1w", "t1gd", "t2w")
"""Channels of each plane; the files do not name them."""
_BRATS2015_ROLES: Final = MappingProxyType(
    {"flair": "flair", "t1": "t1w", "t1c": "t1gd", "t2": "t2w", "ot": LABEL}
)


def bids(member: str) -> FileName | None:
    """Read `sub-01[_ses-02][_ce-gadolinium]_T1w`, the entities of BIDS in any order.

    A name without a session in the folder of one is left to the words: its case is not its id.
    """
    match = _BIDS.fullmatch(stem(member))
    folder = member.rpartition("/")[0]
    if match is None or (not match["session"] and "/ses-" in f"/{folder}"):
        return None
    pairs = (entity.partition("-") for entity in match["entities"].split("_") if entity)
    entities = {name.lower(): value.lower() for name, _, value in pairs}
    role = _BIDS_ROLES[match["suffix"]]
    if role == "t1w" and "ce" in entities:
        role = "t1gd"
    name = FileName(member, folder, match["case"], role)
    doubt = _bids_doubt(match["suffix"], entities, folder)
    return replace(name, role="", doubt=doubt) if doubt else name


def _bids_doubt(suffix: str, entities: dict[str, str], folder: str) -> str:
    """Why a file of BIDS is neither image nor label; empty where it is one."""
    kinds = {entities.get("label", ""), entities.get("desc", "")}
    if suffix == "mask" and not kinds & _TUMOUR_LABELS:
        return "looks like a label, but its label- and desc- do not say tumor or lesion"
    if suffix in ("T1w", "T2w", "FLAIR"):
        ruled_out = sorted(filter(is_ruled_out, kinds))
        return f"{ruled_out[0]!r} in its name rules it out as {suffix}" if ruled_out else ""
    pipeline = [part for part in folder.lower().split("/") if part.startswith(_TISSUE_PIPELINES)]
    if kinds & _HEALTHY or pipeline:
        return "looks like a label, but of the healthy brain"
    return ""


def upenn(member: str) -> FileName | None:
    """Read `UPENN-GBM-00001_11_automated_approx_segm`: a label that no one corrected."""
    match = _UPENN.fullmatch(stem(member))
    if match is None:
        return None
    return FileName(member, member.rpartition("/")[0], match[1], LABEL, is_automatic=True)


def brats2015(member: str) -> FileName | None:
    """Read `CASE/VSD.Brain.XX.O.MR_T1c.54514/VSD.Brain.XX.O.MR_T1c.54514.mha`.

    The case is the folder above the file's own.
    """
    match = _BRATS2015.fullmatch(stem(member))
    if match is None:
        return None
    *above, own, _ = ["", "", *member.split("/")]
    if not _BRATS2015.fullmatch(own):
        above.append(own)
    folder = "/".join(part for part in above if part)
    return FileName(member, folder, above[-1], _BRATS2015_ROLES[match["kind"].lower()])


def kaggle_slices(member: str) -> FileName | None:
    """Read `volume_1_image.nii` and `volume_1_mask.nii`, which are put together from planes."""
    match = _KAGGLE.fullmatch(stem(member))
    if match is None:
        return None
    folder = member.rpartition("/")[0]
    if match["kind"] == MASK:
        return FileName(member, folder, match["case"], LABEL)
    return FileName(member, folder, match["case"], _KAGGLE_ORDER[0], volumes=_KAGGLE_ORDER)


def modality_folders(member: str) -> FileName | None:
    """Read `T1/case001.nii.gz` or `T1/case001_T1.nii.gz`: the folder is named for the modality.

    A name that says another modality than its folder is ambiguous.
    """
    folder, _, own = member.rpartition("/")[0].rpartition("/")
    role = _folder_role(own)
    name = file_name(member)
    if not role or name.doubt or name.is_ambiguous:
        return None
    if not name.role:
        return FileName(member, folder, stem(member), role)
    if name.role == role:
        return replace(name, folder=folder)
    if LABEL in (role, name.role):
        return None
    doubt = f"is {name.role} by its name but lies in a folder of {role}"
    return replace(name, role="", doubt=doubt, is_ambiguous=True)


def _folder_role(folder: str) -> str:
    """Modality or LABEL that the whole name of a folder means; empty where it means none."""
    reading = read_words(folder)
    return reading.role if reading.role and not reading.key else role_of(folder.lower())
