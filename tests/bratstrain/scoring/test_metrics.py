import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratstrain.scoring.calibration import Calibration
from bratstrain.scoring.components import grow
from bratstrain.scoring.metrics import (
    Counts,
    Grid,
    SliceScores,
    confusion,
    count_pairs,
    counts_from_confusion,
    plane_confusion,
    score_case,
    warm,
)
from tests.helpers import metric_oracles as oracle
from tests.helpers.class_sets import GLIOMA, GLIOMA_2024, ONE, SIX

UNIT = Grid((1.0, 1.0, 1.0))
labels = hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 3))
compiled_and_plain = pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])


def counted(truth, predicted):
    """Confusion of two label volumes, one comparison at a time."""
    return [[np.sum((truth == i) & (predicted == j)) for j in range(4)] for i in range(4)]


def ball(radius, shape=(155, 160, 192), centre=(77, 80, 96)):
    z, y, x = (np.arange(size) - middle for size, middle in zip(shape, centre, strict=True))
    return z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2 <= radius**2


@pytest.fixture(scope="module")
def spheres():
    """Truth with 45 tumour slices, and the three predictions of the table of conventions.

    The published table leaves the radii open; 22 and 20 are those that give its figures.
    """
    truth, smaller = ball(22), ball(20)
    empty = np.flatnonzero(~truth.any(axis=(1, 2)))
    squares = smaller.copy()
    squares[empty[::2], 20:30, 20:30] = True
    return [
        score_case(
            truth * np.uint8(3), predicted * np.uint8(3), UNIT, GLIOMA, tolerances=None, lesions=()
        ).parts["ET"]
        for predicted in (smaller, squares, np.zeros_like(truth))
    ]


def test_sphere_has_45_tumour_slices(spheres):
    assert spheres[0].slices.n_truth == 45


@pytest.mark.parametrize(
    ("index", "volume", "tumour", "every", "filled", "two_sided"),
    [
        (0, 0.858, 0.722, 0.919, 0.722, 0.928),
        (1, 0.801, 0.722, 0.564, 0.325, 0.900),
        (2, 0.000, 0.000, 0.710, 0.000, 0.498),
    ],
    ids=["smaller", "squares", "nothing"],
)
def test_sphere_table_is_reproduced(spheres, index, volume, tumour, every, filled, two_sided):
    part = spheres[index]
    assert round(part.counts.volume_dice, 3) == volume
    assert round(part.slices.tumour_mean, 3) == tumour
    assert round(part.slices.all_mean, 3) == every
    assert round(part.slices.filled_mean, 3) == filled
    assert round(part.counts.two_sided_dice, 3) == two_sided


@compiled_and_plain
@given(truth=labels, predicted=labels)
def test_pairs_equal_one_comparison_at_a_time(plain, truth, predicted):
    counts, highest = (count_pairs.py_func if plain else count_pairs)(truth, predicted, 4)
    np.testing.assert_array_equal(counts.sum(axis=0), counted(truth, predicted))
    assert highest == max(truth.max(), predicted.max())


@given(truth=labels, predicted=labels)
def test_confusion_of_planes_adds_up_to_the_whole(truth, predicted):
    planes = [confusion(truth[z], predicted[z], 4) for z in range(3)]
    np.testing.assert_array_equal(sum(planes), confusion(truth, predicted, 4))
    np.testing.assert_array_equal(planes, plane_confusion(truth, predicted, 4))


@given(truth=labels, predicted=labels)
def test_confusion_swaps_with_its_sides(truth, predicted):
    np.testing.assert_array_equal(confusion(truth, predicted, 4), confusion(predicted, truth, 4).T)


@pytest.mark.parametrize("name", GLIOMA.parts)
@given(truth=labels, predicted=labels)
def test_counts_equal_those_of_the_masks(name, truth, predicted):
    one, other = np.isin(truth, GLIOMA.parts[name]), np.isin(predicted, GLIOMA.parts[name])
    counts = counts_from_confusion(confusion(truth, predicted, 4), GLIOMA.parts[name])
    expected = (one & other).sum(), (other & ~one).sum(), (one & ~other).sum()
    assert (counts.tp, counts.fp, counts.fn) == expected
    assert counts.tn == (~one & ~other).sum()


@given(truth=labels, predicted=labels)
def test_dice_is_symmetric_within_bounds(truth, predicted):
    matrix = confusion(truth, predicted, 4)
    dice = counts_from_confusion(matrix, GLIOMA.parts["WT"]).volume_dice
    turned = counts_from_confusion(matrix.T, GLIOMA.parts["WT"]).volume_dice
    assert turned == dice or math.isnan(dice)
    assert math.isnan(dice) or 0 <= dice <= 1


def test_dice_of_two_empty_sides_is_nan():
    counts = counts_from_confusion(np.diag([9, 1, 1, 0]), GLIOMA.parts["ET"])
    assert math.isnan(counts.volume_dice)


def test_counts_by_hand():
    counts = Counts(tp=3, fp=1, fn=2, tn=14)
    assert counts.volume_dice == 6 / 9
    assert counts.sensitivity == 3 / 5
    assert counts.specificity == 14 / 15
    assert counts.two_sided_dice == (6 / 9 + 28 / 31) / 2


