import json
import math

import numpy as np
import pytest

from bratstrain.scoring.aggregate import case_rows, summarise
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.intervals import mean_interval
from bratstrain.scoring.metric_registry import METRICS, POOLED
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers.class_sets import GLIOMA, GLIOMA_2024, SIX

UNIT = Grid((1.0, 1.0, 1.0))


def cubes(*boxes, size=60):
    label = np.zeros((size, size, size), np.uint8)
    for start, stop in boxes:
        label[start:stop, start:stop, start:stop] = 3
    return label


def scored(truth, predicted, case="a", classes=GLIOMA, **options):
    return score_case(truth, predicted, UNIT, classes, case=case, **options)


def row(table, convention, metric, part):
    found = [
        r for r in table.rows if (r.convention, r.metric, r.part) == (convention, metric, part)
    ]
    assert len(found) == 1
    return found[0]


def number(scores, convention, metric, part="ET"):
    return METRICS[metric].measure(scores.parts[part], CONVENTIONS[convention])


A = cubes((10, 20))
EMPTY = np.zeros_like(A)
SHIFTED = np.roll(A, 2, axis=2)
VOXEL = cubes((40, 41))
NEAR = A.copy()
NEAR[10:20, 10:20, 24:28] = 3


@pytest.mark.parametrize(
    ("truth", "predicted", "lesions", "dice", "hd95", "lesionwise_dice", "lesionwise_hd95"),
    [
        (EMPTY, EMPTY, (0, 0, 0), 1, 0, 1, 0),
        (A, EMPTY, (0, 0, 1), 0, 374, 0, 374),
        (EMPTY, A, (0, 1, 0), 0, 374, 0, 374),
        (A, A, (1, 0, 0), 1, 0, 1, 0),
        (A, SHIFTED, (1, 0, 0), 0.8, 2, 0.8, 2),
        (A + cubes((40, 50)), A, (1, 0, 1), 0.6667, 48.5592, 0.5, 187),
        (A, A + VOXEL, (1, 1, 0), 0.9995, 0, 0.5, 187),
        (NEAR, NEAR, (1, 0, 0), 1, 0, 1, 0),
        (A + cubes((40, 43)), A, (1, 0, 0), 0.9867, 36.4005, 1, 0),
    ],
    ids=["empty", "missed", "false", "same", "shifted", "one of two", "voxel", "near", "small"],
)
def test_values_to_reproduce(
    truth, predicted, lesions, dice, hd95, lesionwise_dice, lesionwise_hd95
):
    scores = scored(truth, predicted, lesions=("brats2023",))
    got = {name: number(scores, "brats2023", name, "WT") for name in METRICS}
    assert (got["lesions TP"], got["lesions FP"], got["lesions FN"]) == lesions
    assert got["volume Dice"] == pytest.approx(dice, abs=5e-5)
    assert got["HD95 (mm)"] == pytest.approx(hd95, abs=5e-5)
    assert got["lesion-wise Dice"] == pytest.approx(lesionwise_dice)
    assert got["lesion-wise HD95 (mm)"] == pytest.approx(lesionwise_hd95)


def test_surface_dice_against_a_false_cube_is_reproduced():
    scores = scored(A, A + cubes((40, 44)), lesions=())
    assert number(scores, "brats", "surface Dice at 1 mm") == pytest.approx(0.9329, abs=5e-5)
    assert number(scores, "brats", "HD95 (mm)") == pytest.approx(38.7427, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "penalty"), [("brats", 373.13), ("brats2023", 374), ("brats2024", 337)]
)
def test_penalty_goes_by_the_name_of_the_convention(name, penalty):
    scores = scored(A, EMPTY)
    assert number(scores, name, "HD95 (mm)") == penalty
    assert number(scores, name, "lesion-wise HD95 (mm)") == penalty


def test_penalty_of_brats_is_the_diagonal_of_its_volumes():
    diagonal = math.hypot(240, 240, 155)
    assert CONVENTIONS["brats"].penalty_mm == pytest.approx(diagonal, abs=5e-3)


CASES = {"both": (EMPTY, EMPTY), "false": (EMPTY, A), "missed": (A, EMPTY)}


@pytest.mark.parametrize(
    ("name", "dice"),
    [
        ("brats", {"both": 1, "false": 0, "missed": 0}),
        ("nnunet", {"both": None, "false": 0, "missed": 0}),
        ("present", {"both": None, "false": None, "missed": 0}),
    ],
)
@pytest.mark.parametrize("metric", ["volume Dice", "surface Dice at 1 mm"])
@pytest.mark.parametrize("case", CASES)
def test_convention_decides_what_empty_masks_are_worth(name, dice, metric, case):
    got = case_rows(scored(*CASES[case], lesions=()), name)[2]
    assert got["part"] == "ET"
    assert got[metric] == dice[case]


