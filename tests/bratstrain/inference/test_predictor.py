"""Predictions: the labels that NumPy and nibabel give, where the scan's own voxels are."""

import shutil
import tarfile
import threading
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from bratsprep.case import Geometry
from bratsprep.config import PrepConfig
from bratsprep.errors import BratsError, LabelError, LayoutError, SourceError
from bratsprep.labels import shipped
from bratsprep.orientation import Orientation
from bratsprep.volumes.case_volumes import to_file_order
from bratstrain.inference.predictor import predict
from bratstrain.runs.checkpoint import Weights, load
from bratstrain.runs.fitted import load_fitted, precision_of, read_split
from tests.helpers import niftis, runs

CASE = "BraTS2021_00001"
PLACING = ("pixdim", "qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c",
           "quatern_d", "qoffset_x", "srow_x", "srow_y", "srow_z")  # fmt: skip


@pytest.fixture
def run(tmp_path):
    runs.write(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def raw(tmp_path):
    niftis.write_case(tmp_path / "raw")
    return tmp_path / "raw"


def images_of(folder, case=CASE):
    return np.stack([runs.axial(folder / f"{case}_{kind}.nii.gz") for kind in niftis.SUFFIXES])


def raw_labels(chances, scheme="brats2017"):
    return shipped()[scheme].raw()[chances.argmax(axis=0)]


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR", "SLA", "IRP"])
def test_labels_equal_the_oracle_in_any_orientation(tmp_path, codes):
    network = runs.write(tmp_path / "run")
    niftis.write_case(tmp_path / "raw", codes=codes)
    predict(tmp_path / "run", tmp_path / "raw", tmp_path / "out", batch_size=2)
    wanted = raw_labels(runs.chances([network], images_of(tmp_path / "raw" / CASE)))
    found = runs.axial(tmp_path / "out" / f"{CASE}.nii.gz")
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(wanted)) >= 3


@pytest.mark.parametrize(
    "make",
    [
        {},
        {"version": 2},
        {"order": ">"},
        {"qform": 2, "sform": 0},
        {"qform": 0, "sform": 4},
        {"comment": b"of the scanner", "fields": (("xyzt_units", 10),)},
    ],
    ids=["plain", "nifti2", "big-endian", "qform", "sform", "comment"],
)
def test_prediction_stands_where_the_scan_does(tmp_path, run, make):
    niftis.write_case(tmp_path / "raw", codes="LPS", make=niftis.Make(**make))
    predict(run, tmp_path / "raw", tmp_path / "out")
    scan = nib.load(tmp_path / "raw" / CASE / f"{CASE}_flair.nii.gz")
    found = nib.load(tmp_path / "out" / f"{CASE}.nii.gz")
    assert type(found.header) is type(scan.header)
    assert found.shape == scan.shape
    assert found.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(found.affine, scan.affine)
    for name in PLACING:
        np.testing.assert_array_equal(found.header[name], scan.header[name], err_msg=name)


def test_file_order_refuses_a_volume_of_another_size():
    geometry = Geometry(np.eye(4), (3, 4, 5), Orientation("RAS"))
    with pytest.raises(ValueError, match=r"volume is \(5, 4, 4\) .*not \(3, 4, 5\)"):
        to_file_order(np.zeros((4, 4, 5)), geometry)


def test_4d_and_3d_editions_of_a_patient_are_predicted_alike(tmp_path, run):
    images, label = niftis.phantom()
    niftis.write_case(tmp_path / "raw", codes="LPS")
    root = tmp_path / "Task01_BrainTumour"
    niftis.write(root / "imagesTr" / "BRATS_001.nii.gz", np.moveaxis(images, 0, -1))
    msd = np.array([0, 2, 1, 0, 3], np.uint8)
    niftis.write(root / "labelsTr" / "BRATS_001.nii.gz", msd[label])
    for name in ("raw", "Task01_BrainTumour"):
        predict(run, tmp_path / name, tmp_path / f"out_{name}")
    brats = runs.axial(tmp_path / "out_raw" / f"{CASE}.nii.gz")
    decathlon = nib.load(tmp_path / "out_Task01_BrainTumour" / "BRATS_001.nii.gz")
    assert decathlon.shape == images.shape[1:]
    np.testing.assert_array_equal(runs.axial(decathlon.get_filename()), msd[brats])


