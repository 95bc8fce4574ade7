"""Repeated patients from end to end: phantoms whose people are known, and the real ones."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main
from bratsprep.errors import BratsError, BuildError, LayoutError
from bratsprep.phantom.phantoms import phantom_case
from bratsprep.repeats.mask_details import Agreement
from bratsprep.repeats.search import LIKELY
from bratsprep.repeats.twinner import judged, twins

SHAPE = (64, 64, 48)
CASES, REPEATS = 8, 2
PLANTED = {("BRATS_001", "BRATS_007"), ("BRATS_002", "BRATS_008")}


def found_in(result):
    return {(pair.first, pair.second) for pair in result.pairs}


def save(folder, name, array, affine=None):
    folder.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), folder / name)


def write_case(folder, case, images, label):
    """A case in (x, y, z) RAS with the names of BraTS 2018; `label` in stored classes."""
    for word, volume in zip(("flair", "t1", "t1ce", "t2"), images, strict=True):
        save(folder / case, f"{case}_{word}.nii.gz", volume)
    save(folder / case, f"{case}_seg.nii.gz", np.uint8([0, 1, 2, 4])[label])


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Phantoms of the Decathlon; the last ones repeat the first."""
    folder = tmp_path_factory.mktemp("twins") / "raw"
    settings = {"cases": CASES, "repeats": REPEATS, "shape": SHAPE}
    return bratsprep.phantoms(folder, workers=2, **settings)


