"""Small components: which go, what they become, and how their sizes are tuned."""

import json
from dataclasses import asdict

import cc3d
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bratsprep.errors import BratsError
from bratstrain.inference import small_components
from bratstrain.inference.predictor import predict
from bratstrain.inference.small_components import (
    CANDIDATES,
    Cleanup,
    LeastSizes,
    Tuning,
    count_faces,
    drop_small,
    find_components,
    mean_dice,
    read_cleanup,
    shared_sizes,
    write_cleanup,
)
from bratstrain.scoring.metrics import confusion
from tests.helpers import niftis, runs
from tests.helpers.class_sets import GLIOMA, SIX

volumes = hnp.arrays(np.uint8, (3, 4, 5), elements=st.sampled_from([0, 0, 0, 1, 2, 3]))
ALL = {"NCR": 5, "ED": 5, "ET": 5}


def faces_by_hand(volume, inside):
    """Faces between a component and each label around it."""
    counts = np.zeros(4, int)
    for z, y, x in np.argwhere(inside):
        for axis, step in [(0, -1), (0, 1), (1, -1), (1, 1), (2, -1), (2, 1)]:
            place = [z, y, x]
            place[axis] += step
            there = all(0 <= at < side for at, side in zip(place, volume.shape, strict=True))
            if there and volume[tuple(place)] != volume[z, y, x]:
                counts[volume[tuple(place)]] += 1
    return counts


def cleaned_by_hand(volume, least):
    """Drop components one by one, found by another library."""
    out = volume.copy()
    for label, smallest in enumerate(least, 1):
        number, count = cc3d.connected_components(
            volume == label, connectivity=26, return_N=True, binary_image=True
        )
        for i in range(1, count + 1):
            inside = number == i
            if inside.sum() < smallest:
                out[inside] = faces_by_hand(volume, inside).argmax()
    return out


@given(volume=volumes, least=st.tuples(*[st.integers(0, 6)] * 3))
def test_dropping_equals_the_oracle(volume, least):
    found = drop_small(volume, dict(zip(("NCR", "ED", "ET"), least, strict=True)), GLIOMA, 1.0)
    np.testing.assert_array_equal(found, cleaned_by_hand(volume, least))
    assert found.dtype == np.uint8


def test_island_becomes_background():
    volume = np.zeros((3, 5, 5), np.uint8)
    volume[1, 1, 1] = 2
    assert not drop_small(volume, ALL, GLIOMA, 1.0).any()


def test_speck_becomes_what_surrounds_it():
    volume = np.full((5, 5, 5), 2, np.uint8)
    volume[2, 2, 2] = 3
    assert (drop_small(volume, ALL, GLIOMA, 1.0) == 2).all()


def test_component_of_the_least_size_stays():
    volume = np.zeros((3, 3, 9), np.uint8)
    volume[1, 1, :5] = 1
    volume[0, 0, 5:9] = 1  # a corner joins it to the others
    np.testing.assert_array_equal(drop_small(volume, {"NCR": 9}, GLIOMA, 1.0), volume)
    assert not drop_small(volume, {"NCR": 10}, GLIOMA, 1.0).any()


@pytest.mark.parametrize(
    ("voxel_mm3", "stays"), [(1.0, False), (8.0, True), (10 / 9, True), (1.1, False)]
)
def test_sizes_are_in_cubic_millimetres(voxel_mm3, stays):
    volume = np.zeros((3, 3, 9), np.uint8)
    volume[1, 1] = 1
    assert drop_small(volume, {"NCR": 10}, GLIOMA, voxel_mm3).any() == stays


def test_sizes_are_tuned_over_voxels_of_any_size():
    truth = np.zeros((4, 4, 12), np.uint8)
    truth[1, 1] = 1
    fine, coarse = truth.copy(), truth.copy()
    fine[3, 3, :8] = 1  # 8 mm3 too much
    coarse[1, 1] = 0
    coarse[1, 1, :2] = 1  # all that was found: 16 mm3
    tuning = Tuning()
    tuning.add("A", truth, fine, GLIOMA, 1.0)
    tuning.add("B", coarse, coarse, GLIOMA, 8.0)
    cleanup = tuning.best("")
    assert (cleanup.least_mm3["NCR"], cleanup.after) == (10, 1.0)


def test_class_without_a_size_keeps_everything():
    volume = np.eye(3, dtype=np.uint8)[None]
    np.testing.assert_array_equal(drop_small(volume, {"ED": 100}, GLIOMA, 1.0), volume)


