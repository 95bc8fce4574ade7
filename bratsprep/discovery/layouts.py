"""The layouts of files that are recognised: one record each, in a registry that decides.

A layout is either described by a `dataset.json` (`reads` and `cases`), or recognised by the ids of
cases whose files were put together by their names (`matches`).
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bratsprep.discovery.candidates import Batch
from bratsprep.discovery.dataset_json import Manifest, decathlon, nnunet
from bratsprep.discovery.filenames import LABEL, FileName, file_name
from bratsprep.discovery.release_names import (
    bids,
    brats2015,
    kaggle_slices,
    modality_folders,
    upenn,
)
from bratsprep.sources.source import Source


def _never(_: object) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one release names and places its files."""

    title: str
    """Name for people."""
    release: str
    """Stored with each of its cases in a slice file."""
    pattern: str
    """Files that it is recognised by, for an error message."""
    matches: Callable[[str], bool] = _never
    """Whether a case id is of this release."""
    scheme: str | None = None
    """Label scheme of the cases whose ids match; None where ids are no evidence."""
    scheme_fault: str = ""
    """Why the labels of the cases whose ids match have no known scheme, as an error message."""
    label_words: tuple[str, ...] = ()
    """Words of this release for a label that mean one nowhere else."""
    reads: Callable[[Manifest], bool] = _never
    """Whether a dataset.json describes this layout."""
    cases: Callable[[Source, Manifest], Batch] | None = None
    """Gathers the cases that a dataset.json describes; None for a layout without one."""
    names: Callable[[str], FileName | None] | None = None
    """Reads a file name that this layout alone has; None for names that their words explain."""
    assumed: str = ""
    """What its files do not say and is assumed, for people; empty where there is nothing."""
    is_by_folder: bool = False
    """Whether files of one case share a folder; else they share the id, in any folder."""


def _id(pattern: str) -> Callable[[str], bool]:
    """Whether a case id matches a pattern from its start to its end, in any case of letters."""
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda case: compiled.fullmatch(case) is not None


def _is_task01(case: str) -> bool:
    return re.fullmatch(r"BRATS_\d{3}", case) is not None


_CLASSIC: Final = "*_flair/_t1/_t1ce/_t2/_seg.nii[.gz]"
_MODERN: Final = "*-t2f/-t1n/-t1c/-t2w/-seg.nii[.gz]"
_DESCRIBED: Final = "dataset.json with imagesTr (Decathlon, nnU-Net)"

