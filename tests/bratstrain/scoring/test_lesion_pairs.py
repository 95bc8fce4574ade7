"""Pairs of lesions, one to one; `test_other_libraries` holds them against the official package."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratsprep.labels import scheme
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.lesion_pairs import best_pairs, component_dice, count_overlaps
from bratstrain.scoring.lesion_rules import RULES
from bratstrain.scoring.lesions import lesion_scores
from bratstrain.scoring.metrics import Grid, score_case

UNIT = (1.0, 1.0, 1.0)
ALL, FOUND = RULES["brats2026-met"], RULES["brats2026"]


def boxes(*shapes, size=40):
    """Boxes of (start, stop) along z, in y and x from 5 to 10."""
    mask = np.zeros((size, 16, 16), bool)
    for start, stop in shapes:
        mask[start:stop, 5:10, 5:10] = True
    return mask


NOTHING = boxes()


def scored(truth, predicted, rules=ALL, spacing=UNIT):
    return lesion_scores(truth, predicted, spacing, rules)


def counts(scores):
    return scores.n_found, scores.n_false, scores.n_missed


@pytest.mark.parametrize(
    "kernel", [count_overlaps, count_overlaps.py_func], ids=["compiled", "plain"]
)
def test_overlaps_are_counted_with_the_outside(kernel):
    truth, predicted = (np.array([[row]], np.int32) for row in ([1, 1, 1, 0, 2], [1, 1, 0, 2, 2]))
    assert kernel(truth, predicted, 2, 2).tolist() == [[0, 0, 1], [1, 2, 0], [0, 0, 1]]


def test_dice_of_components_by_hand():
    truth, predicted = (np.array([[row]], np.int32) for row in ([1, 1, 1, 0, 2], [1, 1, 0, 2, 2]))
    got = component_dice(truth, predicted, 2, 2)
    np.testing.assert_allclose(got, [[0, 0, 0], [0, 0.8, 0], [0, 0, 2 / 3]])


@given(
    dice=hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)),
                    elements=st.sampled_from([0, 0, 0.25, 0.5, 1, 0.1]))
)  # fmt: skip
def test_pairs_have_the_largest_sum_of_dice(dice):
    dice[0] = dice[:, 0] = 0
    paired = best_pairs(dice)
    assert paired.sum(axis=0).max() <= 1 >= paired.sum(axis=1).max()
    assert not paired[dice == 0].any()
    wide = dice if dice.shape[0] <= dice.shape[1] else dice.T
    most = max(
        sum(wide[row, column] for row, column in enumerate(columns))
        for columns in permutations(range(wide.shape[1]), wide.shape[0])
    )
    assert dice[paired].sum() == pytest.approx(most)


def test_one_component_finds_one_lesion():
    """Other rules let one component find both."""
    truth, predicted = boxes((4, 10), (12, 16)), boxes((4, 16))
    assert counts(scored(truth, predicted)) == (1, 0, 1)
    assert counts(lesion_scores(truth, predicted, UNIT, RULES["brats2024-men"]))[0] >= 1
    assert scored(truth, predicted).overlap == (2 * 6 / 18, 0.0)


def test_one_lesion_is_found_by_one_component():
    truth, predicted = boxes((4, 16)), boxes((4, 10), (12, 16))
    scores = scored(truth, predicted)
    assert counts(scores) == (1, 1, 0)
    assert scores.lesionwise_dice == pytest.approx(2 * 6 / 18 / 2)  # the false one counts 0


def test_greedy_pairs_would_find_less():
    """The best single pair is not part of the best pairs."""
    dice = np.array([[0, 0, 0], [0, 0.6, 0.5], [0, 0.5, 0]])
    assert best_pairs(dice).tolist() == [[False] * 3, [False, False, True], [False, True, False]]


def test_nearby_pieces_are_lesions_of_their_own():
    truth = boxes((4, 8), (9, 13))
    assert counts(scored(truth, truth)) == (2, 0, 0)


def test_component_that_is_near_but_shares_no_voxel_is_false():
    assert counts(scored(boxes((4, 8)), boxes((8, 12)))) == (0, 1, 1)


@pytest.mark.parametrize(("n_planes", "n_small"), [(1, 1), (2, 0)])
def test_lesion_of_27_mm3_counts_and_a_smaller_one_is_found_or_missed(n_planes, n_small):
    truth = boxes((4, 4 + n_planes), (20, 30))  # 25 or 50 mm3, and 250
    scores = scored(truth, boxes((20, 30)))
    assert (len(scores.overlap), scores.n_small) == (2 - n_small, n_small)
    assert counts(scores) == (1, 0, 1)
    assert scores.lesionwise_dice == (1.0 if n_small else 0.5)


def test_lesion_of_exactly_the_least_volume_is_large():
    truth = np.zeros((8, 8, 8), bool)
    truth[2:5, 2:5, 2:5] = True
    assert scored(truth, truth).overlap == (1.0,)
    assert scored(truth, truth, spacing=(0.99, 1.0, 1.0)).overlap == ()


def test_f1_by_size_by_hand():
    """A small lesion at Dice 2/11 is missed, at 2/3 found; the false component counts in both."""
    truth = boxes((2, 3), (6, 7), (12, 20))
    predicted = boxes((2, 4), (6, 16), (30, 32))
    scores = scored(truth, predicted)
    # two planes on the first, ten over the second and half of the third, and a false one
    assert scores.small_overlap == (2 / 3, 0.0)
    assert scores.overlap == pytest.approx((2 * 4 / 18,))
    assert scores.small_f1 == pytest.approx(2 / (2 + 1 + 1))
    assert scores.large_f1 == pytest.approx(2 / (2 + 1 + 0))
    assert scores.f1 == pytest.approx(4 / (4 + 1 + 1))


def test_f1_of_a_size_needs_its_least_dice():
    truth, predicted = boxes((2, 12)), boxes((11, 30))  # Dice 2 / 29
    assert scored(truth, predicted).n_found == 1
    assert scored(truth, predicted).large_f1 == 0


def test_f1_by_size_is_left_out_without_a_lesion_or_a_rule():
    assert math.isnan(scored(boxes((2, 12)), NOTHING).small_f1)
    assert math.isnan(scored(boxes((2, 3)), NOTHING).large_f1)
    assert math.isnan(scored(boxes((2, 12)), boxes((2, 12)), FOUND).large_f1)


@pytest.mark.parametrize(
    ("truth", "predicted", "of_all", "of_found"),
    [
        (NOTHING, NOTHING, (math.nan, math.nan), (math.nan, math.nan)),
        (NOTHING, boxes((2, 8)), (math.nan, math.nan), (0, 373)),
        (boxes((2, 8)), NOTHING, (0, 373), (0, 373)),
        (boxes((2, 8)), boxes((2, 8)), (1, 0), (1, 0)),
        (boxes((2, 8), (20, 26)), boxes((2, 8)), (0.5, 373 / 2), (1, 0)),
        (boxes((2, 8)), boxes((2, 8), (20, 26)), (0.5, 373 / 2), (1, 0)),
        (boxes((2, 8)), boxes((3, 8)), (10 / 11, 1), (10 / 11, 1)),
    ],
    ids=["nothing", "no truth", "no prediction", "equal", "one missed", "one false", "cut"],
)
def test_means_by_hand(truth, predicted, of_all, of_found):
    for rules, wanted in ((ALL, of_all), (FOUND, of_found)):
        scores = scored(truth, predicted, rules)
        got = scores.lesionwise_dice, scores.lesionwise_hd95(373)
        assert got == pytest.approx(wanted, nan_ok=True)


def test_hd95_is_that_of_the_border_voxels_of_both_together():
    """The border of the longer box has 150 voxels, 25 of which are 3 mm from the shorter one's."""
    scores = scored(boxes((2, 8)), boxes((2, 8)) | boxes((2, 11)))
    truth, predicted = boxes((2, 8)), boxes((2, 11))
    places = [np.argwhere(mask & ~inner(mask)) for mask in (truth, predicted)]
    apart = np.sqrt(((places[0][:, None] - places[1][None]) ** 2).sum(axis=2))
    wanted = np.percentile(np.concatenate([apart.min(axis=1), apart.min(axis=0)]), 95)
    assert scores.hd95_mm == pytest.approx((wanted,))
    assert scores.kept.hd95_mm == pytest.approx(wanted)


