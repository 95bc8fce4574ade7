"""Heads that are not skull-stripped, with a brain mask beside each: phantoms that were changed."""

import nibabel as nib
import numpy as np

import bratsprep

SHAPE = (32, 32, 24)
PATTERN = "*_bet_mask.nii.gz"
WORDS = ("flair", "t1", "t1ce", "t2")


def stripped(folder, **settings):
    """Write phantoms in the layout of BraTS 2020; gives the folder."""
    settings = {"cases": 2, "layout": "brats2020", "shape": SHAPE, **settings}
    return bratsprep.phantoms(folder, **settings)


def images_of(case):
    """Image files of a case folder, flair first."""
    return [case / f"{case.name}_{word}.nii.gz" for word in WORDS]


def read(path):
    """Voxels (x, y, z) of a file, and its affine."""
    image = nib.load(path)
    return np.asanyarray(image.dataobj), image.affine


def write(path, voxels, affine):
    """Write a NIfTI file; gives its path."""
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def cases_of(raw):
    """Case folders of a data set."""
    return sorted({path.parent for path in raw.rglob("*_flair.nii.gz")})


def brain_of(case):
    """Voxels that are not 0 in some modality of a case folder, (x, y, z) bool; and the affine."""
    volumes, affines = zip(*map(read, images_of(case)), strict=True)
    return np.any([volume != 0 for volume in volumes], axis=0), affines[0]


def add_masks(raw, *, name="{case}_bet_mask.nii.gz", value=1, dtype=np.uint8):
    """Write the brain mask of each case beside its images; gives the paths."""
    paths = []
    for case in cases_of(raw):
        brain, affine = brain_of(case)
        mask = (value * brain).astype(dtype)
        paths.append(write(case / name.format(case=case.name), mask, affine))
    return paths


def add_heads(raw):
    """Fill the outside of the brain of every image with the noise of an unstripped scan."""
    generator = np.random.default_rng(5)
    for case in cases_of(raw):
        brain, affine = brain_of(case)
        for path in images_of(case):
            air = 200 + 100 * generator.rayleigh(1, brain.shape)
            write(path, np.where(brain, read(path)[0], air).astype(np.int16), affine)


def unstripped(folder, **settings):
    """Write phantoms that are not stripped, with their brain masks; gives the folder."""
    raw = stripped(folder, **settings)
    add_masks(raw)
    add_heads(raw)
    return raw
