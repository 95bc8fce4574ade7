"""Blur and high-pass, held against loops."""

import numpy as np

from bratsprep.repeats.high_pass import blurred, high_pass

CELLS = np.random.default_rng(0).normal(size=(2, 5, 4, 6))


def mean_around(cells, z, y, x, radius):
    """Mean of a cube with zeros beyond the border."""
    wide = np.pad(cells, radius)
    side = 2 * radius + 1
    return wide[z : z + side, y : y + side, x : x + side].mean()


def test_blurred_is_the_mean_of_a_cube():
    for place in [(0, 0, 0), (2, 1, 3), (4, 3, 5)]:
        expected = mean_around(CELLS[1], *place, 1)
        np.testing.assert_allclose(blurred(CELLS, 1)[(1, *place)], expected, rtol=1e-5)


def test_high_pass_takes_the_mean_off():
    expected = CELLS[0, 2, 1, 3] - mean_around(CELLS[0], 2, 1, 3, 2)
    np.testing.assert_allclose(high_pass(CELLS, 2)[0, 2, 1, 3], expected, rtol=1e-5)


def test_high_pass_of_a_constant_inside_is_zero():
    inside = np.zeros((5, 5, 5), bool)
    inside[1:4, 2:, :3] = True
    np.testing.assert_allclose(high_pass(np.full((5, 5, 5), 7.0), 1, inside), 0, atol=1e-5)


def test_cells_outside_count_for_nothing():
    inside = np.zeros((5, 4, 6), bool)
    inside[:3] = True
    changed = np.where(inside, CELLS, 99.0)
    np.testing.assert_allclose(
        high_pass(changed, 1, inside), high_pass(CELLS, 1, inside), atol=1e-5
    )
    assert np.all(high_pass(CELLS, 1, inside)[:, 3:] == 0)
