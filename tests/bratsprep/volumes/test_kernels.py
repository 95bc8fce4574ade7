"""Every kernel, compiled and plain, against slow NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratsprep.volumes import kernels, moments
from bratsprep.volumes.normalise import half_tables
from tests.helpers import oracles
from tests.helpers.oracles import both

DTYPES = (np.int16, np.float32, np.float64)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
small = st.integers(-900, 900)


def measured(measure, images):
    """All that `measure_` returns or writes: mean, squares, brain, plane_brain, columns."""
    shape = images[0].shape
    brain = np.full(shape, 9, np.uint8)
    plane_brain, columns = np.full(shape[0], 9, np.int32), np.zeros(shape[1:], np.int32)
    with np.errstate(all="ignore"):
        mean, squares = measure(flat(images), flat([brain])[0], plane_brain, columns.reshape(-1))
    return mean, squares, brain, plane_brain, columns


def flat(images):
    """View volumes as (z, y * x)."""
    return tuple(image.reshape(len(image), -1) for image in images)


def heads(dtype, shape=(3, 19, 31), seed=0, *, m=4):
    """Volumes with zeros between and around; a plane is no multiple of 256 voxels."""
    generator = np.random.default_rng(seed)
    images = generator.integers(-900, 900, (m, *shape)).astype(dtype)
    if dtype != np.int16:
        images += generator.normal(size=images.shape).astype(dtype)
    images[:, generator.random(shape) < 0.4] = 0
    return images


# Moments


@both("measure", moments.measure_)
@every_dtype
@pytest.mark.parametrize("m", [1, 2, 4, 5])
def test_moments_equal_the_oracle(measure, dtype, m):
    images = heads(dtype, m=m)
    mean, squares, *_ = measured(measure, images)
    np.testing.assert_allclose(mean, oracles.moments(images)[0], rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(squares, oracles.moments(images)[1], rtol=1e-12)


@both("measure", moments.measure_)
@pytest.mark.parametrize("m", [1, 2, 4, 5])
@given(draw=st.data())
def test_moments_of_any_small_volume_equal_the_oracle(measure, m, draw):
    shapes = st.tuples(st.just(m), *[st.integers(1, 4)] * 3)
    images = draw.draw(hnp.arrays(np.int16, shapes, elements=small))
    mean, squares, brain, *_ = measured(measure, images)
    np.testing.assert_array_equal(brain, oracles.brain(images))
    if brain.any():
        np.testing.assert_allclose(mean, oracles.moments(images)[0], rtol=1e-12, atol=1e-10)
        np.testing.assert_allclose(squares, oracles.moments(images)[1], rtol=1e-12, atol=1e-8)


@both("measure", moments.measure_whole_)
@pytest.mark.parametrize("m", [1, 2, 4, 5])
@given(draw=st.data())
def test_sums_of_whole_numbers_are_exact(measure, m, draw):
    images = draw.draw(hnp.arrays(np.int16, st.tuples(st.just(m), *[st.integers(1, 4)] * 3)))
    brain, plane_brain = np.zeros(images.shape[1:], np.uint8), np.zeros(images.shape[1], np.int32)
    columns = np.zeros(images.shape[2:], np.int32)
    marks = flat([brain])[0]
    totals, squares, is_whole = measure(flat(images), marks, plane_brain, columns.reshape(-1))
    assert is_whole
    wide = images.astype(object)
    assert totals.tolist() == [volume.sum() for volume in wide]
    assert squares.tolist() == [(volume**2).sum() for volume in wide]
    np.testing.assert_array_equal(brain, oracles.brain(images))
    np.testing.assert_array_equal(plane_brain, brain.sum(axis=(1, 2)))
    np.testing.assert_array_equal(columns, brain.sum(axis=0))


@both("sums", moments.whole_sums)
def test_sums_of_the_largest_numbers_do_not_overflow(sums):
    values = np.full(70_000, -32768, np.int16)
    assert sums(values) == (-32768 * 70_000, 32768**2 * 70_000, True)


@both("sums", moments.whole_sums)
@pytest.mark.parametrize("value", [0.5, 32768, -32769, 1e20, np.nan])
def test_sums_tell_of_a_number_that_is_not_whole(sums, value):
    with np.errstate(all="ignore"):
        assert not sums(np.float32([1, value, 3]))[2]


@both("measure", moments.measure_whole_)
def test_sweep_of_whole_numbers_ends_at_one_that_is_not(measure):
    images = np.ones((4, 2, 2, 2), np.float32)
    images[2, 1, 0, 1] = 1.5
    plane_brain, columns = np.zeros(2, np.int32), np.zeros(4, np.int32)
    with np.errstate(all="ignore"):
        assert not measure(flat(images), np.zeros((2, 4), np.uint8), plane_brain, columns)[2]


@both("lookup", kernels.lookup_half_)
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_lookup_gives_the_bits_of_the_zscores(lookup, dtype, step, n):
    generator = np.random.default_rng(0)
    images = generator.integers(-32768, 32768, (n, 3, 7, 33)).astype(dtype)[..., ::step, ::step]
    brain = (generator.random((3, 7, 33)) < 0.7).astype(np.uint8)[:, ::step, ::step]
    brain[0, 2:4] = 0
    brain[0, 3, 5:20] = 1  # a row without holes, and one without brain
    bits, planes = np.full((2, n, 7, 33), 9, np.uint16), np.array([2, 0])
    mean, std = np.array([101.3, -5, 0, 1, 8])[:n], np.array([7.7, 100, 3, 1000, 9])[:n]
    with np.errstate(all="ignore"):
        assert lookup(tuple(images), brain, planes, half_tables(mean, std), bits)
    for s, m in np.ndindex(2, n):
        z = planes[s]
        expected = oracles.half_bits(images[m, z], brain[z], mean[m], std[m])
        np.testing.assert_array_equal(bits[s, m], expected)


@both("find", kernels.spans_)
def test_spans_hold_every_brain_pixel_of_a_row_and_know_holes(find):
    brain = np.zeros((4, 6), np.uint8)
    brain[0, 1], brain[1, [2, 4]], brain[2] = 1, 1, 1
    spans = np.full((4, 3), 9, np.uint64)
    find(brain[:, ::-1], spans)
    assert spans.tolist() == [[4, 5, 1], [1, 4, 0], [0, 6, 1], [0, 0, 1]]


@both("lookup", kernels.lookup_half_)
@pytest.mark.parametrize("value", [0.5, 32768, -32769, 1e20])
@pytest.mark.parametrize("m", [0, 3])
def test_lookup_refuses_what_is_no_int16(lookup, value, m):
    images, planes = np.ones((4, 1, 1, 3), np.float32), np.zeros(1, np.int64)
    images[m, 0, 0, 2] = value
    brain, bits = np.ones((1, 1, 3), np.uint8), np.zeros((1, 4, 1, 3), np.uint16)
    tables = half_tables(np.zeros(4), np.ones(4))
    with np.errstate(all="ignore"):
        assert not lookup(tuple(images), brain, planes, tables, bits)


@both("measure", moments.plane_moments)
@pytest.mark.parametrize("n", [1, 255, 256, 257, 700])
def test_plane_moments_count_only_the_inside(measure, n):
    inside = (np.arange(n) % 3 == 0).astype(np.uint8)
    values = np.where(inside, np.arange(n) - 7, 0).astype(np.int16)
    mean, squares = measure(values, inside, int(inside.sum()))
    kept = values[inside == 1].astype(np.float64)
    assert mean == pytest.approx(kept.mean(), rel=1e-12)
    assert squares == pytest.approx(((kept - kept.mean()) ** 2).sum(), rel=1e-12)


@both("measure", moments.measure_)
def test_brain_is_the_union_of_the_non_zero_voxels(measure):
    images = heads(np.float32)
    images[0], images[3] = 0, 0
    _, _, brain, plane_brain, columns = measured(measure, images)
    truth = oracles.brain(images)
    np.testing.assert_array_equal(brain, truth)
    np.testing.assert_array_equal(plane_brain, truth.sum(axis=(1, 2)))
    np.testing.assert_array_equal(columns, truth.sum(axis=0))


@both("mark", moments.mark_brain_)
def test_brain_is_marked_by_what_is_not_zero_and_stays_marked(mark):
    brain = np.uint8([0, 0, 0, 0, 0, 1])
    mark(np.float32([1, -1, np.nan, 1e-30, -0.0, 0]), brain)
    assert brain.tolist() == [1, 1, 1, 1, 0, 1]


@both("count", moments.count_ones)
def test_ones_are_counted(count):
    assert count(np.uint8([1, 0, 1, 1])) == 3


@both("measure", moments.measure_)
def test_moments_of_an_empty_brain_are_zero(measure):
    mean, squares, brain, plane_brain, columns = measured(measure, np.zeros((4, 2, 3, 4), np.int16))
    assert [a.any() for a in (mean, squares, brain, plane_brain, columns)] == [False] * 5


@both("measure", moments.measure_)
def test_moments_pass_over_empty_planes(measure):
    images = heads(np.float32, (5, 4, 5))
    images[:, [0, 2, 4]] = 0
    mean, squares, _, plane_brain, _ = measured(measure, images)
    np.testing.assert_allclose(mean, oracles.moments(images)[0], rtol=1e-12)
    np.testing.assert_allclose(squares, oracles.moments(images)[1], rtol=1e-12)
    assert plane_brain[[0, 2, 4]].tolist() == [0, 0, 0]


@both("measure", moments.measure_)
def test_moments_of_one_voxel_are_itself(measure):
    images = np.zeros((4, 2, 2, 2), np.int16)
    images[:, 1, 0, 1] = [3, -4, 0, 5]
    mean, squares, *_ = measured(measure, images)
    assert mean.tolist() == [3, -4, 0, 5]
    assert squares.tolist() == [0, 0, 0, 0]


@both("measure", moments.measure_)
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_moments_of_a_constant_have_no_spread(measure, dtype):
    images = np.full((4, 3, 19, 31), 0.1 if dtype is np.float32 else 7, dtype)
    images[:, 1, 3:9] = 0
    mean, squares, *_ = measured(measure, images)
    assert squares.tolist() == [0, 0, 0, 0]
    assert mean.tolist() == [float(images[0, 0, 0, 0])] * 4


@both("measure", moments.measure_)
def test_moments_keep_a_small_spread_on_a_large_mean(measure):
    images = np.broadcast_to(np.float64([[[1e9, 1e9 + 1], [1e9 + 2, 1e9 + 3]]]), (4, 2, 2, 2))
    mean, squares, *_ = measured(measure, np.ascontiguousarray(images))
    assert mean.tolist() == [1e9 + 1.5] * 4
    np.testing.assert_allclose(squares, [10.0] * 4, rtol=1e-12)


@both("measure", moments.measure_)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("plane", [0, 2])
def test_moments_show_what_is_not_finite(measure, bad, plane):
    images = heads(np.float32)
    images[2, plane, 18, 30] = bad
    mean, squares, *_ = measured(measure, images)
    assert np.isfinite(mean + squares).tolist() == [True, True, False, True]


# z-score to float16


def rounded(zscore, plane, brain=None, mean=0.0, std=1.0):
    """Bits that a kernel writes."""
    bits = np.full(plane.shape, 9, np.uint16)
    inside = np.ones(plane.shape, np.uint8) if brain is None else brain
    with np.errstate(all="ignore"):
        zscore(plane[None], inside[None], np.zeros(1, np.int64), (mean, std), bits[None])
    return bits


def critical():
    """(n, 1) float64: every float16, the middle to the next, and both neighbours of each."""
    exact = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float64)
    exact = np.append(exact, 65_536.0)
    middles = (exact[1:] + exact[:-1]) / 2
    values = np.concatenate([exact, middles])
    around = [np.nextafter(values, -1), values, np.nextafter(values, np.inf)]
    every = np.concatenate([*around, [1e30, np.inf, 5e-324]])
    return np.concatenate([every, -every])[:, None]


@pytest.mark.parametrize(
    ("zscore", "step"),
    [(kernels.zscore_half_, 1), (kernels.zscore_half_.py_func, 97)],
    ids=["compiled", "plain"],
)
def test_half_rounds_every_tie_to_even_as_numpy_does(zscore, step):
    plane = critical()[::step]
    inside = np.ones(plane.shape, np.uint8)
    np.testing.assert_array_equal(rounded(zscore, plane), oracles.half_bits(plane, inside, 0, 1))


@both("zscore", kernels.zscore_half_)
@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3C00),
        (1 + 2**-11, 0x3C00),
        (1 + 3 * 2**-11, 0x3C02),
        (2**-24, 0x0001),
        (2**-25, 0x0000),
        (3 * 2**-25, 0x0002),
        (2**-14 - 2**-26, 0x0400),
        (65_519.0, 0x7BFF),
        (65_520.0, 0x7C00),
        (-65_520.0, 0xFC00),
        (0.0, 0x0000),
        (-0.0, 0x8000),
        (-(2**-30), 0x8000),
    ],
)
def test_half_bits_worked_out_by_hand(zscore, value, bits):
    assert rounded(zscore, np.float64([[value]]))[0, 0] == bits


@both("zscore", kernels.zscore_half_)
@every_dtype
@given(seed=st.integers(0, 2**32 - 1), mean=st.floats(-1e4, 1e4), std=st.floats(1e-3, 1e4))
def test_half_equals_float64_rounded_once(zscore, dtype, seed, mean, std):
    generator = np.random.default_rng(seed)
    plane = generator.integers(-32_768, 32_768, (3, 5)).astype(dtype)
    brain = generator.integers(0, 2, plane.shape).astype(np.uint8)
    expected = oracles.half_bits(plane, brain, mean, std)
    np.testing.assert_array_equal(rounded(zscore, plane, brain, mean, std), expected)


@both("zscore", kernels.zscore_half_)
@every_dtype
@pytest.mark.parametrize("turn", [(1, 1), (-1, 1), (1, -1), (-1, -1)], ids=str)
def test_half_reads_any_strides(zscore, dtype, turn):
    index = tuple(slice(None, None, step) for step in turn)
    plane = heads(dtype)[0, 0][index]
    brain = (np.arange(plane.size).reshape(plane.shape) % 3 > 0).astype(np.uint8)[index]
    expected = oracles.half_bits(plane.copy(), brain.copy(), 3.0, 7.0)
    np.testing.assert_array_equal(rounded(zscore, plane, brain, 3.0, 7.0), expected)


@both("zscore", kernels.zscore_half_)
def test_half_is_plus_zero_outside_the_brain(zscore):
    plane = np.float32([[-5, np.inf, 7]])
    assert rounded(zscore, plane, np.zeros((1, 3), np.uint8)).tolist() == [[0, 0, 0]]


@both("join", moments.join_)
def test_joined_moments_are_those_of_all_values(join):
    mean, squares = np.array([5.0, 0, 2, 0]), np.array([7.0, 0, 2, 0])  # of 1 and 3, at m = 2
    join(mean, squares, 2, (6.0, 8.0), (2, 2))  # of 4 and 8
    assert mean.tolist() == [5, 0, 4, 0]
    assert squares.tolist() == [7, 0, 26, 0]  # 9 + 1 + 0 + 16


@both("add", moments.add_sums_)
def test_sums_are_added_unless_a_value_does_not_fit(add):
    totals, squares = np.array([1, 10, 1, 1]), np.array([2, 20, 2, 2])
    assert add(totals, squares, 1, np.array([3, -2], np.float32))
    assert not add(totals, squares, 1, np.array([3, 0.5], np.float32))
    assert totals.tolist() == [1, 11, 1, 1]
    assert squares.tolist() == [2, 33, 2, 2]


@both("add", moments.add_)
def test_brain_voxels_are_added_to_those_of_other_planes(add):
    sums = np.array([5, 0, 2], np.int32)
    add(np.array([1, 0, 1], np.uint8), sums)
    assert sums.tolist() == [6, 0, 3]