def test_whole_case_without_a_pair_counts_as_one_with_an_empty_side():
    """So the official package prints it, though both sides have a border."""
    kept = scored(boxes((2, 8)), boxes((8, 14))).kept
    assert (kept.hd95_mm, *kept.border_dice) == (math.inf, 0, 0)


def inner(mask):
    """Voxels whose six neighbours are in the mask."""
    padded = np.pad(mask, 1)
    sides = [np.roll(padded, step, axis) for axis in range(3) for step in (-1, 1)]
    return np.logical_and.reduce(sides)[1:-1, 1:-1, 1:-1]


def test_scores_of_nothing_equal_those_of_an_empty_prediction():
    truth = boxes((2, 3), (6, 12))
    scores = scored(truth, boxes((2, 4), (6, 10), (20, 22)))
    assert scores.of_nothing() == scored(truth, NOTHING)


def test_table_leaves_out_a_case_without_either_side():
    classes = scheme("whole-tumour").classes
    label = boxes((2, 8)).astype(np.uint8)
    cases = [
        score_case(truth, label * 0, Grid(UNIT), classes, lesions=["brats2026-met"])
        for truth in (label, label * 0)
    ]
    rows = summarise(cases, cases="two", conventions=["brats2026-met"]).rows
    by_metric = {row.metric: row for row in rows if row.part == "WT"}
    for name in ("volume Dice", "lesion-wise Dice", "lesion-wise F1", "HD95 (mm)"):
        assert by_metric[name].n_scored == 1, name
    dropped = by_metric["HD95 (mm), small lesions dropped"]
    assert (dropped.n_scored, dropped.mean) == (1, 373)
