import json

import pytest

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratstrain.data.splits import make_split


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """An nnU-Net data set of nine cases of six patients."""
    folder = tmp_path_factory.mktemp("data") / "raw"
    bratsprep.phantoms(folder, layout="nnunet", cases=9, shape=(48, 48, 32), repeats=3)
    return folder


def named(folder, cases, content="", ending=".nii.gz"):
    """A data set of which only the names of the labels matter."""
    (folder / "labelsTr").mkdir(parents=True)
    for case in cases:
        (folder / "labelsTr" / f"{case}{ending}").write_text("x")
    if content:
        (folder / "dataset.json").write_text(content)
    return folder


def sides(path):
    """(training, validation) ids of each fold of a file."""
    return [(set(fold["train"]), set(fold["val"])) for fold in json.loads(path.read_text())]


@pytest.mark.slow
def test_folds_are_those_of_a_fit_on_the_slice_file(raw, tmp_path):
    out = tmp_path / "splits_final.json"
    done = bratstrain.splits(raw, out, seed=3)
    bratsprep.build(raw, tmp_path / "a.h5", crop="48x48")
    with bratsprep.open(tmp_path / "a.h5") as file:
        for fold, (train, validation) in enumerate(sides(out)):
            split = make_split("subject", fold, file.slices, file.cases, seed=3, enhancing=3)
            assert (set(split.train), set(split.validation)) == (train, validation)
            read = make_split(str(out), fold, file.slices, file.cases)
            assert (set(read.train), read.leaks) == (train, False)
    assert len(done.repeats.grouped) == 3
    assert "9 cases, 6 subjects, none in two folds" in done.lines()[0]


@pytest.mark.slow
def test_repeats_that_are_only_named_are_not_grouped(raw, tmp_path):
    done = bratstrain.splits(raw, tmp_path / "a.json", repeats="name")
    assert len(set(done.folds[0].subjects.values())) == 9
    assert len(done.repeats.contradicted) == 3


def test_names_alone_suffice_for_any_task(tmp_path):
    cases = [f"liver_{patient:02}_ses-{time}" for patient in range(7) for time in (1, 2)]
    folder = named(tmp_path / "raw", cases, '{"file_ending": ".nii"}', ".nii")
    out = tmp_path / "splits_final.json"
    done = bratstrain.splits(folder, out, repeats="off")
    folds = sides(out)
    assert len(folds) == 5
    assert set().union(*(validation for _, validation in folds)) == set(cases)
    for train, validation in folds:
        assert train | validation == set(cases)
        assert not {case[:8] for case in train} & {case[:8] for case in validation}
    assert done.lines()[-1] == "repeats: not looked for (--repeats off)"


def test_table_gives_subjects(tmp_path):
    folder = named(tmp_path / "raw", "abcd")
    table = tmp_path / "subjects.csv"
    table.write_text("case,subject\na,P\nb,Q\nc,P\nd,Q\n")
    done = bratstrain.splits(folder, tmp_path / "s.json", repeats="off", subjects=table)
    assert {frozenset(fold.validation) for fold in done.folds} == {frozenset("ac"), frozenset("bd")}
    assert "only folds 0 to 1" in done.lines()[-1]


def test_existing_file_is_replaced_only_by_force(tmp_path):
    folder, out = named(tmp_path / "raw", "abcdef"), tmp_path / "splits_final.json"
    out.write_text("mine")
    with pytest.raises(BratsError, match=r"splits_final\.json: exists"):
        bratstrain.splits(folder, out, repeats="off")
    assert out.read_text() == "mine"
    bratstrain.splits(folder, out, repeats="off", force=True)
    assert len(sides(out)) == 5


@pytest.mark.parametrize(
    ("cases", "content", "message"),
    [
        ([], "", r"holds no labelsTr/\*\.nii\.gz"),
        (["a"], "", "1 labelled subjects to divide"),
        (["a", "b"], "{", r"dataset\.json: cannot be read as JSON"),
    ],
)
def test_data_at_fault_is_refused(tmp_path, cases, content, message):
    folder = named(tmp_path / "raw", cases, content)
    (folder / "labelsTr" / "notes.txt").write_text("x")
    with pytest.raises(BratsError, match=message):
        bratstrain.splits(folder, tmp_path / "s.json", repeats="off")
    assert not (tmp_path / "s.json").exists()


def test_two_data_sets_in_one_folder_are_refused(tmp_path):
    for name in ("one", "two"):
        named(tmp_path / "raw" / name, "ab")
    with pytest.raises(BratsError, match="2 label files are of a; name one data set"):
        bratstrain.splits(tmp_path / "raw", tmp_path / "s.json", repeats="off")


def test_dataset_json_that_is_a_list_names_no_ending(tmp_path):
    folder = named(tmp_path / "raw", "abc", "[]")
    done = bratstrain.splits(folder, tmp_path / "s.json", repeats="off")
    assert sorted(done.folds[0].subjects) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("exclude", ["labelsTs/*"]), ("labels", "msd"), ("missing", "zeros"), ("same_grid", True)],
)
def test_what_raw_files_are_taken_for_has_no_effect_without_reading_them(tmp_path, name, value):
    folder = named(tmp_path / "raw", "abc")
    with pytest.raises(ValueError, match=f"{name} .* has no effect with repeats off"):
        bratstrain.splits(folder, tmp_path / "s.json", repeats="off", **{name: value})


@pytest.mark.slow
def test_files_that_are_excluded_are_in_no_fold(raw, tmp_path):
    cases = sorted(path.name[:-7] for path in (raw / "labelsTr").iterdir())
    done = bratstrain.splits(raw, tmp_path / "s.json", exclude=[f"*/{cases[0]}*"])
    assert sorted(done.folds[0].subjects) == cases[1:]