def test_dropping_leaves_its_argument_alone():
    volume = np.eye(3, dtype=np.uint8)[None]
    before = volume.copy()
    drop_small(volume, ALL, GLIOMA, 1.0)
    np.testing.assert_array_equal(volume, before)


def test_empty_prediction_stays_empty():
    assert not drop_small(np.zeros((2, 3, 4), np.uint8), ALL, GLIOMA, 1.0).any()


def test_tumour_that_fills_the_volume_becomes_background():
    assert not drop_small(np.ones((2, 2, 2), np.uint8), {"NCR": 9}, GLIOMA, 1.0).any()


@given(volume=volumes)
def test_compiled_and_plain_faces_agree(volume):
    found = find_components(volume, 4)
    inside = np.ascontiguousarray(volume[found.part])
    faces = [
        count(found.number, inside, len(found.label), 4)
        for count in (count_faces, count_faces.py_func)
    ]
    np.testing.assert_array_equal(*faces)


@given(
    pairs=st.lists(st.tuples(volumes, volumes), min_size=1, max_size=3),
    choice=st.tuples(*[st.integers(0, 3)] * 3),
)
def test_tuning_knows_what_dropping_would_give(pairs, choice):
    tuning = Tuning()
    for i, (truth, predicted) in enumerate(pairs):
        tuning.add(str(i), truth, predicted, GLIOMA, 1.0)
    least = {name: CANDIDATES[c] for name, c in zip(ALL, choice, strict=True)}
    known = np.stack(tuning.base) + sum(
        np.stack(tuning.change)[:, k, c] for k, c in enumerate(choice)
    )
    for matrix, (truth, predicted) in zip(known, pairs, strict=True):
        np.testing.assert_array_equal(
            matrix, confusion(truth, drop_small(predicted, least, GLIOMA, 1.0), 4)
        )


@given(pairs=st.lists(st.tuples(volumes, volumes), min_size=1, max_size=3))
def test_tuning_never_makes_its_cases_worse(pairs):
    tuning = Tuning()
    for i, (truth, predicted) in enumerate(pairs):
        tuning.add(str(i), truth, predicted, GLIOMA, 1.0)
    cleanup = tuning.best("here")
    assert cleanup.after >= cleanup.before
    cleaned = [
        confusion(
            truth, drop_small(predicted, cleanup.least_mm3, GLIOMA, 1.0, cleanup.least_total_mm3), 4
        )
        for truth, predicted in pairs
    ]
    assert mean_dice(np.stack(cleaned)) == pytest.approx(cleanup.after, abs=1e-12)


def test_tuning_finds_the_size_that_drops_a_false_island():
    truth = np.zeros((4, 8, 8), np.uint8)
    truth[:, :4, :4] = 2
    predicted = truth.copy()
    predicted[0, 6:8, 6:8] = 3  # 4 voxels where there is no enhancing tumour
    tuning = Tuning()
    tuning.add("A", truth, predicted, GLIOMA, 1.0)
    cleanup = tuning.best("fold 0")
    assert cleanup == Cleanup({"NCR": 0, "ED": 0, "ET": 10}, "fold 0", ["A"], 2 / 3, 1.0)


def test_tuning_of_many_classes_goes_class_by_class():
    """Six classes: both false islands go, and the classes without one keep everything."""
    classes = SIX.classes
    truth = np.zeros((4, 8, 8), np.uint8)
    truth[:, :4, :4] = 2
    predicted = truth.copy()
    predicted[0, 6:8, 6:8] = 6
    predicted[2, 6, 6] = 1
    tuning = Tuning()
    tuning.add("A", truth, predicted, classes, 1.0)
    cleanup = tuning.best("fold 0")
    assert (cleanup.before, cleanup.after) == (pytest.approx(4 / 6), 1)
    assert cleanup.least_mm3 == dict.fromkeys(classes.tumour, 0) | {"core": 10, "scar": 10}
    np.testing.assert_array_equal(drop_small(predicted, cleanup.least_mm3, classes, 1.0), truth)


def test_tuning_drops_nothing_where_all_is_right():
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[0, 0, :3] = (1, 2, 3)
    tuning = Tuning()
    tuning.add("A", truth, truth, GLIOMA, 1.0)
    assert set(tuning.best("").least_mm3.values()) == {0}


