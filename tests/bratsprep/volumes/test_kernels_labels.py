"""Label kernels, compiled and plain, against slow NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratsprep.labels import scheme, shipped
from bratsprep.volumes import kernels
from tests.helpers import oracles
from tests.helpers.class_sets import SIX
from tests.helpers.oracles import both


@both("recode", kernels.recode_)
@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("n", [1, 7, 8, 9, 24, 61])
def test_recode_equals_the_oracle(recode, name, n):
    raw = np.random.default_rng(n).integers(0, 6, (5, n)).astype(np.uint8)
    raw[1] = 0
    raw[2, : n // 2] = 0
    label, voxels = raw.copy(), np.zeros((5, len(scheme(name).classes)), np.int32)
    seen = recode(label, scheme(name).table(), voxels)
    stored, counts = oracles.recode(raw, name)
    np.testing.assert_array_equal(label, stored)
    np.testing.assert_array_equal(voxels[:, 1:], counts[:, 1:])
    np.testing.assert_array_equal(seen[1:], np.bincount(raw.reshape(-1), minlength=256)[1:])


@both("recode", kernels.recode_)
def test_recode_counts_a_cavity_as_a_class(recode):
    voxels = np.zeros((1, 5), np.int32)
    recode(np.uint8([[4, 4, 1, 0, 0]]), scheme("brats2024").table(), voxels)
    assert voxels.tolist() == [[2, 1, 0, 0, 2]]


@both("recode", kernels.recode_)
def test_recode_counts_six_classes(recode):
    label, voxels = np.uint8([[9, 0, 6, 6, 5, 4, 2, 1, 0]]), np.zeros((1, 7), np.int32)
    recode(label, SIX.table(), voxels)
    assert label.tolist() == [[6, 0, 5, 5, 4, 3, 2, 1, 0]]
    assert voxels.tolist() == [[2, 1, 1, 1, 1, 2, 1]]


@both("recode", kernels.recode_)
def test_recode_marks_values_without_a_class(recode):
    label, voxels = np.uint8([[0, 200, 1, 0, 0, 0, 0, 0, 0, 7]]), np.zeros((1, 4), np.int32)
    seen = recode(label, scheme("msd").table(), voxels)
    assert label.tolist() == [[0, 255, 2, 0, 0, 0, 0, 0, 0, 255]]
    assert {int(raw): int(seen[raw]) for raw in np.flatnonzero(seen)} == {1: 1, 7: 1, 200: 1}
    assert voxels[0, 1:].tolist() == [0, 1, 0]


@both("take", kernels.take_classes_)
@given(
    label=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3), elements=st.integers(0, 6))
)
def test_take_copies_planes_and_counts_their_classes(take, label):
    planes = np.arange(len(label))[::-2]
    turned = label[:, ::-1, ::-1]
    taken, voxels = np.full(turned[planes].shape, 9, np.uint8), np.zeros((len(planes), 7), np.int32)
    take(turned, planes, taken, voxels)
    np.testing.assert_array_equal(taken, turned[planes])
    for plane, counts in zip(taken, voxels, strict=True):
        assert counts.tolist() == np.bincount(plane.reshape(-1), minlength=7).tolist()
