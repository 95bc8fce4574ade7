"""Cases without a modality, from the build to the prediction."""

import nibabel as nib
import numpy as np
import pytest

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratstrain.inference.predictor import predict
from tests.helpers.fitfiles import SMALL, one_thread  # noqa: F401  a fixture of this module

SETTINGS = SMALL | {"steps": 4, "validate_steps": 2}
LACKING = "t1"
"""Word of the modality that one case has not."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Six cases, the first without T1w."""
    folder = tmp_path_factory.mktemp("raw") / "raw"
    bratsprep.phantoms(folder, cases=6, shape=(32, 32, 16), layout="brats2020", workers=1)
    first = min(path.name for path in folder.iterdir() if path.is_dir())
    (folder / first / f"{first}_{LACKING}.nii.gz").unlink()
    return folder


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
    """Slice file of the cases, with zeros in place of what is missing."""
    out = tmp_path_factory.mktemp("data") / "small.h5"
    bratsprep.build(raw, out, workers=1, crop="32x32", missing="zeros")
    return out


def test_build_refuses_the_case_and_names_the_way_on(raw, tmp_path):
    with pytest.raises(BratsError, match="t1w is missing") as caught:
        bratsprep.build(raw, tmp_path / "out.h5", workers=1, crop="32x32")
    assert "--missing zeros" in str(caught.value)


def test_file_says_which_modalities_each_case_has(raw, data):
    with bratsprep.open(data) as file:
        expected = np.ones((6, 4), np.uint8)
        expected[0, file.modalities.index("t1w")] = 0
        np.testing.assert_array_equal(file.cases["present"], expected)
        images, _, _ = file.volume(file.cases["id"][0])
        assert not images[:, 1].any()
        assert images[:, 0].any()
    assert bratsprep.verify(data, raw, workers=1).compared == 6


def test_run_that_dropped_modalities_labels_and_scores_the_case(raw, data, tmp_path):
    run = tmp_path / "run"
    bratstrain.fit(data, run, drop_modality=0.3, **SETTINGS)
    done = predict(run, raw, tmp_path / "out")
    assert len(done.cases) == 6
    for case in done.cases:
        scan = nib.load(raw / case.case / f"{case.case}_flair.nii.gz")
        label = nib.load(case.path)
        assert label.shape == scan.shape
        np.testing.assert_array_equal(label.affine, scan.affine)
    report = bratstrain.evaluate(run, raw=raw, split="all")
    assert len(report.scores) == 6


def test_run_that_never_lacked_one_refuses_the_case_and_names_the_way_on(raw, tmp_path):
    whole = bratsprep.phantoms(
        tmp_path / "whole", cases=6, shape=(32, 32, 16), layout="brats2020", workers=1
    )
    bratsprep.build(whole, tmp_path / "small.h5", workers=1, crop="32x32")
    bratstrain.fit(tmp_path / "small.h5", tmp_path / "run", **SETTINGS)
    with pytest.raises(BratsError, match="t1w is missing") as caught:
        predict(tmp_path / "run", raw, tmp_path / "out")
    assert "--drop-modality" in str(caught.value)
    assert not [*tmp_path.glob("out/*")]
