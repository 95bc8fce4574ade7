"""Fine structure of labels: one tumour drawn twice agrees, two tumours do not."""

import numpy as np
import pytest

from bratsprep.repeats import mask_details
from bratsprep.repeats.mask_details import Details, agreement, details_of
from tests.helpers import oracles
from tests.helpers.class_sets import GLIOMA

SHAPE = (60, 72, 66)
ONES = np.ones(3)
NAMES = ("WT", "TC", "ET")


def tumour(seed=0, at=(30, 40, 24), shape=SHAPE):
    """A (z, y, x) label with a lumpy tumour of three classes."""
    generator = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*(np.arange(side) for side in shape), indexing="ij"))
    apart = places - np.array(at).reshape(3, 1, 1, 1)
    way = apart / np.maximum(np.sqrt((apart**2).sum(axis=0)), 1)
    lumps = sum(
        np.cos(3 * (way * generator.normal(size=(3, 1, 1, 1))).sum(axis=0) + phase)
        for phase in generator.uniform(0, 6, 3)
    )
    radius = np.sqrt((apart**2).sum(axis=0)) - 2.5 * lumps
    label = np.zeros(shape, np.uint8)
    label[radius < 16] = 2
    label[radius < 10] = 3
    label[radius < 6] = 1
    return label


def of(label, spacing=ONES):
    return details_of(label, spacing, label.any(axis=(1, 2)), GLIOMA)


@oracles.both("kernel", mask_details.products)
def test_products_are_those_of_cells_in_one_place(kernel):
    generator = np.random.default_rng(0)
    first = generator.integers(-9, 9, (3, 4, 5, 6)).astype(np.int8)
    second = generator.integers(-9, 9, (3, 3, 3, 3)).astype(np.int8)
    wide = np.zeros((3, 9, 9, 9), int)
    other = wide.copy()
    wide[:, 2:6, 2:7, 2:8] = first
    other[:, 1:4, 4:7, 6:9] = second
    np.testing.assert_array_equal(
        kernel(first, second, (-1, 2, 4)), (wide * other).sum(axis=(1, 2, 3))
    )


@oracles.both("kernel", mask_details.products)
def test_products_of_cells_apart_are_zero(kernel):
    cells = np.ones((3, 2, 2, 2), np.int8)
    assert kernel(cells, cells, (0, 5, 0)).tolist() == [0, 0, 0]


def test_a_label_agrees_with_itself():
    found = agreement(of(tumour()), of(tumour()))
    assert found.score == pytest.approx(1)
    assert list(found.regions) == ["WT", "TC", "ET"]


def test_two_tumours_in_one_place_do_not_agree():
    assert agreement(of(tumour(0)), of(tumour(1))).score < 0.75
    assert agreement(of(tumour(0)), of(tumour(0, at=(30, 30, 40)))).score < 0.2


def test_a_tumour_drawn_again_agrees():
    generator = np.random.default_rng(0)
    again = tumour()
    edge = (np.roll(again, 1, 0) != again) & (generator.random(again.shape) < 0.5)
    again[edge] = np.roll(again, 1, 0)[edge]
    assert agreement(of(tumour()), of(again)).score > 0.8


@pytest.mark.parametrize("shift", [(2, 0, 0), (2, -2, 2), (-3, 3, 1)])
def test_a_shift_by_a_few_voxels_does_no_harm(shift):
    moved = np.roll(tumour(), shift, (0, 1, 2))
    assert agreement(of(tumour()), of(moved)).score > 0.6


@pytest.mark.parametrize("flips", [(False, True, True), (False, False, True), (False, True, False)])
def test_mirrored_details_are_those_of_the_mirrored_label(flips):
    turn = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    found, expected = of(tumour()).mirrored(flips), of(tumour()[turn])
    assert found.start == expected.start
    np.testing.assert_array_equal(found.cells, expected.cells)


def test_details_lie_where_the_tumour_is():
    label = np.zeros((6, 6, 6), np.uint8)
    label[3:, 3:, 3:] = 3
    found = of(label)
    assert found.start == (-2, -2, -2)
    assert found.cells.shape == (3, 5, 5, 5)
    assert np.unravel_index(found.cells[0].argmax(), (5, 5, 5)) == (2, 2, 2)
    assert found.cells[0].max() == round(127 * (1 - 1 / 125))


def test_details_go_by_millimetres():
    thick = tumour()[::3]
    assert agreement(of(tumour()), of(thick, np.array([1.0, 1, 3]))).score > 0.8


def test_a_label_without_tumour_agrees_with_nothing():
    empty = of(np.zeros(SHAPE, np.uint8))
    assert empty.cells.size == 0
    assert agreement(empty, empty).score == 0
    assert agreement(of(tumour()), empty).score == 0


def test_a_region_in_neither_label_is_left_out():
    label = tumour()
    label[label > 0] = 2
    found = agreement(of(label), of(label))
    assert list(found.regions) == ["WT"]
    assert found.score == pytest.approx(1)


def test_a_region_in_one_label_counts_as_zero():
    label = tumour()
    plain = np.where(label == 3, 1, label).astype(np.uint8)
    assert agreement(of(label), of(plain)).regions["ET"] == 0


def test_score_is_half_the_whole_tumour_and_half_its_core():
    cells = np.zeros((3, 1, 1, 2), np.int8)
    cells[:, 0, 0, 0] = 100
    other = cells.copy()
    other[1] = 0
    found = agreement(Details((0, 0, 0), cells, NAMES), Details((0, 0, 0), other, NAMES))
    assert found.regions == {"WT": 1.0, "TC": 0.0, "ET": 1.0}
    assert found.score == 0.75