LAYOUTS: Final[dict[str, Layout]] = {
    "msd": Layout(
        title="Decathlon Task01",
        release="msd",
        pattern=_DESCRIBED,
        matches=_is_task01,
        scheme="msd",
        reads=lambda manifest: not manifest.is_nnunet,
        cases=decathlon,
    ),
    "nnunet": Layout(
        title="nnU-Net raw",
        release="nnunet",
        pattern=_DESCRIBED,
        reads=lambda manifest: manifest.is_nnunet,
        cases=nnunet,
    ),
    "brats2017": Layout(
        title="BraTS 2017-2021",
        release="brats2017",
        pattern=_CLASSIC,
        matches=_id(r"brats(20)?\d\d_.+"),
        scheme="brats2017",
    ),
    "brats2024": Layout(
        title="BraTS 2024",
        release="brats2024",
        pattern=_MODERN,
        matches=_id(r"brats-gli-\d+-[1-9]\d\d"),
        scheme="brats2024",
    ),
    "bratspeds": Layout(
        title="BraTS 2023",
        release="brats2023",
        pattern=_MODERN,
        matches=_id(r"brats-ped[a-z]*-\d+(-\d{3})?"),
        scheme_fault="BraTS-PEDs: the labels of the editions differ and names do not tell which "
        "it is; choose --labels brats-ped for 1 ET, 2 NET, 3 CC, 4 ED (2024 and later), or "
        "--labels brats2023 for 1 NC, 2 ED, 3 ET (2023)",
    ),
    "bratsmenrt": Layout(
        title="BraTS-MEN-RT",
        release="brats-men-rt",
        pattern="*_t1c/_gtv.nii[.gz]",
        matches=_id(r"brats-men-rt-\d+-\d+"),
        scheme="brats-men-rt",
        label_words=("gtv",),
    ),
    "bratsmen": Layout(
        title="BraTS 2023",
        release="brats2023",
        pattern=_MODERN,
        matches=_id(r"brats-men-\d+-\d{3}"),
        scheme="brats-men",
    ),
    "brats2023": Layout(
        title="BraTS 2023",
        release="brats2023",
        pattern=_MODERN,
        matches=_id(r"brats-[a-z]+-\d+(-\d{3})?"),
        scheme="brats2023",
    ),
    "brats2015": Layout(
        title="BraTS 2013-2015",
        release="brats2015",
        pattern="VSD.Brain.XX.O.MR_*.mha",
        matches=_id(r"brats_(2013|tcia)_pat\d+_\d+"),
        scheme="brats2015",
        names=brats2015,
    ),
    "bids": Layout(
        title="BIDS",
        release="bids",
        pattern="sub-*/[ses-*/]anat/sub-*_T1w.nii[.gz] (BIDS)",
        names=bids,
    ),
    "ucsf-pdgm": Layout(
        title="UCSF-PDGM",
        release="ucsf-pdgm",
        pattern="UCSF-PDGM-*_T1/_T1c/_T2/_FLAIR.nii[.gz]",
        matches=_id(r"ucsf-pdgm-\d+(_fu\d+d)?"),
        scheme="brats2017",
    ),
    "upenn-gbm": Layout(
        title="UPENN-GBM",
        release="upenn-gbm",
        pattern="UPENN-GBM-*_T1/_T1GD/_T2/_FLAIR.nii[.gz]",
        matches=_id(r"upenn-gbm-\d+_\d+"),
        scheme="brats2017",
        names=upenn,
    ),
    "kaggle-slices": Layout(
        title="BraTS 2020 in slices (Kaggle)",
        release="kaggle-slices",
        pattern="volume_*_slice_*.h5 (Kaggle)",
        scheme="brats2017",
        names=kaggle_slices,
        assumed="volume_*_slice_*.h5 say neither what their channels are nor where they lie: "
        "FLAIR, T1w, T1gd, T2w and NCR, ED, ET in this order, and voxels of 1 mm in the order of "
        "BraTS (LPS) are assumed; their intensities were normalised before",
        is_by_folder=True,
    ),
    "modality-folders": Layout(
        title="a folder for each modality",
        release="plain",
        pattern="folders T1, T1ce, T2, FLAIR and seg with a file for each case",
        names=modality_folders,
        is_by_folder=True,
    ),
}
"""By name; of those that match, the first decides."""
PLAIN: Final = Layout(
    title="plain folders",
    release="plain",
    pattern="names with flair, t1, t1gd, t2 and seg as words",
    is_by_folder=True,
)
"""Layout of every case that no other layout matches."""


def layout_of(case: str) -> Layout:
    """Layout of a case whose files were put together by their names."""
    return next((layout for layout in _matching(case) if layout.cases is None), PLAIN)


def read_name(member: str, others: Sequence[str] = ()) -> FileName:
    """Find role, case and layout in the name of a file: the first reader that knows it decides.

    Args:
        member: its path.
        others: modalities beside the usual ones.
    """
    for key, layout in LAYOUTS.items():
        name = None if layout.names is None else layout.names(member)
        if name is not None:
            return replace(name, layout=key)
    return _release_label(file_name(member, others))


def _release_label(name: FileName) -> FileName:
    """Take the label of a release that has a word of its own for it; other names as they are."""
    words = name.stem.rpartition("_")
    if name.role or words[2].lower() not in layout_of(words[0]).label_words:
        return name
    return FileName(name.member, name.folder, words[0], LABEL)


def assumptions(titles: Collection[str]) -> tuple[str, ...]:
    """What is assumed about the files of layouts, by their titles."""
    found = (layout for layout in LAYOUTS.values() if layout.title in titles)
    return tuple(layout.assumed for layout in found if layout.assumed)


def layout_of_name(name: FileName) -> Layout:
    """Layout of a file whose name was read."""
    return LAYOUTS[name.layout] if name.layout else layout_of(name.key)


def scheme_of(case: str) -> tuple[str | None, str]:
    """Label scheme that a case id is evidence for, and why it has none.

    Returns:
        Name of a scheme, or None where the id is no evidence; and an error message, empty but for
        a release whose labels fit no scheme.
    """
    layout = next(_matching(case), PLAIN)
    return layout.scheme, layout.scheme_fault


def _matching(case: str) -> Iterator[Layout]:
    return (layout for layout in LAYOUTS.values() if layout.matches(case))


def patterns() -> str:
    """All that is looked for, as a list in words."""
    *most, last = dict.fromkeys(layout.pattern for layout in (*LAYOUTS.values(), PLAIN))
    return f"{', '.join(most)}, or {last}"
