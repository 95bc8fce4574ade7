"""How phantoms are named in each layout: one record each, in a registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from bratsprep.config import USUAL_MODALITIES
from bratsprep.labels import scheme as scheme_named


@dataclass(frozen=True, slots=True)
class Names:
    """One case of a set: its name, and the anatomy that it shows."""

    id: str
    index: int
    """Of the subject."""
    visit: int
    """0 for its first scan."""
    is_labelled: bool
    grade: str
    """`HGG` or `LGG`: a folder of BraTS 2018."""

    def file(self, pattern: str, end: str) -> str:
        """Path of a file of the case inside the set, from a pattern of its layout."""
        images = "imagesTr" if self.is_labelled else "imagesTs"
        person, _, visit = self.id.partition("_")
        return pattern.format(
            id=self.id, person=person, visit=visit, images=images, grade=self.grade, end=end
        )


@dataclass(frozen=True, slots=True)
class Written:
    """What a set is written with."""

    scheme: str
    """Name of the label scheme, or path of a TOML file."""
    modalities: tuple[str, ...]
    end: str
    """Suffix of the files."""


Index: TypeAlias = Callable[[Sequence[Names], Written], dict[str, Any]]
"""Content of `dataset.json` from every case and what the set is written with."""
CHANNEL_NAMES: Final = {"flair": "FLAIR", "t1w": "T1w", "t1gd": "t1gd", "t2w": "T2w"}
"""As the Decathlon spells them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomLayout:
    """How one release names its files."""

    scheme: str
    """Its own label scheme."""
    images: Mapping[str, str]
    """File of each modality that the release has; `{id}` is the case, `{end}` the suffix.

    `{person}` and `{visit}` are the parts of an id before and behind its first underscore.
    """
    other: str = ""
    """File of any other modality, `{name}`, or of all of them as `{m}` where `images` is empty;
    empty for a layout that has no others."""
    is_4d: bool = False
    """All modalities are one file, `other`."""
    label: str
    """File of the label."""
    case_id: Callable[[int, int, bool], str]
    """Names a case from its number in the set, its visit, and whether it is labelled."""
    is_lps: bool
    """Axes x and y run to the left and the back; else RAS with identity affine."""
    revisit: int = 0
    """Every case of that many is the subject before it again; 0 for no second time points."""
    label_dtype: str = "u1"
    packs: str = ""
    """Kind of the archive that each folder at the top is packed into; empty for none."""
    others: tuple[str, ...] = ()
    """Further files of a case that are neither modality nor label, as the release has them."""
    index: Index | None = None
    """Content of its `dataset.json`, where it has one."""

    def usual(self) -> tuple[str, ...]:
        """Modalities of the release."""
        return tuple(self.images) or USUAL_MODALITIES

    def patterns(self, modalities: Sequence[str]) -> list[str]:
        """File of each modality, or the one file of all of them.

        Raises:
            ValueError: the release has no file for one.
        """
        if self.is_4d:
            return [self.other]
        unknown = [name for name in modalities if name not in self.images]
        if unknown and not self.other:
            raise ValueError(
                f"modality {unknown[0]} is none of this layout, which has {', '.join(self.images)}"
            )
        files = [
            self.images.get(name) or self.other.replace("{name}", name).replace("{m}", f"{m:04d}")
            for m, name in enumerate(modalities)
        ]
        return list(dict.fromkeys(files))


def _each(pattern: str, words: Sequence[str]) -> dict[str, str]:
    """Files of the usual modalities, from a word for each, which replaces `*` in a pattern."""
    return {
        name: pattern.replace("*", word) for name, word in zip(USUAL_MODALITIES, words, strict=True)
    }


def _modern(
    scheme: str, case_id: Callable[[int, int, bool], str], revisit: int = 4
) -> PhantomLayout:
    """BraTS 2023 and later: hyphens, two letters and a digit a modality."""
    stem = "{id}/{id}-"
    return PhantomLayout(
        scheme=scheme,
        images=_each(f"{stem}*{{end}}", ("t2f", "t1n", "t1c", "t2w")),
        other=f"{stem}{{name}}{{end}}",
        label=f"{stem}seg{{end}}",
        case_id=case_id,
        is_lps=True,
        revisit=revisit,
    )


def _classic(stem: str, dtype: str, case_id: Callable[[int, int, bool], str]) -> PhantomLayout:
    """BraTS 2017 to 2021: underscores."""
    return PhantomLayout(
        scheme="brats2017",
        images=_each(f"{stem}_*{{end}}", ("flair", "t1", "t1ce", "t2")),
        other=f"{stem}_{{name}}{{end}}",
        label=f"{stem}_seg{{end}}",
        case_id=case_id,
        is_lps=True,
        label_dtype=dtype,
    )