@pytest.mark.parametrize(
    ("name", "hd95"),
    [
        ("brats", {"both": 0, "false": 373.13, "missed": 373.13}),
        ("nnunet", dict.fromkeys(CASES)),
        ("present", dict.fromkeys(CASES)),
    ],
)
@pytest.mark.parametrize("case", CASES)
def test_convention_decides_how_far_empty_masks_are(name, hd95, case):
    assert case_rows(scored(*CASES[case], lesions=()), name)[2]["HD95 (mm)"] == hd95[case]


def test_no_metric_is_called_dice_alone():
    assert "Dice" not in METRICS
    assert all(len(name.split()) > 1 for name in (*METRICS, POOLED) if "Dice" in name)


def test_case_rows_hold_one_row_a_part():
    rows = case_rows(scored(A, SHIFTED, case="BraTS-GLI-00002-000"))
    assert [r["part"] for r in rows] == ["NCR", "ED", "ET", "TC", "WT"]
    assert rows[2]["truth_mm3"] == rows[2]["predicted_mm3"] == 1000
    assert (rows[2]["tp"], rows[2]["fp"], rows[2]["fn"]) == (800, 200, 200)
    json.dumps(rows, allow_nan=False)


def test_case_of_nothing_equals_the_scores_of_an_empty_prediction():
    truth = A + cubes((40, 50)) + cubes((30, 32))
    truth[12:14, 12:14, 12:14] = 1
    derived, direct = scored(truth, SHIFTED).of_nothing(), scored(truth, EMPTY)
    np.testing.assert_array_equal(derived.confusion, direct.confusion)
    for convention in ("brats", "nnunet"):
        assert case_rows(derived, convention) == case_rows(direct, convention)


def test_case_of_nothing_leaves_out_what_was_not_asked_for():
    part = scored(A, A, tolerances=None, lesions=()).of_nothing().parts["ET"]
    assert part.surface is None