@given(truth=labels, predicted=labels)
def test_overlaps_equal_those_of_sets_of_voxels(truth, predicted):
    one, other = np.isin(truth, GLIOMA.parts["TC"]), np.isin(predicted, GLIOMA.parts["TC"])
    counts = counts_from_confusion(confusion(truth, predicted, 4), GLIOMA.parts["TC"])
    got = counts.iou, counts.precision, counts.volume_difference
    assert got == pytest.approx(oracle.overlaps(one, other), nan_ok=True)


@given(truth=labels, predicted=labels)
def test_iou_follows_from_dice(truth, predicted):
    counts = counts_from_confusion(confusion(truth, predicted, 4), GLIOMA.parts["WT"])
    dice = counts.volume_dice
    assert counts.iou == pytest.approx(dice / (2 - dice), nan_ok=True)


@given(truth=labels, predicted=labels)
def test_precision_is_the_sensitivity_of_the_other_side(truth, predicted):
    matrix = confusion(truth, predicted, 4)
    counts, turned = (counts_from_confusion(m, GLIOMA.parts["ED"]) for m in (matrix, matrix.T))
    assert counts.precision == pytest.approx(turned.sensitivity, nan_ok=True)


def test_precision_of_an_empty_prediction_is_left_out():
    assert math.isnan(Counts(tp=0, fp=0, fn=3, tn=5).precision)


def test_volume_difference_is_signed_and_needs_a_truth():
    assert Counts(tp=2, fp=0, fn=2, tn=0).volume_difference == -0.5
    assert Counts(tp=4, fp=8, fn=0, tn=0).volume_difference == 2
    assert math.isnan(Counts(tp=0, fp=3, fn=0, tn=5).volume_difference)


def test_sensitivity_of_an_empty_truth_is_left_out():
    assert math.isnan(Counts(tp=0, fp=3, fn=0, tn=5).sensitivity)


def test_slices_by_hand():
    slices = SliceScores(n_planes=10, n_truth=4, n_false=1, total=2.0)
    assert (slices.tumour_mean, slices.all_mean, slices.filled_mean) == (0.5, 0.7, 0.4)


def test_slices_of_an_empty_case_are_left_out():
    slices = SliceScores(n_planes=5, n_truth=0, n_false=0, total=0.0)
    assert math.isnan(slices.tumour_mean)
    assert math.isnan(slices.filled_mean)
    assert slices.all_mean == 1


def onion(shift=0):
    """Label 2 around label 1 around label 3."""
    label = np.zeros((60, 60, 60), np.uint8)
    for value, start, stop in ((2, 10, 30), (1, 14, 26), (3, 16, 24)):
        label[start:stop, start:stop, start + shift : stop + shift] = value
    return label


@pytest.mark.parametrize(("name", "dice"), [("WT", 0.95), ("TC", 0.9167), ("ET", 0.875)])
def test_onion_reproduces_the_official_values(name, dice):
    part = score_case(onion(), onion(1), UNIT, GLIOMA).parts[name]
    found = part.lesions["brats2023"]
    assert part.counts.volume_dice == pytest.approx(dice, abs=5e-5)
    assert part.surface.hd95_mm == 1
    assert (found.n_found, found.n_false, found.n_missed) == (1, 0, 0)
    assert found.lesionwise_dice == part.counts.volume_dice
    assert found.lesionwise_hd95(374) == 1


def test_case_against_itself_is_perfect():
    for part in score_case(onion(), onion(), UNIT, GLIOMA).parts.values():
        assert (part.counts.volume_dice, part.surface.hd95_mm, part.surface.dice[1]) == (1, 0, 1)


def test_case_scores_do_not_depend_on_what_lies_around():
    truth, predicted = onion(), onion(1)
    inner = (slice(9, 32),) * 3
    whole = score_case(truth, predicted, UNIT, GLIOMA).parts["TC"]
    cut = score_case(truth[inner], predicted[inner], UNIT, GLIOMA).parts["TC"]
    assert whole.surface == cut.surface
    assert whole.lesions == cut.lesions


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_case_scores_survive_a_flip(axis):
    one = score_case(onion(), onion(1), UNIT, GLIOMA).parts["WT"]
    other = score_case(np.flip(onion(), axis), np.flip(onion(1), axis), UNIT, GLIOMA).parts["WT"]
    assert one.counts == other.counts
    assert one.surface.dice == pytest.approx(other.surface.dice)


def test_volumes_are_in_cubic_millimetres():
    part = score_case(onion(), onion(1), Grid((0.5, 2.0, 3.0)), GLIOMA, lesions=()).parts["ET"]
    assert part.volumes_mm3 == (3 * 512, 3 * 512)
    missed = score_case(onion(), 0 * onion(), Grid((0.5, 2.0, 3.0)), GLIOMA, lesions=())
    assert missed.parts["ET"].volume_error_ml == pytest.approx(-3 * 512 / 1000)


