"""Resampling axis by axis equals SciPy's interpolation of the whole volume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from bratsprep.errors import NiftiError
from bratsprep.system.memory import Buffers
from bratsprep.volumes.grids import Grid
from bratsprep.volumes.resample import CUBIC, LINEAR, Move, resample, thick_axis, weigh_
from bratsprep.volumes.resample_label import resample_label, resample_mask, tumour_box
from tests.helpers.oracles import both

GRIDS = {
    "finer": (Grid((5, 8, 7), (2, 2, 2)), Grid((10, 16, 14), (1, 1, 1))),
    "coarser": (Grid((13, 9, 12), (1, 1, 1)), Grid((7, 5, 6), (2, 2, 2))),
    "one side": (Grid((5, 8, 7), (1, 1, 3)), Grid((15, 8, 7), (1, 1, 1))),
    "all sides": (Grid((9, 12, 11), (1.5, 0.7, 2)), Grid((13, 4, 8), (2, 2, 1.4))),
    "tiny": (Grid((1, 2, 3), (2, 2, 2)), Grid((2, 4, 6), (1, 1, 1))),
}
every_pair = pytest.mark.parametrize(("source", "target"), GRIDS.values(), ids=GRIDS)


def moved(volume, source, target, order=CUBIC):
    move = Move.between(source, target, order)
    return resample(move, lambda out: np.copyto(out, volume), Buffers(), "a").copy()


def interpolated(volume, source, target, order):
    """SciPy's spline of the whole volume at the places of the target, those inside the source."""
    places = [np.clip(source.places(target, axis), 0, source.shape[axis] - 1) for axis in range(3)]
    return ndimage.map_coordinates(
        volume, np.meshgrid(*places, indexing="ij"), order=order, mode="mirror"
    )


def numbers(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@every_pair
@pytest.mark.parametrize("order", [CUBIC, LINEAR])
def test_volume_is_that_of_scipy(source, target, order):
    volume = numbers(source.shape)
    expected = interpolated(volume, source, target, order)
    np.testing.assert_allclose(moved(volume, source, target, order), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Grid((4, 9, 8), (1, 1, 5)), Grid((20, 12, 6), (0.75, 0.75, 1))),
        (Grid((20, 12, 6), (0.75, 0.75, 1)), Grid((4, 9, 8), (1, 1, 5))),
    ],
    ids=["thick source", "thick target"],
)
def test_a_thick_side_takes_the_nearest_plane(source, target):
    volume = numbers(source.shape)
    places = np.clip(source.places(target, 0), 0, source.shape[0] - 1)
    nearest = volume[np.floor(places + 0.5 + 1e-9).astype(int)]
    here = Grid((target.shape[0], *source.shape[1:]), (*source.spacing[:2], target.spacing[2]))
    expected = interpolated(nearest, here, target, CUBIC)
    np.testing.assert_allclose(moved(volume, source, target), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("spacings", "axis"),
    [
        (((1, 1, 3), (1, 1, 1)), None),
        (((1, 1, 3.1), (1, 1, 1)), 0),
        (((4, 1, 1), (1, 1, 1)), 2),
        (((1, 1, 1), (1, 4, 1)), 1),
        (((1, 5, 5), (1, 1, 1)), None),
        (((1, 1, 5), (6, 1, 1)), 0),
    ],
)
def test_thick_side_is_the_only_one_over_three_times_the_shortest(spacings, axis):
    source, target = (Grid((2, 2, 2), spacing) for spacing in spacings)
    assert thick_axis(source, target) == axis


def test_same_grid_changes_no_bit():
    grid = Grid((3, 4, 5), (1, 2, 3))
    volume = numbers(grid.shape)
    assert Move.between(grid, grid, CUBIC).passes == ()
    np.testing.assert_array_equal(moved(volume, grid, grid), volume)


def test_constant_stays_constant():
    for source, target in GRIDS.values():
        np.testing.assert_allclose(moved(np.full(source.shape, 7.0), source, target), 7, atol=1e-12)


