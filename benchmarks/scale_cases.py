"""A data set of the real size that takes little room: real masks beside a few phantom images."""

import json
from pathlib import Path

from bratsprep.phantom.phantoms import SHAPE, phantoms

ENDING = ".nii.gz"
DISTINCT = 16
"""Phantom images that are made; every case links to one of them."""


def make_cases(
    work: Path,
    labels: Path | None,
    cases: int,
    *,
    distinct: int = DISTINCT,
    shape: tuple[int, int, int] = SHAPE,
) -> Path:
    """Make a folder in the Decathlon's layout, every file of it a link.

    Args:
        work: where to; phantoms that are there already are used again.
        labels: folder of masks in the Decathlon's scheme, one a case; None for the phantoms' own.
        cases: how many.
        distinct: phantom images; case i has image i modulo so many.
        shape: voxels (x, y, z) of the images, those of the masks.

    Returns:
        The folder.
    """
    size = "x".join(map(str, shape))
    images = work / f"phantoms-{distinct}-{size}"
    if not images.exists():
        phantoms(images, cases=distinct, shape=shape, workers=2)
    stems = sorted(path.name for path in (images / "imagesTr").iterdir())
    masks = sorted((labels or images / "labelsTr").glob(f"*{ENDING}"))
    if labels is not None and len(masks) < cases:
        raise SystemExit(f"{labels} holds {len(masks)} masks, {cases} are asked for")
    folder = work / f"cases-{cases}-of-{distinct}-{size}{'-real' if labels else ''}"
    if (folder / "dataset.json").exists():
        return folder
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    names = [f"BRATS_{i + 1:03d}{ENDING}" if labels is None else masks[i].name
             for i in range(cases)]  # fmt: skip
    for i, name in enumerate(names):
        _link(folder / "imagesTr" / name, images / "imagesTr" / stems[i % distinct])
        _link(folder / "labelsTr" / name, masks[i] if labels else masks[i % distinct])
    index = json.loads((images / "dataset.json").read_text(encoding="utf-8"))
    index["training"] = [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names]
    index |= {"numTraining": cases, "test": [], "numTest": 0}
    (folder / "dataset.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return folder


def _link(link: Path, target: Path) -> None:
    """Make a symbolic link; one that was there goes."""
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())


def source_bytes(folder: Path) -> int:
    """Bytes that are read of all images and masks, links followed."""
    return sum(path.stat().st_size for path in folder.glob(f"*Tr/*{ENDING}"))
