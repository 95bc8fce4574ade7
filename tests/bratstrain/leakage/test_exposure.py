from pathlib import Path

import numpy as np
import pytest

from bratsprep.discovery.subject_tables import SubjectTable, table_for
from bratstrain.leakage.exposure import (
    ALONE,
    COPY,
    OTHER,
    OWN_FOLD,
    class_voxels,
    find_exposure,
    is_copy,
    twin_counts,
)
from bratstrain.leakage.summaries import CrossValidation

NAMES = table_for("names")


def scores(cases, folds, voxels, parts=("1", "2")):
    """A cross-validation of some cases; every Dice is .5."""
    shape = (len(cases), len(parts))
    return CrossValidation(
        Path("results"), parts, tuple(cases), np.array(folds), np.full(shape, 0.5), np.array(voxels)
    )


def table(subjects):
    """A user's table."""
    return SubjectTable("csv:0123456789abcdef", subjects, {})


def test_each_case_has_the_strongest_exposure_of_its_person():
    people = table({"a": "P", "b": "P", "c": "P", "d": "Q", "e": "Q", "f": "R"})
    voxels = [[100, 50], [100, 50], [300, 9], [7, 7], [9, 7], [100, 50]]
    found = find_exposure(scores("abcdef", [0, 1, 1, 2, 2, 3], voxels), people)
    assert found.kinds == (COPY, COPY, OTHER, OWN_FOLD, OWN_FOLD, ALONE)
    assert twin_counts(found) == {COPY: 2, OTHER: 1, OWN_FOLD: 2, ALONE: 1}
    assert (found.n_subjects, found.n_larger, found.n_from_table) == (3, 1, 6)
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.is_copy, pair.is_split) == (3, 4, False, False)


def test_copy_in_the_same_fold_exposes_nobody():
    found = find_exposure(scores("ab", [1, 1], [[80, 20], [80, 20]]), table({"a": "P", "b": "P"}))
    assert found.kinds == (OWN_FOLD, OWN_FOLD)
    assert found.pairs[0].is_copy


def test_ids_name_persons_where_no_table_does():
    cases = ["BraTS-GLI-00002-000", "BraTS-GLI-00002-001", "BraTS-GLI-00003-000"]
    found = find_exposure(scores(cases, [0, 1, 2], [[1, 2], [3, 4], [5, 6]]), NAMES)
    assert found.subjects == ("BraTS-GLI-00002", "BraTS-GLI-00002", "BraTS-GLI-00003")
    assert found.n_from_table == 0


@pytest.mark.parametrize(
    ("second", "expected"), [([1000, 999], True), ([1000, 1002], True), ([1000, 1003], False)]
)
def test_copies_differ_by_a_thousandth_at_most(second, expected):
    assert is_copy(np.array([1000, 1000]), np.array(second)) is expected


def test_empty_references_are_no_copies():
    assert not is_copy(np.zeros(2, np.int64), np.zeros(2, np.int64))


@pytest.mark.parametrize(
    ("parts", "counts"),
    [
        (("1", "2", "3"), [53050, 27189, 31485]),
        (("1", "2", "3"), [27189, 53050, 31485]),
        (("(1, 2, 3)", "(2, 3)", "(3,)"), [53050 + 27189 + 31485, 27189 + 31485, 31485]),
    ],
    ids=["classes", "other order", "regions"],
)
def test_table_of_task01_is_used_where_voxels_are_its_own(parts, counts):
    cases = ["BRATS_001", "BRATS_275"]
    people = table_for("auto")
    found = find_exposure(scores(cases, [4, 2], [counts, counts], parts), people)
    assert found.subjects == ("BRATS_001", "BRATS_001")
    assert found.kinds == (COPY, COPY)


def test_table_of_task01_is_not_used_for_other_cases_of_its_names():
    found = find_exposure(
        scores(["BRATS_001", "BRATS_275"], [4, 2], [[1, 2, 3], [1, 2, 3]], ("1", "2", "3")),
        table_for("auto"),
    )
    assert found.subjects == ("BRATS_001", "BRATS_275")
    assert found.n_from_table == 0


def test_regions_that_do_not_nest_are_counted_as_they_are():
    assert class_voxels(("(1, 2)", "(2, 3)"), np.array([[5, 7]])) == [[5, 7]]
    assert class_voxels(("1",), np.array([[5]])) == [[5]]
