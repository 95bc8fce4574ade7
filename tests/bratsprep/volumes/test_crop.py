"""The crop window holds the brain, stays inside the volume, and is as large as was asked."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratsprep.case import Box
from bratsprep.volumes.crop import brain_box, crop_window, smallest_window
from tests.helpers import oracles


def window(low, high, side, size):
    """Window along y, with the same along x."""
    brain = Box((0, low, low), (1, high, high))
    box = crop_window(brain, (1, side, side), (size, size))
    assert (box.start[1], box.stop[1]) == (box.start[2], box.stop[2])
    return box.start[1], box.stop[1]


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_brain_box_is_the_smallest_of_the_brain(brain):
    assume(brain.any())
    box = brain_box(brain.sum(axis=(1, 2), dtype=np.int32), brain.sum(axis=0, dtype=np.int32))
    assert (box.start, box.stop) == oracles.box(brain)


def test_window_without_a_size_is_the_whole_volume():
    assert crop_window(Box((1, 1, 1), (2, 2, 2)), (3, 4, 5), None) == Box((0, 0, 0), (3, 4, 5))


def test_window_keeps_every_plane():
    box = crop_window(Box((2, 1, 1), (3, 2, 2)), (9, 8, 8), (4, 4))
    assert (box.start[0], box.stop[0]) == (0, 9)


@pytest.mark.parametrize(
    ("low", "high", "side", "size", "expected"),
    [
        (4, 8, 20, 6, (3, 9)),
        (4, 9, 20, 6, (3, 9)),
        (0, 3, 20, 8, (0, 8)),
        (17, 20, 20, 8, (12, 20)),
        (2, 18, 20, 8, (6, 14)),
        (5, 7, 20, 20, (0, 20)),
        (5, 7, 10, 14, (-2, 12)),
    ],
    ids=["centred", "odd", "low border", "high border", "large brain", "whole", "beyond"],
)
def test_window_is_centred_and_inside(low, high, side, size, expected):
    assert window(low, high, side, size) == expected


@given(st.data())
def test_window_holds_the_brain_where_it_can(data):
    side = data.draw(st.integers(1, 30))
    low = data.draw(st.integers(0, side - 1))
    high = data.draw(st.integers(low + 1, side))
    size = data.draw(st.integers(high - low, 40))
    start, stop = window(low, high, side, size)
    assert start <= low
    assert high <= stop
    assert stop - start == size


def test_window_has_its_own_size_along_each_axis():
    box = crop_window(Box((0, 4, 10), (1, 8, 14)), (1, 30, 40), (10, 6))
    assert box == Box((0, 1, 9), (1, 11, 15))


def test_smallest_window_is_rounded_up_for_the_largest_brain():
    boxes = [Box((0, 3, 0), (9, 20, 5)), Box((0, 0, 1), (2, 2, 33))]
    assert smallest_window(boxes, 16) == (32, 32)
    assert smallest_window(boxes, 1) == (17, 32)
