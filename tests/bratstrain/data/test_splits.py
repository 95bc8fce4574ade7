import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.errors import BratsError
from bratsprep.slicefile import schema
from bratstrain.data.splits import Split, kfold, make_split
from tests.helpers.slicefiles import SIZES

PUBLISHED = [
    "d85b731d8fc7ce53",
    "3c82a2ff73298a2d",
    "be57549870557d2d",
    "65694fc9bcf03bdc",
    "9f6a4cd765abd1a2",
]


def tables(subjects, *, enhancing=None, volumes=None, labelled=None, planes=2):
    """Tables of a slice file with one case for each subject that is named."""
    n_cases = len(subjects)
    cases = np.zeros(n_cases, schema.row_dtype("case", SIZES))
    cases["id"] = [f"C{i:03}" for i in range(n_cases)]
    cases["subject"] = subjects
    cases["labelled"] = 1 if labelled is None else labelled
    cases["spacing"] = 1
    cases["voxels"][:, 2] = np.arange(n_cases) + 1 if volumes is None else volumes
    cases["voxels"][:, 3] = 1 if enhancing is None else enhancing
    slices = np.zeros(n_cases * planes, schema.row_dtype("slice", SIZES))
    slices["case"] = np.repeat(np.arange(n_cases), planes)
    return slices, cases


people = st.lists(st.sampled_from([f"P{i}" for i in range(12)]), min_size=6, max_size=30).filter(
    lambda names: len(set(names)) >= 5
)


@given(subjects=people, seed=st.integers(0, 99))
def test_subject_split_has_no_subject_on_two_sides(subjects, seed):
    slices, cases = tables(subjects)
    person = dict(zip(cases["id"], subjects, strict=True))
    for fold in range(5):
        split = make_split("subject", fold, slices, cases, seed=seed, test_share=0.0)
        train, validation = (
            {person[name] for name in side} for side in (split.train, split.validation)
        )
        assert not train & validation


@given(subjects=people, seed=st.integers(0, 99))
def test_subject_folds_validate_every_case_once(subjects, seed):
    slices, cases = tables(subjects)
    validated = [
        name
        for fold in range(5)
        for name in make_split("subject", fold, slices, cases, seed=seed).validation
    ]
    assert sorted(validated) == sorted(cases["id"])


@pytest.mark.parametrize("name", ["subject", "nnunet", "slice"])
def test_split_leaves_nothing_out(name):
    slices, cases = tables([f"P{i}" for i in range(7)])
    split = make_split(name, 1, slices, cases)
    rows = np.concatenate([split.rows(part, slices, cases) for part in ("train", "validation")])
    np.testing.assert_array_equal(np.sort(rows), np.arange(14))


def test_subject_folds_are_as_equal_as_they_can_be():
    slices, cases = tables([f"P{i:02}" for i in range(23)])
    sizes = [len(make_split("subject", fold, slices, cases).validation) for fold in range(5)]
    assert sorted(sizes) == [4, 4, 5, 5, 5]


def test_subject_folds_share_out_tumours_without_enhancement():
    slices, cases = tables([f"P{i:02}" for i in range(20)], enhancing=[0] * 5 + [1] * 15)
    without = set(cases["id"][:5])
    for fold in range(5):
        split = make_split("subject", fold, slices, cases, enhancing=3)
        assert len(without & set(split.validation)) == 1


def test_classes_without_enhancing_tumour_are_split_by_volume_alone():
    slices, cases = tables([f"P{i:02}" for i in range(20)], enhancing=[0] * 5 + [1] * 15)
    _, bare = tables([f"P{i:02}" for i in range(20)])
    for fold in range(5):
        split = make_split("subject", fold, slices, cases)
        assert split.validation == make_split("subject", fold, slices, bare).validation


def test_subject_folds_share_out_large_tumours():
    slices, cases = tables([f"P{i:02}" for i in range(20)], volumes=[9000] * 5 + [10] * 15)
    large = set(cases["id"][:5])
    for fold in range(5):
        assert len(large & set(make_split("subject", fold, slices, cases).validation)) == 1


def test_subject_split_is_the_same_for_the_same_seed():
    slices, cases = tables([f"P{i}" for i in range(9)])
    first, second = (make_split("subject", 2, slices, cases, seed=4) for _ in range(2))
    assert first.digest == second.digest


