import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import open_file
from bratstrain.data.neighbours import (
    Neighbours,
    Samples,
    Stacked,
    check_stored,
    neighbours_of,
    places_around,
)
from tests.helpers import slicefiles

planes = st.lists(st.integers(0, 30), min_size=1, max_size=12, unique=True).map(sorted)


def around(z, context, case=None):
    """Planes that stand for each plane's neighbours, as lists of z."""
    z = np.array(z)
    case = np.zeros_like(z) if case is None else np.array(case)
    return z[places_around(case, z, context)].tolist()


def test_neighbours_of_consecutive_planes_are_the_next_ones():
    assert around([4, 5, 6], 3)[1] == [4, 5, 6]


def test_slice_stands_for_a_neighbour_beyond_the_last_plane():
    assert around([4, 5], 3) == [[4, 4, 5], [4, 5, 5]]


def test_nearest_plane_on_the_same_side_stands_for_a_missing_one():
    assert around([0, 2, 10], 5)[0] == [0, 0, 0, 2, 2]


def test_of_two_planes_as_near_the_inner_one_stands():
    assert around([0, 1, 3], 7)[0][4:] == [1, 1, 3]


def test_plane_out_of_reach_stands_for_none():
    assert around([0, 3], 5) == [[0] * 5, [3] * 5]


def test_neighbours_are_of_the_same_case():
    assert around([5, 5, 6], 3, case=[0, 1, 1]) == [[5, 5, 5], [5, 5, 6], [5, 6, 6]]


@given(planes, st.sampled_from([1, 3, 5, 7]))
def test_places_follow_the_rule_plane_by_plane(z, context):
    reach = context // 2
    for own, found in zip(z, around(z, context), strict=True):
        for offset, plane in zip(range(-reach, reach + 1), found, strict=True):
            side = [p for p in z if 0 < (p - own) * np.sign(offset) <= reach]
            ranked = sorted((abs(p - own - offset), abs(p - own), p) for p in side)
            assert plane == (ranked[0][2] if ranked else own)


@pytest.fixture
def file(tmp_path):
    slicefiles.write(tmp_path / "small.h5")  # A: planes 1, 2, 4; B: 0, 3, 5, 6; of seven each
    with open_file(tmp_path / "small.h5") as opened:
        opened.planes["brain"][:] = 9
        yield opened


def test_planes_with_brain_that_are_not_stored_are_counted(file):
    found = neighbours_of(file, 3)
    # A: 0, 3, 3 and 5 are missing of 0-2, 1-3, 3-5. B: 1 of 1; 2 and 4; 4; and 7 does not exist.
    assert found.is_lost.sum(axis=1).tolist() == [1, 1, 2, 1, 2, 1, 0]
    assert found.lost_share(np.arange(7)) == pytest.approx(8 / 12)


def test_planes_beyond_the_brain_are_not_counted(file):
    file.planes["brain"][file.planes["z"] == 3] = 0
    found = neighbours_of(file, 3)
    assert found.is_lost.sum(axis=1).tolist() == [1, 0, 1, 1, 2, 1, 0]


def test_slices_alone_lack_nothing(file):
    assert neighbours_of(file, 1).lost_share(np.arange(7)) == 0


def test_reading_holds_each_plane_once(file):
    rows = np.array([1, 0, 6, 5])
    reading = neighbours_of(file, 3).reading(rows)
    assert reading.rows.tolist() == [0, 1, 5, 6]
    assert reading.rows[reading.places].tolist() == [[0, 1, 1], [0, 0, 1], [5, 6, 6], [5, 5, 6]]


def test_samples_without_neighbours_are_read_as_they_are():
    reading = Samples(np.arange(3)).reading(np.array([2, 1]))
    assert reading.rows.tolist() == [2, 1]
    assert reading.places is None


def test_samples_with_neighbours_are_read_with_them():
    places = np.array([[0, 0, 1], [0, 1, 1]])
    nothing = np.zeros((2, 3), bool)
    samples = Samples(np.arange(2), Neighbours(places, nothing, nothing))
    assert samples.reading(np.array([1])).rows.tolist() == [0, 1]


def test_too_many_missing_neighbours_are_refused(file):
    with pytest.raises(BratsError, match=r"lacks 30.0% .*--margin 2 .*--missing-neighbours 0.31"):
        check_stored(file, 0.3, 0.2, 2)


def test_as_many_missing_neighbours_as_allowed_are_accepted(file):
    check_stored(file, 0.2, 0.2, 1)


def test_stacked_planes_of_a_case_are_given_from_the_lowest():
    image = np.arange(3.0).reshape(3, 1, 1, 1)
    stacked = Stacked(image, np.array([1, 2, 3]), 3)[0:2]
    assert stacked.shape == (2, 1, 3, 1, 1)
    assert stacked.ravel().tolist() == [0, 0, 1, 0, 1, 2]


def test_single_planes_are_not_stacked():
    image = np.zeros((3, 1, 2, 2))
    assert Stacked(image, np.arange(3), 1)[1:].shape == (2, 1, 2, 2)
