"""Metrics of a whole evaluation: calibration of a run, chosen metrics, tolerances."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.slicefile.reader import SliceFile
from bratstrain.commands.cli import main
from bratstrain.evaluation.evaluator import evaluate
from bratstrain.evaluation.score_files import score_folders
from bratstrain.scoring.calibration import N_BINS
from tests.helpers import metric_oracles as oracle
from tests.helpers import niftis, runs
from tests.helpers.class_sets import GLIOMA

A, B = "BraTS2021_00001", "BraTS2021_00002"
STORED = np.array([0, 1, 2, 0, 3], np.uint8)
"""Stored label of each value of BraTS 2017."""


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = tmp_path_factory.mktemp("cases") / "raw"
    niftis.write_case(root, A, codes="LPS")
    niftis.write_case(root, B, codes="RAS", volumes=niftis.phantom(seed=1))
    return root


@pytest.fixture(scope="module")
def file(raw):
    crop = f"{runs.WINDOW[0]}x{runs.WINDOW[1]}"
    bratsprep.build(raw, raw.parent / "brain.h5", crop=crop, workers=1, slices="brain")
    return raw.parent / "brain.h5"


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    with SliceFile(file) as opened:
        runs.write(folder, digest=opened.digest)
    return folder


@pytest.fixture(scope="module")
def report(run, raw):
    return evaluate(run, raw=raw, split="all")


def expected_error(raw, case, labels):
    """Calibration error of a class or region from whole volumes, by nibabel, torch and NumPy."""
    images = np.stack(
        [runs.axial(raw / case / f"{case}_{kind}.nii.gz") for kind in niftis.SUFFIXES]
    )
    truth = STORED[runs.axial(raw / case / f"{case}_seg.nii.gz")]
    chances = runs.chances([runs.network_of(0)], images)
    inside = (images != 0).any(axis=0) & window(images)
    probability = chances[list(labels)].sum(axis=0)[inside]
    return oracle.calibration_error(probability, np.isin(truth, labels)[inside], N_BINS)


def window(images):
    """Mask of the crop window in a (4, z, y, x) case."""
    _, planes, (y, x) = runs.prepared(images)
    inside = np.zeros(images.shape[1:], bool)
    inside[planes, y : y + runs.WINDOW[0], x : x + runs.WINDOW[1]] = True
    return inside


@pytest.mark.parametrize("part", GLIOMA.parts)
def test_calibration_of_a_run_is_over_the_brain_inside_the_crop(report, raw, part):
    for case in report.scores:
        expected = expected_error(raw, case.case, GLIOMA.parts[part])
        assert case.parts[part].calibration.error == pytest.approx(expected, abs=1e-6)


def test_slice_file_gives_the_calibration_of_raw_cases(run, file, report):
    for ours, theirs in zip(
        evaluate(run, data=file, split="all").scores, report.scores, strict=True
    ):
        for name, part in theirs.parts.items():
            error = ours.parts[name].calibration.error
            assert error == pytest.approx(part.calibration.error, abs=1e-6)


def test_calibration_is_in_the_files(report):
    record = json.loads((report.folder / "evaluation.json").read_text())
    assert set(record["calibration"]["parts"]) == set(GLIOMA.parts)
    with (report.folder / "cases.csv").open(newline="") as opened:
        assert all(float(row["calibration error (ECE)"]) >= 0 for row in csv.DictReader(opened))


def test_volume_agreement_and_conventions_are_in_the_files(report):
    record = json.loads((report.folder / "evaluation.json").read_text())
    assert len(record["volume_agreement"]["WT"]["points"]) == 2
    assert record["conventions"]["brats2024"]["rules"]["name"] == "brats2024"
    assert "## Volume agreement" in (report.folder / "summary.md").read_text()


def test_label_files_have_no_calibration(raw, tmp_path):
    report = score_folders(raw, raw, out=tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text())["calibration"] is None
    assert "calibration error (ECE)" not in {row.metric for row in report.table.rows}


def test_chosen_metrics_are_printed_instead_of_the_usual(raw, tmp_path):
    report = score_folders(raw, raw, out=tmp_path, metrics=("assd", "lesion F1"))
    head = next(line for line in report.lines() if line.startswith("case average"))
    assert head.split("nothing")[1].split("  ")[1:3] == ["ASSD (mm)", "lesion F1"]
    assert "HD95" not in head


def test_further_tolerances_are_measured(raw, tmp_path):
    report = score_folders(raw, raw, out=tmp_path, tolerances=(2, 1.0))
    metrics = {row.metric for row in report.table.rows}
    assert {"surface Dice at 2 mm", "lesion-wise surface Dice at 2 mm"} <= metrics
    with (tmp_path / "cases.csv").open(newline="") as opened:
        assert {row["surface Dice at 2 mm"] for row in csv.DictReader(opened)} <= {"1.0", ""}


def test_options_choose_metric_and_tolerance(raw, tmp_path):
    call = ["evaluate", "--predictions", str(raw), "--raw", str(raw), "-o", str(tmp_path)]
    done = CliRunner().invoke(
        main, [*call, "--tolerance", "2.5", "--metric", "surface Dice at 2.5 mm"]
    )
    assert done.exit_code == 0
    assert "surface Dice at 2.5 mm" in done.stdout


@pytest.mark.parametrize(
    "settings", [{"metrics": ("beauty",)}, {"tolerances": (0.0,)}], ids=["metric", "tolerance"]
)
def test_unusable_choices_are_refused_before_the_work(raw, tmp_path, settings):
    with pytest.raises(ValueError, match=r"beauty|above 0"):
        score_folders(raw, raw, out=tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()
