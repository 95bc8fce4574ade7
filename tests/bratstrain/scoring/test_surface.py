import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from surface_distance import lookup_tables
from surface_distance import metrics as published

from bratstrain.scoring.surface import (
    neighbour_codes,
    surface_areas,
    surface_distances,
    union_box,
    unit_triangles,
)

UNIT = (1.0, 1.0, 1.0)
SPACINGS = [UNIT, (0.9375, 0.9375, 3.0), (0.5, 2.0, 0.7), (3.0, 0.4, 1.1)]
masks = hnp.arrays(np.bool_, (4, 5, 6))
sizes = st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 3.0])] * 3)
compiled_and_plain = pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])


def kernel(function, plain):
    return function.py_func if plain else function


def cubes(*boxes, size=60):
    mask = np.zeros((size, size, size), bool)
    for start, stop in boxes:
        mask[start:stop, start:stop, start:stop] = True
    return mask


A = cubes((10, 20))


def published_distances(truth, predicted, spacing):
    """The surface-distance package, which takes the spacing in the order of the axes."""
    return published.compute_surface_distances(truth, predicted, spacing[::-1])


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_equal_the_published_table(spacing):
    expected = lookup_tables.create_table_neighbour_code_to_surface_area(spacing[::-1])
    np.testing.assert_allclose(surface_areas(spacing), expected, rtol=1e-12)


def test_area_of_one_voxel_is_that_of_an_octahedron():
    codes = neighbour_codes(np.ones((1, 1, 1), bool))
    assert surface_areas(UNIT)[codes].sum() == pytest.approx(math.sqrt(3))


def test_areas_are_the_same_for_inside_and_outside():
    areas = surface_areas((0.5, 2.0, 0.7))
    np.testing.assert_allclose(areas, areas[::-1], rtol=1e-12)


def test_areas_of_a_flat_surface_are_the_voxel_faces():
    areas = surface_areas((2.0, 3.0, 5.0))
    np.testing.assert_allclose(areas[[0b00001111, 0b00110011, 0b01010101]], [6, 10, 15])


def test_triangles_are_at_most_four_a_code():
    codes, _ = unit_triangles()
    assert np.bincount(codes).max() == 4


@compiled_and_plain
def test_codes_of_one_voxel_are_the_eight_bits(plain):
    codes = kernel(neighbour_codes, plain)(np.ones((1, 1, 1), bool))
    np.testing.assert_array_equal(codes.ravel(), [1, 2, 4, 8, 16, 32, 64, 128])


@compiled_and_plain
def test_codes_inside_are_full(plain):
    codes = kernel(neighbour_codes, plain)(np.ones((3, 3, 3), np.uint8))
    np.testing.assert_array_equal(codes[1:3, 1:3, 1:3], 255)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside the package
