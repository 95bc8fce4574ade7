"""Pairs and groups from fingerprints."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bratsprep.repeats import search
from bratsprep.repeats.search import (
    FLIPS,
    Pair,
    candidates,
    flipped,
    grouped,
    image_features,
    known_twins,
    map_scores,
    mask_features,
)
from bratsprep.slicefile.schema import Sizes, row_dtype
from bratstrain.data.splits import make_split

CASES = "ABCDEFGH"
SIZES = Sizes(4, 4)


def prints(n_cases, seed=0):
    """Fingerprints of different people: a brain of half the cells, and noise in it."""
    generator = np.random.default_rng(seed)
    found = generator.integers(-100, 100, (n_cases, 5, 8, 8, 8)).astype(np.int8)
    found[:, 0] = 0
    found[:, 0, 1:7, 1:7, 1:7] = 127
    return found


def again(images, seed=1, noise=15):
    """The same people in another scan: another scale, and noise."""
    generator = np.random.default_rng(seed)
    made = images.astype(float)
    made[:, 1:] = made[:, 1:] * 0.7 + generator.normal(0, noise, made[:, 1:].shape)
    return np.clip(made, -127, 127).astype(np.int8)


def pair(first, second, score=0.9):
    return Pair(first, second, score, "images")


def test_features_have_length_one():
    features = image_features(prints(3))
    np.testing.assert_allclose(np.square(features).sum(axis=(2, 3, 4)), 1, rtol=1e-4)


def test_a_map_that_says_nothing_stays_zero():
    images = prints(1)
    images[:, 2] = 0
    assert not image_features(images)[0, 1].any()
    assert not mask_features(np.zeros((1, 2, 4, 4, 4), np.uint8)).any()


def test_cells_outside_the_brain_say_nothing():
    images = prints(2)
    images[1] = images[0]
    images[1, 1:, 0] = 99
    np.testing.assert_array_equal(*image_features(images))


def test_features_of_many_are_those_of_each():
    images = prints(300)
    np.testing.assert_array_equal(image_features(images)[299], image_features(images[299:])[0])


def test_candidates_are_the_same_people():
    images = prints(6)
    features = image_features(np.concatenate([images, again(images[:2])]))
    found = candidates(features, None, 0.5)
    assert {(each.first, each.second) for each in found} == {(0, 6), (1, 7)}
    assert all(each.flip == (False, False) for each in found)


def test_candidates_come_best_first_and_once():
    features = image_features(np.concatenate([prints(4)] * 2))
    found = candidates(features, None, -1.0)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert len({(each.first, each.second) for each in found}) == len(found)
    assert all(each.first < each.second for each in found)


def test_candidates_of_many_blocks_are_those_of_all_pairs():
    images = prints(150)
    features = image_features(np.concatenate([images, again(images)]))
    found = candidates(features, None, 0.5)
    assert {(each.first, each.second) for each in found} == {(i, i + 150) for i in range(150)}


def test_candidates_across_sets_name_rows_of_each():
    images = prints(5)
    found = candidates(image_features(images), image_features(again(images[3:])), 0.5)
    assert sorted((each.first, each.second) for each in found) == [(3, 0), (4, 1)]


@pytest.mark.parametrize("flip", FLIPS)
def test_a_flip_is_found_and_named(flip):
    images = prints(3)
    other = flipped(images[1:2], *flip)
    (found,) = candidates(image_features(images), image_features(other), 0.5)
    assert (found.first, found.flip) == (1, flip)
    assert found.score == pytest.approx(1, abs=1e-4)


def test_scores_of_the_maps_make_the_score():
    features = image_features(np.concatenate([prints(2), again(prints(2))]))
    found = candidates(features, None, 0.5)[0]
    maps = map_scores(features[found.first], features[found.second], found.flip)
    assert maps.shape == (4,)
    assert maps.mean() == pytest.approx(found.score, abs=1e-5)


def test_nothing_has_no_candidates():
    features = image_features(prints(1))
    assert candidates(features, None, 0.1) == []
    assert candidates(features, features[:0], 0.1) == []


@pytest.mark.parametrize(
    ("evidence", "score", "certainty"),
    [("images", 0.75, "certain"), ("images", 0.74, "likely"), ("images", 0.59, ""),
     ("masks", 0.4, "certain"), ("masks", 0.3, "likely"), ("masks", 0.29, ""),
     ("whole tumour", 0.6, "certain"), ("whole tumour", 0.45, "likely"),
     ("whole tumour", 0.44, "")],
)  # fmt: skip
def test_certainty_goes_by_score_and_evidence(evidence, score, certainty):
    assert Pair("A", "B", score, evidence).certainty == certainty


def test_groups_join_chains_under_the_first_name():
    subjects = {case: case for case in CASES}
    found = grouped(subjects, [pair("C", "D"), pair("D", "B"), pair("F", "E")])
    assert found == {**subjects, "C": "B", "D": "B", "F": "E"}


def test_groups_keep_what_names_say():
    subjects = {"P-000": "P", "P-001": "P", "Q": "Q"}
    assert grouped(subjects, [pair("Q", "P-001")]) == {"P-000": "P", "P-001": "P", "Q": "P"}


def test_a_pair_of_no_certainty_joins_nobody():
    assert grouped({"A": "A", "B": "B"}, [pair("A", "B", 0.5)]) == {"A": "A", "B": "B"}


edges = st.lists(st.tuples(st.sampled_from(CASES), st.sampled_from(CASES)), max_size=8)


@given(edges=edges)
def test_groups_are_the_connected_ones(edges):
    found = grouped({case: case for case in CASES}, [pair(*edge) for edge in edges])
    reach = {case: {case} for case in CASES}
    for _ in CASES:
        for one, two in edges:
            reach[one] |= reach[two]
            reach[two] |= reach[one]
    assert found == {case: min(reach[case]) for case in CASES}


@given(edges=edges, order=st.permutations(range(8)))
def test_groups_do_not_depend_on_the_order_of_pairs(edges, order):
    pairs = [pair(*edge) for edge in edges]
    turned = [pairs[i] for i in order if i < len(pairs)]
    subjects = {case: case for case in CASES}
    assert grouped(subjects, turned) == grouped(subjects, pairs)


@given(edges=edges, fold=st.integers(0, 1), seed=st.integers(0, 9))
def test_no_fold_by_subject_separates_a_group(edges, fold, seed):
    subject_of = grouped({case: case for case in CASES}, [pair(*edge) for edge in edges])
    assume(len(set(subject_of.values())) > 1)
    cases = np.zeros(len(CASES), row_dtype("case", SIZES))
    cases["id"], cases["labelled"], cases["spacing"] = list(CASES), 1, 1
    cases["subject"] = [subject_of[case] for case in CASES]
    split = make_split("subject", fold, np.zeros(0, row_dtype("slice", SIZES)), cases, seed=seed)
    assert known_twins(subject_of, split.train, split.validation) == {}


def test_known_twins_are_validation_cases_whose_person_is_trained_on():
    subject_of = {"A": "A", "B": "A", "C": "C", "D": "A", "E": "E"}
    assert known_twins(subject_of, ["A", "B", "C"], ["D", "E"]) == {"D": ("A", "B")}


@given(names=st.lists(st.sampled_from("PQR"), min_size=6, max_size=6), cut=st.integers(1, 5))
def test_a_case_is_a_known_twin_when_its_subject_is_on_both_sides(names, cut):
    subject_of = dict(zip("ABCDEF", names, strict=True))
    found = known_twins(subject_of, "ABCDEF"[:cut], "ABCDEF"[cut:])
    assert set(found) == {case for case in "ABCDEF"[cut:] if subject_of[case] in names[:cut]}


@pytest.mark.parametrize(("many", "asked"), [(1, 0), (search.MANY, 1)])
def test_only_large_products_take_the_threads_of_blas(monkeypatch, many, asked):
    calls = []
    monkeypatch.setattr(search, "MANY", many)
    monkeypatch.setattr(search, "few_blas_threads", lambda: calls.append(1) or nullcontext())
    features = image_features(prints(3))
    assert candidates(features, None, -1.0)
    assert len(calls) == asked
