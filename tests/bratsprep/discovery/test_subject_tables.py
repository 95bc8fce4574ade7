"""Tables of subjects: what they are read from, and to whom they apply."""

import dataclasses

import numpy as np
import pytest

import bratsprep
from bratsprep.config import PrepConfig
from bratsprep.discovery.subject_tables import read_table, table_for, task01
from bratsprep.errors import BuildError, SchemaError

SHAPE = (24, 28, 20)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two phantoms with the names of Task01."""
    folder = tmp_path_factory.mktemp("subjects") / "raw"
    return bratsprep.phantoms(folder, cases=2, shape=SHAPE)


def table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return path


def test_task01_has_484_cases():
    assert sorted(task01().subjects) == [f"BRATS_{i:03d}" for i in range(1, 485)]
    assert set(task01().voxels) == set(task01().subjects)


def test_task01_repeats_its_first_twenty():
    repeated = {f"BRATS_{i:03d}" for i in range(275, 295)}
    first = {f"BRATS_{i:03d}" for i in range(1, 21)}
    assert {task01().subjects[case] for case in repeated} == first


def test_task01_names_each_of_those_without_a_partner_for_itself():
    alone = [f"BRATS_{i:03d}" for i in range(295, 383)]
    assert len({task01().subjects[case] for case in alone}) == len(alone)


def test_task01_subjects_are_cases_of_their_own_group():
    subjects = task01().subjects
    assert all(subjects[subject] == subject for subject in subjects.values())


def test_task01_holds_for_its_own_labels_only():
    voxels = [1, *task01().voxels["BRATS_275"]]
    assert task01().subject("BRATS_275", "named", voxels) == task01().subjects["BRATS_275"]
    assert task01().subject("BRATS_275", "named", [1, 2, 3, 4]) == "named"
    assert task01().subject("patient1", "named", voxels) == "named"


def test_task01_counts_are_those_of_the_real_masks(real):
    counted = bratsprep.inspect(real / "msd_task01_all_labels", workers=2)
    for row in counted.rows:
        assert tuple(row.voxels[1:]) == task01().voxels[row.id]


def test_a_users_table_holds_whatever_the_label(tmp_path):
    found = read_table(table(tmp_path, "score,subject,case\n1,P,A\n1,P,B\n"))
    assert found.subject("A", "A", [0, 1, 2, 3]) == "P"
    assert found.subject("C", "C", [0, 1, 2, 3]) == "C"


def test_the_key_of_a_table_is_that_of_its_bytes(tmp_path):
    one = read_table(table(tmp_path, "case,subject\nA,P\n")).key
    two = read_table(table(tmp_path, "case,subject\nA,Q\n")).key
    assert one != two
    assert PrepConfig(subjects=one).subjects == one


def test_names_alone_are_a_choice():
    assert table_for("names").subject("BRATS_275", "named", [0, 0, 0, 0]) == "named"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,person\nA,P\n", "line 2 has no case or no subject; expected both"),
        ("case,subject\nA,P\nA,Q\n", "line 3 has case A again; once is enough"),
        ("case,subject\n", "holds no row; expected the columns case and subject"),
        ('case,subject\n"A,P\n', "cannot be read as a CSV file"),
    ],
    ids=["column", "twice", "empty", "quote"],
)
def test_a_table_is_refused(tmp_path, text, message):
    path = table(tmp_path, text)
    with pytest.raises(BuildError, match=f"^{path}: {message}"):
        read_table(path)


def test_a_table_that_is_missing_is_refused(tmp_path):
    with pytest.raises(BuildError, match=r"none\.csv: cannot be read"):
        read_table(tmp_path / "none.csv")


def test_phantoms_are_not_the_people_of_task01(raw, tmp_path):
    summary = bratsprep.build(raw, tmp_path / "a.h5", crop="24x24", workers=1)
    assert summary.renamed == 0
    assert summary.people == {"BRATS_001", "BRATS_002"}


def test_build_takes_subjects_from_a_table_and_says_so(raw, tmp_path):
    path = table(tmp_path, "case,subject\nBRATS_002,BRATS_001\n")
    out = tmp_path / "a.h5"
    summary = bratsprep.build(raw, out, crop="24x24", subjects=path, workers=1)
    assert any(
        "1 cases belong to a patient listed under another id" in line for line in summary.lines()
    )
    with bratsprep.open(out) as file:
        assert list(file.cases["subject"]) == ["BRATS_001", "BRATS_001"]
    assert bratsprep.build(raw, out, crop="24x24", subjects=path, workers=1).was_complete


def test_another_table_is_another_file(raw, tmp_path):
    out = tmp_path / "a.h5"
    bratsprep.build(raw, out, crop="24x24", workers=1)
    with pytest.raises(BuildError, match="other settings"):
        bratsprep.build(raw, out, crop="24x24", subjects="names", workers=1)


def test_verify_takes_a_users_word_and_no_other(raw, tmp_path):
    path = table(tmp_path, "case,subject\nBRATS_002,BRATS_001\n")
    out = tmp_path / "a.h5"
    bratsprep.build(raw, out, crop="24x24", subjects=path, workers=1)
    assert bratsprep.verify(out, raw, workers=1).compared == 2


def test_build_names_repeats_of_task01_by_itself(raw, tmp_path, monkeypatch):
    out = tmp_path / "a.h5"
    bratsprep.build(raw, out, crop="24x24", workers=1)
    with bratsprep.open(out) as file:
        counts = tuple(file.cases["voxels"][1, 1:].tolist())
    known = dataclasses.replace(
        task01(), subjects={"BRATS_002": "BRATS_001"}, voxels={"BRATS_002": counts}
    )
    monkeypatch.setattr("bratsprep.discovery.subject_tables.task01", lambda: known)
    with pytest.raises(SchemaError, match="subject is BRATS_002; expected BRATS_001"):
        bratsprep.verify(out, raw, workers=1)
    summary = bratsprep.build(raw, out, crop="24x24", workers=1, force=True)
    assert summary.renamed == 1
    assert bratsprep.verify(out, raw, workers=1).compared == 2


def test_fingerprints_of_a_build_depend_on_no_worker(raw, tmp_path):
    for workers in (1, 2):
        bratsprep.build(raw, tmp_path / f"{workers}.h5", crop="24x24", workers=workers)
    with bratsprep.open(tmp_path / "1.h5") as one, bratsprep.open(tmp_path / "2.h5") as two:
        np.testing.assert_array_equal(one.cases["fingerprint"], two.cases["fingerprint"])
        assert one.digest == two.digest
