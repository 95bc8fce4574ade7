"""Boxes cut and paste, and spacing follows the body, not the file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.case import Box, Geometry
from bratsprep.orientation import Orientation

sides = st.tuples(*[st.integers(1, 5)] * 3)
boxes = st.tuples(*[st.tuples(st.integers(-4, 7), st.integers(0, 6))] * 3).map(
    lambda spans: Box(tuple(a for a, _ in spans), tuple(a + n for a, n in spans))
)


def numbered(shape):
    """A volume whose voxels all differ and are not 0."""
    return np.arange(1, np.prod(shape) + 1).reshape(shape)


@given(boxes)
def test_box_shape_is_stop_minus_start(box):
    assert box.shape == tuple(np.subtract(box.stop, box.start))


@given(boxes, sides)
def test_cut_reads_the_voxels_of_the_box_and_zeros_beyond(box, shape):
    volume = numbered(shape)
    padded = np.pad(volume, 16)
    z, y, x = (slice(16 + a, 16 + b) for a, b in zip(box.start, box.stop, strict=True))
    np.testing.assert_array_equal(box.cut(volume), padded[z, y, x])


@given(boxes, sides)
def test_paste_undoes_cut_inside_the_box(box, shape):
    volume = numbered(shape)
    pasted = box.paste(box.cut(volume), shape)
    inside = np.zeros(shape, bool)
    z, y, x = (slice(max(a, 0), max(b, 0)) for a, b in zip(box.start, box.stop, strict=True))
    inside[z, y, x] = True
    np.testing.assert_array_equal(pasted, np.where(inside, volume, 0))


def test_cut_keeps_leading_axes_and_type():
    volume = np.stack([numbered((2, 3, 4)), -numbered((2, 3, 4))]).astype(np.int16)
    part = Box((1, 0, 2), (2, 2, 4)).cut(volume)
    np.testing.assert_array_equal(part, volume[:, 1:2, 0:2, 2:4])
    assert part.dtype == np.int16


def test_cut_is_a_copy():
    volume = numbered((2, 2, 2))
    Box((0, 0, 0), (2, 2, 2)).cut(volume)[...] = 0
    assert volume.min() == 1


@pytest.mark.parametrize(
    ("codes", "columns", "spacing"),
    [
        ("RAS", [(2, 0, 0), (0, 3, 0), (0, 0, 5)], [2, 3, 5]),
        ("LPS", [(-2, 0, 0), (0, -3, 0), (0, 0, 5)], [2, 3, 5]),
        ("PIR", [(0, -3, 0), (0, 0, -5), (2, 0, 0)], [2, 3, 5]),
        ("RAS", [(4, 3, 0), (-3, 4, 0), (0, 0, 1)], [5, 5, 1]),
    ],
    ids=["RAS", "LPS", "PIR", "oblique"],
)
def test_spacing_is_along_right_front_top(codes, columns, spacing):
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(columns)
    np.testing.assert_array_equal(Geometry(affine, (1, 1, 1), Orientation(codes)).spacing, spacing)
