"""Label values of predictions: other schemes, swapped classes, binary masks, faults set aside."""

import json

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from bratsprep.errors import BratsError, LabelError
from bratstrain.commands.cli import main
from bratstrain.evaluation.evaluator import evaluate
from bratstrain.evaluation.label_checks import class_order_note, mean_dice, single_class_note
from bratstrain.evaluation.score_files import score_folders
from tests.helpers import niftis, runs, scored_runs

A, B = "BraTS2021_00001", "BraTS2021_00002"


@pytest.fixture
def raw(tmp_path):
    """Two cases whose tumour has every class, labels 0, 1, 2 and 4."""
    for seed, case in enumerate((A, B)):
        niftis.write_case(tmp_path / "raw", case, volumes=niftis.phantom(seed))
    return tmp_path / "raw"


def recoded(raw, folder, table):
    """The truth as predictions, its values looked up in a table."""
    folder.mkdir()
    for case in (A, B):
        image = nib.load(raw / case / f"{case}_seg.nii.gz")
        codes = np.array(table, np.uint8)[np.asanyarray(image.dataobj).astype(int)]
        nib.save(nib.Nifti1Image(codes, image.affine), folder / f"{case}.nii.gz")
    return folder


def is_perfect(report):
    return all(
        part.counts.fp == part.counts.fn == 0
        for case in report.scores
        for part in case.parts.values()
    )


def test_predictions_may_have_a_scheme_of_their_own(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 3])
    report = score_folders(files, raw, prediction_labels="brats2023")
    assert is_perfect(report)
    assert report.about["prediction labels"] == "brats2023"


def test_values_outside_the_scheme_of_the_truth_name_the_way_on(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 3])
    with pytest.raises(LabelError) as fault:
        score_folders(files, raw)
    message = str(fault.value)
    assert "[3]" in message
    assert "brats2017" in message
    assert "--prediction-labels" in message
    assert "brats2023" in message


@pytest.mark.parametrize(("value", "word"), [(255, "binary mask"), (3, "binary mask")])
def test_binary_mask_is_called_one(raw, tmp_path, value, word):
    files = recoded(raw, tmp_path / "made", [0, value, value, value, value])
    with pytest.raises(LabelError, match=word):
        score_folders(files, raw)


def test_values_of_no_scheme_are_called_so(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 7, 8, 8, 9])
    with pytest.raises(LabelError, match="fit no scheme"):
        score_folders(files, raw)


def test_mask_of_the_whole_tumour_with_a_known_value_gets_a_note(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 1, 1, 1])
    report = score_folders(files, raw)
    assert any("NCR alone" in note for note in report.notes)


def test_swapped_classes_get_a_note(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 2, 1, 3, 4])
    report = score_folders(files, raw)
    (note,) = [note for note in report.notes if "--prediction-labels" in note]
    assert "ED as NCR" in note
    assert "NCR as ED" in note
    assert "1.000" in note
    assert is_perfect(score_folders(files, raw, prediction_labels="brats2017", out=tmp_path)) is (
        False
    )


def test_good_predictions_get_no_note(raw, tmp_path):
    assert score_folders(recoded(raw, tmp_path / "made", [0, 1, 2, 3, 4]), raw).notes == ()


def test_mean_dice_follows_the_order():
    confusion = np.zeros((1, 4, 4), np.int64)
    confusion[0, 1, 2] = confusion[0, 2, 1] = confusion[0, 3, 3] = 10
    assert mean_dice(confusion, (1, 2, 3)) == pytest.approx(1 / 3)
    assert mean_dice(confusion, (2, 1, 3)) == 1
    assert mean_dice(np.zeros((1, 4, 4), np.int64), (1, 2, 3)) == 0


def test_notes_need_evidence():
    scores = scored_runs.report().scores
    assert class_order_note(scores) == single_class_note(scores) == ""


@pytest.fixture
def broken(raw, tmp_path):
    """The same cases, the label of the second cut off; and perfect predictions of both."""
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 4])
    label = raw / B / f"{B}_seg.nii.gz"
    label.write_bytes(label.read_bytes()[:60])
    return files


def test_case_at_fault_stops_by_default(raw, broken):
    with pytest.raises(BratsError, match=B):
        score_folders(broken, raw)


def test_case_at_fault_is_set_aside(raw, broken):
    report = score_folders(broken, raw, on_error="skip")
    assert [case.case for case in report.scores] == [A]
    assert list(report.set_aside) == [B]
    assert report.lines()[-2].startswith(f"set aside: {B}: ")
    record = json.loads((report.folder / "evaluation.json").read_text())
    assert list(record["set_aside"]) == [B]
    assert f"set aside: {B}" in (report.folder / "summary.md").read_text()