def test_planes_without_brain_and_all_beyond_the_window_are_background(run, raw, tmp_path):
    predict(run, raw, tmp_path / "out")
    found = runs.axial(tmp_path / "out" / f"{CASE}.nii.gz")
    images = images_of(raw / CASE)
    empty = ~(images != 0).any(axis=(0, 2, 3))
    assert empty.any()
    assert not found[empty].any()
    _, _, (y, x) = runs.prepared(images)
    found[:, y : y + runs.WINDOW[0], x : x + runs.WINDOW[1]] = 0
    assert not found.any()


def test_probabilities_equal_the_oracle(tmp_path, raw):
    network = runs.write(tmp_path / "run")
    predict(tmp_path / "run", raw, tmp_path / "out", probabilities=True)
    file = nib.load(tmp_path / "out" / f"{CASE}_probabilities.nii.gz")
    wanted = runs.chances([network], images_of(raw / CASE))
    assert file.get_data_dtype() == np.float32
    assert file.shape == (7, 8, 6, 4)
    for label in range(4):
        found = runs.axial(file.get_filename(), label)
        np.testing.assert_allclose(found, wanted[label], atol=1e-5)


@pytest.mark.parametrize(
    ("tta", "flips"),
    [("lr", ((), (-1,))), ("lr+ap", ((), (-1,), (-2,), (-2, -1)))],
)
def test_flips_are_averaged(tmp_path, raw, tta, flips):
    network = runs.write(tmp_path / "run")
    predict(tmp_path / "run", raw, tmp_path / "out", probabilities=True, tta=tta)
    wanted = runs.chances([network], images_of(raw / CASE), flips)
    path = tmp_path / "out" / f"{CASE}_probabilities.nii.gz"
    np.testing.assert_allclose(runs.axial(path, 2), wanted[2], atol=1e-5)


def test_several_runs_are_averaged(tmp_path, raw):
    networks = [runs.write(tmp_path / name, seed=i) for i, name in enumerate("ab")]
    done = predict([tmp_path / "a", tmp_path / "b"], raw, tmp_path / "out")
    wanted = raw_labels(runs.chances(networks, images_of(raw / CASE)))
    np.testing.assert_array_equal(runs.axial(done.cases[0].path), wanted)


def test_whole_planes_are_predicted_where_the_run_had_no_crop(tmp_path):
    network = runs.write(tmp_path / "run", preparation=PrepConfig(crop="none"), size=(8, 7))
    niftis.write_case(tmp_path / "big", volumes=niftis.phantom(shape=(9, 10, 6)))
    done = predict(tmp_path / "run", tmp_path / "big", tmp_path / "out")
    images = images_of(tmp_path / "big" / CASE)
    wanted = raw_labels(runs.chances([network], images, window=(10, 9)))
    np.testing.assert_array_equal(runs.axial(done.cases[0].path), wanted)


def test_raw_slices_are_scaled_as_they_are_for_the_network(tmp_path, raw):
    network = runs.write(tmp_path / "run", preparation=runs.prep(normalise="none"))
    done = predict(tmp_path / "run", raw, tmp_path / "out")
    wanted = raw_labels(runs.chances([network], images_of(raw / CASE)))
    assert (
        runs.axial(done.cases[0].path) == wanted
    ).mean() > 0.99  # float16 rounding is the oracle's


def test_labels_are_written_in_the_scheme_asked_for(run, raw, tmp_path):
    own = predict(run, raw, tmp_path / "own").cases[0]
    other = predict(run, raw, tmp_path / "other", labels="msd").cases[0]
    assert (own.scheme, other.scheme) == ("brats2017", "msd")
    table = np.array([0, 2, 1, 0, 3], np.uint8)
    np.testing.assert_array_equal(table[runs.axial(own.path)], runs.axial(other.path))


def unlabelled_plain(tmp_path):
    images, _ = niftis.phantom()
    for kind, volume in zip(("flair", "t1", "t1gd", "t2"), images, strict=True):
        niftis.write(tmp_path / "plain" / f"smith_{kind}.nii.gz", volume)
    return tmp_path / "plain"