@pytest.fixture(scope="module")
def out(raw, tmp_path_factory):
    """Their slice file."""
    path = tmp_path_factory.mktemp("built") / "a.h5"
    bratsprep.build(raw, path, crop="64x64", workers=2)
    return path


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Masks of full size without images: three people, two of them drawn once more."""
    folder = tmp_path_factory.mktemp("masks") / "labels"
    generator = np.random.default_rng(0)
    for index in range(3):
        label = phantom_case((240, 240, 155), 0, index).label.transpose(2, 1, 0)
        code = np.uint8([0, 2, 1, 3])[label]
        save(folder, f"BRATS_00{index + 1}.nii.gz", code)
        if index < 2:
            again = np.roll(code, (2, -2, 1), (0, 1, 2))
            edge = (np.roll(again, 1, 0) != again) & (generator.random(again.shape) < 0.5)
            again[edge] = np.roll(again, 1, 0)[edge]
            save(folder, f"BRATS_10{index + 1}.nii.gz", again)
    return folder


def test_planted_repeats_are_found_in_raw_data(raw):
    found = twins(raw, workers=2)
    assert found_in(found) == PLANTED
    assert found.evidence == "images"
    assert all(pair.certainty == "certain" for pair in found.pairs)


def test_a_slice_file_gives_what_its_raw_cases_give(raw, out):
    one, two = twins(raw, workers=2), twins(out)
    assert one.compared == two.compared
    assert one.members == two.members


def test_the_same_people_are_found_in_another_release(raw, tmp_path):
    other = bratsprep.phantoms(tmp_path / "b", cases=3, layout="brats2018", shape=SHAPE)
    found = twins(other, raw, workers=2)
    assert len(found.members) == 3
    best = {member.case: member.subject for member in found.members}
    ids = sorted(best)
    assert [best[case] for case in ids] == ["BRATS_001", "BRATS_002", "BRATS_003"]
    assert all(member.certainty == "certain" for member in found.members)


def change(images, label, how):
    """Something done to (4, x, y, z) images and their label."""
    brain = (images != 0).any(axis=0)
    generator = np.random.default_rng(0)
    if how == "shifted":
        return np.roll(images, (2, -2, 1), (1, 2, 3)), np.roll(label, (2, -2, 1), (0, 1, 2))
    if how == "mirrored":
        return images[:, ::-1, ::-1], label[::-1, ::-1]
    if how == "rescaled":
        return images * np.float32([[[[0.3]]], [[[7]]], [[[1]]], [[[100]]]]), label
    if how == "noisy":
        spread = images[:, brain].std(axis=1).reshape(4, 1, 1, 1)
        return (images + 0.3 * spread * generator.normal(size=images.shape)) * brain, label
    return images, np.where(label == 2, np.roll(label, 1, 0), label)


@pytest.mark.parametrize("how", ["shifted", "mirrored", "rescaled", "noisy", "drawn again"])
def test_a_person_is_known_again(raw, tmp_path, how):
    case = phantom_case(SHAPE, 0, 3)
    images, label = case.images.transpose(0, 3, 2, 1), case.label.transpose(2, 1, 0)
    changed, drawn = change(images.astype(np.float32), label, how)
    write_case(tmp_path / "b", "Brats18_X_1_1", changed.astype(np.float32), drawn)
    found = twins(tmp_path / "b", raw, workers=2)
    assert found_in(found) == {("Brats18_X_1_1", "BRATS_004")}
    assert found.pairs[0].certainty == "certain"
    assert found.pairs[0].flip == ("yx" if how == "mirrored" else "")


def test_faulty_cases_are_set_aside_on_request(raw, tmp_path):
    copy = shutil.copytree(raw, tmp_path / "raw")
    cut = copy / "imagesTr" / "BRATS_003.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-900])
    with pytest.raises(BratsError, match="BRATS_003"):
        twins(copy, workers=2)
    found = twins(copy, workers=2, on_error="skip")
    assert found_in(found) == PLANTED
    assert [case.id for case in found.skipped] == ["BRATS_003"]
    assert found.to_json()["skipped"][0]["id"] == "BRATS_003"
    result = CliRunner().invoke(main, ["twins", str(copy), "--on-error", "skip"])
    assert result.exit_code == 1
    assert "skipped  1 case:\n  BRATS_003: " in result.output


def test_pattern_of_label_names_is_followed(tmp_path):
    write_case(tmp_path, "Brats18_X_1_1", *_small())
    write_case(tmp_path, "Brats18_X_2_1", *_small())
    for path in tmp_path.rglob("*_seg.nii.gz"):
        path.rename(path.with_name(path.name.replace("_seg", "_tumor")))
    assert twins(tmp_path, workers=1).members[0].voxels == ()
    found = twins(tmp_path, workers=1, label_name="*_tumor.nii.gz")
    assert sum(found.members[0].voxels) > 0


def _small():
    """Images and label of a phantom, (x, y, z)."""
    case = phantom_case(SHAPE, 0, 3)
    return case.images.transpose(0, 3, 2, 1), case.label.transpose(2, 1, 0)


def test_masks_alone_will_do(masks):
    found = twins(masks, workers=2)
    assert found.evidence == "masks"
    assert found_in(found) == {("BRATS_001", "BRATS_101"), ("BRATS_002", "BRATS_102")}
    assert all(set(pair.reasons) <= {"WT", "TC", "ET"} for pair in found.pairs)


def test_masks_are_known_from_a_slice_file(masks, tmp_path):
    case = phantom_case((240, 240, 155), 0, 1, visit=0)
    images, label = case.images.transpose(0, 3, 2, 1), case.label.transpose(2, 1, 0)
    write_case(tmp_path / "b", "Brats18_X_1_1", images, label)
    bratsprep.build(tmp_path / "b", tmp_path / "b.h5", workers=1)
    found = twins(tmp_path / "b.h5", masks, workers=2)
    assert found_in(found) == {("Brats18_X_1_1", "BRATS_002"), ("Brats18_X_1_1", "BRATS_102")}


def test_mirrored_masks_are_found_and_named(masks, tmp_path):
    label = nib.load(masks / "BRATS_003.nii.gz")
    save(tmp_path / "b", "BRATS_001.nii.gz", np.asarray(label.dataobj)[::-1])
    (pair,) = twins(tmp_path / "b", masks, workers=2).pairs
    assert (pair.second, pair.flip, pair.certainty) == ("BRATS_003", "x", "certain")


def test_mask_drawn_without_enhancing_tumour_is_known_by_the_whole_tumour(masks, tmp_path):
    label = nib.load(masks / "BRATS_003.nii.gz")
    codes = np.asarray(label.dataobj)
    save(tmp_path / "b", "BRATS_001.nii.gz", np.where(codes > 0, 1, 0).astype(np.uint8))
    (pair,) = twins(tmp_path / "b", masks, labels="msd", workers=2).pairs
    assert (pair.second, pair.certainty) == ("BRATS_003", "certain")


@pytest.mark.parametrize(
    ("regions", "one_sided", "evidence", "certainty"),
    [
        ({"WT": 0.5, "TC": 0.0}, True, "whole tumour", "likely"),
        ({"WT": 0.7, "TC": 0.0}, True, "whole tumour", "certain"),
        ({"WT": 0.44, "TC": 0.0}, True, "masks", ""),
        ({"WT": 0.5, "TC": 0.0}, False, "masks", ""),
    ],
)
def test_whole_tumour_decides_only_where_a_region_is_in_one_mask(
    regions, one_sided, evidence, certainty
):
    pair = judged(("A", "B"), Agreement(0.25, regions, one_sided), "")
    assert (pair.evidence, pair.certainty) == (evidence, certainty)


def test_case_without_any_candidate_has_no_score(masks, tmp_path):
    save(tmp_path / "b", "BRATS_009.nii.gz", np.zeros((240, 240, 155), np.uint8))
    found = twins(tmp_path / "b", masks, labels="msd", workers=2)
    assert found.members[0].score is None
    found.write(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1] == "BRATS_009,BRATS_009,,,0,0,0"


def test_subjects_of_two_visits_go_together(tmp_path, raw):
    other = bratsprep.phantoms(tmp_path / "b", cases=4, layout="brats2023", shape=SHAPE)
    found = twins(other, workers=2)
    assert {member.certainty for member in found.members} <= {"certain", "named", "likely", ""}
    again = twins(other, raw, workers=2)
    by_name = {member.case: member.subject for member in again.members}
    named = {case.rsplit("-", 1)[0] for case in by_name}
    assert len(set(by_name.values())) == len(named)


def test_no_label_and_no_images_on_both_sides_is_refused(masks, tmp_path):
    bare = bratsprep.phantoms(tmp_path / "b", cases=0, unlabelled=1, shape=SHAPE)
    with pytest.raises(LayoutError, match=r"b: has no label, and not both sides have images"):
        twins(bare, masks, workers=2)


def test_unlabelled_cases_have_images(tmp_path, raw):
    bare = bratsprep.phantoms(tmp_path / "b", cases=1, unlabelled=1, shape=SHAPE)
    found = twins(bare, raw, workers=2)
    assert [member.voxels == () for member in found.members] == [False, True]
    assert found_in(found) >= {("BRATS_001", "BRATS_001")}


def test_unlabelled_cases_are_passed_over_among_masks(tmp_path, masks):
    part = bratsprep.phantoms(tmp_path / "b", cases=1, unlabelled=1, shape=SHAPE)
    assert twins(part, masks, workers=2).pairs == ()


def test_a_mask_of_many_volumes_is_refused(tmp_path):
    save(tmp_path / "m", "BRATS_001.nii.gz", np.zeros((4, 4, 4, 2), np.uint8))
    with pytest.raises(Exception, match=r"shape is .*; a label file is"):
        twins(tmp_path / "m", labels="msd", workers=1)


def test_fewer_than_no_workers_are_refused(raw):
    with pytest.raises(ValueError, match="workers must be at least 0, got -1"):
        twins(raw, workers=-1)


def test_the_table_is_what_build_takes(raw, tmp_path):
    twins(raw, workers=2).write(tmp_path / "t.csv")
    rows = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert [row["case"] for row in rows] == [f"BRATS_00{i + 1}" for i in range(CASES)]
    assert rows[6]["subject"] == "BRATS_001"
    summary = bratsprep.build(
        raw, tmp_path / "b.h5", crop="64x64", subjects=tmp_path / "t.csv", workers=2
    )
    assert len(summary.people) == CASES - REPEATS
    assert summary.renamed == REPEATS
    bratsprep.verify(tmp_path / "b.h5", raw, sample=1, workers=1)


def test_a_table_that_cannot_be_written_is_an_error(raw, tmp_path):
    found = twins(raw, workers=2)
    with pytest.raises(BuildError, match="cannot be written"):
        found.write(tmp_path / "none" / "t.csv")


def test_command_says_pairs_with_reasons(out):
    done = CliRunner().invoke(main, ["twins", str(out)])
    assert done.exit_code == 0
    assert "2 certain, 0 likely" in done.output
    assert "BRATS_001 = BRATS_007" in done.output
    assert "flair 0." in done.output or "flair 1." in done.output


def test_command_gives_json_and_writes_a_table(out, tmp_path):
    args = ["twins", str(out), "--against", str(out), "--json", "-o", str(tmp_path / "t.csv")]
    done = CliRunner().invoke(main, args)
    read = json.loads(done.output)
    assert len(read["cases"]) == CASES
    assert {pair["certainty"] for pair in read["pairs"]} == {"certain"}
    assert (tmp_path / "t.csv").read_text().startswith("case,subject,score,certainty")


def test_nothing_found_is_said_in_three_lines(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "b", cases=2, shape=SHAPE)
    assert len(twins(raw, workers=2).lines()) == 3


def test_real_editions_of_one_patient_are_found(real):
    task = real / "Task01_BrainTumour"
    for other, case, name in (
        ("BraTS2020", "BRATS_295", "BraTS20_Training_001"),
        ("BraTS2018", "BRATS_026", "Brats18_2013_24_1"),
    ):
        found = twins(task, real / other, workers=2)
        assert found_in(found) == {(case, name)}
        assert found.pairs[0].certainty == "certain"
        assert all(pair.score < LIKELY["images"] / 2 for pair in found.compared[1:])


@pytest.mark.slow
def test_phantoms_of_two_hundred_cases(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "b", cases=200, repeats=40, shape=SHAPE, workers=2)
    planted = {(f"BRATS_{i:03d}", f"BRATS_{i + 160:03d}") for i in range(1, 41)}
    assert found_in(twins(raw, workers=2)) == planted