def test_subject_split_is_another_for_another_seed():
    slices, cases = tables([f"P{i}" for i in range(30)])
    assert (
        make_split("subject", 0, slices, cases, seed=0).validation
        != make_split("subject", 0, slices, cases, seed=1).validation
    )


def test_test_share_is_the_same_for_every_fold():
    slices, cases = tables([f"P{i:02}" for i in range(20)])
    tests = {make_split("subject", f, slices, cases, test_share=0.2).test for f in range(5)}
    assert len(tests) == 1
    assert len(tests.pop()) == 4


@pytest.mark.parametrize("name", ["subject", "slice"])
def test_test_share_is_trained_on_by_nobody(name):
    slices, cases = tables(["P0", "P0", "P1", "P1", "P2", "P2", "P3", "P4"])
    split = make_split(name, 0, slices, cases, test_share=0.01)
    rows = [set(split.rows(p, slices, cases)) for p in ("train", "validation", "test")]
    assert rows[2]
    assert not rows[2] & (rows[0] | rows[1])


@pytest.mark.parametrize("fold", range(5))
def test_nnunet_folds_are_the_published_ones(fold):
    slices, cases = tables([f"P{i:03}" for i in range(484)], planes=1)
    cases["id"] = [f"BRATS_{i:03}" for i in range(1, 485)]
    text = "\n".join(make_split("nnunet", fold, slices, cases).validation)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == PUBLISHED[fold]


def test_nnunet_split_says_that_a_repeated_subject_leaks():
    slices, cases = tables(["P"] * 6)
    assert make_split("nnunet", 0, slices, cases).leaks


def test_nnunet_split_of_single_cases_does_not_leak():
    slices, cases = tables(list("ABCDEF"))
    assert not make_split("nnunet", 0, slices, cases).leaks


def test_slice_split_leaks():
    slices, cases = tables(list("ABCDEF"))
    assert make_split("slice", 0, slices, cases).leaks


def test_slice_split_deals_single_slices():
    slices, cases = tables(["A", "B"], planes=10)
    chosen = make_split("slice", 0, slices, cases).rows("validation", slices, cases)
    assert len(chosen) == 4


def test_unlabelled_cases_are_in_no_split():
    slices, cases = tables(list("ABCD"), labelled=[1, 0, 1, 1])
    split = make_split("subject", 0, slices, cases)
    assert "C001" not in split.train + split.validation


def test_kfold_deals_like_a_hand_made_shuffle():
    order = np.arange(7)
    np.random.RandomState(3).shuffle(order)
    folds = kfold(7, 3, 3)
    assert [fold.tolist() for fold in folds] == [
        sorted(order[:3].tolist()),
        sorted(order[3:5].tolist()),
        sorted(order[5:].tolist()),
    ]


def test_three_subjects_give_three_folds():
    slices, cases = tables(list("ABC"))
    validated = [make_split("subject", fold, slices, cases).validation for fold in range(3)]
    assert sorted(validated) == [("C000",), ("C001",), ("C002",)]


@pytest.mark.parametrize(
    ("subjects", "fold", "message"),
    [
        ("ABC", 3, "fold 3 does not exist, 3 labelled subjects give 3 folds; take --fold 0 to 2"),
        ("AA", 0, "1 labelled subjects to divide; training and validation need 2"),
        ("", 0, "0 labelled subjects to divide"),
    ],
    ids=["fold", "one subject", "none"],
)
def test_subject_split_refuses(subjects, fold, message):
    slices, cases = tables(list(subjects))
    with pytest.raises(BratsError, match=f"^split: {message}"):
        make_split("subject", fold, slices, cases, test_share=0.1 if not subjects else 0)


@pytest.mark.parametrize(
    ("name", "share", "message"),
    [
        ("random", 0.0, "split must be subject, nnunet, slice or a .json file, got 'random'"),
        ("nnunet", 0.5, "test_share goes with split subject or slice, not with 'nnunet'"),
        ("subject", 1.5, "test_share must be 0 to below 1, got 1.5"),
    ],
)
def test_split_refuses_a_wrong_call(name, share, message):
    with pytest.raises(ValueError, match=message):
        make_split(name, 0, *tables(list("ABC")), test_share=share)


