"""Any labelled raw folder -> nnU-Net's raw layout, and its predictions back into the source's."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np

from bratsprep.case import CaseFiles
from bratsprep.config import USUAL_MODALITIES
from bratsprep.discovery.discover import scan
from bratsprep.labels import Scheme
from bratsprep.sources.source import Source, open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import Asked, read_scan, to_file_order
from bratsprep.volumes.label_schemes import chosen_scheme, common_classes, resolve
from bratstrain.inference.nifti_out import read_source_header, write_nifti

ENDING = ".nii.gz"


def labelled(source: Source, labels: str) -> dict[str, tuple[CaseFiles, Scheme]]:
    """Labelled cases and their label schemes, by id."""
    cases = [files for files in scan(source, unlabelled=False).cases if files.label]
    schemes = resolve(source, cases, chosen_scheme(labels)[1])
    return {files.id: (files, schemes[files.id]) for files in cases}


def to_nnunet(raw: Path, target: Path, labels: str) -> int:
    """Write every labelled case as nnU-Net wants it, on the grid that it has; gives their number.

    Args:
        raw: data set or archive in any layout that `bratsprep build` takes.
        target: folder to make, such as `nnUNet_raw/Dataset001_Brain`; made anew.
        labels: label scheme; `auto` for the source's own. Written are the stored classes.
    """
    shutil.rmtree(target, ignore_errors=True)
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True)
    buffers = Buffers()
    with open_source(raw) as source:
        cases = labelled(source, labels)
        classes = common_classes([scheme for _, scheme in cases.values()])
        asked = Asked(USUAL_MODALITIES, classes)
        for name, (files, scheme) in cases.items():
            case = read_scan(files, source, buffers, scheme, asked)
            header = read_source_header(source, files.images[0].member)
            for m, image in enumerate(case.images):
                voxels = to_file_order(image.astype(np.float32), case.geometry)
                write_nifti(target / "imagesTr" / f"{name}_{m:04d}{ENDING}", [voxels], header)
            label = to_file_order(case.label, case.geometry)
            write_nifti(target / "labelsTr" / f"{name}{ENDING}", [label], header)
    index = {
        "channel_names": {str(m): name for m, name in enumerate(USUAL_MODALITIES)},
        "labels": {name: label for label, name in enumerate(classes.classes)},
        "numTraining": len(cases),
        "file_ending": ENDING,
    }
    (target / "dataset.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return len(cases)


def from_nnunet(raw: Path, predicted: Path, target: Path, labels: str) -> list[str]:
    """Write nnU-Net's predictions in the label scheme of the source; gives their case ids."""
    target.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name.removesuffix(ENDING) for path in predicted.glob(f"*{ENDING}"))
    with open_source(raw) as source:
        cases = labelled(source, labels)
        for name in names:
            files, scheme = cases[name]
            stored = np.asarray(nibabel.load(predicted / f"{name}{ENDING}").dataobj, np.uint8)
            header = read_source_header(source, files.images[0].member)
            write_nifti(target / f"{name}{ENDING}", [scheme.raw()[stored]], header)
    return names