@given(truth=masks, predicted=masks, spacing=sizes)
def test_distances_equal_the_published_package(truth, predicted, spacing):
    truth[1, 2, 3] = predicted[2, 2, 2] = True
    expected = published_distances(truth, predicted, spacing)
    got = surface_distances(truth, predicted, spacing)
    np.testing.assert_allclose(got.truth_mm, expected["distances_gt_to_pred"])
    np.testing.assert_allclose(got.predicted_mm, expected["distances_pred_to_gt"])
    assert got.hausdorff() == pytest.approx(published.compute_robust_hausdorff(expected, 95))
    assert got.surface_dice(1) == pytest.approx(
        published.compute_surface_dice_at_tolerance(expected, 1)
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_of_smooth_blobs_equal_the_published_package(spacing):
    noise = np.random.default_rng(5).normal(size=(2, 20, 22, 24))
    truth, predicted = ndimage.gaussian_filter(noise, (0, 2, 2, 2)) > 0.03
    expected = published_distances(truth, predicted, spacing)
    got = surface_distances(truth, predicted, spacing)
    assert got.truth_area.sum() == pytest.approx(expected["surfel_areas_gt"].sum())
    assert got.hausdorff(50) == pytest.approx(published.compute_robust_hausdorff(expected, 50))


@pytest.mark.parametrize(
    ("truth", "predicted", "hd95_mm"),
    [
        (A, A, 0),
        (A, np.roll(A, 2, axis=2), 2),
        (A | cubes((40, 50)), A, 48.5592),
        (A | cubes((40, 43)), A, 36.4005),
        (A, A | cubes((40, 44)), 38.7427),
        (A, A | cubes((40, 41)), 0),
    ],
    ids=["same", "shifted", "missed", "small", "false", "voxel"],
)
def test_hd95_reproduces_the_official_values(truth, predicted, hd95_mm):
    assert surface_distances(truth, predicted, UNIT).hausdorff() == pytest.approx(hd95_mm, abs=5e-5)


@pytest.mark.parametrize(
    ("predicted", "tolerance_mm", "expected"),
    [
        (A | cubes((40, 44)), 1, 0.9329),
        (np.roll(A, 2, axis=2), 1, 0.7229),
        (np.roll(A, 2, axis=2), 2, 1),
    ],
)
def test_surface_dice_reproduces_the_official_values(predicted, tolerance_mm, expected):
    got = surface_distances(A, predicted, UNIT).surface_dice(tolerance_mm)
    assert got == pytest.approx(expected, abs=5e-5)


@given(truth=masks, predicted=masks, spacing=sizes)
def test_distances_are_symmetric(truth, predicted, spacing):
    one = surface_distances(truth, predicted, spacing)
    other = surface_distances(predicted, truth, spacing)
    assert one.hausdorff() == other.hausdorff()
    np.testing.assert_array_equal(one.truth_mm, other.predicted_mm)


@given(truth=masks, predicted=masks, spacing=sizes)
def test_surface_dice_is_a_share_that_grows_with_the_tolerance(truth, predicted, spacing):
    truth[0, 0, 0] = True
    distances = surface_distances(truth, predicted, spacing)
    shares = [distances.surface_dice(tolerance) for tolerance in (0, 1, 2, 5)]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


@pytest.mark.parametrize("axis", [0, 1, 2])
@given(truth=masks, predicted=masks, spacing=sizes)
def test_distances_survive_a_flip(axis, truth, predicted, spacing):
    one = surface_distances(truth, predicted, spacing)
    other = surface_distances(np.flip(truth, axis), np.flip(predicted, axis), spacing)
    np.testing.assert_allclose(one.truth_mm, other.truth_mm)
    assert one.truth_area.sum() == pytest.approx(other.truth_area.sum())


@given(truth=masks, predicted=masks, spacing=sizes)
def test_distances_survive_swapped_axes(truth, predicted, spacing):
    one = surface_distances(truth, predicted, spacing)
    other = surface_distances(truth.T, predicted.T, spacing[::-1])
    np.testing.assert_allclose(one.predicted_mm, other.predicted_mm)
    assert one.predicted_area.sum() == pytest.approx(other.predicted_area.sum())


@given(truth=masks, predicted=masks, spacing=sizes)
def test_distances_scale_with_the_spacing(truth, predicted, spacing):
    one = surface_distances(truth, predicted, spacing)
    other = surface_distances(truth, predicted, tuple(2 * size for size in spacing))
    np.testing.assert_allclose(other.truth_mm, 2 * one.truth_mm)
    np.testing.assert_allclose(other.truth_area.sum(), 4 * one.truth_area.sum())


def test_distance_of_two_voxels_runs_along_the_spacing():
    truth, predicted = np.zeros((3, 3, 3), bool), np.zeros((3, 3, 3), bool)
    truth[0, 1, 1] = predicted[2, 1, 1] = True
    distances = surface_distances(truth, predicted, (1.0, 1.0, 2.5))
    np.testing.assert_array_equal(distances.truth_mm, [2.5] * 4 + [5.0] * 4)


def test_a_mask_at_the_border_is_closed():
    whole = np.ones((2, 2, 2), bool)
    inner = np.pad(whole, 3)
    at_border = surface_distances(whole, whole, UNIT)
    assert at_border.truth_area.sum() == surface_distances(inner, inner, UNIT).truth_area.sum()


def test_distance_to_an_empty_mask_is_infinite():
    distances = surface_distances(A, np.zeros_like(A), UNIT)
    assert np.isinf(distances.truth_mm).all()
    assert distances.hausdorff() == math.inf
    assert distances.surface_dice(1) == 0


def test_distances_of_two_empty_masks_are_none():
    distances = surface_distances(np.zeros((3, 3, 3)), np.zeros((3, 3, 3)), UNIT)
    assert distances.truth_mm.size == distances.predicted_mm.size == 0
    assert math.isnan(distances.surface_dice(1))


def test_box_is_cut_at_the_border():
    mask = np.zeros((5, 6, 7), bool)
    mask[0, 2, 6] = True
    assert union_box(mask, np.zeros_like(mask), 1) == (slice(0, 2), slice(1, 4), slice(5, 7))


@pytest.mark.parametrize(
    ("shape", "other", "spacing", "message"),
    [
        ((2, 2), (2, 2), UNIT, r"truth is \(2, 2\) and predicted \(2, 2\)"),
        ((2, 2, 2), (2, 2, 3), UNIT, r"predicted \(2, 2, 3\)"),
        ((2, 2, 2), (2, 2, 2), (1, 1), "three sizes above 0 mm"),
        ((2, 2, 2), (2, 2, 2), (1, 0, 1), r"spacing is \(1, 0, 1\)"),
    ],
    ids=["plane", "shape", "two sizes", "zero"],
)
def test_distances_refuse(shape, other, spacing, message):
    with pytest.raises(ValueError, match=message):
        surface_distances(np.zeros(shape), np.zeros(other), spacing)
