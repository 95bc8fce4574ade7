import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratsprep.inspection import histograms
from bratsprep.inspection.histograms import BINS, Histogram, count_, empty, into, width_for

compiled_and_plain = pytest.mark.parametrize(
    "count", [count_, count_.py_func], ids=["compiled", "plain"]
)
widths = st.integers(-3, 3).map(lambda power: 2.0**power)
sixteenths = st.integers(-640, 1440).map(lambda number: number / 16)
values = hnp.arrays(np.float32, (5, 4), elements=sixteenths)


def of(plane, width, label=None):
    """Histogram of every pixel of a plane."""
    label = np.zeros(plane.shape, np.uint8) if label is None else label
    histogram = empty(width, 4)
    count_(plane, np.ones(plane.shape, np.uint8), label, into(width), histogram.counts)
    return histogram


def same(one, two):
    return one.width == two.width and np.array_equal(one.counts, two.counts)


@compiled_and_plain
@given(plane=values, brain=hnp.arrays(bool, (5, 4)), width=widths)
def test_counts_are_those_of_numpy(count, plane, brain, width):
    label = np.arange(20, dtype=np.uint8).reshape(5, 4) % 4
    histogram = empty(width, 4)
    count(plane, brain.view(np.uint8), label, into(width), histogram.counts)
    for k in range(4):
        expected, _ = np.histogram(plane[brain & (label == k)], histogram.edges)
        assert np.array_equal(histogram.counts[k], expected)


@compiled_and_plain
def test_what_lies_beyond_falls_into_the_end_bins(count):
    plane = np.array([[-np.inf, np.nan, -1e9], [1e9, np.inf, 0]], np.float32)
    histogram = empty(1.0, 4)
    ones = np.ones(plane.shape, np.uint8)
    count(plane, ones, ones * 7, into(1.0), histogram.counts)
    assert histogram.counts[3, [0, BINS // 4, BINS - 1]].tolist() == [3, 1, 2]
    assert histogram.counts.sum() == 6


@compiled_and_plain
def test_pixels_are_scaled_on_the_way(count):
    plane = np.array([[-1, 0, 2]], np.float32)
    histogram = empty(1.0, 4)
    ones = np.ones(plane.shape, np.uint8)
    count(plane, ones, ones, into(1.0, 10.0, 100.0), histogram.counts)
    assert np.flatnonzero(histogram.counts[1]).tolist() == [BINS // 4 + n for n in (90, 100, 120)]


@given(one=values, two=values, three=values, sizes=st.tuples(widths, widths, widths))
def test_histograms_add_up_in_any_order(one, two, three, sizes):
    a, b, c = (of(plane, width) for plane, width in zip((one, two, three), sizes, strict=True))
    assert same(a.plus(b).plus(c), c.plus(a).plus(b))


@given(plane=values, width=widths, times=st.sampled_from([1, 2, 8]))
def test_wider_bins_hold_what_was_counted_into_them(plane, width, times):
    assert same(of(plane, width).widened(width * times), of(plane, width * times))


def test_a_width_beyond_all_bins_keeps_the_sides_of_zero():
    wide = of(np.array([[-3, -1, 0, 2, 5]], np.float32), 1.0).widened(4096.0)
    assert wide.counts[0, BINS // 4 - 1 : BINS // 4 + 1].tolist() == [2, 3]
    assert wide.counts.sum() == 5


@given(plane=values, share=st.floats(0.01, 0.99))
def test_quantile_is_within_a_bin_of_numpys(plane, share):
    low, high = (np.quantile(plane, share, method=m) for m in ("lower", "higher"))
    assert low - 0.25 <= of(plane, 0.25).quantile(share) <= high + 0.25


def test_quantile_of_nothing_is_zero():
    assert empty(1.0, 4).quantile(0.5) == 0.0


def test_shown_holds_nearly_all_in_few_bins():
    plane = np.random.default_rng(0).normal(300, 60, (100, 100)).astype(np.float32)
    edges, shares = of(plane, 0.5).shown(50)
    assert len(edges) == shares.shape[1] + 1 <= 51
    assert shares[0].sum() > 0.997
    assert edges[0] < 150
    assert edges[-1] > 450


def test_shown_gives_each_class_its_own_share():
    plane = np.array([[1, 1, 2, 40]], np.float32)
    label = np.array([[0, 0, 2, 2]], np.uint8)
    edges, shares = of(plane, 1.0, label).shown()
    assert shares[3, [int(np.searchsorted(edges, 2)), -1]].tolist() == [0.5, 0.5]
    assert shares[2].sum() == 0


def test_shown_of_nothing_is_one_empty_bin():
    edges, shares = empty(1.0, 4).shown()
    assert edges.tolist() == [0.0, 1.0]
    assert not shares.any()


@pytest.mark.parametrize(("mean", "std"), [(40, 25), (600, 300), (12_000, 9_000), (0, 1), (-5, 1)])
def test_width_holds_the_case(mean, std):
    width = width_for(mean, std)
    edges = empty(width, 4).edges
    assert edges[0] <= min(mean - 3 * std, 0)
    assert edges[-1] >= mean + 6 * std
    assert np.log2(width) == round(np.log2(width))


def test_warm_leaves_the_kernel_compiled():
    histograms.warm()
    assert count_.signatures


def test_edges_begin_below_zero():
    assert Histogram(np.zeros((4, BINS), np.int64), 2.0).edges[[0, BINS // 4, -1]].tolist() == [
        -1024, 0, 3072]  # fmt: skip
