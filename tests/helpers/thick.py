"""Raw cases with thicker slices, made from others of 1 mm."""

import nibabel as nib
import numpy as np


def thickened(raw, out, factor):
    """Write the cases of a folder again with slices `factor` times as thick; gives `out`.

    An image is the mean of the slices that go into one, a label what most of them hold. Slices
    that do not fill a thick one are left out.
    """
    for path in sorted(raw.rglob("*.nii*")):
        image = nib.load(path)
        voxels = np.asarray(image.dataobj)
        n = voxels.shape[2] // factor
        parts = voxels[:, :, : n * factor].reshape(*voxels.shape[:2], n, factor)
        if "seg" in path.name:
            values = np.unique(voxels)
            shares = np.stack([(parts == value).mean(axis=3) for value in values])
            made = values[shares.argmax(axis=0)]
        else:
            made = np.rint(parts.astype(float).mean(axis=3))
        affine = image.affine.copy()
        affine[:3, 3] += affine[:3, 2] * (factor - 1) / 2
        affine[:3, 2] *= factor
        target = out / path.relative_to(raw)
        target.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(made.astype(voxels.dtype), affine), target)
    return out