def test_unlabelled_case_is_written_in_the_scheme_of_the_run(run, tmp_path):
    assert predict(run, unlabelled_plain(tmp_path), tmp_path / "out").cases[0].scheme == "brats2017"


def test_unlabelled_case_needs_a_scheme_where_the_run_had_several(tmp_path):
    runs.write(tmp_path / "run", schemes=(shipped()["brats2017"], shipped()["msd"]))
    with pytest.raises(LabelError, match=r"smith has no label .* with --labels NAME"):
        predict(tmp_path / "run", unlabelled_plain(tmp_path), tmp_path / "out")
    done = predict(tmp_path / "run", tmp_path / "plain", tmp_path / "out", labels="brats2023")
    assert done.cases[0].scheme == "brats2023"


def test_archive_gives_the_same_bytes(run, raw, tmp_path):
    with tarfile.open(tmp_path / "raw.tar.gz", "w:gz") as archive:
        archive.add(raw, "raw")
    one = predict(run, raw, tmp_path / "one").cases[0].path
    two = predict(run, tmp_path / "raw.tar.gz", tmp_path / "two").cases[0].path
    assert one.read_bytes() == two.read_bytes()


def test_only_the_cases_named_are_predicted(run, raw, tmp_path):
    niftis.write_case(raw, "BraTS2021_00002", volumes=niftis.phantom(seed=1))
    done = predict(run, raw, tmp_path / "out", cases=["BraTS2021_00002"])
    assert [each.case for each in done.cases] == ["BraTS2021_00002"]
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == ["BraTS2021_00002.nii.gz"]


def test_unknown_case_is_refused(run, raw, tmp_path):
    with pytest.raises(BratsError, match=r"holds no case nobody; the first of its 1 cases"):
        predict(run, raw, tmp_path / "out", cases=["nobody"])


@pytest.fixture
def faulty(raw):
    """Beside a good case one cut off, one without a modality, and one with a label of no scheme."""
    for i in (2, 3, 4):
        niftis.write_case(raw, f"BraTS2021_0000{i}", volumes=niftis.phantom(seed=i))
    cut = raw / "BraTS2021_00002" / "BraTS2021_00002_t1ce.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-30])
    (raw / "BraTS2021_00003" / "BraTS2021_00003_t2.nii.gz").unlink()
    label = raw / "BraTS2021_00004" / "BraTS2021_00004_seg.nii.gz"
    niftis.write(label, np.full((7, 8, 6), 77, np.uint8))
    return raw


def test_faulty_cases_stop_the_prediction_and_the_note_names_the_way_on(run, faulty, tmp_path):
    with pytest.raises(LayoutError, match="00003: t2w is missing") as caught:
        predict(run, faulty, tmp_path / "out")
    assert "--on-error skip" in caught.value.__notes__[0]


def test_stopped_prediction_leaves_no_thread_behind(run, faulty, tmp_path):
    shutil.rmtree(faulty / "BraTS2021_00003")
    with pytest.raises(SourceError) as caught:
        predict(run, faulty, tmp_path / "out")
    assert caught.tb is not None  # what the frames of the error hold is not collected yet
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("case")]


def test_faulty_cases_are_set_aside_and_the_others_predicted(run, faulty, tmp_path):
    done = predict(run, faulty, tmp_path / "out", on_error="skip")
    assert [case.case for case in done.cases] == [CASE, "BraTS2021_00004"]  # labels are not read
    assert [case.id for case in done.skipped] == ["BraTS2021_00002", "BraTS2021_00003"]
    assert "t2w is missing" in done.skipped[1].reason
    assert done.lines()[-3] == "skipped  2 cases:"
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 2


def test_faults_of_other_cases_do_not_stop_the_prediction_of_one(run, faulty, tmp_path):
    assert [case.case for case in predict(run, faulty, tmp_path / "out", cases=[CASE]).cases] == [
        CASE
    ]