def _classes(scheme: str) -> list[tuple[int, str]]:
    """Raw values and names of a scheme, as the Decathlon spells its own."""
    if scheme == "msd":
        return [(1, "edema"), (2, "non-enhancing tumor"), (3, "enhancing tumour")]
    return list(scheme_named(scheme).names)


def _msd_index(names: Sequence[Names], written: Written) -> dict[str, Any]:
    """`dataset.json` of the Medical Segmentation Decathlon."""
    scheme, end = written.scheme, written.end
    training = [n for n in names if n.is_labelled]
    test = [f"./imagesTs/{n.id}{end}" for n in names if not n.is_labelled]
    return {
        "name": "BRATS",
        "description": "Phantoms in the layout of Task01; no real scan",
        "reference": "bratsprep phantom",
        "licence": "MIT",
        "release": "1.0",
        "tensorImageSize": "4D",
        "modality": _channels(written),
        "labels": {"0": "background", **{str(v): name for v, name in _classes(scheme)}},
        "numTraining": len(training),
        "numTest": len(test),
        "training": [
            {"image": f"./imagesTr/{n.id}{end}", "label": f"./labelsTr/{n.id}{end}"}
            for n in training
        ],
        "test": test,
    }


def _channels(written: Written) -> dict[str, str]:
    """Names of the channels by number."""
    return {str(m): CHANNEL_NAMES.get(name, name) for m, name in enumerate(written.modalities)}


def _nnunet_index(names: Sequence[Names], written: Written) -> dict[str, Any]:
    """`dataset.json` of nnU-Net version 2."""
    return {
        "channel_names": _channels(written),
        "labels": {"background": 0, **{name: v for v, name in _classes(written.scheme)}},
        "numTraining": sum(n.is_labelled for n in names),
        "file_ending": written.end,
    }


def _task01_id(number: int, _visit: int, _is_labelled: bool) -> str:
    return f"BRATS_{number + 1:03d}"


