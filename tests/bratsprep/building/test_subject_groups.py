"""Cases of one person in a build: found by their images, joined, named or left alone."""

import gzip

import h5py
import pytest

import bratsprep
from bratsprep.building.subject_groups import Repeats
from bratsprep.repeats.search import Pair, Subjects
from bratsprep.slicefile.writer import SliceWriter
from tests.helpers.stops import stop_after

SHAPE = (40, 40, 28)
FIRST, FIFTH = "BraTS20_Training_001", "BraTS20_Training_005"
PLANTED = [("BRATS_001", "BRATS_005"), ("BRATS_002", "BRATS_006")]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Six phantoms, of which the last two are the first two in another scan."""
    folder = tmp_path_factory.mktemp("repeats") / "raw"
    return bratsprep.phantoms(folder, cases=6, repeats=2, shape=SHAPE)


@pytest.fixture
def built(raw, tmp_path):
    """Build with some settings; gives the summary, and subject by case."""

    def build(name="a.h5", **settings):
        summary = bratsprep.build(
            raw, tmp_path / name, **{"crop": "40x40", "workers": 1} | settings
        )
        with h5py.File(tmp_path / name) as file:
            ids, subjects = (file[f"case/{column}"].asstr()[:] for column in ("id", "subject"))
        return summary, dict(zip(ids.tolist(), subjects.tolist(), strict=True))

    return build


def pairs_of(pairs):
    return sorted((pair.first, pair.second) for pair in pairs)


def test_certain_pairs_become_one_subject(built):
    summary, subjects = built()
    assert pairs_of(summary.repeats.grouped) == PLANTED
    assert (subjects["BRATS_005"], subjects["BRATS_006"]) == ("BRATS_001", "BRATS_002")
    assert len(summary.people) == len(set(subjects.values())) == 4
    text = "\n".join(summary.lines())
    assert "6 of 6 cases compared by image fingerprint: 2 certain" in text
    assert "BRATS_001 = BRATS_005" in text


def test_grouped_file_passes_verification(built, raw, tmp_path):
    built()
    assert bratsprep.verify(tmp_path / "a.h5", raw, sample=1, workers=1)


def test_result_does_not_depend_on_the_workers(built, tmp_path):
    one, _ = built("one.h5")
    two, _ = built("two.h5", workers=3)
    assert one.digest == two.digest
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


@pytest.mark.parametrize(
    ("settings", "contradicted"),
    [({"repeats": "name"}, PLANTED), ({"subjects": "names"}, PLANTED), ({"repeats": "off"}, [])],
    ids=["name", "names", "off"],
)
def test_subjects_stay_where_grouping_is_not_wanted(built, settings, contradicted):
    summary, subjects = built(**settings)
    assert all(case == subject for case, subject in subjects.items())
    assert pairs_of(summary.repeats.contradicted) == contradicted
    assert not summary.repeats.grouped


def test_table_of_the_user_wins_and_contradictions_are_named(built, tmp_path):
    table = tmp_path / "who.csv"
    table.write_text("case,subject\nBRATS_001,P\nBRATS_005,Q\nBRATS_006,R\n")
    summary, subjects = built(subjects=table)
    assert (subjects["BRATS_001"], subjects["BRATS_005"]) == ("P", "Q")
    assert (subjects["BRATS_002"], subjects["BRATS_006"]) == ("R", "R")
    assert pairs_of(summary.repeats.contradicted) == PLANTED[:1]
    assert pairs_of(summary.repeats.grouped) == PLANTED[1:]
    assert "kept apart as the table of subjects says" in "\n".join(summary.lines())


@pytest.fixture
def folders(tmp_path):
    """Six phantoms in folders that can be moved; the last two show the first two again."""
    settings = {"cases": 6, "repeats": 2, "shape": SHAPE, "layout": "brats2020"}
    return bratsprep.phantoms(tmp_path / "folders", **settings)


def build_folders(raw, out, **settings):
    return bratsprep.build(raw, out, crop="40x40", workers=1, **settings)


def subjects_of(path):
    return bratsprep.open(path).cases["subject"].tolist()


def test_added_case_joins_a_kept_one_as_in_a_fresh_build(folders, tmp_path):
    out, fresh = tmp_path / "a.h5", tmp_path / "fresh.h5"
    away = (folders / FIFTH).rename(tmp_path / FIFTH)
    build_folders(folders, out)
    assert FIFTH not in subjects_of(out)
    away.rename(folders / FIFTH)
    summary = build_folders(folders, out)
    assert (len(summary.changes.kept), summary.changes.added) == (5, [FIFTH])
    assert [(pair.first, pair.second) for pair in summary.repeats.grouped].count((FIRST, FIFTH))
    assert subjects_of(out).count(FIRST) == 2
    build_folders(folders, fresh)
    assert out.read_bytes() == fresh.read_bytes()


def test_kept_case_has_its_own_subject_again_where_the_other_is_gone(folders, tmp_path):
    out, fresh = tmp_path / "a.h5", tmp_path / "fresh.h5"
    build_folders(folders, out)
    (folders / FIRST).rename(tmp_path / FIRST)
    summary = build_folders(folders, out)
    assert (len(summary.changes.kept), summary.changes.dropped) == (5, [FIRST])
    assert subjects_of(out)[3] == FIFTH
    build_folders(folders, fresh)
    assert out.read_bytes() == fresh.read_bytes()
    assert bratsprep.verify(out, folders, sample=1, workers=1)


def test_file_with_grouped_cases_is_up_to_date(folders, tmp_path):
    out = tmp_path / "a.h5"
    build_folders(folders, out)
    assert build_folders(folders, out).was_complete


def test_changed_case_of_a_group_is_converted_alone_and_grouped_again(folders, tmp_path):
    out, fresh = tmp_path / "a.h5", tmp_path / "fresh.h5"
    build_folders(folders, out)
    label = folders / FIFTH / f"{FIFTH}_seg.nii.gz"
    label.write_bytes(gzip.compress(gzip.decompress(label.read_bytes()), 1))
    summary = build_folders(folders, out)
    assert list(summary.changes.rebuilt) == [FIFTH]
    assert subjects_of(out).count(FIRST) == 2
    build_folders(folders, fresh)
    assert out.read_bytes() == fresh.read_bytes()


@pytest.mark.parametrize("n_done", [2, 5])
def test_resumed_build_groups_as_one_that_was_not_stopped(folders, tmp_path, monkeypatch, n_done):
    out, fresh = tmp_path / "a.h5", tmp_path / "fresh.h5"
    with monkeypatch.context() as patch:
        stop_after(patch, SliceWriter, n_done)
        with pytest.raises(KeyboardInterrupt):
            build_folders(folders, out)
    assert build_folders(folders, out).resumed == n_done
    assert subjects_of(out).count(FIRST) == 2
    build_folders(folders, fresh)
    assert out.read_bytes() == fresh.read_bytes()


def test_setting_is_part_of_the_digest_only_where_it_is_not_the_default(built):
    plain, _ = built("plain.h5")
    default, _ = built("default.h5", repeats="group")
    named, _ = built("named.h5", repeats="name")
    assert plain.digest == default.digest != named.digest


def test_brains_of_few_voxels_are_not_compared(tmp_path):
    small = bratsprep.phantoms(tmp_path / "small", cases=3, repeats=1, shape=(16, 16, 12))
    summary = bratsprep.build(small, tmp_path / "small.h5", crop="none", workers=1)
    assert summary.repeats.compared == 0
    assert "0 of 3 cases compared" in summary.repeats.lines()[0]


def test_long_lists_are_cut_short():
    pairs = tuple(Pair(f"A{i}", f"B{i}", 0.65, "images") for i in range(7))
    lines = Repeats("group", 14, 14, likely=pairs).lines()
    assert "7 likely" in lines[0]
    assert lines[1].endswith("and 2 more")


def test_pinned_subjects_take_others_in_and_are_never_joined_to_each_other():
    people = Subjects({"A": "A", "B": "B", "C": "C"}, pinned=["B", "C"])
    assert people.join(Pair("A", "B", 0.9, "images"))
    assert not people.join(Pair("A", "C", 0.9, "images"))
    assert people.of_cases() == {"A": "B", "B": "B", "C": "C"}
