import cc3d
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from bratstrain.scoring.components import (
    dilate,
    find_runs,
    grow,
    join_rows_,
    label_boxes,
    label_components,
    number_roots,
    root,
    touching,
)

EIGHTEEN = ndimage.generate_binary_structure(3, 2)
masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7))
sparse = hnp.arrays(np.bool_, (6, 7, 8), elements=st.sampled_from([False] * 9 + [True]))
compiled_and_plain = pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])


def kernel(function, plain):
    return function.py_func if plain else function


@compiled_and_plain
@given(mask=masks)
def test_components_equal_those_of_cc3d(plain, mask):
    labels, count = kernel(label_components, plain)(mask)
    # With a margin: cc3d 4.1.1 fails on a mask that is the row 1 0 1 0 1.
    framed, n = cc3d.connected_components(np.pad(mask, 1), connectivity=26, return_N=True)
    expected = framed[1:-1, 1:-1, 1:-1]
    assert count == n
    pairs = set(zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True))
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


@pytest.mark.parametrize("share", [0.02, 0.06, 0.1, 0.3])
def test_components_of_noise_equal_those_of_scipy(share):
    mask = np.random.default_rng(1).random((19, 23, 29)) < share
    labels, count = label_components(mask)
    expected, n = ndimage.label(mask, np.ones((3, 3, 3)))
    assert count == n
    np.testing.assert_array_equal(labels, expected)  # both count by the first voxel


def test_components_are_numbered_by_their_first_voxel():
    mask = np.array([[[True, False, True, False, True]]])
    np.testing.assert_array_equal(label_components(mask)[0], [[[1, 0, 2, 0, 3]]])


@given(mask=sparse)
def test_components_follow_every_corner(mask):
    expected, n = ndimage.label(mask, np.ones((3, 3, 3)))
    labels, count = label_components(mask)
    assert count == n
    np.testing.assert_array_equal(labels > 0, expected > 0)


@compiled_and_plain
def test_runs_are_those_of_each_row(plain):
    mask = np.array([[[1, 1, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]], bool)
    span, first = kernel(find_runs, plain)(mask)
    np.testing.assert_array_equal(span, [[0, 2], [3, 4], [1, 3]])
    np.testing.assert_array_equal(first, [[[0, 2], [2, 2], [2, 3]]])


@compiled_and_plain
@pytest.mark.parametrize(("start", "joined"), [(1, True), (2, True), (3, False)])
def test_runs_join_across_a_corner_and_no_further(plain, start, joined):
    parent, span = np.arange(2, dtype=np.int32), np.array([[0, 2], [start, 5]], np.int32)
    before, here = np.array([0, 1], np.int32), np.array([1, 2], np.int32)
    kernel(join_rows_, plain)(parent, span, here, before)
    np.testing.assert_array_equal(parent, [0, 0 if joined else 1])


@compiled_and_plain
def test_root_follows_the_chain_and_halves_it(plain):
    parent = np.array([0, 0, 1, 2], np.int32)
    assert kernel(root, plain)(parent, 3) == 0
    assert parent[3] == 1


@compiled_and_plain
def test_components_are_numbered_by_their_first_run(plain):
    number, count = kernel(number_roots, plain)(np.array([0, 1, 1, 3, 0], np.int32))
    np.testing.assert_array_equal(number, [1, 2, 2, 3, 1])
    assert count == 3


@given(mask=masks, times=st.integers(0, 3))
def test_dilation_equals_scipy(mask, times):
    expected = ndimage.binary_dilation(mask, EIGHTEEN, iterations=times) if times else mask
    np.testing.assert_array_equal(dilate(mask, times), expected)


@compiled_and_plain
def test_growth_leaves_the_eight_corners_and_the_border_out(plain):
    before = np.zeros((5, 5, 5), np.uint8)
    before[2, 2, 2] = 1
    after = kernel(grow, plain)(before)
    assert after.sum() == 19
    assert kernel(grow, plain)(after)[1:-1, 1:-1, 1:-1].all()
    assert kernel(grow, plain)(after).sum() == 27


@compiled_and_plain
def test_boxes_hold_each_label(plain):
    labels = np.zeros((3, 4, 5), np.int32)
    labels[1, 2, 3] = labels[2, 3, 3] = labels[2, 1, 0] = 2
    boxes, size = kernel(label_boxes, plain)(labels, 2)
    np.testing.assert_array_equal(boxes[2], [[1, 1, 0], [3, 4, 4]])
    np.testing.assert_array_equal(size, [0, 0, 3])


@compiled_and_plain
def test_touching_names_the_pairs_that_share_a_voxel(plain):
    zone, component = np.array([[[1, 1, 0, 2]]], np.int32), np.array([[[0, 2, 1, 0]]], np.int32)
    near = kernel(touching, plain)(zone, component, 2, 2)
    assert np.argwhere(near).tolist() == [[1, 2]]
