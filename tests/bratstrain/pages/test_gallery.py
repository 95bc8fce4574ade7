"""What an evaluation leaves for a page: predictions of all cases, images of the likely ones."""

import numpy as np
import pytest

from bratsprep.case import Box
from bratstrain.evaluation.label_pair import Images, LabelPair
from bratstrain.pages.gallery import Gallery, Kept, Volume, class_mean
from bratstrain.pages.sprites import greys
from tests.helpers import scored_runs
from tests.helpers.class_sets import GLIOMA

SHAPE = (4, 6, 5)


def images(seed=0):
    """Two planes of a brain that fills a window in the middle of the volume."""
    voxels = np.random.default_rng(seed).normal(5, 1, (2, 4, 3, 2)).astype(np.float16)
    return Images(voxels, np.array([1, 2]), Box((0, 2, 1), (4, 5, 3)), SHAPE, np.arange(4))


def pair(case, seed=0):
    truth, predicted = (
        np.random.default_rng(seed + i).integers(0, 4, SHAPE).astype(np.uint8) for i in (1, 2)
    )
    return LabelPair(case, truth, predicted, (1.0, 1.0, 2.0), GLIOMA, images=images(seed))


def filled(dice, most_images):
    """Gallery that has seen a case of each of these scores, in this order."""
    gallery = Gallery(most_images)
    for i, value in enumerate(dice):
        gallery.watch(pair(f"C{i}", i), scored_runs.case_scores(f"C{i}", value, 3.0))
    return gallery


@pytest.mark.parametrize("shape", [(3, 4), (4, 2, 3, 5), (1, 1, 1)])
def test_volume_comes_back(shape):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(Volume.of(array).array(), array)


def test_every_prediction_is_kept_and_comes_back():
    gallery = filled(np.linspace(0, 1, 9), 3)
    for i in range(9):
        np.testing.assert_array_equal(
            gallery.predicted[f"C{i}"].array(), pair(f"C{i}", i).predicted
        )


@pytest.mark.parametrize("seed", range(5))
def test_best_and_worst_case_are_always_kept_and_no_more_than_asked_for(seed):
    dice = np.random.default_rng(seed).permutation(np.linspace(0, 1, 21))
    gallery = filled(dice, 4)
    assert len(gallery.kept) == 4
    assert {f"C{dice.argmin()}", f"C{dice.argmax()}"} <= set(gallery.kept)


def test_median_is_kept_where_the_scores_come_in_no_order():
    dice = np.random.default_rng(0).permutation(np.linspace(0, 1, 21))
    assert f"C{np.argsort(dice)[10]}" in filled(dice, 8).kept


def test_few_cases_are_all_kept():
    assert set(filled([0.5, 0.1, 0.9], 8).kept) == {"C0", "C1", "C2"}


def test_gallery_without_room_keeps_predictions_alone():
    gallery = filled([0.5, 0.1], 0)
    assert not gallery.kept
    assert set(gallery.predicted) == {"C0", "C1"}


def test_view_puts_the_images_back_into_their_planes():
    found, one = images(), pair("a")
    view = Kept.of(found, one.truth, one.spacing).view("a", (one.predicted,))
    assert view.greys.shape == (4, *SHAPE)
    np.testing.assert_array_equal(view.greys[1, 1:3, 2:5, 1:3], greys(found.voxels[:, 1]))
    assert np.count_nonzero(view.greys) == found.voxels.size
    np.testing.assert_array_equal(view.truth, one.truth)
    np.testing.assert_array_equal(view.predicted[0], one.predicted)
    assert (view.depth, view.planes.tolist()) == (4, [0, 1, 2, 3])


def test_view_shows_only_the_planes_that_there_are():
    found = images()
    stored = Images(found.voxels, found.z, found.box, found.shape, found.z)
    view = Kept.of(stored, pair("a").truth, (1, 1, 1)).view("a", ())
    assert view.planes.tolist() == [1, 2]
    assert view.truth.shape == (2, *SHAPE[1:])


def test_rank_of_a_case_is_the_mean_of_its_classes():
    assert class_mean(scored_runs.case_scores("a", 0.7, 3.0)) == pytest.approx(0.7)