@pytest.mark.parametrize("case", ["BraTS2021_00002", "BraTS2021_00003"])
def test_prediction_of_faulty_cases_alone_is_refused(run, faulty, tmp_path, case):
    with pytest.raises(BratsError, match=f"every one of the 1 cases is faulty, such as {case}"):
        predict(run, faulty, tmp_path / "out", cases=[case], on_error="skip")


def test_same_grid_without_effect_is_refused(run, raw, tmp_path):
    with pytest.raises(ValueError, match="same_grid has no effect on predictions"):
        predict(run, raw, tmp_path / "out", same_grid=True)


def test_missing_modality_is_refused(run, raw, tmp_path):
    (raw / CASE / f"{CASE}_t1ce.nii.gz").unlink()
    with pytest.raises(LayoutError, match="t1gd is missing; found flair, t1w, t2w"):
        predict(run, raw, tmp_path / "out")


def test_other_spacing_is_refused_and_named(tmp_path, raw):
    known = [{"mm": [1, 1, 1], "cases": 7}, {"mm": [1, 1, 1.5], "cases": 2}]
    runs.write(tmp_path / "run", facts={"spacings": known})
    message = r"voxels are 1 x 1 x 2 mm .*on is 1 x 1 x 1.5 mm, that of 2 of its 9 training cases"
    with pytest.raises(BratsError, match=message):
        predict(tmp_path / "run", raw, tmp_path / "out")
    assert predict(tmp_path / "run", raw, tmp_path / "out", any_spacing=True).cases


def test_spacing_within_a_tenth_is_taken(tmp_path, raw):
    runs.write(tmp_path / "run", facts={"spacings": runs.sizes([3, 3, 3], [1.05, 0.95, 2.1])})
    assert predict(tmp_path / "run", raw, tmp_path / "out").cases


def test_run_that_does_not_say_its_spacing_is_refused(tmp_path, raw):
    runs.write(tmp_path / "run", facts={"spacings": None})
    with pytest.raises(BratsError, match="run: does not record the voxel size"):
        predict(tmp_path / "run", raw, tmp_path / "out")


def test_prediction_that_is_there_is_kept(run, raw, tmp_path):
    path = predict(run, raw, tmp_path / "out").cases[0].path
    before = path.read_bytes()
    path.write_bytes(b"mine")
    with pytest.raises(BratsError, match=r"exists already, 1 files in all; .*--force"):
        predict(run, raw, tmp_path / "out", probabilities=True)
    assert predict(run, raw, tmp_path / "out", force=True).cases[0].path.read_bytes() == before


def test_scan_is_never_written_over(run, tmp_path):
    images, _ = niftis.phantom()
    scans = tmp_path / "Task01_BrainTumour" / "imagesTr"
    scan = niftis.write(scans / "BRATS_001.nii.gz", np.moveaxis(images, 0, -1))
    before = scan.read_bytes()
    with pytest.raises(BratsError, match=r"exists already, 1 files in all; name another folder$"):
        predict(run, tmp_path / "Task01_BrainTumour", scans, force=True)
    assert scan.read_bytes() == before


def test_damaged_case_leaves_those_before_it(run, raw, tmp_path):
    niftis.write_case(raw, "BraTS2021_00002")
    flair = raw / "BraTS2021_00002" / "BraTS2021_00002_flair.nii.gz"
    flair.write_bytes(flair.read_bytes()[:300])
    with pytest.raises(BratsError, match="BraTS2021_00002"):
        predict(run, raw, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob("*.nii.gz")] == [f"{CASE}.nii.gz"]
    assert (tmp_path / "out" / "volumes.csv").read_text().splitlines()[1].startswith(CASE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tta": "up"}, "tta must be one of none, lr, lr"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"labels": "mine"}, "label scheme 'mine' is unknown; one of brats-men, .*msd, .*my.toml"),
    ],
)
def test_settings_are_checked(run, raw, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        predict(run, raw, tmp_path / "out", **settings)


def test_line_says_millilitres(run, raw, tmp_path):
    done = predict(run, raw, tmp_path / "out").cases[0]
    label = runs.axial(done.path)
    wanted = f"ED {np.count_nonzero(label == 2) * 2 / 1000:.1f} ml"
    assert wanted in done.line()
    assert done.line().startswith(f"{done.path}: NCR ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preparation": runs.prep(normalise="case")}, "normalise case, not modality"),
        ({"preparation": runs.prep(dtype="float32")}, "dtype float32, not auto"),
        ({"size": (6, 6)}, r"size \[6, 6\], not \[6, 5\]"),
        (
            {"facts": {"spacings": runs.sizes([1, 1, 1])}},
            r"voxels of 1 x 1 x 1 mm, .*a on 1 x 1 x 2",
        ),
    ],
)
def test_ensemble_of_different_preparations_is_refused(tmp_path, change, message):
    runs.write(tmp_path / "a")
    runs.write(tmp_path / "b", **change)
    with pytest.raises(BratsError, match=f"b: was fitted on .*{message}"):
        load_fitted([tmp_path / "a", tmp_path / "b"])