@pytest.fixture(scope="module")
def scores():
    """ET: found, missed, absent, and absent but predicted; never any NCR or ED."""
    pairs = [(A, SHIFTED), (A, EMPTY), (EMPTY, EMPTY), (EMPTY, A)]
    return [scored(*pair, case=str(i)) for i, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def table(scores):
    conventions = ("brats", "nnunet", "present")
    return summarise(scores, cases="four cubes", conventions=conventions)


def test_row_counts_present_absent_and_absent_but_predicted(table):
    got = row(table, "brats", "volume Dice", "ET")
    assert (got.n_cases, got.n_present, got.n_absent, got.n_false) == (4, 2, 2, 1)


@pytest.mark.parametrize(
    ("convention", "n_scored", "mean", "median", "nothing"),
    [
        ("brats", 4, 1.8 / 4, 0.4, 0.5),
        ("nnunet", 3, 0.8 / 3, 0.0, 0.0),
        ("present", 2, 0.4, 0.4, 0.0),
    ],
)
def test_row_by_hand(table, convention, n_scored, mean, median, nothing):
    got = row(table, convention, "volume Dice", "ET")
    assert got.n_scored == n_scored
    assert got.mean == pytest.approx(mean)
    assert got.median == pytest.approx(median)
    assert got.nothing == nothing


def test_mean_of_classes_is_the_mean_of_their_means(table):
    got = row(table, "brats", "volume Dice", "mean of classes")
    assert got.mean == pytest.approx((1 + 1 + 0.45) / 3)
    assert (got.n_present, got.n_absent, got.n_false) == (2, 10, 1)


def test_mean_of_regions_is_the_mean_of_their_means(table):
    assert row(table, "brats", "volume Dice", "mean of regions").mean == pytest.approx(0.45)


def test_class_that_is_nowhere_is_left_out_of_the_mean(table):
    assert math.isnan(row(table, "nnunet", "volume Dice", "NCR").mean)
    assert math.isnan(row(table, "nnunet", "volume Dice", "NCR").low)
    assert row(table, "nnunet", "volume Dice", "mean of classes").mean == pytest.approx(0.8 / 3)


def test_pooled_dice_throws_voxels_together(table):
    got = row(table, "pooled", POOLED, "ET")
    assert got.mean == pytest.approx(2 * 800 / (2 * 800 + 200 + 200 + 1000 + 1000))
    assert got.nothing == 0


def test_interval_holds_the_mean_within_bounds(table):
    got = row(table, "brats", "volume Dice", "ET")
    assert 0 <= got.low < got.mean < got.high <= 1


def test_interval_is_that_of_the_case_values():
    many = [scored(A, np.roll(A, shift, axis=2), lesions=(), tolerances=None) for shift in range(9)]
    got = row(summarise(many, cases="shifts", conventions=("brats",)), "brats", "volume Dice", "ET")
    values = np.array([1 - shift / 10 for shift in range(9)])
    assert (got.low, got.high) == pytest.approx(mean_interval(values, "share"))
    assert got.n_interval == 9


def test_interval_of_a_mean_is_that_of_the_case_means(scores):
    table = summarise(scores, cases="four cubes", conventions=("brats",))
    got = row(table, "brats", "volume Dice", "mean of regions")
    rule = CONVENTIONS["brats"]
    values = [
        np.mean(
            [METRICS["volume Dice"].measure(case.parts[name], rule) for name in GLIOMA.region_names]
        )
        for case in scores
    ]
    assert (got.low, got.high) == pytest.approx(mean_interval(np.array(values), "share"))


def test_interval_is_of_the_scored_cases_alone():
    some = [scored(A, np.roll(A, shift, axis=2), lesions=()) for shift in (1, 2, 4)]
    table = summarise(
        [*some, scored(EMPTY, EMPTY, lesions=())], cases="c", conventions=("present",)
    )
    got = row(table, "present", "volume Dice", "ET")
    assert got.n_interval == 3
    assert (got.low, got.high) == pytest.approx(mean_interval(np.array([0.9, 0.8, 0.6]), "share"))


@pytest.mark.parametrize("n", [1, 3])
def test_one_case_and_equal_cases_have_no_interval(n):
    table = summarise([scored(A, SHIFTED, lesions=())] * n, cases="same", conventions=("brats",))
    got = row(table, "brats", "volume Dice", "ET")
    assert math.isnan(got.low)
    assert math.isnan(got.high)
    assert got.n_interval == n


def test_table_rows_say_what_they_were_made_from(table):
    rows = table.to_rows()
    assert {(r["cases"], r["planes"]) for r in rows} == {("four cubes", "every plane")}
    json.dumps(rows, allow_nan=False)


def test_metrics_that_were_not_measured_have_no_row(scores):
    fast = [scored(A, SHIFTED, tolerances=None, lesions=())]
    names = {r.metric for r in summarise(fast, cases="one").rows}
    assert "volume Dice" in names
    assert not names & {"HD95 (mm)", "surface Dice at 1 mm", "lesion-wise Dice", "lesions TP"}


def test_summary_refuses_no_case():
    with pytest.raises(ValueError, match="scores holds 0 cases"):
        summarise([], cases="none")


def test_summary_refuses_an_unknown_convention(scores):
    with pytest.raises(ValueError, match="convention 'monai' is unknown; one of brats, "):
        summarise(scores, cases="four cubes", conventions=("monai",))


def test_rows_are_of_the_classes_and_regions_of_the_labels():
    case = scored(A, SHIFTED, classes=SIX.classes, tolerances=None, lesions=())
    table = summarise([case], cases="six classes", conventions=("brats",))
    parts = {row.part for row in table.rows}
    assert parts == {*SIX.classes.parts, "mean of classes", "mean of regions"}
    got = row(table, "brats", "volume Dice", "mean of classes")
    assert got.mean == pytest.approx((0.8 + 5) / 6)


def test_summary_refuses_cases_of_different_classes():
    both = [scored(A, A, classes=classes, lesions=()) for classes in (GLIOMA, GLIOMA_2024)]
    with pytest.raises(ValueError, match="the cases are of different classes"):
        summarise(both, cases="mixed")


DISTANCES = [metric.name for metric in METRICS.values() if metric.is_penalised]


@pytest.mark.parametrize("metric", DISTANCES)
def test_mean_of_distances_with_a_penalty_has_no_interval(metric):
    many = [scored(A, np.roll(A, shift, axis=2)) for shift in (1, 2, 3)]
    found = row(
        summarise(many, cases="three", conventions=("brats2024",)), "brats2024", metric, "ET"
    )
    assert math.isnan(found.low)
    assert (found.n_interval, found.no_interval) == (3, "a rare penalty has no interval")


@pytest.mark.parametrize("metric", ["HD95 (mm)", "ASSD (mm)"])
def test_mean_of_distances_without_a_penalty_has_an_interval(metric):
    many = [scored(A, np.roll(A, shift, axis=2), lesions=()) for shift in (1, 2, 3)]
    found = row(summarise(many, cases="three", conventions=("nnunet",)), "nnunet", metric, "ET")
    assert found.low < found.mean < found.high
    assert found.no_interval == ""


def test_every_distance_that_a_convention_can_set_is_penalised():
    far = scored(A, EMPTY).parts["ET"]
    moved = {
        name for name, metric in METRICS.items()
        if metric.measure(far, CONVENTIONS["brats2024"]) == 337
    }  # fmt: skip
    assert moved == set(DISTANCES)