LAYOUTS: Final[dict[str, PhantomLayout]] = {
    "msd": PhantomLayout(
        scheme="msd",
        images={},
        other="{images}/{id}{end}",
        is_4d=True,
        label="labelsTr/{id}{end}",
        case_id=_task01_id,
        is_lps=False,
        index=_msd_index,
    ),
    "brats2018": _classic(
        "{grade}/{id}/{id}",
        "<i2",
        lambda number, _visit, _labelled: f"Brats18_TCIA{number % 7 + 1:02d}_{number + 101}_1",
    ),
    "brats2020": _classic(
        "{id}/{id}",
        "u1",
        lambda number, _visit, is_labelled: (
            f"BraTS20_{'Training' if is_labelled else 'Validation'}_{number + 1:03d}"
        ),
    ),
    "brats2023": _modern(
        "brats2023", lambda number, visit, _labelled: f"BraTS-GLI-{number + 2:05d}-{visit:03d}"
    ),
    "brats2024": _modern(
        "brats2024",
        lambda number, visit, _labelled: f"BraTS-GLI-{number + 2005:05d}-{100 + visit:03d}",
    ),
    "brats-ped": _modern(
        "brats-ped", lambda number, _visit, _labelled: f"BraTS-PED-{number + 1:05d}-000", revisit=0
    ),
    "brats-men-rt": PhantomLayout(
        scheme="brats-men-rt",
        images={"t1gd": "{id}/{id}_t1c{end}"},
        label="{id}/{id}_gtv{end}",
        case_id=lambda number, _visit, _labelled: f"BraTS-MEN-RT-{number + 1:04d}-1",
        is_lps=True,
    ),
    "nnunet": PhantomLayout(
        scheme="msd",
        images={},
        other="{images}/{id}_{m}{end}",
        label="labelsTr/{id}{end}",
        case_id=_task01_id,
        is_lps=False,
        index=_nnunet_index,
    ),
    "brats2015": PhantomLayout(
        scheme="brats2015",
        images=_each(
            "{grade}/{id}/VSD.Brain.XX.O.MR_*/VSD.Brain.XX.O.MR_*.mha",
            ("Flair.54512", "T1.54513", "T1c.54514", "T2.54515"),
        ),
        label="{grade}/{id}/VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha",
        case_id=lambda number, _visit, _labelled: f"brats_2013_pat{number + 1:04d}_1",
        is_lps=True,
    ),
    "bids": PhantomLayout(
        scheme="brats2017",
        images=_each(
            "{person}/{visit}/anat/{id}_*{end}", ("FLAIR", "T1w", "ce-gadolinium_T1w", "T2w")
        ),
        label="derivatives/manual/{person}/{visit}/anat/{id}_label-tumor_dseg{end}",
        case_id=lambda number, visit, _labelled: f"sub-{number + 1:03d}_ses-{visit + 1:02d}",
        is_lps=False,
        revisit=4,
        others=("derivatives/manual/{person}/{visit}/anat/{id}_desc-brain_mask{end}",),
    ),
    "ucsf-pdgm": PhantomLayout(
        scheme="brats2017",
        images=_each("{id}_nifti/{id}_*{end}", ("FLAIR", "T1", "T1c", "T2")),
        label="{id}_nifti/{id}_tumor_segmentation{end}",
        case_id=lambda number, _visit, _labelled: f"UCSF-PDGM-{number + 4:04d}",
        is_lps=True,
        others=tuple(
            f"{{id}}_nifti/{{id}}_{name}{{end}}"
            for name in ("T1_bias", "SWI", "DWI", "ADC", "DTI_eddy_FA", "brain_segmentation")
        ),
    ),
    "upenn-gbm": PhantomLayout(
        scheme="brats2017",
        images=_each("images_structural/{id}/{id}_*{end}", ("FLAIR", "T1", "T1GD", "T2")),
        label="images_segm/{id}_segm{end}",
        case_id=lambda number, visit, _labelled: f"UPENN-GBM-{number + 1:05d}_{11 + 10 * visit}",
        is_lps=True,
        revisit=4,
        others=(
            "images_structural_unstripped/{id}/{id}_T1_unstripped{end}",
            "automated_segm/{id}_automated_approx_segm{end}",
        ),
    ),
    "visits": PhantomLayout(
        scheme="brats2017",
        images=_each("{person}/{visit}/*{end}", ("FLAIR", "T1", "CT1", "T2")),
        label="{person}/{visit}/segmentation/seg_mask{end}",
        case_id=lambda number, visit, _labelled: f"Patient-{number + 1:03d}_week-{13 * visit:03d}",
        is_lps=True,
        revisit=4,
    ),
    "archives": PhantomLayout(
        scheme="brats2023",
        images=_each("{id}/{id}-*{end}", ("t2f", "t1n", "t1c", "t2w")),
        label="{id}/{id}-seg{end}",
        case_id=lambda number, _visit, _labelled: f"BraTS-SSA-{number + 2:05d}-000",
        is_lps=True,
        packs="zip",
    ),
    "kaggle-slices": PhantomLayout(
        scheme="brats2017",
        images=dict.fromkeys(
            USUAL_MODALITIES, "BraTS2020_training_data/content/data/{id}_slice_*.h5"
        ),
        label="BraTS2020_training_data/content/data/{id}_slice_*.h5",
        case_id=lambda number, _visit, _labelled: f"volume_{number + 1}",
        is_lps=True,
    ),
    "modality-folders": PhantomLayout(
        scheme="brats2017",
        images=_each("*/{id}{end}", ("FLAIR", "T1", "T1ce", "T2")),
        label="seg/{id}{end}",
        case_id=lambda number, _visit, _labelled: f"case{number + 1:03d}",
        is_lps=True,
    ),
    "plain": PhantomLayout(
        scheme="brats2017",
        images=_each("{id}/{id}_*{end}", ("FLAIR", "t1", "T1ce", "T2W")),
        other="{id}/{id}_{name}{end}",
        label="{id}/{id}_mask{end}",
        case_id=lambda number, _visit, _labelled: f"patient{number + 1:02d}",
        is_lps=True,
    ),
}
"""By name, as `bratsprep phantom --layout` takes it."""


def names_of(layout: PhantomLayout, cases: int, unlabelled: int, repeats: int) -> list[Names]:
    """List the cases of a set in order.

    Args:
        layout: how to name them.
        cases: number of labelled ones.
        unlabelled: number of further ones.
        repeats: how many of the last labelled ones are the first subjects under a new id.
    """
    names = []
    every = layout.revisit
    for i in range(cases + unlabelled):
        index, visit = i, 0
        is_again = every > 0 and i % every == every - 1
        if cases - repeats <= i < cases:
            index, visit, is_again = i - (cases - repeats), 2, False
        elif is_again:
            index, visit = i - 1, 1
        name = layout.case_id(i - is_again, visit if is_again else 0, i < cases)
        names.append(Names(name, index, visit, i < cases, "LGG" if index % 4 == 3 else "HGG"))
    return names