def test_tuning_without_a_case_is_refused():
    with pytest.raises(ValueError, match="at least one case"):
        Tuning().best("")


def test_mean_dice_counts_absent_classes_as_one():
    matrix = np.zeros((1, 4, 4), np.int64)
    matrix[0, 1, 1], matrix[0, 1, 0] = 1, 2  # NCR: 2 * 1 / (3 + 1)
    assert mean_dice(matrix) == pytest.approx((0.5 + 1 + 1) / 3)


def test_sizes_are_read_as_they_were_written(tmp_path):
    cleanup = Cleanup({"NCR": 0, "ED": 30, "ET": 100}, "fold 0", ["A", "B"], 0.5, 0.6)
    write_cleanup(tmp_path, cleanup)
    assert read_cleanup(tmp_path) == cleanup


def test_sizes_that_are_not_tuned_are_refused(tmp_path):
    with pytest.raises(BratsError, match=r"not tuned yet; run 'bratstrain evaluate .*--tune-clean"):
        read_cleanup(tmp_path)


@pytest.mark.parametrize("missing", ["least_mm3", "cases", "before", "least_total_mm3"])
def test_damaged_sizes_are_refused(tmp_path, missing):
    cleanup = asdict(Cleanup(dict(ALL), "", ["A"], 0.5, 0.6))
    del cleanup[missing]
    (tmp_path / small_components.CLEANUP).write_text(json.dumps(cleanup))
    with pytest.raises(BratsError, match=f"cannot be read: '{missing}'; tune it again"):
        read_cleanup(tmp_path)


def test_ensemble_takes_the_smallest_sizes(tmp_path):
    for name, sizes, total in (("a", (10, 30, 0), 500), ("b", (30, 10, 100), 300)):
        (tmp_path / name).mkdir()
        least = dict(zip(ALL, sizes, strict=True))
        write_cleanup(tmp_path / name, Cleanup(least, "", [], 0.0, 0.0, {"ET": total}))
    both = [tmp_path / "a", tmp_path / "b"]
    found = shared_sizes(both, GLIOMA)
    assert found == LeastSizes({"NCR": 10, "ED": 10, "ET": 0}, {"ET": 300})


def test_without_sizes_a_prediction_stays_as_it_is():
    volume = np.ones((1, 1, 1), np.uint8)
    assert LeastSizes().clean(volume, np.ones(3), GLIOMA) is volume


def test_either_size_cleans_by_the_volume_of_a_voxel():
    volume = np.full((1, 1, 1), 3, np.uint8)
    for sizes in (LeastSizes({"ET": 9}), LeastSizes({}, {"ET": 9})):
        assert sizes.clean(volume, np.full(3, 2.0), GLIOMA)[0, 0, 0] != 3
        assert sizes.clean(volume, np.full(3, 3.0), GLIOMA)[0, 0, 0] == 3


def test_class_without_a_size_is_refused(tmp_path):
    write_cleanup(tmp_path, Cleanup({"NCR": 10, "ET": 0}, "", [], 0.0, 0.0))
    with pytest.raises(BratsError, match="has no size for ED"):
        shared_sizes([tmp_path], GLIOMA)


@pytest.mark.parametrize("side_mm", [1, 2])
def test_prediction_is_cleaned_by_the_sizes_of_the_run(tmp_path, side_mm):
    runs.write(tmp_path / "run")
    affine = np.diag([side_mm, side_mm, side_mm, 1.0])
    niftis.write_case(tmp_path / "raw", make=niftis.Make(affine=affine))
    with pytest.raises(BratsError, match="not tuned yet"):
        predict(tmp_path / "run", tmp_path / "raw", tmp_path / "out", cleanup=True)
    write_cleanup(tmp_path / "run", Cleanup(dict(ALL), "", [], 0.0, 0.0))
    paths = [
        predict(tmp_path / "run", tmp_path / "raw", tmp_path / f"{on}", cleanup=on, labels="msd",
                any_spacing=True)
        for on in (False, True)
    ]  # fmt: skip
    plain, cleaned = (runs.axial(done.cases[0].path) for done in paths)
    table = np.array([0, 2, 1, 3], np.uint8)  # msd has oedema first
    wanted = drop_small(table[plain], ALL, GLIOMA, side_mm**3)
    np.testing.assert_array_equal(table[cleaned], wanted)
    assert (plain != cleaned).any() == (side_mm == 1)  # 8 mm3 are small for none of them