def test_no_run_is_refused():
    with pytest.raises(ValueError, match="runs holds 0 folders"):
        load_fitted([])


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(BratsError, match=r"is no run folder; 'bratstrain fit' makes one"):
        load_fitted([tmp_path])


def test_run_without_a_validation_is_refused(run):
    (run / "best.pt").unlink()
    with pytest.raises(BratsError, match=r"has no best.pt yet; resume it with"):
        load_fitted([run])


@pytest.mark.parametrize("sides", ["1", [1, 1], [1, 1, 0], [1, 1, "2"], [1, 1, float("inf")]])
def test_spacing_that_cannot_be_is_refused(tmp_path, sides):
    runs.write(tmp_path / "run", facts={"spacings": [{"mm": sides, "cases": 1}]})
    with pytest.raises(BratsError, match=r"'spacings' is .* expected three sides in mm"):
        load_fitted([tmp_path / "run"])


def test_ensemble_needs_one_voxel_size_that_all_runs_know(tmp_path):
    runs.write(tmp_path / "a", facts={"spacings": runs.sizes([1, 1, 1], [1, 1, 2])})
    runs.write(tmp_path / "b", facts={"spacings": runs.sizes([1, 1, 2], [3, 3, 3])})
    fitted = load_fitted([tmp_path / "a", tmp_path / "b"])
    assert [len(own.sizes) for own in fitted.spacings] == [2, 2]


def test_schemes_that_differ_make_an_ensemble_without_one(tmp_path):
    runs.write(tmp_path / "a")
    runs.write(tmp_path / "b", schemes=(shipped()["msd"],))
    assert load_fitted([tmp_path / "a", tmp_path / "b"]).scheme is None
    assert load_fitted([tmp_path / "a"]).scheme == shipped()["brats2017"]


def test_ensemble_of_other_classes_is_refused(tmp_path):
    runs.write(tmp_path / "a")
    runs.write(tmp_path / "b", schemes=(shipped()["brats2024"],), classes=5)
    with pytest.raises(BratsError, match=r"was fitted on other slices .*classes .*'RC'"):
        load_fitted([tmp_path / "a", tmp_path / "b"])


def test_network_of_another_number_of_classes_than_it_names_is_refused(tmp_path):
    runs.write(tmp_path / "run", schemes=(shipped()["brats2024"],))
    with pytest.raises(BratsError, match=r"best\.pt: its network gives 4 classes, but it names 5"):
        load_fitted([tmp_path / "run"])


def test_case_without_a_modality_is_refused_by_a_run_that_never_saw_one(run, raw, tmp_path):
    next((raw / CASE).glob("*_t2.nii.gz")).unlink()
    with pytest.raises(BratsError, match=f"{CASE}: t2w is missing; found flair, t1w, t1gd"):
        predict(run, raw, tmp_path / "out")


@pytest.mark.parametrize("how", ["data", "drawn"])
def test_case_without_a_modality_is_labelled_by_a_run_that_saw_such_cases(raw, tmp_path, how):
    settings = {"preparation": runs.prep(missing="zeros")} if how == "data" else {"drop": 0.2}
    runs.write(tmp_path / "run", **settings)
    whole = predict(tmp_path / "run", raw, tmp_path / "whole").cases[0]
    next((raw / CASE).glob("*_t2.nii.gz")).unlink()
    lacking = predict(tmp_path / "run", raw, tmp_path / "lacking").cases[0]
    assert runs.axial(lacking.path).shape == runs.axial(whole.path).shape
    assert not np.array_equal(runs.axial(lacking.path), runs.axial(whole.path))