def test_file_split_is_read(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"train": ["C001", "C000"], "validation": ["C002"], "test": ["C003"]}')
    split = make_split(str(path), 0, *tables(list("ABCD")))
    assert split == Split("mine.json", 0, ("C000", "C001"), ("C002",), ("C003",), leaks=False)


def test_file_split_of_nnunet_is_read(tmp_path):
    path = tmp_path / "splits_final.json"
    path.write_text('[{"train": ["C000"], "val": ["C001"]}, {"train": ["C001"], "val": ["C000"]}]')
    split = make_split(str(path), 1, *tables(list("AB")))
    assert (split.train, split.validation) == (("C001",), ("C000",))


def test_file_split_says_that_it_leaks(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"train": ["C000"], "validation": ["C001"]}')
    assert make_split(str(path), 0, *tables(["A", "A"])).leaks


def test_split_written_as_json_is_read_back(tmp_path):
    tables_of_nine = tables([f"P{i}" for i in range(9)])
    split = make_split("subject", 0, *tables_of_nine, test_share=0.2)
    path = tmp_path / "split.json"
    path.write_text(split.to_json())
    again = make_split(str(path), 0, *tables_of_nine)
    assert (again.train, again.validation, again.test) == (
        split.train,
        split.validation,
        split.test,
    )


def test_digest_is_the_hash_of_the_sides():
    split = Split("subject", 0, ("A",), ("B",), (), leaks=False)
    text = '{"fold":0,"leaks":false,"name":"subject","test":[],"train":["A"],"validation":["B"]}'
    assert split.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("content", "fold", "message"),
    [
        ("{", 0, "cannot be read as JSON"),
        ("[1]", 0, "is no split; expected"),
        ('{"train": ["C000"]}', 0, "'validation' of fold 0 is no list of case ids"),
        ('{"train": [1], "validation": []}', 0, "'train' of fold 0 is no list of case ids"),
        ('{"train": ["X"], "validation": ["C001"]}', 0, "1 cases are not among the 3 .* such as X"),
        ('{"train": ["C001"], "validation": ["C001"]}', 0, "case C001 is listed twice"),
        ('{"train": ["C001"], "validation": []}', 0, "need at least one case each"),
        ('[{"train": [], "val": []}]', 1, "holds 1 folds; take --fold 0 to 0"),
    ],
    ids=["json", "shape", "missing", "numbers", "strange", "twice", "empty", "fold"],
)
def test_file_split_refuses(tmp_path, content, fold, message):
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(BratsError, match=f"mine.json: .*{message}"):
        make_split(str(path), fold, *tables(list("ABC")))


def test_missing_file_split_is_named(tmp_path):
    with pytest.raises(BratsError, match=r"none\.json: cannot be read as JSON"):
        make_split(str(tmp_path / "none.json"), 0, *tables(list("ABC")))


def test_json_holds_what_the_split_holds():
    split = make_split("subject", 0, *tables(list("ABC")))
    assert set(json.loads(split.to_json())) == {
        "name",
        "fold",
        "train",
        "validation",
        "test",
        "leaks",
        "subjects",
        "sliced",
    }


def test_split_knows_the_subjects_of_the_labelled_cases():
    slices, cases = tables(["P", "Q", "P", "R"], labelled=[1, 1, 1, 0])
    for name in ("subject", "nnunet", "slice"):
        split = make_split(name, 0, slices, cases)
        assert split.subjects == {"C000": "P", "C001": "Q", "C002": "P"}


def test_digest_does_not_depend_on_what_follows_from_the_slice_file():
    split = Split("subject", 0, ("A",), ("B",), (), leaks=False)
    told = replace(split, subjects={"A": "P", "B": "Q"})
    assert told.digest == split.digest
    assert told.to_json() != split.to_json()


def test_trained_cases_of_a_slice_split_are_those_of_its_slices():
    slices, cases = tables(list("ABC"), planes=3)
    split = make_split("slice", 0, slices, cases)
    assert set(split.trained_cases) == {cases["id"][slices["case"][row]] for row in split.train}


def test_case_whose_only_slice_is_validated_is_not_trained_on():
    slices, cases = tables(list("ABCDE"), planes=1)
    split = make_split("slice", 0, slices, cases)
    (row,) = split.validation
    assert cases["id"][row] not in split.trained_cases


def test_trained_cases_are_the_training_side_where_cases_are_dealt():
    split = make_split("subject", 0, *tables(list("ABC")))
    assert split.trained_cases == split.train
