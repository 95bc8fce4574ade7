"""Made-up cases to disk, named as each release is downloaded, to the byte the same every time."""

import json
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import nibabel
import numpy as np
from isal import igzip
from numpy.typing import NDArray

from bratsprep.labels import SCHEMES

GZIP_LEVEL: Final = 2
"""Of isal: as small as zlib's 6, which the releases used, ten times faster."""
_LPS: Final = (-1.0, -1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one release names its files."""

    scheme: str
    """Its own label scheme."""
    images: tuple[str, ...]
    """File of each modality; `{id}` is the case, `{end}` the suffix. One name is a 4D file."""
    label: str
    """File of the label."""
    is_lps: bool
    """Axes x and y run to the left and the back; else RAS with identity affine."""
    revisit: int = 0
    """Every case of that many is the subject before it again; 0 for no second time points."""
    label_dtype: str = "u1"


def _bids(scheme: str) -> Layout:
    """BraTS 2023 and later: hyphens, two letters and a digit a modality."""
    stem = "{id}/{id}-"
    images = tuple(f"{stem}{name}{{end}}" for name in ("t2f", "t1n", "t1c", "t2w"))
    return Layout(scheme, images, f"{stem}seg{{end}}", is_lps=True, revisit=4)


def _classic(stem: str, dtype: str) -> Layout:
    """BraTS 2017 to 2021: underscores."""
    images = tuple(f"{stem}_{name}{{end}}" for name in ("flair", "t1", "t1ce", "t2"))
    return Layout("brats2017", images, f"{stem}_seg{{end}}", is_lps=True, label_dtype=dtype)


LAYOUTS: Final = MappingProxyType(
    {
        "msd": Layout("msd", ("{images}/{id}{end}",), "labelsTr/{id}{end}", is_lps=False),
        "brats2018": _classic("{grade}/{id}/{id}", "<i2"),
        "brats2020": _classic("{id}/{id}", "u1"),
        "brats2023": _bids("brats2023"),
        "brats2024": _bids("brats2024"),
        "nnunet": Layout(
            "msd",
            tuple(f"{{images}}/{{id}}_{m:04d}{{end}}" for m in range(4)),
            "labelsTr/{id}{end}",
            is_lps=False,
        ),
        "plain": Layout(
            "brats2017",
            tuple(f"{{id}}/{{id}}_{name}{{end}}" for name in ("FLAIR", "t1", "T1ce", "T2W")),
            "{id}/{id}_mask{end}",
            is_lps=True,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Names:
    """One case of a set: what it is called, and which anatomy it shows."""

    id: str
    index: int
    """Of the subject."""
    visit: int
    """0 for its first scan."""
    is_labelled: bool
    grade: str
    """`HGG` or `LGG`: a folder of BraTS 2018."""

    def file(self, pattern: str, end: str) -> str:
        """Path of a file of the case inside the set, of a pattern of its layout."""
        images = "imagesTr" if self.is_labelled else "imagesTs"
        return pattern.format(id=self.id, images=images, grade=self.grade, end=end)


def names_of(layout: str, cases: int, unlabelled: int, repeats: int) -> list[Names]:
    """List the cases of a set in order.

    Args:
        layout: one of LAYOUTS.
        cases: labelled ones.
        unlabelled: further ones.
        repeats: how many of the last labelled ones are the first subjects under a new id.
    """
    names = []
    every = LAYOUTS[layout].revisit
    for i in range(cases + unlabelled):
        index, visit = i, 0
        is_again = every > 0 and i % every == every - 1
        if cases - repeats <= i < cases:
            index, visit, is_again = i - (cases - repeats), 2, False
        elif is_again:
            index, visit = i - 1, 1
        name = _id(layout, i - is_again, visit if is_again else 0, i < cases)
        names.append(Names(name, index, visit, i < cases, "LGG" if index % 4 == 3 else "HGG"))
    return names


def _id(layout: str, number: int, visit: int, is_labelled: bool) -> str:
    """Name a case as its release does."""
    return {
        "msd": f"BRATS_{number + 1:03d}",
        "nnunet": f"BRATS_{number + 1:03d}",
        "plain": f"patient{number + 1:02d}",
        "brats2018": f"Brats18_TCIA{number % 7 + 1:02d}_{number + 101}_1",
        "brats2020": f"BraTS20_{'Training' if is_labelled else 'Validation'}_{number + 1:03d}",
        "brats2023": f"BraTS-GLI-{number + 2:05d}-{visit:03d}",
        "brats2024": f"BraTS-GLI-{number + 2005:05d}-{100 + visit:03d}",
    }[layout]


def write_case(
    folder: Path, layout: Layout, names: Names, images: NDArray[Any], raw: NDArray[Any], end: str
) -> None:
    """Write the files of one case.

    Args:
        folder: of the set.
        layout: how to name them.
        names: of the case.
        images: (4, z, y, x) RAS+ in MODALITIES order, in the type to store.
        raw: (z, y, x) RAS+, label values of the scheme to write.
        end: suffix.
    """
    parts = [images] if len(layout.images) == 1 else list(images)
    files = [(names.file(p, end), v) for p, v in zip(layout.images, parts, strict=True)]
    if names.is_labelled:
        files.append((names.file(layout.label, end), raw.astype(layout.label_dtype)))
    for file, volume in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        content = nifti_bytes(volume, layout.is_lps)
        if end.endswith(".gz"):
            content = igzip.compress(content, GZIP_LEVEL, mtime=0)
        path.write_bytes(content)


def nifti_bytes(volume: NDArray[Any], is_lps: bool) -> bytes:
    """Give the bytes of a NIfTI-1 file.

    Args:
        volume: (z, y, x) or (4, z, y, x) RAS+, any type NIfTI knows.
        is_lps: store x and y backwards, as BraTS does, with the affine that says so.
    """
    shape = volume.shape[::-1]
    affine = np.eye(4)
    if is_lps:
        volume = volume[..., ::-1, ::-1]
        affine = np.diag((*_LPS, 1.0))
        affine[:2, 3] = 0.0, shape[1] - 1
    header = nibabel.Nifti1Header()
    header.set_data_dtype(volume.dtype)
    header.set_data_shape(shape)
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return bytes(header.binaryblock) + bytes(4) + np.ascontiguousarray(volume).tobytes()


def write_index(folder: Path, layout: str, names: Sequence[Names], scheme: str, end: str) -> None:
    """Write `dataset.json` where the layout has one.

    Args:
        folder: of the set.
        layout: its name.
        names: every case.
        scheme: label scheme written.
        end: suffix.
    """
    index = {"msd": _msd_index, "nnunet": _nnunet_index}.get(layout)
    if index:
        text = json.dumps(index(names, scheme, end), indent=1)
        (folder / "dataset.json").write_text(text + "\n", encoding="utf-8")


def _classes(scheme: str) -> list[tuple[int, str]]:
    """Raw values and names of a scheme, as the Decathlon spells its own."""
    if scheme == "msd":
        return [(1, "edema"), (2, "non-enhancing tumor"), (3, "enhancing tumour")]
    return list(SCHEMES[scheme].names)


def _msd_index(names: Sequence[Names], scheme: str, end: str) -> dict[str, Any]:
    """`dataset.json` of the Medical Segmentation Decathlon."""
    training = [n for n in names if n.is_labelled]
    test = [f"./imagesTs/{n.id}{end}" for n in names if not n.is_labelled]
    return {
        "name": "BRATS",
        "description": "Phantoms in the layout of Task01; no real scan",
        "reference": "bratsprep phantom",
        "licence": "MIT",
        "release": "1.0",
        "tensorImageSize": "4D",
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "labels": {"0": "background", **{str(v): name for v, name in _classes(scheme)}},
        "numTraining": len(training),
        "numTest": len(test),
        "training": [
            {"image": f"./imagesTr/{n.id}{end}", "label": f"./labelsTr/{n.id}{end}"}
            for n in training
        ],
        "test": test,
    }


def _nnunet_index(names: Sequence[Names], scheme: str, end: str) -> dict[str, Any]:
    """`dataset.json` of nnU-Net version 2."""
    return {
        "channel_names": {"0": "FLAIR", "1": "T1w", "2": "T1gd", "3": "T2w"},
        "labels": {"background": 0, **{name: v for v, name in _classes(scheme)}},
        "numTraining": sum(n.is_labelled for n in names),
        "file_ending": end,
    }


def pack(folder: Path, name: str, target: Path, kind: str) -> Path:
    """Give a finished set its final name, or move it into an archive.

    Args:
        folder: written; gone afterwards.
        name: of the one folder at the archive's top.
        target: the final folder, or the archive.
        kind: `tar`, `tar.gz` or `zip`; empty for a folder.

    Returns:
        `target`.
    """
    if not kind:
        if target.exists():
            target.rmdir()  # empty, or the call would have been refused
        return folder.rename(target)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    members = [(path, f"{name}/{path.relative_to(folder).as_posix()}") for path in files]
    half = target.with_name(f"{target.name}.partial")
    if kind == "zip":
        _zip(half, members)
    else:
        _tar(half, members, kind == "tar.gz")
    shutil.rmtree(folder)
    return half.rename(target)


def _zip(target: Path, members: list[tuple[Path, str]]) -> None:
    """Store files in a zip, all of the first day that a zip knows."""
    with zipfile.ZipFile(target, "w") as archive:
        for path, name in members:
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())


def _tar(target: Path, members: list[tuple[Path, str]], is_gzip: bool) -> None:
    """Store files in a tar of no owner and no date."""
    with ExitStack() as stack:
        out: Any = stack.enter_context(target.open("wb"))
        if is_gzip:
            out = stack.enter_context(igzip.IGzipFile("", "wb", GZIP_LEVEL, out, 0))
        archive = stack.enter_context(tarfile.open(fileobj=out, mode="w"))
        for path, name in members:
            member = tarfile.TarInfo(name)
            member.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(member, content)