def test_case_of_two_empty_sides_has_no_distance():
    empty = np.zeros((4, 4, 4), np.uint8)
    part = score_case(empty, empty, UNIT, GLIOMA).parts["ET"]
    assert math.isnan(part.surface.hd95_mm)
    assert math.isnan(part.surface.dice[1])


def test_case_with_an_empty_prediction_is_infinitely_far():
    part = score_case(onion(), np.zeros_like(onion()), UNIT, GLIOMA).parts["ET"]
    assert part.surface.hd95_mm == math.inf
    assert part.surface.dice[1] == 0


def test_case_of_one_voxel_is_scored():
    truth = np.zeros((3, 3, 3), np.uint8)
    truth[0, 0, 0] = 3
    part = score_case(truth, truth, UNIT, GLIOMA).parts["ET"]
    assert (part.counts.volume_dice, part.surface.hd95_mm) == (1, 0)


def test_slow_parts_are_left_out_on_request():
    part = score_case(onion(), onion(1), UNIT, GLIOMA, tolerances=None, lesions=()).parts["ET"]
    assert part.surface is None
    assert part.lesions == {}


def test_surfaces_are_scored_at_the_tolerances_asked_for():
    scores = score_case(onion(), onion(2), UNIT, GLIOMA, tolerances=(0.5, 1.0, 2.0), lesions=())
    assert scores.tolerances == (0.5, 1, 2)
    assert scores.parts["ET"].surface.dice[2] == 1
    assert scores.parts["ET"].surface.dice[1] < 1


def test_calibration_is_of_the_parts_that_have_one():
    counted = Calibration(np.array([3]), np.array([0.3]), np.array([1]))
    scores = score_case(onion(), onion(1), UNIT, GLIOMA, lesions=(), tolerances=None)
    found = scores.with_calibration({"ET": counted}).parts
    assert found["ET"].calibration is counted
    assert found["WT"].calibration is None


def test_warm_compiles_what_a_case_needs():
    warm()
    compiled = len(count_pairs.signatures), len(grow.signatures)
    score_case(onion()[:, ::-1].T, onion(1), UNIT, GLIOMA)
    assert (len(count_pairs.signatures), len(grow.signatures)) == compiled


def test_means_are_over_classes_or_regions_without_background():
    assert GLIOMA.means["mean of classes"] == ("NCR", "ED", "ET")
    assert set(GLIOMA.means["mean of regions"]) == {"ET", "TC", "WT"}


@pytest.mark.parametrize(
    ("predicted", "options", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), {}, "of one shape"),
        (np.full((2, 2, 2), 4, np.uint8), {}, "a label is 4; stored labels are 0 to 3"),
        (np.zeros((2, 2, 2), np.uint8), {"lesions": ("brats",)}, "lesion rules brats are unknown"),
    ],
    ids=["shape", "label", "rules"],
)
def test_case_refuses(predicted, options, message):
    with pytest.raises(ValueError, match=message):
        score_case(np.zeros((2, 2, 2), np.uint8), predicted, UNIT, GLIOMA, **options)


@pytest.mark.parametrize("classes", [GLIOMA_2024, SIX.classes, ONE.classes], ids=["4", "6", "1"])
def test_case_of_any_classes_is_scored_by_its_masks(classes):
    rng = np.random.default_rng(len(classes))
    truth, predicted = rng.integers(0, len(classes), (2, 4, 5, 6)).astype(np.uint8)
    scores = score_case(truth, predicted, UNIT, classes, tolerances=None, lesions=())
    assert scores.confusion.shape == (len(classes), len(classes))
    assert tuple(scores.parts) == tuple(classes.parts)
    for name, labels in classes.parts.items():
        one, other = np.isin(truth, labels), np.isin(predicted, labels)
        assert scores.parts[name].counts.tp == (one & other).sum(), name
        dice = 2 * (one & other).sum() / (one.sum() + other.sum())
        assert scores.parts[name].counts.volume_dice == pytest.approx(dice), name


def test_region_of_one_class_is_scored_once():
    truth = np.ones((1, 2, 2), np.uint8)
    assert list(score_case(truth, truth, UNIT, ONE.classes).parts) == ["lesion"]


def test_label_beyond_the_classes_is_refused():
    truth = np.full((1, 2, 2), len(SIX.classes), np.uint8)
    with pytest.raises(ValueError, match="a label is 7; stored labels are 0 to 6"):
        score_case(truth, truth, UNIT, SIX.classes)


def test_confusion_refuses_shapes_that_differ():
    with pytest.raises(ValueError, match=r"truth is \(2, 2\) and predicted \(2, 3\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 4)


@pytest.mark.slow
def test_real_truth_against_itself_is_perfect(real):
    nibabel = pytest.importorskip("nibabel")
    path = real / "BraTS2020" / "BraTS20_Training_001" / "BraTS20_Training_001_seg.nii.gz"
    raw = np.asarray(nibabel.load(path).dataobj).T
    label = np.ascontiguousarray(np.where(raw == 4, 3, raw).astype(np.uint8))
    scores = score_case(label, label, UNIT, GLIOMA)
    assert {part.counts.volume_dice for part in scores.parts.values()} == {1}
    assert {part.lesions["brats2023"].lesionwise_dice for part in scores.parts.values()} == {1}
