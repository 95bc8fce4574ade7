import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from bratstrain.scoring.distances import (
    FAR,
    fill_columns_,
    fill_row_,
    least_along_z,
    least_nearby,
    lower_envelope_,
    outward,
    search_further_,
    squared_distances,
    steps_along_y,
)

masks = hnp.arrays(np.bool_, (4, 5, 6))
sizes = st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 3.0])] * 3)
compiled_and_plain = pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])


def kernel(function, plain):
    return function.py_func if plain else function


@compiled_and_plain
@given(surface=masks, wanted=masks, spacing=sizes)
def test_squared_distances_equal_scipy(plain, surface, wanted, spacing):
    surface[0, 0, 0] = True
    expected = ndimage.distance_transform_edt(~surface, sampling=spacing) ** 2
    got = kernel(squared_distances, plain)(surface, wanted, np.array(spacing))
    np.testing.assert_allclose(got, expected[wanted], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_squared_distances_of_sparse_elements_equal_scipy(seed):
    generator = np.random.default_rng(seed)
    surface, wanted = generator.random((2, 31, 33, 35)) < 0.0005
    surface[3, 4, 5] = True
    expected = ndimage.distance_transform_edt(~surface, sampling=(3.0, 0.9, 1.1)) ** 2
    got = squared_distances(surface, wanted, np.array([3.0, 0.9, 1.1]))
    np.testing.assert_allclose(got, expected[wanted], rtol=1e-12)


@compiled_and_plain
def test_squared_distances_to_nothing_are_infinite(plain):
    empty, everywhere = np.zeros((2, 3, 4), bool), np.ones((2, 3, 4), bool)
    got = kernel(squared_distances, plain)(empty, everywhere, np.ones(3))
    assert got.shape == (24,)
    assert np.isinf(got).all()


@compiled_and_plain
def test_squared_distances_are_of_the_wanted_alone(plain):
    surface, wanted = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
    surface[0, 0, 0] = wanted[3, 2, 1] = True
    got = kernel(squared_distances, plain)(surface, wanted, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(got, [9 + 16 + 9])


@compiled_and_plain
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 2.0, 1.5)])
def test_distances_beyond_the_neighbourhood_equal_scipy(plain, spacing):
    surface, wanted = np.zeros((2, 19, 5, 21), bool)
    surface[0, 0, 0] = surface[18, 4, 20] = True
    wanted[::3, ::2, ::4] = True
    expected = ndimage.distance_transform_edt(~surface, sampling=spacing) ** 2
    got = kernel(squared_distances, plain)(surface, wanted, np.array(spacing))
    np.testing.assert_allclose(got, expected[wanted], rtol=1e-12)


@compiled_and_plain
def test_distances_of_many_far_elements_equal_scipy(plain):
    surface, wanted = np.zeros((2, 4, 9, 40), bool)
    surface[1, 2, 0] = True
    wanted[:, :, 12:] = True
    expected = ndimage.distance_transform_edt(~surface, sampling=(3.0, 0.9, 1.1)) ** 2
    got = kernel(squared_distances, plain)(surface, wanted, np.array([3.0, 0.9, 1.1]))
    np.testing.assert_allclose(got, expected[wanted], rtol=1e-12)


@compiled_and_plain
@pytest.mark.parametrize("n_far", [1, 40], ids=["few", "many"])
def test_only_what_lies_beyond_the_reach_is_searched_for(plain, n_far):
    surface, wanted = np.zeros((2, 3, 2, 5), bool)
    surface[0, 0, 0] = True
    wanted[2, 1, 3:] = True
    found = np.array([7.0, np.inf])
    kernel(search_further_, plain)(
        found, 9.0, n_far, steps_along_y(surface), wanted, np.array([3.0, 2.0, 1.0])
    )
    np.testing.assert_array_equal(found, [7, 36 + 4 + 16])


@compiled_and_plain
def test_columns_without_a_wanted_element_are_left_out(plain):
    steps, square = np.full((3, 1, 2), FAR, np.int32), np.empty((3, 1, 2))
    steps[0] = 1
    wanted = np.zeros((3, 1, 2), bool)
    wanted[2, 0, 0] = True
    kernel(fill_columns_, plain)(steps, square, wanted, np.array([3.0, 2.0, 1.0]))
    np.testing.assert_array_equal(square[:, 0], [[4, 4], [13, np.inf], [40, np.inf]])


@compiled_and_plain
def test_search_nearby_looks_no_further_than_it_says(plain):
    steps = np.full((1, 1, 20), FAR, np.int32)
    steps[0, 0, 0] = 2
    search = kernel(least_nearby, plain)
    assert search(steps, np.ones(3), (0, 0, 6)) == 40
    assert search(steps, np.ones(3), (0, 0, 7)) == np.inf


@compiled_and_plain
def test_outward_goes_by_the_distance(plain):
    place = kernel(outward, plain)
    assert [place(3, turn) for turn in range(6)] == [3, 2, 4, 1, 5, 0]


@compiled_and_plain
def test_search_fills_no_row_beyond_the_nearest(plain):
    steps = np.full((5, 1, 1), FAR, np.int32)
    steps[2] = 0
    is_filled = np.zeros((5, 1), bool)
    least = kernel(least_along_z, plain)(
        steps, np.empty((5, 1, 1)), is_filled, np.ones(3), (2, 0, 0)
    )
    assert least == 0
    np.testing.assert_array_equal(is_filled[:, 0], [False, False, True, False, False])


@compiled_and_plain
def test_row_is_in_mm(plain):
    square = np.empty(3)
    kernel(fill_row_, plain)(np.array([FAR, 2, FAR], np.int32), square, np.array([9.0, 3.0, 0.5]))
    np.testing.assert_array_equal(square, [36.25, 36, 36.25])


@compiled_and_plain
def test_steps_run_both_ways_along_y(plain):
    surface = np.zeros((1, 5, 2), bool)
    surface[0, 2, 0] = True
    steps = kernel(steps_along_y, plain)(surface)
    np.testing.assert_array_equal(steps[0, :, 0], [2, 1, 0, 1, 2])
    assert (steps[0, :, 1] >= FAR).all()


@compiled_and_plain
@given(line=hnp.arrays(np.float64, 9, elements=st.sampled_from([0.0, 1.0, 7.0, 30.0, np.inf])))
def test_envelope_is_the_least_parabola(plain, line):
    expected = [min(line[j] + 2.25 * (i - j) ** 2 for j in range(9)) for i in range(9)]
    kernel(lower_envelope_, plain)(line, 2.25)
    np.testing.assert_allclose(line, expected)
