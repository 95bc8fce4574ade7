"""Matches by the fingerprints of images: as they lie, mirrored, turned and scaled."""

import math

import numpy as np
import pytest
from scipy import ndimage

from bratsprep.phantom.phantoms import phantom_case
from bratsprep.repeats.image_match import LEAST_VOXELS, comparable, match_images
from bratsprep.repeats.poses import COUNT, posed
from bratsprep.repeats.search import CERTAIN, LIKELY
from bratsprep.volumes.fingerprint import brain_fingerprint

SHAPE = (64, 64, 48)
PEOPLE = 5


def fingerprint(images):
    """Fingerprint of (4, z, y, x) images."""
    brain = (images != 0).any(axis=0)
    marginals = tuple(brain.sum(axis=axes, dtype=np.int64) for axes in ((1, 2), (0, 2), (0, 1)))
    inside = images[:, brain].astype(np.float64)
    volumes = tuple(np.ascontiguousarray(image) for image in images)
    return brain_fingerprint(
        volumes, brain.astype(np.uint8), marginals, inside.mean(axis=1), inside.std(axis=1)
    )


@pytest.fixture(scope="module")
def people():
    """Images (4, z, y, x) of some phantoms."""
    return [phantom_case(SHAPE, 0, i).images.astype(np.float32) for i in range(PEOPLE)]


@pytest.fixture(scope="module")
def prints(people):
    return np.stack([fingerprint(images) for images in people])


def turned(images, axes, degrees):
    """Images turned about the middle of the volume."""
    angle = math.radians(degrees)
    matrix = np.eye(3)
    i, j = axes
    matrix[i, i] = matrix[j, j] = math.cos(angle)
    matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
    centre = (np.array(images.shape[1:]) - 1) / 2
    offset = centre - matrix @ centre
    brain = ndimage.affine_transform((images != 0).any(axis=0) * 1.0, matrix, offset, order=1) > 0.5
    moved = [ndimage.affine_transform(image, matrix, offset, order=1) for image in images]
    return np.stack(moved) * brain


def only(prints, images):
    (match, *rest) = match_images(prints, fingerprint(images)[None])
    assert all(other.score < LIKELY["images"] for other in rest)
    return match


@pytest.mark.parametrize("axes", [(1, 2), (0, 1), (0, 2)])
@pytest.mark.parametrize("degrees", [5, 8, 10])
def test_turned_head_is_known_again(people, prints, axes, degrees):
    match = only(prints, turned(people[2], axes, degrees).astype(np.float32))
    assert match.first == 2
    assert match.score > LIKELY["images"]


def test_poses_are_what_tells_a_turned_head(people, prints):
    images = turned(people[2], (1, 2), 10).astype(np.float32)
    found = match_images(prints, fingerprint(images)[None], n_posed=0)
    assert all(match.score < CERTAIN["images"] for match in found)
    assert only(prints, images).score > CERTAIN["images"]


def test_eroded_brain_is_known_again(people, prints):
    brain = ndimage.binary_erosion((people[1] != 0).any(axis=0), iterations=2)
    match = only(prints, people[1] * brain)
    assert (match.first, match.score > LIKELY["images"]) == (1, True)


def test_cut_brain_stem_does_not_hide_a_person(people, prints):
    images = people[3].copy()
    lowest = np.flatnonzero((images != 0).any(axis=(0, 2, 3)))[0]
    images[:, : lowest + 4] = 0
    match = only(prints, images)
    assert (match.first, match.score > CERTAIN["images"]) == (3, True)


def test_identical_cases_have_a_score_of_exactly_one(prints):
    matches = match_images(prints, prints[:1])
    assert matches[0].score == 1.0
    assert max(matches[0].maps) == 1.0


def test_different_people_stay_below_likely(prints):
    assert all(match.score < LIKELY["images"] for match in match_images(prints, least=0.0))


def test_result_does_not_depend_on_the_workers(prints):
    assert match_images(prints, least=0.0) == match_images(prints, least=0.0, workers=3)


def test_brains_with_few_voxels_are_not_comparable():
    assert comparable([LEAST_VOXELS, LEAST_VOXELS - 1, 0, LEAST_VOXELS * 2]).tolist() == [0, 3]


def test_poses_of_a_ball_are_that_ball():
    z, y, x = np.ogrid[:16, :16, :16]
    ball = (z - 7.5) ** 2 + (y - 7.5) ** 2 + (x - 7.5) ** 2 < 9
    cells = np.zeros((5, 16, 16, 16), np.int8)
    cells[0], cells[1:] = 127, np.where(ball, 100, 0)
    made = posed(cells)
    assert made.shape == (COUNT, 5, 16, 16, 16)
    np.testing.assert_allclose(made[:, 1, 7:9, 7:9, 7:9], 100)
    assert made[:, 1, 0].max() == 0
