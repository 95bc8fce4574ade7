"""Twins in training: who they are, what is said of them, and that every score comes twice."""

import csv
import json
from dataclasses import replace
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest

import bratsprep
import bratstrain
from bratsprep.slicefile import schema
from bratstrain.data.splits import Split, make_split
from bratstrain.data.twins import (
    UNTOLD,
    Training,
    Twins,
    find_twins,
    leak_warning,
    validation_twins,
)
from tests.helpers import fitfiles
from tests.helpers.slicefiles import SIZES

SPLIT = Split(
    "mine.json", 0, ("A", "B"), ("C", "D"), (), leaks=True,
    subjects={"A": "P", "B": "Q", "C": "P", "D": "R"},
)  # fmt: skip
TABLE = "csv:0123456789abcdef"


def found(ids, named=None, split=SPLIT, table="names"):
    return find_twins(split, ids, named or {}, table, "case")


def test_twins_are_the_training_cases_of_the_same_person():
    twins = found(("C", "D"))
    assert dict(twins.cases) == {"C": ("A",)}
    assert (twins.n_cases, twins.share) == (2, 0.5)


def test_case_in_training_is_its_own_twin():
    assert dict(found(("A", "D")).cases) == {"A": ("A",)}


def test_case_that_the_run_does_not_know_has_the_subject_of_its_source():
    assert dict(found(("X",), {"X": "Q"}).cases) == {"X": ("B",)}


def test_run_goes_before_the_source():
    assert dict(found(("D",), {"D": "P"}).cases) == {}


def test_case_that_nobody_knows_is_a_person_of_its_own():
    assert not found(("X",)).cases


def test_run_without_subjects_takes_those_of_the_source():
    bare = replace(SPLIT, subjects={})
    assert dict(found(("C",), SPLIT.subjects, bare).cases) == {"C": ("A",)}
    assert not found(("C",), {}, bare).cases


@pytest.mark.parametrize(
    ("cases", "told", "line"),
    [
        ({}, True, "no test case has a known twin in training"),
        ({}, False, f"no test case has a known twin in training: {UNTOLD}"),
        ({"C": ("A",)}, True,
         "1 of 4 test cases (25 %) have a twin in training, a case of the same person"),
        ({"A": ("A",), "C": ("A",)}, True,
         ("2 of 4 test cases (50 %) have a twin in training, a case of the same person; "
          "1 are there themselves")),
        ({"A": ("A",)}, False, "1 of 4 test cases (25 %) are in training themselves"),
    ],
)  # fmt: skip
def test_line_says_how_many(cases, told, line):
    assert Twins("test case", 4, cases, told).line() == line


def test_nobody_is_told_apart_where_every_case_is_its_own_subject():
    alone = replace(SPLIT, subjects={name: name for name in "ABCD"})
    assert not found(("C",), split=alone).are_told
    assert found(("C",), split=alone, table=TABLE).are_told


def test_subjects_that_names_tell_are_no_word_of_the_user():
    assert not found(("C",)).are_told
    assert UNTOLD in found(("D",)).line()


def test_json_holds_count_share_and_ids():
    assert found(("C", "D")).to_json() == {
        "n": 1,
        "of": 2,
        "share": 0.5,
        "said": "1 of 2 cases (50 %) have a twin in training, a case of the same person",
        "subjects_told": False,
        "cases": {"C": ["A"]},
        "images": None,
    }


def test_share_of_no_case_is_0():
    assert Twins("case", 0, {}, are_told=True).share == 0


