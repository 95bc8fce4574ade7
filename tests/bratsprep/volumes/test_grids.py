"""Grids of voxels, and where the voxels of one lie in another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.case import Box, Geometry
from bratsprep.errors import VolumeError
from bratsprep.orientation import Orientation
from bratsprep.volumes.grids import Grid, source_grid, stored_grid

sides = st.floats(0.3, 6)
spacings = st.tuples(sides, sides, sides)
shapes = st.tuples(*[st.integers(1, 40)] * 3)


def geometry(shape=(8, 9, 10), spacing=(1, 2, 3), codes="RAS"):
    """Of a file whose axes are those of RAS+, up to their order in `codes`."""
    columns = ["RAS".index(code) for code in codes]
    affine = np.eye(4)
    affine[:3, :3] = np.diag(np.array(spacing, float))[:, columns]
    return Geometry(affine, tuple(np.array(shape)[columns].tolist()), Orientation(codes))


def test_grid_of_a_file_is_in_ras_order():
    assert source_grid(geometry()) == Grid((10, 9, 8), (1, 2, 3))
    assert source_grid(geometry(codes="SRA")) == Grid((10, 9, 8), (1, 2, 3))


def test_no_spacing_keeps_the_grid():
    assert stored_grid(geometry(), None, "a") == source_grid(geometry())


@pytest.mark.parametrize("factor", [1, 1 + 9e-4, 1 - 9e-4])
def test_spacing_of_the_source_keeps_the_grid(factor):
    wanted = tuple(factor * side for side in (1, 2, 3))
    assert stored_grid(geometry(), wanted, "a") == source_grid(geometry())


def test_only_sides_that_differ_change():
    assert stored_grid(geometry(), (1.0005, 2, 1.5), "a") == Grid((20, 9, 8), (1, 2, 1.5))


@given(shapes, spacings, spacings)
def test_grids_have_one_middle_and_nearly_one_extent(shape, spacing, wanted):
    source = source_grid(geometry(shape, spacing))
    target = stored_grid(geometry(shape, spacing), wanted, "a")
    for axis in range(3):
        places = source.places(target, axis)
        assert places.mean() == pytest.approx((source.shape[axis] - 1) / 2)
        ours, theirs = (grid.shape[axis] * grid.side(axis) for grid in (source, target))
        assert abs(ours - theirs) <= target.side(axis) * (0.5 + 1e-9) or target.shape[axis] == 1
        back = target.places(source, axis)
        there = np.interp(places, np.arange(len(back)), back, np.nan, np.nan)
        known = ~np.isnan(there)
        np.testing.assert_allclose(there[known], np.arange(target.shape[axis])[known], atol=1e-6)


def test_grid_of_too_many_voxels_is_refused():
    with pytest.raises(VolumeError, match="case 7: would have 2000 x 2500 x 3000 voxels"):
        stored_grid(geometry((100, 125, 150), (1, 1, 1)), (0.05, 0.05, 0.05), "case 7")


def test_box_holds_the_voxels_whose_middles_are_inside():
    coarse, fine = Grid((4, 4, 4), (2, 2, 2)), Grid((8, 8, 8), (1, 1, 1))
    box = coarse.part(Box((1, 0, -3), (3, 4, 2)), fine)
    assert box == Box((2, 0, 0), (6, 8, 4))
    assert fine.part(box, coarse) == Box((1, 0, 0), (3, 4, 2))


@given(shapes, st.data())
def test_box_of_the_same_grid_is_what_lies_inside(shape, data):
    grid = Grid(shape, (1, 1, 3))
    start = tuple(data.draw(st.integers(-3, size - 1)) for size in shape)
    stop = tuple(
        data.draw(st.integers(max(low + 1, 1), size + 4))
        for low, size in zip(start, shape, strict=True)
    )
    volume = np.ones(shape)
    assert grid.part(Box(start, stop), grid).cut(volume).sum() == Box(start, stop).cut(volume).sum()