def test_work_has_the_memory_that_was_counted():
    source, target = GRIDS["finer"]
    move = Move.between(source, target, CUBIC)
    assert move.scratch_bytes == 2 * 8 * 10 * 16 * 14
    resample(move, lambda out: out.fill(0), Buffers(move.scratch_bytes), "a")
    with pytest.raises(NiftiError, match="a: needs"):
        resample(move, lambda out: out.fill(0), Buffers(move.scratch_bytes - 1), "a")


@both("weigh", weigh_)
def test_layers_are_summed_with_their_weights(weigh):
    volume, out = numbers((2, 3, 4)), np.full((2, 5, 4), np.nan)
    index = np.array([[0, 1], [1, 2], [2, 2], [0, 2], [1, 1]])
    weights = numbers(index.shape, 1)
    weigh(volume, index, weights, out)
    expected = (volume[:, index] * weights[:, :, None]).sum(axis=2)
    np.testing.assert_allclose(out, expected, rtol=1e-13)


# Labels


def shares(label, source, target, n_classes):
    return np.stack([moved(label == k, source, target, LINEAR) for k in range(n_classes)])


@every_pair
def test_class_with_the_largest_share_wins(source, target):
    label = np.random.default_rng(3).integers(0, 4, source.shape, np.uint8)
    found = resample_label(label, Move.between(source, target, LINEAR), 4, Buffers(), "a")
    every = shares(label, source, target, 4)
    chosen = np.take_along_axis(every, found[None].astype(int), 0)[0]
    np.testing.assert_allclose(chosen, every.max(axis=0), atol=2e-6)
    lower = np.where(np.arange(4)[:, None, None, None] < found, every, 0).max(axis=0)
    assert np.all(chosen > lower)  # of equal shares the lower number wins


@given(st.data())
def test_only_looking_around_the_tumour_changes_nothing(data):
    shape = data.draw(st.tuples(*[st.integers(1, 12)] * 3))
    spacing, wanted = (
        data.draw(st.tuples(*[st.sampled_from([0.5, 1, 1.5, 3, 4])] * 3)) for _ in "ab"
    )
    sizes = [
        max(1, round(n * a / b)) for n, a, b in zip(shape, spacing[::-1], wanted[::-1], strict=True)
    ]
    source, target = Grid(shape, spacing), Grid(tuple(sizes), wanted)
    label = np.zeros(shape, np.uint8)
    for k in (1, 2):
        start = [data.draw(st.integers(0, n - 1)) for n in shape]
        label[tuple(slice(low, low + 2) for low in start)] = k
    found = resample_label(label, Move.between(source, target, LINEAR), 3, Buffers(), "a")
    every = shares(label, source, target, 3)
    chosen = np.take_along_axis(every, found[None].astype(int), 0)[0]
    np.testing.assert_allclose(chosen, every.max(axis=0), atol=2e-6)


def test_label_without_tumour_is_background():
    source, target = GRIDS["finer"]
    label = np.zeros(source.shape, np.uint8)
    assert tumour_box(label) is None
    move = Move.between(source, target, LINEAR)
    assert not resample_label(label, move, 2, Buffers(), "a").any()


def test_what_is_half_inside_a_mask_is_inside():
    source, target = Grid((1, 1, 4), (1, 1, 1)), Grid((1, 1, 8), (0.5, 1, 1))
    mask = np.array([0, 1, 1, 0], np.uint8).reshape(1, 1, 4)
    found = resample_mask(mask, Move.between(source, target, LINEAR), Buffers(), "a")
    np.testing.assert_array_equal(found[0, 0], [0, 0, 1, 1, 1, 1, 0, 0])
    same_places = Grid((1, 1, 7), (0.5, 1, 1))
    found = resample_mask(mask, Move.between(source, same_places, LINEAR), Buffers(), "a")
    np.testing.assert_array_equal(found[0, 0], [0, 1, 1, 1, 1, 1, 0])
