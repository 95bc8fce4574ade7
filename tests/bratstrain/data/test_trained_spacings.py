"""Voxel sizes of training cases: how they are counted, compared and read back."""

import json

import numpy as np
import pytest

from bratsprep.errors import BratsError
from bratstrain.data.trained_spacings import TrainedSpacings, count_spacings, read_spacings

MIXED = np.array([[1, 1, 1], [0.5, 0.5, 5], [1.00001, 1, 1], [2, 2, 2]], np.float32)


def test_most_common_size_comes_first_and_noise_is_rounded():
    found = count_spacings(MIXED)
    assert found.sizes == ((1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (2.0, 2.0, 2.0))
    assert found.cases == (2, 1, 1)


@pytest.mark.parametrize(
    ("spacing", "is_held"),
    [((1, 1, 1), True), ((1.09, 0.91, 1), True), ((0.5, 0.5, 5.4), True), ((1, 1, 5), False),
     ((0.75, 0.75, 1.5), False), ((1.11, 1, 1), False)],
)  # fmt: skip
def test_size_is_held_within_a_tenth_of_one_trained_size(spacing, is_held):
    assert count_spacings(MIXED).holds(spacing) == is_held


def test_median_of_each_axis_is_no_trained_size():
    found = count_spacings(np.array([[1, 1, 1], [1, 1, 1.2], [0.5, 0.5, 5]]))
    assert not found.holds((0.5, 0.5, 1.2))
    assert found.nearest_line((0.5, 0.5, 4)).startswith("0.5 x 0.5 x 5 mm, that of 1 of its 3 ")


def test_sizes_survive_json():
    found = count_spacings(MIXED)
    assert read_spacings(json.loads(json.dumps(found.to_json())), "run.json") == found
    assert read_spacings(None, "run.json") == TrainedSpacings()


@pytest.mark.parametrize(
    "record", [[], "1", [1], [{"mm": [1, 1, 1]}], [{"mm": [1, 1, 1], "cases": 0}]]
)
def test_record_of_something_else_is_refused(record):
    with pytest.raises(BratsError, match=r"run\.json: 'spacings' is"):
        read_spacings(record, "run.json")


def test_runs_share_a_size_exactly_or_record_none():
    first, other = count_spacings(MIXED), count_spacings(MIXED[3:])
    assert first.shares_any(other)
    assert not count_spacings(MIXED[:1]).shares_any(other)
    assert not count_spacings(MIXED[:1]).shares_any(count_spacings(MIXED[:1] * np.float32(1.05)))
    assert TrainedSpacings().shares_any(TrainedSpacings())
    assert not first.shares_any(TrainedSpacings())
