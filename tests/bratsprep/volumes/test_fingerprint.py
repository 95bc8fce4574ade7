"""Fingerprints: what they count, and what they do not depend on."""

import numpy as np
import pytest

from bratsprep.case import BRAIN_CELLS, MASK_CELLS
from bratsprep.volumes import fingerprint
from bratsprep.volumes.fingerprint import (
    brain_axis,
    brain_fingerprint,
    mask_axis,
    mask_fingerprint,
    region_shares,
    sampled,
    sampling,
    two_largest,
)
from tests.helpers import oracles
from tests.helpers.class_sets import GLIOMA, ONE, SIX

ONES = np.ones(3)
INSIDE = GLIOMA.masks(labels for _, labels in GLIOMA.nested)
"""(3, 4) uint8: labels of WT, TC and ET."""
cells_of_brain = oracles.both("kernel", fingerprint.brain_cells_)
cells_of_regions = oracles.both("kernel", fingerprint.region_cells_)


def head(shape=(20, 24, 22), seed=0, dtype=np.int16):
    """Four volumes of a ball with something in it, and its mask."""
    generator = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.arange(side) for side in shape), indexing="ij"))
    middle = (np.array(shape) - 1).reshape(3, 1, 1, 1) / 2
    brain = (((places - middle) / (middle * 0.7)) ** 2).sum(axis=0) < 1
    rough = generator.normal(500, 100, (4, *(side // 2 + 1 for side in shape)))
    smooth = rough.repeat(2, 1).repeat(2, 2).repeat(2, 3)[:, : shape[0], : shape[1], : shape[2]]
    return (smooth * brain).astype(dtype), brain.astype(np.uint8)


def made(images, brain):
    """Fingerprint with marginals and moments by NumPy."""
    inside = images[:, brain > 0].astype(np.float64)
    marginals = tuple(brain.sum(axis=axes, dtype=np.int64) for axes in ((1, 2), (0, 2), (0, 1)))
    return brain_fingerprint(
        tuple(images), brain, marginals, inside.mean(axis=1), inside.std(axis=1)
    )


@cells_of_brain
def test_brain_cells_add_up_steps_of_each_modality(kernel):
    images = tuple(np.full((1, 1, 3), value, np.int16) for value in (1, 2, 3, 400))
    sums = np.zeros((5, 1, 1, 2), np.int64)
    one = np.zeros(1, np.int64)
    moments = np.array([[0, 0, 0, 0], [10, 10, -10, 1]], np.float32)
    brain = np.array([[[1, 0, 1]]], np.uint8)
    kernel(images, brain, (one, one, np.array([0, 0, 1])), moments, sums)
    assert sums[:, 0, 0].tolist() == [[1, 1], [10, 10], [20, 20], [-30, -30], [127, 127]]


@cells_of_brain
def test_brain_cells_pass_over_what_lies_outside(kernel):
    images = (np.ones((2, 2, 2), np.int16),) * 4
    sums = np.zeros((5, 1, 1, 1), np.int64)
    cells = np.array([-1, 0])
    moments = np.ones((2, 4), np.float32)
    kernel(images, np.ones((2, 2, 2), np.uint8), (cells, cells, cells), moments, sums)
    assert sums[:2].ravel().tolist() == [1, 0]


@cells_of_brain
def test_brain_cells_keep_the_layers_of_z_apart(kernel):
    images = (np.array([[[1]], [[2]], [[4]]], np.int16),) * 4
    sums = np.zeros((5, 2, 1, 1), np.int64)
    one = np.zeros(1, np.int64)
    moments = np.array([[0] * 4, [1] * 4], np.float32)
    kernel(images, np.ones((3, 1, 1), np.uint8), (np.array([1, 1, 0]), one, one), moments, sums)
    assert sums[:2, :, 0, 0].tolist() == [[1, 2], [4, 3]]


@cells_of_brain
def test_brain_cells_of_no_plane_are_empty(kernel):
    sums = np.zeros((5, 1, 1, 1), np.int64)
    none = np.array([-1])
    images = (np.ones((1, 1, 1), np.int16),) * 4
    moments = np.ones((2, 4), np.float32)
    kernel(images, np.ones((1, 1, 1), np.uint8), (none, none, none), moments, sums)
    assert not sums.any()


@cells_of_regions
def test_region_cells_count_nested_regions(kernel):
    label = np.array([[[0, 1, 2, 3]], [[3, 3, 3, 3]]], np.uint8)
    counts = np.zeros((3, 1, 1, 2), np.int32)
    cells = np.array([0, -1]), np.array([0]), np.array([0, 0, 1, 1])
    kernel(label, cells, INSIDE, counts)
    assert counts[:, 0, 0].tolist() == [[1, 2], [1, 1], [0, 1]]


@cells_of_regions
def test_region_cells_count_regions_of_six_classes(kernel):
    classes = SIX.classes
    inside = classes.masks(labels for _, labels in classes.regions)
    counts = np.zeros((3, 1, 1, 1), np.int32)
    one = np.array([0])
    kernel(
        np.uint8([[[0, 1, 2, 3, 4, 5, 6, 6]]]), (one, one, np.zeros(8, np.int64)), inside, counts
    )
    assert counts.ravel().tolist() == [2, 2, 7]


@pytest.mark.parametrize("m", [1, 2, 5])
def test_brain_fingerprint_has_a_map_for_each_modality(m):
    images, brain = head()
    several = np.concatenate([images, images[:1]])[:m]
    found = made(several, brain)
    assert found.shape == (1 + m, *BRAIN_CELLS)
    np.testing.assert_array_equal(found[: min(m, 4) + 1], made(images, brain)[: min(m, 4) + 1])


def test_two_largest_regions_of_one_class_are_the_same():
    assert two_largest(ONE.classes) == [(1,), (1,)]
    assert two_largest(SIX.classes)[0] == (1, 2, 3, 4, 5, 6)


@cells_of_regions
def test_region_cells_pass_over_columns_outside(kernel):
    counts = np.zeros((3, 1, 1, 1), np.int32)
    one = np.array([0])
    kernel(np.full((1, 1, 2), 3, np.uint8), (one, one, np.array([-1, 0])), INSIDE, counts)
    assert counts.ravel().tolist() == [1, 1, 1]


@cells_of_regions
@pytest.mark.parametrize("shape", [(2, 3, 16), (2, 3, 7), (1, 1, 1)])
def test_region_cells_count_every_voxel_of_any_width(kernel, shape):
    label = np.random.default_rng(1).integers(0, 4, shape, np.uint8) * (np.arange(shape[2]) % 9 < 4)
    cells = tuple(np.zeros(side, np.int64) for side in shape)
    counts = np.zeros((3, 1, 1, 1), np.int32)
    kernel(label.astype(np.uint8), cells, INSIDE, counts)
    expected = [(label > 0).sum(), ((label == 1) | (label == 3)).sum(), (label == 3).sum()]
    assert counts.ravel().tolist() == expected


def test_brain_fingerprint_has_the_shape_of_the_contract():
    found = made(*head())
    assert (found.shape, found.dtype) == ((5, *BRAIN_CELLS), np.int8)


def test_first_map_is_the_share_of_brain():
    found = made(*head())[0]
    assert found[8, 8, 8] == 127
    assert found[0, 0, 0] == 0


def test_cells_are_mean_scores_in_steps_of_a_thirty_second():
    images, brain = head()
    axes = [brain_axis(brain.sum(axis=axes), 16) for axes in ((1, 2), (0, 2), (0, 1))]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    inside = (brain > 0) & (z == 9) & (y == 7) & (x == 8)
    scores = (images[2] - images[2][brain > 0].mean()) / images[2][brain > 0].std()
    assert abs(made(images, brain)[3, 9, 7, 8] - 32 * scores[inside].mean()) <= 1


def test_brain_fingerprint_does_not_see_a_shift():
    images, brain = head()
    moved = np.roll(images, (2, -2, 1), (1, 2, 3)), np.roll(brain, (2, -2, 1), (0, 1, 2))
    np.testing.assert_array_equal(made(*moved), made(images, brain))


def test_brain_fingerprint_does_not_see_a_scale():
    images, brain = head(dtype=np.float64)
    scaled = np.where(brain > 0, images * 4.0, 0)
    np.testing.assert_array_equal(made(scaled, brain), made(images, brain))


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_brain_fingerprint_does_not_depend_on_strides(dtype):
    images, brain = head(dtype=dtype)
    turned = np.ascontiguousarray(images[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(made(turned, brain), made(images, brain))


@pytest.mark.parametrize("shift", [(1, 0, 0), (0, 1, 1), (1, -1, -1)])
def test_shift_of_one_voxel_does_not_change_a_sampled_scan(shift):
    images, brain = head((128, 130, 132))
    moved = np.roll(images, shift, (1, 2, 3)), np.roll(brain, shift, (0, 1, 2))
    np.testing.assert_array_equal(made(*moved), made(images, brain))


def test_samples_are_counted_from_the_centre_of_the_brain():
    # centre 3.5, nearest index 4: every third from 4 is 1, 4 and 7
    used = np.flatnonzero(sampled(np.array([0, 0, 0, 5, 5, 0, 0, 0]), 2, 3) >= 0)
    assert used.tolist() == [4]
    assert sampling((63, 240, 240)) == (1, 3, 1)


def test_brain_axis_is_centred_on_the_brain():
    # centre 2.5, spread sqrt(1/4 + 1/12) = 0.58: the frame reaches from 1.23 to 3.77
    assert brain_axis(np.array([0, 0, 5, 5, 0, 0, 0]), 2).tolist() == [-1, -1, 0, 1, -1, -1, -1]


def test_brain_axis_of_one_plane_has_a_width():
    assert brain_axis(np.array([0, 9, 0]), 4).tolist() == [-1, 2, -1]


@pytest.mark.parametrize(
    ("size", "spacing_mm", "expected"),
    [(4, 1.0, [0, 0, 1, 1]), (4, 2.0, [-1, 0, 1, -1]), (5, 0.5, [0, 0, 1, 1, 1])],
)
def test_mask_axis_counts_from_the_middle(size, spacing_mm, expected):
    assert mask_axis(size, spacing_mm, 2.0, 2).tolist() == expected


def test_mask_fingerprint_is_the_share_of_each_cell_in_two_regions():
    label = np.zeros((20, 20, 20), np.uint8)
    label[10:, 10:, 10:] = 2
    label[10:15, 10:, 10:] = 3
    found = mask_fingerprint(label, ONES, np.ones(20, bool), GLIOMA)
    assert (found.shape, found.dtype) == ((2, *MASK_CELLS), np.uint8)
    assert np.argwhere(found[0]).tolist() == [[8, 10, 9]]
    assert found[:, 8, 10, 9].tolist() == [255, 128]


def test_mask_fingerprint_goes_by_millimetres():
    fine = np.zeros((40, 40, 40), np.uint8)
    fine[20:30, 18:36, 14:26] = 3
    coarse = fine[::2, ::2, ::2]
    every = np.ones(40, bool)
    np.testing.assert_allclose(
        mask_fingerprint(fine, ONES / 2, every, GLIOMA).astype(int),
        mask_fingerprint(coarse, ONES, every[::2], GLIOMA),
        atol=1,
    )


def test_planes_without_tumour_are_not_looked_at():
    label = np.full((2, 2, 2), 3, np.uint8)
    shares = region_shares(label, ONES, np.array([True, False]), INSIDE, (2.0, (2, 2, 2)))
    assert shares[2].sum() * 8 == 4


def test_shares_are_at_most_one():
    label = np.full((3, 3, 3), 3, np.uint8)
    assert region_shares(label, ONES, np.ones(3, bool), INSIDE, (1.0, (4, 4, 4))).max() == 1
