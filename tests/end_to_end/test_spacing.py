"""A run on resampled cases labels scans of any voxel size, and is scored in their own space."""

import nibabel as nib
import numpy as np
import pytest

import bratsprep
import bratstrain
from bratsprep.case import Box
from bratsprep.volumes.grids import Grid
from bratstrain.inference.predictor import predict
from bratstrain.inference.segment import Prepared
from bratstrain.inference.to_source import source_label
from bratstrain.runs.fitted import load_fitted
from tests.bratsprep.volumes.test_grids import geometry
from tests.helpers.fitfiles import SMALL, one_thread  # noqa: F401  a fixture of this module
from tests.helpers.niftis import case_files
from tests.helpers.thick import thickened

SETTINGS = SMALL | {"steps": 4, "validate_steps": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Cases of 2 mm, their slice file at 1 mm, and a run on it."""
    folder = tmp_path_factory.mktemp("made")
    fine = bratsprep.phantoms(folder / "fine", cases=6, shape=(32, 32, 16), layout="brats2020")
    raw = thickened(fine, folder / "raw", 2)
    data = folder / "small.h5"
    bratsprep.build(raw, data, workers=1, crop="32x32", spacing="1x1x1", slices="brain")
    bratstrain.fit(data, folder / "run", **SETTINGS)
    return folder


def image_of(raw, case):
    return nib.load(next((raw / case).glob("*flair*")))


def test_run_knows_the_spacing_that_it_was_fitted_on(made):
    fitted = load_fitted([made / "run"], "cpu")
    assert fitted.preparation.spacing == "1x1x1"
    assert fitted.spacings[0].sizes == ((1, 1, 1),)
    assert fitted.asked.spacing == (1, 1, 1)


@pytest.mark.parametrize("folder", ["raw", "fine"])
def test_predictions_stand_where_the_scans_do(made, tmp_path, folder):
    done = predict(made / "run", made / folder, tmp_path / "out", probabilities=True)
    assert len(done.cases) == 6
    for case in done.cases:
        scan, label = image_of(made / folder, case.case), nib.load(case.path)
        assert label.shape == scan.shape
        np.testing.assert_array_equal(label.affine, scan.affine)
        shares = nib.load(tmp_path / "out" / f"{case.case}_probabilities.nii.gz")
        assert shares.shape == (*scan.shape, 4)
        shares = np.asarray(shares.dataobj)
        np.testing.assert_allclose(shares.sum(axis=3), 1, atol=1e-5)
        values = np.array([0, 1, 2, 4])[shares.argmax(axis=3)]
        clear = np.diff(np.sort(shares, axis=3))[..., -1] > 1e-5
        np.testing.assert_array_equal(np.asarray(label.dataobj)[clear], values[clear])


def test_raw_cases_are_scored_in_their_own_space_by_their_own_label(made, tmp_path):
    report = bratstrain.evaluate(made / "run", raw=made / "raw", split="all")
    done = predict(made / "run", made / "raw", tmp_path / "out")
    files = bratstrain.score_folders(tmp_path / "out", made / "raw", out=tmp_path / "scores")
    assert len(done.cases) == len(report.scores) == 6
    for ours, theirs in zip(report.scores, files.scores, strict=True):
        assert ours.case == theirs.case
        np.testing.assert_array_equal(ours.confusion, theirs.confusion)
        assert ours.confusion.sum() == np.prod(image_of(made / "raw", ours.case).shape)
    assert report.table.planes == "every plane, original space"


def test_scores_of_a_slice_file_say_that_they_are_of_resampled_labels(made):
    report = bratstrain.evaluate(made / "run", data=made / "small.h5", split="all")
    assert "resampled to 1x1x1 mm" in report.table.planes
    assert "original space" not in report.table.planes


def test_page_shows_cases_as_their_files_are(made, tmp_path):
    page = tmp_path / "page.html"
    bratstrain.report(made / "run", out=page, raw=made / "raw")
    assert page.stat().st_size


def test_slice_file_of_another_spacing_is_refused(made, tmp_path):
    data = tmp_path / "other.h5"
    bratsprep.build(made / "fine", data, workers=1, crop="32x32", slices="brain")
    with pytest.raises(bratsprep.BratsError, match="spacing source, not 1x1x1"):
        bratstrain.evaluate(made / "run", data=data, split="all")


def test_runs_of_other_spacings_are_no_ensemble(made, tmp_path):
    data = tmp_path / "other.h5"
    bratsprep.build(made / "fine", data, workers=1, crop="32x32", slices="brain")
    bratstrain.fit(data, tmp_path / "run", **SETTINGS)
    with pytest.raises(bratsprep.BratsError, match="spacing source, not 1x1x1"):
        load_fitted([made / "run", tmp_path / "run"], "cpu")


def test_way_back_undoes_the_way_there():
    """A label of blocks that is told with certainty comes back as it was."""
    source = geometry((6, 7, 8), (2, 2, 2))
    fine = Grid((16, 14, 12), (1, 1, 1))
    label = np.random.default_rng(0).integers(0, 3, (8, 7, 6))
    planes = label.repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    window = Box((0, 0, 0), fine.shape)
    case = Prepared(case_files("a"), source, fine, window, np.arange(16), np.zeros(0), None)
    probability = (planes == np.arange(3)[:, None, None, None]).astype(np.float32)
    np.testing.assert_array_equal(source_label(case, planes, probability), label)
