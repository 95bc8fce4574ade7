"""Sheets of planes: read back by Pillow, which knows nothing of how they were written."""

from dataclasses import replace

import numpy as np
import pytest

from bratsprep.case import Box
from bratstrain.evaluation.label_pair import Images
from bratstrain.pages.sprites import View, brain_greys, greys, packed, packed_views, sheet, trimmed
from tests.helpers.pagecontent import opened, planes_of


@pytest.fixture
def view():
    generator = np.random.default_rng(0)
    images = np.zeros((4, 5, 6, 7))
    images[:, :, 1:5, 2:6] = generator.normal(0, 1, (4, 5, 4, 4))
    truth, predicted = (generator.integers(0, 4, (5, 6, 7)).astype(np.uint8) for _ in range(2))
    truth[:, 5], predicted[:, 5] = 0, 0
    truth[:, :, 0], predicted[:, :, 0] = 0, 0
    shades = np.stack([greys(image) for image in images])
    return View("a", np.arange(5), 5, shades, truth, (predicted,), (1.0, 1.0, 2.0))


@pytest.mark.parametrize("n_modalities", [1, 2, 5])
@pytest.mark.parametrize("highest", [1, 6, 31])
def test_sheets_hold_any_number_of_modalities_and_classes(n_modalities, highest):
    generator = np.random.default_rng(highest)
    label = generator.integers(0, highest + 1, (3, 6, 7)).astype(np.uint8)
    label[0, 0, 0] = highest
    shades = generator.integers(1, 256, (n_modalities, 3, 6, 7)).astype(np.uint8)
    made = packed(View("a", np.arange(3), 3, shades, label, (label,), (1.0, 1.0, 1.0)))
    assert len(made["images"]) == n_modalities
    assert made["step"] == 255 // highest
    found = planes_of(opened(made["truth"])[1], 3, made["size"], made["columns"])
    np.testing.assert_array_equal(found, made["step"] * label[:, ::-1, ::-1])


@pytest.mark.parametrize(("n_planes", "columns"), [(1, 1), (5, 2), (6, 3), (4, 2)])
def test_sheet_holds_every_plane_in_order(n_planes, columns):
    planes = np.random.default_rng(0).integers(0, 9, (n_planes, 3, 2)).astype(np.uint8)
    made = sheet(planes, columns)
    np.testing.assert_array_equal(planes_of(made, n_planes, (3, 2), columns), planes)


def test_labels_come_back_exactly_front_up_and_right_side_left(view):
    made = packed(view)
    rows, columns = trimmed(view)
    for uri, label in ((made["truth"], view.truth), (made["predicted"][0], view.predicted[0])):
        head, picture = opened(uri)
        assert head == "data:image/png;base64"
        found = planes_of(picture, 5, made["size"], made["columns"]) // made["step"]
        np.testing.assert_array_equal(found, label[:, rows, columns][:, ::-1, ::-1])


def test_modalities_are_webp_pictures_of_the_same_layout(view):
    made = packed(view)
    head, picture = opened(made["images"][2])
    assert head == "data:image/webp;base64"
    assert picture.shape[:2] == opened(made["truth"])[1].shape


def test_greys_of_a_smooth_image_survive_the_packing():
    y, x = np.mgrid[:40, :48]
    image = np.broadcast_to(1.0 + y + x, (4, 1, 40, 48)).copy()
    label = np.zeros((1, 40, 48), np.uint8)
    shades = np.stack([greys(modality) for modality in image])
    made = packed(View("a", np.arange(1), 1, shades, label, (label,), (1.0, 1.0, 1.0)))
    found = opened(made["images"][0])[1][..., 0].astype(int)
    wanted = greys(image[0])[0, ::-1, ::-1].astype(int)
    assert np.abs(found - wanted).mean() < 4


def test_areas_are_voxels_of_tumour_by_plane(view):
    made = packed(view)
    assert made["areas"][0] == [int((plane > 0).sum()) for plane in view.truth]


def test_nothing_that_is_used_is_trimmed(view):
    assert trimmed(view) == (slice(0, 5), slice(1, 7))


def test_empty_case_is_not_trimmed():
    label = np.zeros((2, 3, 4), np.uint8)
    empty = View(
        "a", np.arange(2), 2, np.zeros((4, 2, 3, 4), np.uint8), label, (label,), (1.0, 1.0, 1.0)
    )
    assert trimmed(empty) == (slice(0, 3), slice(0, 4))
    assert opened(packed(empty)["images"][0])[1].max() <= 1


def test_greys_keep_black_for_what_is_outside_the_brain():
    image = np.array([[[0.0, -5, 5, 0.1]]])
    found = greys(image)
    assert found[0, 0, 0] == 0
    assert found[0, 0, 1] == 1
    assert found[0, 0, 2] == 255
    assert 1 < found[0, 0, 3] < 255


def test_greys_of_a_constant_brain_are_one():
    assert set(greys(np.array([[[0.0, 2.0, 2.0]]])).ravel()) == {0, 1}


def test_greys_of_images_are_those_of_each_modality():
    voxels = np.random.default_rng(0).normal(0, 1, (3, 4, 5, 6)).astype(np.float16)
    images = Images(voxels, np.arange(3), Box((0, 0, 0), (3, 5, 6)), (3, 5, 6), np.arange(3))
    wanted = np.stack([greys(voxels[:, m]) for m in range(4)])
    np.testing.assert_array_equal(brain_greys(images), wanted)


def test_views_are_packed_in_their_order(view):
    views = [replace(view, case=name) for name in "abc"]
    assert packed_views(views) == [packed(each) for each in views]
