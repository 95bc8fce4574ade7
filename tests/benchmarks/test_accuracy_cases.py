"""The cases of `benchmarks.accuracy_cases`: real masks, made-up images."""

import nibabel
import numpy as np
import pytest

import bratsprep
from benchmarks.accuracy_cases import made_images, make_cases
from bratsprep.config import USUAL_MODALITIES


@pytest.fixture(scope="module")
def label():
    """A (z, y, x) tumour of three shells in the middle of a head."""
    z, y, x = np.meshgrid(np.arange(18), np.arange(28), np.arange(28), indexing="ij")
    far = np.sqrt((z - 10) ** 2 + (y - 14) ** 2 + (x - 9) ** 2)
    label = np.zeros(far.shape, np.uint8)
    for radius, klass in ((6, 2), (4, 3), (2, 1)):
        label[far < radius] = klass
    return label


def test_images_follow_from_seed_and_number(label):
    one, same = made_images(label, 3), made_images(label, 3)
    np.testing.assert_array_equal(one, same)
    assert (made_images(label, 4) != one).any()


def test_tumour_lies_within_the_brain(label):
    assert ((made_images(label, 0) > 0).any(axis=0) | (label == 0)).all()
    assert not made_images(label, 0)[:, 0, 0, 0].any()


@pytest.mark.parametrize(("modality", "brighter", "darker"), [("flair", 2, 0), ("t1gd", 3, 1)])
def test_classes_shine_as_in_the_clinic(label, modality, brighter, darker):
    image = made_images(label, 1)[USUAL_MODALITIES.index(modality)]
    assert image[label == brighter].mean() > 1.1 * image[(label == darker) & (image > 0)].mean()


def test_folder_can_be_built_with_every_so_manieth_voxel(tmp_path, label):
    masks = tmp_path / "masks"
    masks.mkdir()
    raw = np.array([0, 2, 1, 3], np.uint8)[label.T]  # as the Decathlon counts
    for i in range(3):
        nibabel.save(nibabel.Nifti1Image(raw, np.eye(4)), masks / f"BRATS_{i + 1:03d}.nii.gz")
    make_cases(masks, tmp_path / "raw", 2, 2)
    bratsprep.build(tmp_path / "raw", tmp_path / "out.h5", crop="brain", workers=1)
    with bratsprep.open(tmp_path / "out.h5") as file:
        assert list(file.cases["id"].astype(str)) == ["BRATS_001", "BRATS_003"]
        wanted = np.bincount(label[::2, ::2, ::2].ravel(), minlength=4)
        np.testing.assert_array_equal(file.cases["voxels"], [wanted, wanted])
