"""What `benchmarks.accuracy` hands to nnU-Net, and what it takes back."""

import json

import nibabel
import numpy as np
import pytest

import bratstrain
from benchmarks.accuracy_data import from_nnunet, to_nnunet
from bratsprep.phantom.phantoms import phantoms


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accuracy")
    return phantoms(folder / "raw", cases=3, layout="brats2020", shape=(20, 18, 12))


@pytest.fixture(scope="module")
def converted(raw):
    target = raw.parent / "Dataset001_Brain"
    assert to_nnunet(raw, target, "auto") == 3
    return target


def test_images_are_on_the_grid_of_the_source(raw, converted):
    one = nibabel.load(next(raw.rglob("*_001_t1ce.nii.gz")))
    other = nibabel.load(converted / "imagesTr" / "BraTS20_Training_001_0002.nii.gz")
    np.testing.assert_array_equal(one.affine, other.affine)
    np.testing.assert_array_equal(one.get_fdata(), other.get_fdata())


def test_labels_are_consecutive(converted):
    found = {v for path in (converted / "labelsTr").iterdir()
             for v in np.unique(nibabel.load(path).dataobj).tolist()}  # fmt: skip
    assert found == {0, 1, 2, 3}
    index = json.loads((converted / "dataset.json").read_text())
    assert sorted(index["labels"].values()) == [0, 1, 2, 3]


def test_truth_that_comes_back_is_perfect(raw, converted, tmp_path):
    names = from_nnunet(raw, converted / "labelsTr", tmp_path / "back", "auto")
    assert len(names) == 3
    report = bratstrain.score_folders(tmp_path / "back", raw, out=tmp_path / "scores")
    assert all(case.confusion.trace() == case.confusion.sum() for case in report.scores)