def task01():
    text = files("bratsprep.discovery").joinpath("tables/task01_subjects.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def task01_file():
    """What is asked of a slice file of Task01, one slice a case."""
    rows = task01()
    cases = np.zeros(len(rows), schema.row_dtype("case", SIZES))
    cases["id"] = [row["case"] for row in rows]
    cases["subject"] = [row["subject"] for row in rows]
    cases["labelled"] = 1
    slices = np.zeros(len(rows), schema.row_dtype("slice", SIZES))
    slices["case"] = np.arange(len(rows))
    return SimpleNamespace(slices=slices, cases=cases, config=SimpleNamespace(subjects="auto"))


@pytest.mark.parametrize(("fold", "n", "of"), [(0, 46, 97), (1, 50, 97), (2, 48, 97), (3, 53, 97),
                                               (4, 42, 96)])  # fmt: skip
def test_published_folds_have_the_twins_that_the_page_counts(fold, n, of):
    file = task01_file()
    split = make_split("nnunet", fold, file.slices, file.cases)
    twins = validation_twins(split, file)
    assert (len(twins.cases), twins.n_cases) == (n, of)
    assert f"{n} of {of} validation cases" in leak_warning(split, twins)


def test_subject_folds_of_task01_have_no_twin():
    file = task01_file()
    for fold in range(5):
        split = make_split("subject", fold, file.slices, file.cases)
        assert not validation_twins(split, file).cases
        assert leak_warning(split, validation_twins(split, file)) == ""


def test_case_of_task01_is_looked_up_by_its_voxels():
    """BRATS_275 is BRATS_001 again; another set may have a case of that name."""
    row = next(row for row in task01() if row["case"] == "BRATS_275")
    voxels = np.array([9, *(int(row[name]) for name in ("NCR", "ED", "ET"))])
    split = Split("subject", 0, ("BRATS_001",), ("BRATS_007",), (), leaks=False)
    for table, counts, cases in [
        ("auto", voxels, {"BRATS_275": ("BRATS_001",)}),
        ("auto", voxels + 1, {}),
        ("names", voxels, {}),
    ]:
        training = Training(split, table, {"BRATS_275": "BRATS_275"})
        assert training.twins({"BRATS_275": counts}, "case").cases == cases


def test_warning_tells_a_leak_into_the_test_set_apart():
    split = replace(SPLIT, validation=("D",), test=("C",))
    said = leak_warning(split, find_twins(split, ("D",), {}, "names", "validation case"))
    assert said == (
        "split mine.json has a subject on two sides, though no validation case has a known twin "
        f"in training: {UNTOLD}: scores of its test part are too good to be true"
    )


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """Eight phantoms, the last two of them of persons that are there already; and a table."""
    folder = tmp_path_factory.mktemp("repeated")
    bratsprep.phantoms(folder / "raw", cases=8, shape=(32, 32, 16), repeats=2)
    rows = [f"BRATS_00{i + 1},P{i % 6}" for i in range(8)]
    (folder / "subjects.csv").write_text("\n".join(["case,subject", *rows]))
    bratsprep.build(
        folder / "raw", folder / "all.h5", crop="32x32", workers=1, slices="brain",
        subjects=folder / "subjects.csv",
    )  # fmt: skip
    sides = {"train": range(1, 6), "validation": (6, 7), "test": (8,)}
    names = {part: [f"BRATS_00{i}" for i in numbers] for part, numbers in sides.items()}
    (folder / "mine.json").write_text(json.dumps(names))
    return folder


@pytest.fixture(scope="module")
def separated(repeated):
    """A run whose split separates both pairs: BRATS_007 is BRATS_001, and 008 is 002."""
    with pytest.warns(UserWarning, match="1 of 2 validation cases .50 %. have a twin in training"):
        bratstrain.fit(
            repeated / "all.h5", repeated / "run", split=str(repeated / "mine.json"), steps=2,
            **fitfiles.SMALL,
        )  # fmt: skip
    return repeated / "run"


def test_run_keeps_its_subjects_and_twins(separated):
    facts = json.loads((separated / "run.json").read_text())
    assert facts["twins"]["cases"] == {"BRATS_007": ["BRATS_001"]}
    split = json.loads((separated / "split.json").read_text())
    assert split["subjects"]["BRATS_007"] == "P0"


@pytest.mark.parametrize("source", [{"raw": "raw"}, {"data": "all.h5"}])
def test_every_score_comes_twice(separated, repeated, tmp_path, source):
    places = {name: repeated / place for name, place in source.items()}
    report = bratstrain.evaluate(separated, out=tmp_path, **places)
    assert report.twins == {"BRATS_007": ("BRATS_001",)}
    second = report.table_without_twins
    assert second.cases == f"{report.table.cases}, without a twin in training"
    names = [{(row.convention, row.metric) for row in table.rows}
             for table in (report.table, second)]  # fmt: skip
    assert names[0] == names[1]
    alone = bratstrain.evaluate(separated, out=tmp_path, cases=("BRATS_006",), **places)
    assert repr(second.rows) == repr(alone.table.rows)  # a NaN is not equal to itself
    assert (alone.twins, alone.table_without_twins) == ({}, None)


def test_part_of_twins_alone_has_no_second_table(separated, repeated, tmp_path):
    report = bratstrain.evaluate(separated, raw=repeated / "raw", split="test", out=tmp_path)
    assert report.twins == {"BRATS_008": ("BRATS_002",)}
    assert report.table_without_twins is None
    assert (
        "1 of 1 test cases (100 %) have a twin in training, a case of the same person"
    ) in "\n".join(report.lines())
    assert any(line.endswith("none is left to be scored without") for line in report.lines())


def test_run_that_kept_no_subjects_is_told_by_names(separated, repeated, tmp_path):
    path = separated / "split.json"
    before = path.read_text()
    fields = json.loads(before)
    del fields["subjects"], fields["sliced"]
    path.write_text(json.dumps(fields))
    report = bratstrain.evaluate(separated, raw=repeated / "raw", split="train", out=tmp_path)
    path.write_text(before)
    assert list(report.twins) == [case.case for case in report.scores]


def test_slice_split_says_that_every_case_is_in_training(repeated, tmp_path):
    with pytest.warns(UserWarning, match=r"7 of 7 validation cases \(100 %\) are in training"):
        bratstrain.fit(
            repeated / "all.h5", tmp_path / "run", split="slice", steps=1, **fitfiles.SMALL
        )  # fmt: skip
    for n, source in (
        (7, {"data": repeated / "all.h5"}),
        (8, {"raw": repeated / "raw", "split": "all"}),
    ):
        report = bratstrain.evaluate(tmp_path / "run", **source)
        assert len(report.twins) == len(report.scores) == n
        assert report.table_without_twins is None
        assert any("(100 %) are in training themselves" in line for line in report.lines())


def test_label_files_know_no_training(repeated, tmp_path):
    labels = repeated / "raw" / "labelsTr"
    report = bratstrain.score_folders(labels, repeated / "raw", out=tmp_path)
    assert report.repeats is None
    assert report.twins == {}
    assert not any("twin" in line for line in report.lines())


@pytest.fixture(scope="module")
def renamed(tmp_path_factory):
    """Five people in one edition, and three of them scanned again under names of another."""
    folder = tmp_path_factory.mktemp("renamed")
    bratsprep.phantoms(folder / "raw", cases=5, shape=(32, 32, 20))
    bratsprep.build(folder / "raw", folder / "a.h5", crop="32x32", workers=1, slices="brain")
    bratsprep.phantoms(folder / "other", cases=3, layout="brats2018", shape=(32, 32, 20))
    bratsprep.build(folder / "other", folder / "b.h5", crop="32x32", workers=1, slices="brain")
    bratstrain.fit(folder / "a.h5", folder / "run", steps=2, **fitfiles.SMALL)
    return folder


@pytest.mark.parametrize("source", [{"raw": "other"}, {"data": "b.h5"}])
def test_other_edition_of_the_training_cases_is_recognised_by_its_images(renamed, tmp_path, source):
    places = {name: renamed / place for name, place in source.items()}
    report = bratstrain.evaluate(renamed / "run", split="all", out=tmp_path, **places)
    trained = set(json.loads((renamed / "run" / "split.json").read_text())["train"])
    numbers = dict(report.twins)
    assert set().union(*numbers.values()) <= trained
    assert len(numbers) == len({"BRATS_001", "BRATS_002", "BRATS_003"} & trained)
    assert report.repeats.images.n_trained == len(trained)
    assert any("compared by image fingerprint" in line for line in report.lines())


def test_prediction_states_which_cases_are_people_of_the_training(renamed, tmp_path):
    done = bratstrain.predict(renamed / "run", renamed / "other", tmp_path / "out")
    trained = set(json.loads((renamed / "run" / "split.json").read_text())["train"])
    lines = [case.line() for case in done.cases]
    known = [line for line in lines if "THIS PERSON IS IN TRAINING" in line]
    assert len(known) == len({"BRATS_001", "BRATS_002", "BRATS_003"} & trained)
    assert all("compared by image fingerprint with the" in line for line in lines)


def test_fit_warns_of_people_on_both_sides_that_only_images_tell(renamed, tmp_path):
    bratsprep.phantoms(tmp_path / "raw", cases=6, repeats=2, shape=(32, 32, 20))
    bratsprep.build(tmp_path / "raw", tmp_path / "c.h5", crop="32x32", workers=1, repeats="off")
    sides = {"train": range(1, 5), "validation": (5, 6)}
    names = {part: [f"BRATS_00{i}" for i in numbers] for part, numbers in sides.items()}
    (tmp_path / "mine.json").write_text(json.dumps(names))
    with pytest.warns(UserWarning, match=r"leaks: 2 of 2 .* BRATS_005 = BRATS_001"):
        bratstrain.fit(
            tmp_path / "c.h5", tmp_path / "run", split=str(tmp_path / "mine.json"), steps=1,
            **fitfiles.SMALL,
        )  # fmt: skip
