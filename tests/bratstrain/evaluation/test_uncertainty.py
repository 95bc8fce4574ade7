"""Entropy of mean probabilities: SciPy's, over flips, and an average over the predicted tumour."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import bratstrain
from bratstrain.apply_config import ApplyConfig
from bratstrain.evaluation.case_selection import open_cases
from bratstrain.evaluation.image_facts import ImageFacts, odd_images
from bratstrain.evaluation.uncertainty import tumour_uncertainty
from bratstrain.inference.segment import entropy_of, segment
from bratstrain.pages.case_views import ShownRun, views
from bratstrain.pages.gallery import Gallery
from bratstrain.runs.fitted import load_fitted
from tests.helpers import niftis, pageruns, runs


@given(st.integers(2, 32), st.integers(0, 1000))
def test_entropy_is_scipys_as_a_share_of_equal_chances(n_classes, seed):
    chances = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.3), (2, 3, 4))
    probability = torch.from_numpy(np.moveaxis(chances, -1, 1)).float()
    wanted = stats.entropy(chances, axis=-1) / np.log(n_classes) * 255
    np.testing.assert_allclose(entropy_of(probability).numpy(), wanted, atol=0.51)


def test_sure_and_unsure_pixels_are_the_ends():
    probability = torch.zeros(1, 4, 1, 2)
    probability[0, 2, 0, 0] = 1
    probability[0, :, 0, 1] = 0.25
    assert entropy_of(probability).tolist() == [[[0, 255]]]


@pytest.mark.parametrize("tta", ["none", "lr+ap"])
def test_entropy_of_planes_is_that_of_the_probabilities_returned(tmp_path, tta):
    runs.write(tmp_path / "run")
    fitted = load_fitted([tmp_path / "run"])
    image = np.random.default_rng(0).normal(size=(5, 4, *runs.WINDOW)).astype(np.float32)
    entropy = np.empty((5, *runs.WINDOW), np.uint8)
    config = ApplyConfig(tta=tta, batch_size=2)
    _, kept = segment(fitted, image, np.arange(5), config, keep=True, entropy=entropy)
    wanted = stats.entropy(kept, axis=0) / np.log(4) * 255
    np.testing.assert_allclose(entropy, wanted, atol=0.51)


def test_mean_is_over_the_predicted_tumour():
    entropy = np.array([[[255, 51, 0]]], np.uint8)
    assert tumour_uncertainty(entropy, np.array([[[0, 1, 2]]], np.uint8)) == pytest.approx(0.1)
    assert tumour_uncertainty(entropy, np.zeros((1, 1, 3), np.uint8)) is None


def test_evaluation_says_how_sure_the_run_is_of_every_case(tmp_path):
    raw = pageruns.write_cases(tmp_path / "raw")
    run = pageruns.write_run(tmp_path / "run")
    report = bratstrain.evaluate(run, raw=raw)
    assert set(report.uncertainty) == set(pageruns.CASES[:2])
    assert all(0 < value < 1 for value in report.uncertainty.values())
    record = json.loads((report.folder / "evaluation.json").read_text())
    assert record["uncertainty"] == report.uncertainty


def test_label_files_have_no_uncertainty(tmp_path):
    raw = pageruns.write_cases(tmp_path / "raw")
    report = bratstrain.score_folders(raw, raw)
    assert report.uncertainty == {}
    assert report.odd_images == {}


def test_map_of_a_view_is_that_of_the_prediction(tmp_path):
    raw = pageruns.write_cases(tmp_path / "raw")
    run = pageruns.write_run(tmp_path / "run")
    case = pageruns.CASES[1]
    report = bratstrain.evaluate(run, raw=raw, cases=[case])
    with open_cases(None, raw, ApplyConfig()) as where:
        (view,) = views([ShownRun(run, Gallery())], where, "all", ApplyConfig(), [case])
    found = tumour_uncertainty(view.entropy, view.predicted[0])
    assert found == pytest.approx(report.uncertainty[case])


def facts(mean, notes=()):
    return ImageFacts(tuple(notes), np.array([mean]), np.array([1.0]), np.array([True]))


def test_bright_case_is_named_among_the_others():
    cases = {f"c{i}": facts(1.0 + i / 10) for i in range(9)} | {"bright": facts(9000.0)}
    found = odd_images(cases, ("flair",))
    assert list(found) == ["bright"]
    assert "times as bright as in the median case" in " ".join(found["bright"])


def test_notes_of_a_case_stand_without_others():
    assert odd_images({"a": facts(1.0, ["thick"]), "b": facts(1.0)}, ("m",)) == {"a": ("thick",)}
    assert odd_images({}, ("m",)) == {}


def test_odd_image_is_in_the_evaluation(tmp_path):
    raw = pageruns.write_cases(tmp_path / "raw")
    images, label = niftis.phantom(0)
    images[1, :, :4] = 0
    niftis.write_case(raw, pageruns.CASES[0], volumes=(images, label))
    report = bratstrain.evaluate(pageruns.write_run(tmp_path / "run"), raw=raw)
    assert pageruns.CASES[0] in report.odd_images