def test_case_of_classes_that_the_run_does_not_give_is_refused(run, raw, tmp_path):
    with pytest.raises(LabelError, match="has the classes NCR, ED, ET, RC, run gives NCR, ED, ET"):
        predict(run, raw, tmp_path / "out", labels="brats2024")


def test_damaged_split_is_refused(run):
    (run / "split.json").write_text('{"name": "subject"}')
    with pytest.raises(BratsError, match=r"split.json: is no split of a run: 'train'"):
        read_split(run)


@pytest.mark.parametrize(("device", "precision"), [("cpu", "fp32"), ("cuda", "bf16")])
def test_precision_is_that_of_the_run_but_on_a_cpu(run, device, precision):
    weights = load(run / "best.pt", Weights)
    config = replace(runs.CONFIG, precision="bf16")
    weights = replace(weights, config=config.to_json())
    assert precision_of(run, weights, torch.device(device)) == precision


def test_split_is_read_as_it_was_written(run):
    assert read_split(run) == runs.SPLIT


@pytest.mark.slow
def test_real_editions_of_a_patient_are_predicted_alike(tmp_path, real):
    facts = {"spacings": runs.sizes([1, 1, 1])}
    runs.write(tmp_path / "run", preparation=PrepConfig(), size=(192, 160), facts=facts)
    for source in ("Task01_BrainTumour", "BraTS2020"):
        cases = ["BRATS_295"] if source.startswith("Task") else []
        predict(tmp_path / "run", real / source, tmp_path / source, cases=cases, labels="msd")
    decathlon = nib.load(tmp_path / "Task01_BrainTumour" / "BRATS_295.nii.gz")
    brats = nib.load(tmp_path / "BraTS2020" / "BraTS20_Training_001.nii.gz")
    folder = real / "BraTS2020" / "BraTS20_Training_001"
    scan = nib.load(folder / "BraTS20_Training_001_flair.nii.gz")
    np.testing.assert_array_equal(brats.affine, scan.affine)
    assert [int(brats.header[code]) for code in ("qform_code", "sform_code")] == [
        int(scan.header[code]) for code in ("qform_code", "sform_code")
    ]
    flipped = np.asanyarray(brats.dataobj)[::-1, ::-1]
    np.testing.assert_array_equal(flipped, np.asanyarray(decathlon.dataobj))


def test_prediction_of_a_metaimage_stands_where_the_scan_does(tmp_path, run):
    raw = tmp_path / "raw"
    niftis.write_case(raw, codes="LPS")
    predict(run, raw, tmp_path / "nifti")
    for path in raw.rglob("*.nii.gz"):
        image = nib.load(path)
        voxels = np.asarray(image.dataobj)
        affine = np.diag([-1.0, -1, 1, 1]) @ image.affine
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        numbers = {
            "TransformMatrix": (affine[:3, :3] / spacing).T.ravel(),
            "Offset": affine[:3, 3],
            "ElementSpacing": spacing,
            "DimSize": voxels.shape,
        }
        lines = [f"{key} = {' '.join(map(str, map(float if key != 'DimSize' else int, value)))}"
                 for key, value in numbers.items()]  # fmt: skip
        kind = {"i2": "MET_SHORT", "u1": "MET_UCHAR", "f4": "MET_FLOAT"}[voxels.dtype.str[1:]]
        head = ["ObjectType = Image", "NDims = 3", *lines, f"ElementType = {kind}"]
        text = "\n".join([*head, "ElementDataFile = LOCAL\n"])
        mha = path.with_name(path.name.replace(".nii.gz", ".mha"))
        mha.write_bytes(text.encode() + voxels.tobytes(order="F"))
        path.unlink()
    predict(run, raw, tmp_path / "meta")
    one, two = (nib.load(tmp_path / name / f"{CASE}.nii.gz") for name in ("nifti", "meta"))
    np.testing.assert_array_equal(one.dataobj, two.dataobj)
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-6)
