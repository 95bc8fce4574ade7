"""Evaluation: the same confusions as nibabel and NumPy give, and all that is said beside them."""

import csv
import json
import math
import shutil
import zipfile
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

import bratsprep
import bratstrain
from bratsprep.discovery.discover import scan
from bratsprep.errors import BratsError, NiftiError
from bratsprep.labels import shipped
from bratsprep.slicefile.reader import SliceFile
from bratsprep.sources.source import open_source
from bratstrain.apply_config import ApplyConfig
from bratstrain.evaluation import scorer
from bratstrain.evaluation.case_pairs import Labeller, raw_pairs
from bratstrain.evaluation.case_selection import BLIND, CHOSEN, FITTED
from bratstrain.evaluation.evaluator import evaluate
from bratstrain.evaluation.score_files import score_folders
from bratstrain.inference.small_components import (
    Cleanup,
    Tuning,
    drop_small,
    read_cleanup,
    write_cleanup,
)
from bratstrain.runs.fitted import load_fitted
from bratstrain.scoring.metrics import confusion
from tests.helpers import niftis, oracles, runs
from tests.helpers.class_sets import GLIOMA

A, B = "BraTS2021_00001", "BraTS2021_00002"
BAD = "BraTS2021_00003"
STORED = np.array([0, 1, 2, 0, 3], np.uint8)
"""Stored label of each value of BraTS 2017."""
VOXEL_MM3 = math.prod(runs.SPACING)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two cases in different orientations; the tumour of the second reaches beyond the window."""
    root = tmp_path_factory.mktemp("cases") / "raw"
    niftis.write_case(root, A, codes="LPS")
    images, label = niftis.phantom(seed=1)
    label[1:7, 3:8, 2] = 2
    niftis.write_case(root, B, codes="PIR", volumes=(images, label))
    return root


@pytest.fixture(scope="module")
def files(raw):
    """Slice files of the same cases by what they hold."""
    made = {}
    crop = f"{runs.WINDOW[0]}x{runs.WINDOW[1]}"
    for name, settings in {
        "tumour": {},
        "brain": {"slices": "brain"},
        "raw": {"slices": "brain", "normalise": "none"},
    }.items():
        made[name] = raw.parent / f"{name}.h5"
        bratsprep.build(raw, made[name], crop=crop, workers=1, **settings)
    return made


@pytest.fixture
def run(tmp_path, files):
    with SliceFile(files["tumour"]) as file:
        runs.write(tmp_path / "run", digest=file.digest)
    return tmp_path / "run"


def truth_of(raw, case):
    return STORED[runs.axial(raw / case / f"{case}_seg.nii.gz")]


def images_of(raw, case):
    return np.stack([runs.axial(raw / case / f"{case}_{kind}.nii.gz") for kind in niftis.SUFFIXES])


def predicted_of(raw, case, seed=0):
    network = runs.network_of(seed)
    return runs.chances([network], images_of(raw, case)).argmax(axis=0).astype(np.uint8)


def window_of(raw, case):
    """Mask of the planes with brain, inside the window."""
    _, planes, (y, x) = runs.prepared(images_of(raw, case))
    inside = np.zeros(truth_of(raw, case).shape, bool)
    inside[planes, y : y + runs.WINDOW[0], x : x + runs.WINDOW[1]] = True
    return inside


def confusions(report):
    return {case.case: case.confusion for case in report.scores}


def test_raw_cases_are_scored_over_every_plane_in_original_space(run, raw):
    report = evaluate(run, raw=raw, split="all")
    found = confusions(report)
    assert list(found) == [A, B]
    for case in (A, B):
        wanted = confusion(truth_of(raw, case), predicted_of(raw, case), 4)
        np.testing.assert_array_equal(found[case], wanted)
        assert found[case].sum() == truth_of(raw, case).size
    assert report.table.planes == "every plane, original space"


def test_spacing_is_that_of_the_scan(run, raw):
    scores = evaluate(run, raw=raw).scores[0]
    assert scores.parts["WT"].voxel_mm3 == pytest.approx(2)


def test_tumour_beyond_the_crop_counts_as_missed_and_is_said(run, raw):
    truth = truth_of(raw, B)
    lost = int(np.count_nonzero(truth[~window_of(raw, B)]))
    assert lost > 0
    report = evaluate(run, raw=raw, split="validation")
    assert report.notes[-1] == f"{lost} tumour voxels lie outside the crop and count as missed"
    found = confusions(report)[B]
    assert found[1:].sum() == np.count_nonzero(truth)


def test_slice_file_of_brain_planes_agrees_with_raw_inside_the_window(run, raw, files):
    found = confusions(evaluate(run, data=files["brain"], split="all"))
    for case in (A, B):
        seen = np.where(window_of(raw, case), truth_of(raw, case), 0).astype(np.uint8)
        np.testing.assert_array_equal(found[case], confusion(seen, predicted_of(raw, case), 4))


def test_slice_file_of_brain_planes_is_every_plane(run, files):
    report = evaluate(run, data=files["brain"], split="all")
    assert report.table.planes == "every plane, original space"
    assert BLIND not in report.notes
    assert "outside the crop and are in no count" in report.notes[-1]


def test_slice_file_of_tumour_slices_sees_those_alone_and_says_so(run, raw, files):
    report = evaluate(run, data=files["tumour"], split="all")
    assert report.table.planes.startswith("tumour slices only, original space")
    assert report.notes[0] == BLIND
    found = confusions(report)
    for case in (A, B):
        truth, predicted = truth_of(raw, case), predicted_of(raw, case)
        seen = (truth > 0).any(axis=(1, 2))[:, None, None]
        inside = window_of(raw, case)
        wanted = confusion(
            np.where(inside, truth, 0).astype(np.uint8),
            np.where(seen, predicted, 0).astype("u1"),
            4,
        )
        np.testing.assert_array_equal(found[case], wanted)


def test_slice_file_of_raw_numbers_is_scored_like_the_raw_cases(tmp_path, raw, files):
    runs.write(tmp_path / "run", preparation=runs.prep(normalise="none"))
    one, two = (
        confusions(evaluate(tmp_path / "run", split="validation", **source))[B]
        for source in ({"data": files["raw"]}, {"raw": raw})
    )
    assert one[:, 1:].sum() == two[:, 1:].sum()
    np.testing.assert_array_equal(one.sum(axis=0), two.sum(axis=0))


def test_scores_come_in_the_order_of_the_cases_from_few_threads(run, raw, monkeypatch):
    monkeypatch.setattr(scorer, "cores", lambda: 1)
    scores = evaluate(run, raw=raw, split="all").scores
    assert [case.case for case in scores] == [A, B]


def test_case_without_a_label_is_no_pair(run, raw):
    labeller = Labeller(load_fitted([run]), ApplyConfig())
    with open_source(raw) as source:
        bare = replace(scan(source).cases[0], label=None)
        with pytest.raises(BratsError, match=f"{A} has no label to be scored against"):
            next(raw_pairs(labeller, source, [bare], {A: shipped()["msd"]}))


def test_labelled_case_without_a_stored_slice_is_refused(run, raw, tmp_path):
    images, label = niftis.phantom()
    niftis.write_case(tmp_path / "raw", B, volumes=(images, 0 * label))
    niftis.write_case(tmp_path / "raw", A)
    crop = f"{runs.WINDOW[0]}x{runs.WINDOW[1]}"
    bratsprep.build(tmp_path / "raw", tmp_path / "some.h5", crop=crop, workers=1)
    with pytest.raises(BratsError, match=r"some.h5: holds no slice of the 1 cases"):
        evaluate(run, data=tmp_path / "some.h5")


def test_run_of_fit_scores_as_it_did_while_it_was_fitted(raw, files, tmp_path):
    done = bratstrain.fit(
        files["brain"], tmp_path / "run", model="unet", norm="batch", width=4, depth=2, steps=3,
        batch_size=2, learning_rate=1e-3, device="cpu", checkpoint_minutes=0,
    )  # fmt: skip
    report = evaluate(tmp_path / "run", data=files["brain"])
    rows = {(row.convention, row.metric, row.part): row.mean for row in report.table.rows}
    found = rows["brats", "volume Dice", "mean of regions"]
    assert found == pytest.approx(done.progress.best_score, abs=1e-9)
    assert found > 0
    assert evaluate(tmp_path / "run", raw=raw).scores  # spacing and scheme are the run's own


def test_flips_are_used(run, raw):
    network = runs.network_of()
    chances = runs.chances([network], images_of(raw, B), ((), (-1,)))
    report = evaluate(run, raw=raw, tta="lr")
    wanted = confusion(truth_of(raw, B), chances.argmax(axis=0).astype(np.uint8), 4)
    np.testing.assert_array_equal(confusions(report)[B], wanted)
    assert report.name == "validation-raw-lr"


@pytest.mark.parametrize(
    ("split", "cases", "note"),
    [("validation", [B], CHOSEN), ("train", [A], FITTED)],
)
def test_part_of_the_split_is_taken_and_named(run, raw, files, split, cases, note):
    for source in ({"raw": raw}, {"data": files["brain"]}):
        report = evaluate(run, split=split, **source)
        assert list(confusions(report)) == cases
        assert report.table.cases == f"{split} of fold 0, split subject"
        assert note in report.notes


def test_all_cases_say_how_many_were_seen_before(run, raw):
    report = evaluate(run, raw=raw, split="all")
    assert report.notes[:2] == ("1 of them chose best.pt", "the network was fitted on 1 of them")


def test_cases_that_no_run_has_seen_need_no_note(tmp_path, raw):
    split = replace(runs.SPLIT, train=("X",), validation=("Y",), test=(A,))
    runs.write(tmp_path / "run", split=split)
    assert evaluate(tmp_path / "run", raw=raw, split="test").notes == ()


def test_only_the_cases_named_are_scored(run, raw):
    assert list(confusions(evaluate(run, raw=raw, split="all", cases=(B,)))) == [B]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "test"}, "the run's split has no test cases"),
        ({"split": "validation", "cases": (A,)}, f"{A} is not among the 1 cases"),
    ],
)
def test_cases_that_are_not_in_the_part_are_refused(run, raw, settings, message):
    with pytest.raises(BratsError, match=message):
        evaluate(run, raw=raw, **settings)


def test_split_whose_cases_are_not_there_is_refused(tmp_path, raw, files):
    runs.write(tmp_path / "run", split=replace(runs.SPLIT, validation=("BRATS_001", B)))
    for source in ({"raw": raw}, {"data": files["brain"]}):
        with pytest.raises(BratsError, match=r"1 of 2 validation cases are not there, such as BRA"):
            evaluate(tmp_path / "run", **source)


def test_raw_cases_without_labels_are_refused(run, tmp_path):
    niftis.write_case(tmp_path / "bare", label=False)
    with pytest.raises(BratsError, match="none of the 1 cases has a label"):
        evaluate(run, raw=tmp_path / "bare", split="all")


@pytest.mark.parametrize("kind", ["raw", "data"])
def test_other_spacing_is_refused(tmp_path, raw, files, kind):
    runs.write(tmp_path / "run", facts={"spacings": runs.sizes([1, 1, 1])})
    source = {kind: raw if kind == "raw" else files["brain"]}
    with pytest.raises(BratsError, match=f"{B}: voxels are 1 x 1 x 2 mm .*on is 1 x 1 x 1 mm"):
        evaluate(tmp_path / "run", **source)
    assert evaluate(tmp_path / "run", **source, any_spacing=True).scores


def test_place_for_the_tables_is_tried_before_the_work(run, raw, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BratsError, match="file: no folder can be made there"):
        evaluate(run, raw=raw, out=tmp_path / "file")


def test_archive_of_files_is_scored_beside_itself(raw, predictions, tmp_path):
    with zipfile.ZipFile(tmp_path / "said.zip", "w") as archive:
        for path in predictions.iterdir():
            archive.write(path, path.name)
    assert are_perfect(score_folders(tmp_path / "said.zip", raw))
    (folder,) = tmp_path.glob("evaluation-said-raw-*")
    assert (folder / "summary.md").is_file()


def leaky(tmp_path, files, digest=None):
    """A run whose split deals slices: the first three rows are for validation."""
    with SliceFile(files["tumour"]) as file:
        rows = tuple(range(len(file)))
        split = replace(
            runs.SPLIT, name="slice", train=rows[3:], validation=rows[:3], leaks=True
        )  # fmt: skip
        runs.write(tmp_path / "run", split=split, digest=digest or file.digest)
    return tmp_path / "run"


def test_leaky_split_is_scored_on_its_own_slices_and_warns(tmp_path, raw, files):
    report = evaluate(leaky(tmp_path, files), data=files["tumour"])
    assert report.table.cases == "validation of fold 0, split slice LEAKS"
    assert "too good to be true" in report.notes[1]
    with SliceFile(files["tumour"]) as file:
        z = file.slices["z"][:3]
    truth, predicted = truth_of(raw, A), predicted_of(raw, A)
    keep = np.isin(np.arange(len(truth)), z)[:, None, None]
    wanted = confusion((truth * keep).astype(np.uint8), (predicted * keep).astype(np.uint8), 4)
    np.testing.assert_array_equal(confusions(report)[A], wanted)


def test_leaky_split_needs_its_slice_file(tmp_path, raw, files):
    run = leaky(tmp_path, files)
    with pytest.raises(BratsError, match="split slice deals slices, not cases"):
        evaluate(run, raw=raw)
    with pytest.raises(BratsError, match="is not the slice file that run was fitted on"):
        evaluate(run, data=files["brain"])
    assert evaluate(run, data=files["brain"], split="all").scores


def test_slices_prepared_differently_are_refused(tmp_path, files):
    runs.write(tmp_path / "run", preparation=runs.prep(normalise="case"))
    with pytest.raises(BratsError, match=r"normalise modality, not case; build it with the run's"):
        evaluate(tmp_path / "run", data=files["brain"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "slice file, or raw cases: one of them"),
        ({"raw": ".", "data": "a.h5"}, "slice file, or raw cases: one of them"),
        ({"raw": ".", "split": "best"}, "split must be one of validation, test, train, all"),
        (
            {"raw": ".", "split": "test", "tune_cleanup": True},
            "tune_cleanup needs split validation",
        ),
        (
            {"raw": ".", "cleanup": True, "tune_cleanup": True},
            "tune_cleanup needs split validation",
        ),
        ({"raw": ".", "conventions": ()}, "conventions must name at least one"),
        ({"raw": ".", "conventions": ("mine",)}, "conventions must be one of brats"),
    ],
)
def test_call_is_checked(run, settings, message):
    with pytest.raises(ValueError, match=message):
        evaluate(run, **settings)


def test_tuning_writes_what_the_validation_cases_say(run, raw):
    report = evaluate(run, raw=raw, tune_cleanup=True)
    tuning = Tuning()
    tuning.add(B, truth_of(raw, B), predicted_of(raw, B), GLIOMA, VOXEL_MM3)
    wanted = tuning.best("validation of fold 0, split subject; every plane, original space")
    assert read_cleanup(run) == wanted
    assert "on these very cases, and no number in this table is with it" in report.notes[-1]


def test_clean_up_is_applied_and_its_cases_are_said(run, raw):
    sizes = {"NCR": 10, "ED": 10, "ET": 10}
    write_cleanup(run, Cleanup(sizes, "", [B], 0.0, 0.0))
    report = evaluate(run, raw=raw, split="all", cleanup=True)
    for case in (A, B):
        cleaned = drop_small(predicted_of(raw, case), sizes, GLIOMA, VOXEL_MM3)
        np.testing.assert_array_equal(
            confusions(report)[case], confusion(truth_of(raw, case), cleaned, 4)
        )
    assert "sizes of small components were tuned on these very cases" in report.notes
    assert report.name == "all-raw-cleanup"


def test_tables_are_written_into_the_run(run, raw):
    report = evaluate(run, raw=raw)
    folder = report.folder
    assert folder.parent == run
    assert folder.name.startswith("evaluation-validation-raw-raw-")
    assert report.lines()[-1] == f"written to {folder}"
    assert sorted(path.name for path in folder.iterdir()) == [
        "cases.csv",
        "evaluation.json",
        "summary.json",
        "summary.md",
    ]
    about = json.loads((folder / "evaluation.json").read_text())["about"]
    assert (about["run"], about["precision"], about["raw"]) == ("run", "fp32", "raw")
    assert about["split digest"] == runs.SPLIT.digest


def test_tables_are_written_where_it_is_said(run, files, tmp_path):
    evaluate(run, data=files["brain"], out=tmp_path / "deep" / "here")
    assert (tmp_path / "deep" / "here" / "summary.md").is_file()
    assert not list(run.glob("evaluation-*"))


def test_evaluations_of_other_cases_are_written_beside_each_other(run, raw, files, tmp_path):
    copy = tmp_path / "other" / "raw"
    shutil.copytree(raw, copy)
    niftis.write_case(copy, B, volumes=niftis.phantom(5))
    reports = [
        evaluate(run, raw=raw, split="all"),
        evaluate(run, raw=copy, split="all"),
        evaluate(run, raw=raw, split="all", cases=(A,)),
        evaluate(run, raw=raw, split="all", cases=(A, B)),
        evaluate(run, data=files["brain"], split="all"),
    ]
    folders = [report.folder for report in reports]
    assert len(set(folders)) == len(folders)
    for report in reports:
        record = json.loads((report.folder / "evaluation.json").read_text())
        assert record["confusion"] == {
            case: matrix.tolist() for case, matrix in confusions(report).items()
        }
    assert folders[2].name.endswith(f"-case-{A}")
    assert "-2-cases-" in folders[3].name


def test_label_files_against_another_data_set_keep_their_own_folder(raw, predictions, tmp_path):
    copy = tmp_path / "again"
    shutil.copytree(raw, copy)
    first, second = score_folders(predictions, raw), score_folders(predictions, copy)
    third = score_folders(predictions, raw, cases=(A,))
    assert len({first.folder, second.folder, third.folder}) == 3
    assert {report.folder.parent for report in (first, second, third)} == {predictions}


def test_planes_add_up_to_the_case(run, raw, tmp_path):
    report = evaluate(run, raw=raw, split="all", planes=True, out=tmp_path / "out")
    with (tmp_path / "out" / "planes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for case in report.scores:
        for name, part in case.parts.items():
            mine = [row for row in rows if row["case"] == case.case]
            sums = [
                sum(int(row[f"{name} {side}"]) for row in mine)
                for side in ("truth", "predicted", "shared")
            ]
            counts = part.counts
            assert sums == [counts.n_truth, counts.n_predicted, counts.tp]


def test_planes_without_either_side_are_left_out(run, raw):
    report = evaluate(run, raw=raw, planes=True)
    either = (truth_of(raw, B) > 0) | (predicted_of(raw, B) > 0)
    assert [row["z"] for row in report.planes] == np.flatnonzero(either.any(axis=(1, 2))).tolist()


def test_picture_is_the_fullest_plane_of_the_truth(run, raw, files):
    truth = truth_of(raw, B)
    _, _, (y, x) = runs.prepared(images_of(raw, B))
    part = slice(y, y + runs.WINDOW[0]), slice(x, x + runs.WINDOW[1])
    z = np.count_nonzero(truth[:, *part], axis=(1, 2)).argmax()
    for source in ({"raw": raw}, {"data": files["brain"]}):
        picture = evaluate(run, pictures=True, **source).pictures[0]
        assert (picture.case, picture.z) == (B, z)
        np.testing.assert_array_equal(picture.truth, truth[z][part])
        np.testing.assert_array_equal(picture.predicted, predicted_of(raw, B)[z][part])


def test_picture_of_a_case_without_tumour_is_of_what_was_predicted(run, tmp_path):
    images, label = niftis.phantom()
    niftis.write_case(tmp_path / "raw", volumes=(images, 0 * label))
    picture = evaluate(run, raw=tmp_path / "raw", split="all", pictures=True).pictures[0]
    planes = (predicted_of(tmp_path / "raw", A) > 0).sum(axis=(1, 2))
    assert planes[picture.z] == planes.max() > 0


@pytest.fixture
def predictions(raw, tmp_path):
    """The truth of both cases as files of another folder."""
    for case in (A, B):
        source = raw / case / f"{case}_seg.nii.gz"
        (tmp_path / "said").mkdir(exist_ok=True)
        (tmp_path / "said" / f"{case}.nii.gz").write_bytes(source.read_bytes())
    return tmp_path / "said"


def are_perfect(report):
    return all(
        part.counts.fp == part.counts.fn == 0
        for case in report.scores
        for part in case.parts.values()
    )


def test_truth_against_itself_is_perfect(raw, predictions, tmp_path):
    report = score_folders(predictions, raw)
    assert are_perfect(report)
    assert {
        row.mean for row in report.table.rows if row.metric in ("volume Dice", "lesion-wise Dice")
    } == {1.0}
    assert (report.folder / "summary.md").is_file()
    assert are_perfect(score_folders(raw, raw, out=tmp_path / "self"))


def test_files_are_scored_where_their_voxels_are(raw, predictions, tmp_path):
    path = predictions / f"{B}.nii.gz"
    image = nib.load(path)
    moved = np.roll(np.asanyarray(image.dataobj), 1, axis=0)
    nib.save(nib.Nifti1Image(moved, image.affine, image.header), path)
    found = score_folders(predictions, raw, out=tmp_path / "out").scores[1]
    wanted = confusion(truth_of(raw, B), STORED[runs.axial(path)], 4)
    np.testing.assert_array_equal(found.confusion, wanted)
    assert found.parts["WT"].counts.fp > 0


def test_scheme_of_files_can_be_said(raw, predictions, tmp_path):
    for path in predictions.iterdir():
        image = nib.load(path)
        voxels = np.asanyarray(image.dataobj).copy()
        voxels[voxels == 4] = 3
        nib.save(nib.Nifti1Image(voxels, image.affine, image.header), path)
    with pytest.raises(BratsError, match=r"\[3\] are outside scheme brats2017"):
        score_folders(predictions, raw)


def test_missing_prediction_is_refused(raw, predictions):
    (predictions / f"{A}.nii.gz").unlink()
    with pytest.raises(BratsError, match=rf"no prediction of 1 of 2 cases, such as {A}.nii.gz"):
        score_folders(predictions, raw)
    assert list(confusions(score_folders(predictions, raw, cases=(B,)))) == [B]


def test_doubled_prediction_is_refused(raw, predictions):
    (predictions / f"{A}_seg.nii.gz").write_bytes((predictions / f"{A}.nii.gz").read_bytes())
    with pytest.raises(BratsError, match=rf"{A}.nii.gz and {A}_seg.nii.gz are of one case"):
        score_folders(predictions, raw)


def test_prediction_on_another_grid_is_refused(raw, predictions):
    label = niftis.phantom()[1]
    turned, affine = oracles.resampled(label, niftis.RAS, "RAS")
    niftis.write(predictions / f"{A}.nii.gz", turned, affine=affine)
    with pytest.raises(NiftiError, match=rf"said/{A}.nii.gz: affine .* is not that of"):
        score_folders(predictions, raw)


def test_prediction_with_a_fourth_axis_is_refused(raw, predictions):
    label = niftis.phantom()[1]
    niftis.write(predictions / f"{A}.nii.gz", np.stack([label, label], axis=-1))
    with pytest.raises(NiftiError, match=r"shape is \(7, 8, 6, 2\); a label file is \(x, y, z\)"):
        score_folders(predictions, raw)


@pytest.fixture
def with_bad(raw, tmp_path):
    """The two cases, and a third without one of its modalities."""
    shutil.copytree(raw, tmp_path / "raw")
    niftis.write_case(tmp_path / "raw", BAD)
    (tmp_path / "raw" / BAD / f"{BAD}_t1ce.nii.gz").unlink()
    return tmp_path / "raw"


@pytest.mark.parametrize("settings", [{}, {"split": "all", "cases": (A, B)}])
def test_bad_case_that_nobody_asks_for_is_passed_over(run, raw, with_bad, settings):
    wanted, found = (confusions(evaluate(run, raw=root, **settings)) for root in (raw, with_bad))
    assert list(found) == list(wanted)
    np.testing.assert_array_equal(found[B], wanted[B])


@pytest.mark.parametrize("cases", [(), (BAD,), (A, BAD)])
def test_bad_case_that_is_asked_for_stops(run, with_bad, cases):
    with pytest.raises(BratsError, match=rf"{BAD}: t1gd is missing; found flair, t1w, t2w"):
        evaluate(run, raw=with_bad, split="all", cases=cases)


def test_bad_case_of_the_part_stops(tmp_path, with_bad):
    runs.write(tmp_path / "run", split=replace(runs.SPLIT, validation=(B, BAD)))
    with pytest.raises(BratsError, match=f"{BAD}: t1gd is missing"):
        evaluate(tmp_path / "run", raw=with_bad)


def test_bad_cases_that_are_asked_for_are_listed(run, with_bad):
    (with_bad / B / f"{B}_t2.nii.gz").unlink()
    with pytest.raises(BratsError, match=rf"2 problems; (?s:.*){B}: t2w is (?s:.*){BAD}: t1gd is"):
        evaluate(run, raw=with_bad, split="all")


def test_bad_labelled_case_beside_unlabelled_ones_is_named(run, with_bad):
    for case in (A, B):
        (with_bad / case / f"{case}_seg.nii.gz").unlink()
    with pytest.raises(BratsError, match=f"{BAD}: t1gd is missing"):
        evaluate(run, raw=with_bad, split="all")


def test_files_are_scored_beside_a_bad_case(with_bad, predictions):
    """Label files are scored without images, so a missing one does not matter."""
    assert are_perfect(score_folders(predictions, with_bad, cases=(A, B)))
    label = with_bad / BAD / f"{BAD}_seg.nii.gz"
    (predictions / f"{BAD}.nii.gz").write_bytes(label.read_bytes())
    report = score_folders(predictions, with_bad)
    assert [case.case for case in report.scores] == [A, B, BAD]
    assert are_perfect(report)


def test_case_with_two_labels_stops_the_scoring_of_files(with_bad, predictions):
    label = with_bad / BAD / f"{BAD}_seg.nii.gz"
    (with_bad / BAD / f"{BAD}_seg.nii").write_bytes(label.read_bytes())
    assert are_perfect(score_folders(predictions, with_bad, cases=(A, B)))
    with pytest.raises(BratsError, match=BAD):
        score_folders(predictions, with_bad)


@pytest.mark.parametrize("name", ["pictures", "tune_cleanup"])
def test_files_have_neither_picture_nor_tuning(raw, predictions, name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        score_folders(predictions, raw, **{name: True})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "raw"),
    [
        ("Task01_BrainTumour/labelsTr", "Task01_BrainTumour"),
        ("BraTS2020", "BraTS2020"),
        ("BraTS2018", "BraTS2018"),
    ],
)
def test_real_truth_against_itself_is_perfect(real, tmp_path, said, raw):
    report = score_folders(real / said, real / raw, out=tmp_path)
    assert are_perfect(report)


def test_a_table_of_cases_is_followed_by_every_verb(run, raw, tmp_path):
    table, hidden = tmp_path / "cases.csv", tmp_path / "hidden"
    bratsprep.write_case_table(raw, table)
    for number, path in enumerate(sorted(raw.rglob("*.nii.gz"))):
        hidden.mkdir(exist_ok=True)
        shutil.copy(path, hidden / f"{number}.nii.gz")
        name = path.relative_to(raw).as_posix()
        table.write_text(table.read_text().replace(name, f"{number}.nii.gz"))
    with pytest.raises(BratsError, match="holds no case"):
        evaluate(run, raw=hidden, split="all")
    listed = evaluate(run, raw=hidden, split="all", case_table=table)
    wanted = confusions(evaluate(run, raw=raw, split="all"))
    for case, counts in confusions(listed).items():
        np.testing.assert_array_equal(counts, wanted[case])
    assert set(confusions(listed)) == set(wanted)
    bratstrain.predict(run, hidden, tmp_path / "predicted", case_table=str(table))
    report = score_folders(tmp_path / "predicted", hidden, case_table=table)
    np.testing.assert_array_equal(confusions(report)[A], wanted[A])
    page = tmp_path / "report.html"
    bratstrain.report(run, raw=hidden, split="all", case_table=table, out=page)
    assert B in page.read_text()


def test_what_files_were_taken_for_is_in_the_name_of_an_evaluation(run, raw, tmp_path):
    plain = evaluate(run, raw=raw, split="all")
    narrowed = evaluate(run, raw=raw, split="all", exclude=(f"{B}/*",))
    assert [case.case for case in narrowed.scores] == [A]
    assert plain.about["inputs digest"] != narrowed.about["inputs digest"]
    assert narrowed.about["exclude"] == (f"{B}/*",)
    assert "exclude" not in plain.about
    folders = {path.name for path in run.glob("evaluation-*")}
    assert len(folders) == 2
    assert any("-files-" in name for name in folders)


@pytest.mark.parametrize("settings", [{"exclude": ("*",)}, {"case_table": "cases.csv"}])
def test_choices_of_raw_files_have_no_effect_on_a_slice_file(run, files, settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} .* has no effect on"):
        evaluate(run, data=files["brain"], split="all", **settings)
