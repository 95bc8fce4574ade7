"""Relabelling of a class of which a case has too little."""

import numpy as np
import pytest

from bratsprep.labels import scheme
from bratstrain.inference.small_components import Tuning, drop_small, mean_dice
from bratstrain.inference.small_totals import (
    relabel_little,
    relabelled_matrices,
    smallest_totals,
    surrounding_class,
)
from bratstrain.scoring.metrics import confusion
from tests.helpers.class_sets import GLIOMA, GLIOMA_2024, ONE, SIX


def volume(n_et, n_ncr=500, n_ed=100):
    """One block of each class: NCR, ED and ET, each of so many voxels."""
    flat = np.zeros(4000, np.uint8)
    flat[:n_ncr], flat[1000 : 1000 + n_ed], flat[2000 : 2000 + n_et] = 1, 2, 3
    return flat.reshape(4, 25, 40)


def test_et_of_gliomas_becomes_ncr_and_others_have_no_such_class():
    assert surrounding_class(GLIOMA) == (3, 1)
    assert surrounding_class(GLIOMA_2024) == (
        GLIOMA_2024.classes.index("ET"), GLIOMA_2024.classes.index("NCR"),
    )  # fmt: skip
    assert surrounding_class(ONE.classes) is None
    assert surrounding_class(SIX.classes) is None
    assert surrounding_class(scheme("brats-ped").classes) is None  # TC has three classes


def test_little_is_relabelled_and_regions_around_stay():
    before = volume(n_et=9)
    after = relabel_little(before, {"ET": 10}, GLIOMA, 1.0)
    assert not (after == 3).any()
    np.testing.assert_array_equal((after == 1) | (after == 3), (before == 1) | (before == 3))
    np.testing.assert_array_equal(after > 0, before > 0)


@pytest.mark.parametrize("least", [{}, {"ET": 9}, {"NCR": 1000}])
def test_what_is_enough_stays(least):
    np.testing.assert_array_equal(
        relabel_little(volume(n_et=9), least, GLIOMA, 1.0), volume(n_et=9)
    )


def test_matrices_are_those_of_the_relabelled_volumes():
    truth, cases = volume(n_et=0), [volume(n_et=n) for n in (0, 9, 10, 300, 2, 1)]
    sizes, least = np.array([1.0, 1.0, 1.0, 1.0, 8.0, 8.0]), {"ET": 10}
    given = np.stack([confusion(truth, each, 4) for each in cases])
    relabelled = [
        relabel_little(each, least, GLIOMA, size) for each, size in zip(cases, sizes, strict=True)
    ]
    wanted = np.stack([confusion(truth, each, 4) for each in relabelled])
    np.testing.assert_array_equal(relabelled_matrices(given, (3, 1), 10, sizes), wanted)
    assert [each[:, 3].sum() > 0 for each in wanted] == [False, False, True, True, True, False]
    assert given[1, :, 3].sum() == 9  # left as it was


def test_a_total_is_tuned_where_cases_without_et_pay_for_it():
    """ET of 150 voxels in two cases that have none, and of 600 in one that has it."""
    tuning = Tuning()
    for name, n_true, n_found in (("A", 0, 150), ("B", 0, 150), ("C", 600, 600)):
        tuning.add(name, volume(n_et=n_true), volume(n_et=n_found), GLIOMA, 1.0)
    cleanup = tuning.best("validation")
    # Dropping one component of 150 does not do: nothing is beside it but background.
    assert cleanup.after > cleanup.before
    after = [
        drop_small(volume(n_et=n), cleanup.least_mm3, GLIOMA, 1.0, cleanup.least_total_mm3)
        for n in (150, 150, 600)
    ]
    assert [int((each == 3).sum()) for each in after] == [0, 0, 600]
    matrices = [
        confusion(volume(n_et=n), each, 4) for n, each in zip((0, 0, 600), after, strict=True)
    ]
    assert mean_dice(np.stack(matrices)) == pytest.approx(cleanup.after)


def test_a_total_is_tuned_for_little_et_in_many_large_enough_components():
    """Components of 40 voxels that are ET in one case and NCR in another: only their sum tells."""
    truth, found = np.zeros((2, 3, 20, 60), np.uint8)
    truth[:, :, ::10], found[:, :, ::10] = 1, 1
    true_case = truth.copy()
    found[:, 5, :40] = 3  # 120 voxels of the first case are called ET
    found = found.astype(np.uint8)
    many = found.copy()
    many[:, 15, :] = 3
    true_case[:] = many
    tuning = Tuning()
    truth_of_first = np.where(found == 3, 1, found).astype(np.uint8)
    tuning.add("A", truth_of_first, found, GLIOMA, 1.0)
    tuning.add("B", true_case, many, GLIOMA, 1.0)
    cleanup = tuning.best("validation")
    assert cleanup.least_total_mm3 == {"ET": 200}
    assert cleanup.after == 1


def test_no_total_is_kept_where_it_does_not_pay():
    tuning = Tuning()
    tuning.add("A", volume(n_et=9), volume(n_et=9), GLIOMA, 1.0)
    assert tuning.best("validation").least_total_mm3 == {}


def test_an_ensemble_takes_the_smallest_that_all_runs_have():
    assert smallest_totals([{"ET": 100}, {"ET": 30}]) == {"ET": 30}
    assert smallest_totals([{"ET": 100}, {}]) == {}
    assert smallest_totals([]) == {}
