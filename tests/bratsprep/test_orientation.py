"""Axes of files are brought into RAS+ order and back, for every orientation there is."""

import itertools

import numpy as np
import pytest

from bratsprep.orientation import RAS, Orientation, as_it_lies
from tests.helpers.oracles import resampled

EVERY = [
    "".join(pair[end] for pair, end in zip(axes, ends, strict=True))
    for axes in itertools.permutations(RAS)
    for ends in itertools.product((0, 1), repeat=3)
]
every_orientation = pytest.mark.parametrize("codes", EVERY)


@every_orientation
def test_axial_order_and_turn_give_the_volume_in_ras(codes):
    volume = np.arange(60).reshape(3, 4, 5)
    file, _ = resampled(volume, np.eye(4), codes)
    orientation = Orientation(codes)
    axial = orientation.as_axial(file.transpose(2, 1, 0))
    assert axial.flags.c_contiguous
    np.testing.assert_array_equal(axial[orientation.turn], volume.transpose(2, 1, 0))


@every_orientation
def test_file_order_undoes_the_way_in(codes):
    volume = np.arange(60).reshape(3, 4, 5)
    orientation = Orientation(codes)
    ras = orientation.as_axial(volume.transpose(2, 1, 0))[orientation.turn]
    np.testing.assert_array_equal(orientation.to_file_order(ras), volume)


@every_orientation
def test_sides_are_those_of_the_volume_in_ras(codes):
    file, _ = resampled(np.zeros((3, 4, 5)), np.eye(4), codes)
    assert Orientation(codes).sides(file.shape) == (5, 4, 3)


def test_orientation_names_its_axes():
    orientation = Orientation("SAL")
    assert orientation.axes == (2, 1, 0)
    assert orientation.depth_axis == 0
    assert orientation.flips == (False, False, True)
    assert orientation.is_permuted
    assert not Orientation("LPI").is_permuted


@pytest.mark.parametrize("turn", [np.s_[::-1, :, :], np.s_[:, ::-1, ::-1], np.s_[:, :, :]])
def test_a_view_is_turned_as_it_lies(turn):
    volume = np.arange(60).reshape(3, 4, 5)
    view = volume[turn]
    np.testing.assert_array_equal(view[as_it_lies(view)], volume)
