"""Cases whose intensities lie far from the others', by factor; none among usual ones."""

import numpy as np
import pytest

import bratsprep
from bratsprep.config import USUAL_MODALITIES
from bratsprep.volumes.intensity_outliers import intensity_notes
from tests.helpers.brain_masks import cases_of, images_of, read, stripped, write


def noted(mean, std):
    """Notes on cases C0, C1, ... of which flair has these moments, and the others equal ones."""
    mean, std = (np.ones((len(values), 4)) * np.reshape(values, (-1, 1)) for values in (mean, std))
    mean[:, 1:], std[:, 1:] = 50, 5
    return notes(mean, std, np.ones(mean.shape, np.uint8))


def notes(mean, std, present):
    """Notes on cases C0, C1, ... of the usual modalities."""
    return intensity_notes(
        USUAL_MODALITIES, [f"C{i}" for i in range(len(mean))], mean, std, present
    )


@pytest.mark.parametrize(
    ("mean", "std", "note"),
    [
        (4180, 10, "flair is 40 times as bright as in the median case"),
        (1.04, 10, "flair is 0.01 times as bright as in the median case"),
        (104, 100, "flair varies 10 times as much for its brightness as in the median case"),
        (4180, 400, "flair is 40 times as bright as in the median case"),
    ],
    ids=["bright", "dark", "varied", "scaled"],
)
def test_outlier_is_named_with_the_factor(mean, std, note):
    means = [*(100.0 + i for i in range(9)), mean]
    assert noted(means, [*[10.0] * 9, std]) == {"C9": (note,)}


def test_means_around_0_are_compared_in_standard_deviations():
    usual = [-0.02, 0.01, 0.0, 0.03, -0.01, 0.02, 1e-9, -1e-9]
    assert noted(usual, [1.0] * 8) == {}
    found = noted([*usual, 4.0], [1.0] * 9)
    assert found == {"C8": ("flair has a mean of 4, the median case of 1e-09",)}


def test_cases_of_one_scanner_are_no_outliers():
    assert noted([100.0 + (i == 0) for i in range(9)], [5.0] * 9) == {}


def test_usual_factors_are_no_outliers():
    assert noted([*(100.0 + i for i in range(9)), 1500.0], [*[10.0] * 9, 250.0]) == {}


def test_scanners_that_differ_by_factors_are_no_outliers():
    assert noted([10.0 * 2**i for i in range(8)], [2.0**i for i in range(8)]) == {}


def test_few_cases_have_no_outliers():
    assert noted([10.0**i for i in range(7)], [5.0] * 7) == {}


def test_a_modality_is_compared_among_the_cases_that_have_it():
    mean, std = np.full((12, 4), 100.0), np.full((12, 4), 10.0)
    present = np.ones((12, 4), np.uint8)
    mean[:2, 1], std[:2, 1], present[:2, 1] = 0, 1, 0
    mean[3, 1] = 4000
    mean[4, 2], present[5:10, 2] = 4000, 0  # 7 cases have t1gd
    wanted = {"C3": ("t1w is 40 times as bright as in the median case",)}
    assert notes(mean, std, present) == wanted


def test_build_names_the_outlier_of_all_cases(tmp_path):
    raw = stripped(tmp_path / "raw", cases=9, shape=(24, 24, 16))
    path = images_of(cases_of(raw)[4])[3]
    voxels, affine = read(path)
    write(path, (voxels * np.float32(400)).astype(np.float32), affine)
    settings = {"crop": "24x24", "workers": 1, "repeats": "off"}
    summary = bratsprep.build(raw, tmp_path / "a.h5", **settings)
    (note,) = summary.unusual["BraTS20_Training_005"]
    assert note.startswith("t2w is ")
    assert "BraTS20_Training_005: t2w is" in "\n".join(summary.lines())
    rows = bratsprep.inspect(tmp_path / "a.h5").to_json()["odd"]
    assert rows[note] == ("BraTS20_Training_005",)
