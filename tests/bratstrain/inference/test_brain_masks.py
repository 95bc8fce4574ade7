"""Runs on scans that are not stripped: brain masks in prediction, evaluation and comparison."""

import numpy as np
import pytest

import bratstrain
from bratsprep.errors import BratsError, LayoutError
from bratstrain.data.splits import Split
from tests.helpers import runs
from tests.helpers.brain_masks import PATTERN, cases_of, stripped, unstripped

IDS = ("BraTS20_Training_001", "BraTS20_Training_002")
SPLIT = Split("subject", 0, IDS[:1], IDS[1:], (), leaks=False)
FACTS = {"spacings": runs.sizes((1.0, 1.0, 1.0))}
WINDOW = {"crop": "32x32"}


def write_run(folder, **preparation):
    runs.write(
        folder, preparation=runs.prep(**WINDOW, **preparation), size=(32, 32), split=SPLIT,
        facts=FACTS,
    )  # fmt: skip
    return folder


@pytest.fixture
def masked(tmp_path):
    return write_run(tmp_path / "masked", brain_mask=PATTERN)


@pytest.fixture
def plain(tmp_path):
    return write_run(tmp_path / "plain")


@pytest.fixture
def raw(tmp_path):
    return unstripped(tmp_path / "raw")


@pytest.fixture
def clean(tmp_path):
    return stripped(tmp_path / "clean")


def labels(run, raw, out, **settings):
    return [runs.axial(p.path) for p in bratstrain.predict(run, raw, out, **settings).cases]


def test_prediction_with_masks_is_that_of_the_stripped_scan(tmp_path, masked, plain, raw, clean):
    expected = labels(plain, clean, tmp_path / "a")
    np.testing.assert_array_equal(labels(masked, raw, tmp_path / "b"), expected)
    given = labels(plain, raw, tmp_path / "c", brain_mask=PATTERN)
    np.testing.assert_array_equal(given, expected)
    without = labels(masked, clean, tmp_path / "d", brain_mask="none")
    np.testing.assert_array_equal(without, expected)


def test_run_that_was_fitted_with_masks_refuses_a_case_without_one(tmp_path, masked, raw, clean):
    with pytest.raises(LayoutError, match=r"no file fits .*the run's preparation.*none"):
        bratstrain.predict(masked, clean, tmp_path / "a")
    (cases_of(raw)[1] / f"{IDS[1]}_bet_mask.nii.gz").unlink()
    with pytest.raises(LayoutError, match=f"{IDS[1]}: brain mask is missing.*--brain-mask none"):
        bratstrain.predict(masked, raw, tmp_path / "a")
    with pytest.raises(BratsError, match=f"{IDS[1]}: brain mask is missing.*--brain-mask none"):
        bratstrain.evaluate(masked, raw=raw)


def test_scan_that_is_not_stripped_needs_a_mask(tmp_path, plain, raw):
    with pytest.raises(BratsError, match="--brain-mask PATTERN"):
        bratstrain.predict(plain, raw, tmp_path / "a")


def test_scores_and_pages_with_masks_are_those_of_stripped_scans(
    tmp_path, masked, plain, raw, clean
):
    expected = bratstrain.evaluate(plain, raw=clean, out=tmp_path / "a")
    found = bratstrain.evaluate(masked, raw=raw, out=tmp_path / "b")
    assert repr(found.table) == repr(expected.table)
    assert bratstrain.report(masked, raw=raw, out=tmp_path / "b.html").path.is_file()
    by_option = bratstrain.evaluate(plain, raw=raw, brain_mask=PATTERN)
    assert repr(by_option.table) == repr(expected.table)


def test_comparison_reads_each_run_by_its_own_preparation(tmp_path, masked, raw, clean):
    """A run with masks beside one that takes all that is not 0 for brain."""
    any_brain = write_run(tmp_path / "any", background="any")
    page = tmp_path / "compare.html"
    found = bratstrain.compare([masked, any_brain], raw=raw, out=page)
    assert page.is_file()
    assert found.names == ("masked", "any")


def test_ensemble_of_masked_and_stripped_runs_is_refused(tmp_path, masked, plain, raw):
    with pytest.raises(BratsError, match="brain stripped, not masked"):
        bratstrain.predict([masked, plain], raw, tmp_path / "a")


def test_masks_have_no_effect_on_a_slice_file(masked):
    with pytest.raises(ValueError, match=r"brain_mask .* has no effect on a.h5"):
        bratstrain.evaluate(masked, data="a.h5", brain_mask=PATTERN)
