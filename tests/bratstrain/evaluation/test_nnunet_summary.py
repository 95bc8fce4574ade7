import json
import math

import numpy as np
import pytest

from bratstrain.evaluation.nnunet_summary import nnunet_summary
from bratstrain.evaluation.tables import Report, write_report
from bratstrain.leakage.summaries import read_summaries
from bratstrain.scoring.aggregate import summarise
from bratstrain.scoring.metrics import Grid, score_case
from tests.helpers.class_sets import GLIOMA


def scored(case, n_truth, n_predicted, n_shared):
    """Scores of a case whose NCR has so many voxels; no other class occurs."""
    truth, predicted = np.zeros((2, 2, 10, 10), np.uint8)
    truth.ravel()[:n_truth] = 1
    predicted.ravel()[n_truth - n_shared : n_truth - n_shared + n_predicted] = 1
    return score_case(truth, predicted, Grid((1, 1, 1)), GLIOMA, case=case)


@pytest.fixture
def scores():
    return (scored("A", 10, 20, 5), scored("B", 10, 10, 10))


def test_counts_and_scores_of_a_case(scores):
    summary = nnunet_summary(scores, "two cases")
    first = summary["metric_per_case"][0]
    assert first["prediction_file"] == first["reference_file"] == "A.nii.gz"
    assert first["metrics"]["1"] == {
        "Dice": pytest.approx(1 / 3), "IoU": pytest.approx(0.2), "FN": 5, "FP": 15, "TN": 175,
        "TP": 5, "n_pred": 20, "n_ref": 10,
    }  # fmt: skip
    assert set(first["metrics"]) == {"1", "2", "3"}
    assert math.isnan(first["metrics"]["3"]["Dice"])
    assert math.isnan(first["metrics"]["3"]["IoU"])


def test_means_leave_absent_classes_out(scores):
    summary = nnunet_summary(scores, "two cases")
    assert summary["mean"]["1"]["Dice"] == pytest.approx(2 / 3)
    assert math.isnan(summary["mean"]["2"]["Dice"])
    assert summary["foreground_mean"]["Dice"] == pytest.approx(2 / 3)
    assert summary["foreground_mean"]["n_ref"] == pytest.approx(10 / 3)


def test_means_are_those_of_the_convention(scores, tmp_path):
    table = summarise(scores, cases="two", conventions=("nnunet",))
    (row,) = [row for row in table.rows if (row.metric, row.part) == ("volume Dice", "NCR")]
    write_report(Report("a", (), {}, scores, table), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["mean"]["1"]["Dice"] == row.mean
    assert summary["note"] == "two: 2 cases, every plane; labels 1 NCR, 2 ED, 3 ET"


def test_summaries_of_folds_can_be_examined(scores, tmp_path):
    for fold, case in enumerate(scores):
        (tmp_path / f"fold_{fold}.json").write_text(json.dumps(nnunet_summary([case], "")))
    found = read_summaries(tmp_path)
    assert found.cases == ("A", "B")
    np.testing.assert_allclose(found.dice, [[1 / 3, np.nan, np.nan], [1, np.nan, np.nan]])
    np.testing.assert_array_equal(found.voxels[:, 0], [10, 10])
