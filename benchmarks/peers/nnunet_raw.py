"""Decathlon layout -> nnU-Net's raw layout: a 4D file becomes four of 3D. Counts for nobody."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
from isal import igzip

LEVEL = 2
"""Of isal: about as small as zlib's 6, which the releases used."""


def split(raw: Path, target: Path) -> None:
    """Write every labelled case of a Decathlon folder as nnU-Net wants it.

    Args:
        raw: folder with dataset.json.
        target: folder to make, such as `nnUNet_raw/Dataset001_Brain`; made anew.
    """
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True)
    index = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    for case in index["training"]:
        _split_case(raw / case["image"], target / "imagesTr")
        shutil.copy(raw / case["label"], target / "labelsTr")
    names = {
        "channel_names": index["modality"],
        "labels": {name: int(value) for value, name in index["labels"].items()},
        "numTraining": len(index["training"]),
        "file_ending": ".nii.gz",
    }
    (target / "dataset.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")


def _split_case(image: Path, folder: Path) -> None:
    """One 4D file into four."""
    volume = nibabel.load(image)
    voxels = np.asanyarray(volume.dataobj)
    for m in range(voxels.shape[3]):
        part = nibabel.Nifti1Image(voxels[..., m], volume.affine, dtype=voxels.dtype)
        name = f"{image.name.removesuffix('.nii.gz')}_{m:04d}.nii.gz"
        (folder / name).write_bytes(igzip.compress(part.to_bytes(), LEVEL, mtime=0))
