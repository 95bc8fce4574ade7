"""Cases for `benchmarks.accuracy` where no real scans may lie: real masks, made-up images.

    python -m benchmarks.accuracy_cases labelsTr/ OUT --cases 20 --every 3

Each mask becomes a tumour in a phantom head without one: every class shines as it does in the
phantoms, weaker in some cases than in others, over blurred edges and with the scanner's noise. So
shapes, places, sizes and frequencies are real, and what the tissue looks like is not: a score says
how far a network came in learning, not how well it segments patients.
"""

import argparse
import json
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bratsprep.config import USUAL_MODALITIES
from bratsprep.labels import shipped
from bratsprep.phantom.anatomy import Head, Scan, noise_block
from bratsprep.phantom.layouts import LAYOUTS, Names, Written
from bratsprep.phantom.paint import paint
from bratsprep.phantom.phantoms import CONTRAST, SHAPE
from bratsprep.phantom.write import write_case

ENDING = ".nii.gz"
EDGE = 0.7
"""Width of an edge between tissues, standard deviation in voxels."""
WEAKEST = 0.4
"""Least contrast of a tumour over the phantoms' own."""


def healthy_head(generator: np.random.Generator, shape: tuple[int, int, int]) -> Head:
    """Draw a head in the middle of a (z, y, x) volume."""
    sides = np.array(shape[::-1])
    x, y, z = np.array([119.5, 111.0, 78.0]) / (np.array(SHAPE) - 1) * (sides - 1)
    step = np.array(SHAPE) / sides / generator.uniform(0.97, 1.03, 3)
    return Head(
        (float(x), float(y), float(z)),
        (float(step[0]), float(step[1]), float(step[2])),
        generator.uniform(16.5, 20.5),
        generator.uniform(0.5, 1.0),
        float(np.exp(generator.normal(0, 0.22))),
    )


def scanner(generator: np.random.Generator) -> Scan:
    """Draw the intensities and the noise of a scan."""
    scale = np.exp(generator.uniform(np.log(220), np.log(2000), 4))
    return Scan(
        CONTRAST * np.exp(generator.normal(0, 0.04, CONTRAST.shape)) * scale,
        generator.normal(0, 0.07, (4, 3)),
        scale * generator.uniform(0.05, 0.1, 4),
        np.zeros(4),
        int(generator.integers(1 << 32)),
    )


def made_images(label: NDArray[np.uint8], index: int, seed: int = 0) -> NDArray[np.int16]:
    """Make the images of a mask.

    Args:
        label: (z, y, x) uint8 stored classes.
        index: of the case; each has a head, a scanner and a contrast of its own.
        seed: of the whole set.

    Returns:
        (4, z, y, x) int16, the usual modalities in their order, scanner units; 0 outside the brain.
    """
    generator = np.random.default_rng((seed, index))
    block = noise_block(generator)
    head, scan = healthy_head(generator, label.shape), scanner(generator)
    images, _ = paint(label.shape, block, head, np.empty((0, 12)), scan)
    brain = (images > 0).any(axis=0) | (label > 0)
    strength = generator.uniform(WEAKEST, 1.0)
    shares = [gaussian_filter((label == k).astype(np.float32), EDGE) for k in (1, 2, 3)]
    made = np.zeros_like(images)
    for m, image in enumerate(images):
        shine = sum(share * scan.tissue[3 + k, m] for k, share in enumerate(shares, start=1))
        white = scan.tissue[2, m]
        tumour = sum(shares)
        faded = strength * shine + (1 - strength) * white * tumour
        noise = tumour * generator.normal(0, scan.noise[m], image.shape)
        value = image * (1 - tumour) + faded + noise
        made[m] = np.where(brain, value.clip(1, 32767), 0).astype(np.int16)
    return made


def make_cases(masks: Path, out: Path, cases: int, every: int) -> None:
    """Write a folder in the Decathlon's layout.

    Args:
        masks: folder of masks in the Decathlon's scheme.
        out: folder to make.
        cases: how many; they are spread evenly over the masks in the order of their names.
        every: keep each such voxel along every axis; 1 keeps all.
    """
    paths = sorted(masks.glob(f"*{ENDING}"))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, cases).astype(int)]
    written = Written("msd", USUAL_MODALITIES, ENDING)
    listed = []
    for index, path in enumerate(chosen):
        raw = np.asarray(nibabel.load(path).dataobj, np.uint8)[::every, ::every, ::every]
        label = shipped()["msd"].table()[np.ascontiguousarray(raw.T)]
        name = path.name.removesuffix(ENDING)
        names = Names(name, index, 0, is_labelled=True, grade="HGG")
        write_case(out, LAYOUTS["msd"], names, made_images(label, index), raw.T, written)
        listed.append({"image": f"./imagesTr/{path.name}", "label": f"./labelsTr/{path.name}"})
    facts = {"modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
             "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor",
                        "3": "enhancing tumour"}}  # fmt: skip
    index_text = json.dumps({**facts, "training": listed, "test": []}, indent=1)
    (out / "dataset.json").write_text(index_text + "\n", encoding="utf-8")


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy_cases")
    parser.add_argument("masks", type=Path, help="folder of masks, labelsTr of Task01")
    parser.add_argument("out", type=Path)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--every", type=int, default=3, help="keep each such voxel")
    args = parser.parse_args()
    make_cases(args.masks, args.out, args.cases, args.every)


if __name__ == "__main__":
    main()
