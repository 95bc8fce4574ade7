"""What an evaluation says beyond its tables, worked out by hand."""

import json

import numpy as np
import pytest

from bratstrain.evaluation.summaries import (
    agreement_table,
    calibration_record,
    convention_facts,
    volume_agreement,
)
from bratstrain.scoring.calibration import Calibration
from bratstrain.scoring.conventions import CONVENTIONS
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers.class_sets import GLIOMA

VOXEL_ML = 0.5
GRID = Grid((5.0, 10.0, 10.0))


def scored(case, n_true, n_predicted):
    """A case with so many voxels of ET on each side."""
    truth, predicted = np.zeros((2, 1, 2, 20), np.uint8)
    truth[0, 0, :n_true] = 3
    predicted[0, 0, :n_predicted] = 3
    return score_case(truth, predicted, GRID, GLIOMA, case=case, tolerances=None, lesions=())


CASES = (scored("a", 4, 6), scored("b", 10, 4), scored("c", 0, 0), scored("d", 0, 2))


def test_volume_agreement_by_hand():
    found = volume_agreement(CASES)["ET"]
    differences = np.array([2, -6, 2]) * VOXEL_ML
    assert (found["n"], found["n_empty"]) == (3, 1)
    assert found["mean_difference"] == pytest.approx(differences.mean())
    assert found["standard_deviation"] == pytest.approx(differences.std(ddof=1))
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * differences.std(ddof=1), 1e-4)
    assert found["points"][1] == {"case": "b", "mean": 3.5, "difference": -3}


def test_part_that_no_case_holds_has_no_agreement():
    found = volume_agreement(CASES)["ED"]
    assert (found["n"], found["mean_difference"], found["low_interval"]) == (0, None, None)
    assert agreement_table({"ED": found})[-1] == "| ED | 0 | - | - | - |"


def test_table_of_agreement_is_signed():
    (row,) = [line for line in agreement_table(volume_agreement(CASES)) if "| ET" in line]
    assert row.startswith("| ET | 3 | -0.33 | ")


def test_agreement_is_json():
    assert json.loads(json.dumps(volume_agreement(CASES), allow_nan=False))["ET"]["unit"] == "ml"


def test_calibration_of_the_cases_adds_up():
    counted = Calibration(np.array([4, 0]), np.array([1.0, 0.0]), np.array([2, 0]))
    other = Calibration(np.array([0, 4]), np.array([0.0, 3.0]), np.array([0, 3]))
    cases = [CASES[0].with_calibration({"ET": counted}), CASES[1].with_calibration({"ET": other})]
    found = calibration_record(cases)
    assert list(found["parts"]) == ["ET"]
    assert found["parts"]["ET"]["error"] == pytest.approx(1 / 8)
    assert [row["voxels"] for row in found["parts"]["ET"]["bins"]] == [4, 4]
    assert "brain" in found["over"]


def test_label_files_have_no_calibration():
    assert calibration_record(CASES) is None


@pytest.mark.parametrize("name", CONVENTIONS)
def test_facts_of_a_convention_are_json(name):
    facts = json.loads(json.dumps(convention_facts([name]), allow_nan=False))[name]
    assert facts["truth_empty"] in (0.0, "left out")
    assert (facts["rules"] is None) == (name in ("nnunet", "present"))


def test_facts_hold_the_parameters_of_a_task():
    facts = convention_facts(["brats2024-ped"])["brats2024-ped"]
    assert (facts["rules"]["dilations"], facts["rules"]["least_mm3"]) == (5, 10)
    assert facts["tasks"] == ("PED 2024", "PED 2025")
    assert facts["penalty_mm"] == 374