def test_fault_of_a_case_that_was_not_chosen_does_not_matter(raw, broken):
    assert is_perfect(score_folders(broken, raw, cases=(A,)))


def test_case_without_a_prediction_is_set_aside(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 4])
    (files / f"{B}.nii.gz").unlink()
    report = score_folders(files, raw, on_error="skip")
    assert "holds no prediction" in report.set_aside[B]


def test_case_that_cannot_be_put_together_is_set_aside(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 4])
    label = raw / B / f"{B}_seg.nii.gz"
    (raw / B / f"{B}_seg.nii").write_bytes(label.read_bytes())
    report = score_folders(files, raw, on_error="skip")
    assert list(report.set_aside) == [B]
    with pytest.raises(BratsError, match=B):
        score_folders(files, raw)


def test_no_case_left_is_an_error(raw, broken):
    with pytest.raises(BratsError, match="none of the 1 cases can be scored"):
        score_folders(broken, raw, on_error="skip", cases=(B,))


def test_run_sets_a_case_at_fault_aside(raw, broken, tmp_path):
    runs.write(tmp_path / "run")
    with pytest.raises(BratsError, match=B):
        evaluate(tmp_path / "run", raw=raw, split="all")
    report = evaluate(tmp_path / "run", raw=raw, split="all", on_error="skip")
    assert [case.case for case in report.scores] == [A]
    assert list(report.set_aside) == [B]


def test_labels_of_other_names_are_scored_by_a_pattern(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 4])
    for case in (A, B):
        (raw / case / f"{case}_seg.nii.gz").rename(raw / case / f"{case}_tumor.nii.gz")
    with pytest.raises(BratsError, match="has a label to be scored against"):
        score_folders(files, raw)
    assert is_perfect(score_folders(files, raw, label_name="*_tumor.nii.gz"))
    runs.write(tmp_path / "run")
    report = evaluate(tmp_path / "run", raw=raw, split="all", label_name="*_tumor.nii.gz")
    assert len(report.scores) == 2


def test_labels_without_a_transform_are_scored_on_the_grid_of_the_images(raw, tmp_path):
    files = recoded(raw, tmp_path / "made", [0, 1, 2, 3, 4])
    runs.write(tmp_path / "run")
    before = evaluate(tmp_path / "run", raw=raw, split="all", out=tmp_path / "before")
    for case in (A, B):
        label = raw / case / f"{case}_seg.nii.gz"
        nib.save(nib.Nifti1Image(np.asanyarray(nib.load(label).dataobj), np.eye(4)), label)
    with pytest.raises(BratsError, match=A):
        score_folders(files, raw)
    assert is_perfect(score_folders(files, raw, same_grid=True))
    after = evaluate(tmp_path / "run", raw=raw, split="all", same_grid=True)
    for one, two in zip(before.scores, after.scores, strict=True):
        np.testing.assert_array_equal(one.confusion, two.confusion)


def test_command_ends_with_1_where_a_case_was_set_aside(raw, broken):
    arguments = ["evaluate", "--predictions", str(broken), "--raw", str(raw)]
    done = CliRunner().invoke(main, [*arguments, "--on-error", "skip"])
    assert done.exit_code == 1, done.output
    assert f"set aside: {B}" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("written to ")


def test_table_of_subjects_finds_a_twin(raw, tmp_path):
    runs.write(tmp_path / "run")
    table = tmp_path / "who.csv"
    table.write_text(f"case,subject\n{A},one\n{B},one\n")
    assert not evaluate(tmp_path / "run", raw=raw).twins
    report = evaluate(tmp_path / "run", raw=raw, subjects=str(table))
    assert report.twins == {B: (A,)}
    assert report.repeats.are_told


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"on_error": "go"}, ValueError, "on_error must be"),
        ({"subjects": "a.csv"}, TypeError, "unexpected keyword argument 'subjects'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(raw, settings, error, message):
    with pytest.raises(error, match=message):
        score_folders(raw, raw, **settings)


def test_prediction_scheme_without_predictions_is_refused(raw, tmp_path):
    runs.write(tmp_path / "run")
    arguments = ["evaluate", tmp_path / "run", "--raw", raw, "--prediction-labels", "msd"]
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 2
    assert "prediction_labels" in done.stderr
