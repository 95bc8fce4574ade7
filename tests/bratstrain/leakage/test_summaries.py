import json
import shutil

import numpy as np
import pytest

from bratsprep.errors import BratsError
from bratstrain.leakage.summaries import case_id, read_summaries
from tests.helpers.nnunet_results import entry, write_summaries

ROWS = [
    ("b", 0, {"1": (0.5, 10), "2": (None, 0)}),
    ("a", 1, {"1": (0.25, 20), "2": (1.0, 30)}),
]


@pytest.mark.parametrize(
    "name",
    [
        "fold_{}/validation/summary.json",
        "fold_{}/summary.json",
        "fold_{}.json",
        "summary_{}.json",
        "deep/nnUNetTrainer/fold_{}/validation/summary.json",
    ],
)
def test_summaries_are_read_sorted_by_case(tmp_path, name):
    scores = read_summaries(write_summaries(tmp_path, ROWS, name))
    assert (scores.cases, scores.parts, scores.folds) == (("a", "b"), ("1", "2"), (0, 1))
    np.testing.assert_array_equal(scores.fold, [1, 0])
    np.testing.assert_array_equal(scores.dice, [[0.25, 1.0], [0.5, np.nan]])
    np.testing.assert_array_equal(scores.voxels, [[20, 30], [10, 0]])


def test_summaries_of_an_archive_are_those_of_its_folder(tmp_path):
    folder = write_summaries(tmp_path / "results", ROWS)
    archive = shutil.make_archive(str(tmp_path / "results"), "zip", folder)
    scores = read_summaries(tmp_path / "results.zip")
    assert archive.endswith("results.zip")
    np.testing.assert_array_equal(scores.dice, read_summaries(folder).dice)


def test_null_is_read_as_nan(tmp_path):
    folder = write_summaries(tmp_path, ROWS, "fold_{}.json")
    path = folder / "fold_0.json"
    path.write_text(path.read_text().replace("NaN", "null"))
    assert np.isnan(read_summaries(folder).dice[1, 1])


@pytest.mark.parametrize(
    ("file", "case"),
    [
        ("/a/b/BRATS_001.nii.gz", "BRATS_001"),
        ("C:\\results\\fold_0\\BraTS-GLI-00002-000.nii.gz", "BraTS-GLI-00002-000"),
        ("p_1.5.nii", "p_1.5"),
        ("x/cell_07.png", "cell_07"),
    ],
)
def test_case_is_the_name_of_the_file(file, case):
    assert case_id(file) == case


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:1], "holds summaries of 1 folds"),
        ([*ROWS, ("b", 2, ROWS[0][2])], "b is in fold 0 and in fold 2"),
        ([*ROWS, ("c", 1, {"1": (0.5, 10)})], "1 cases have other labels than 1, 2, such as c"),
        ([*ROWS, ("c", 1, {"1": (1.5, 10), "2": (0.5, 1)})], "Dice of c, 1 is 1.5"),
    ],
    ids=["one fold", "twice", "labels", "range"],
)
def test_summaries_refuse(tmp_path, rows, message):
    with pytest.raises(BratsError, match=message):
        read_summaries(write_summaries(tmp_path, rows))


def test_two_summaries_of_a_fold_are_refused(tmp_path):
    write_summaries(tmp_path / "a", ROWS)
    write_summaries(tmp_path / "b", ROWS)
    with pytest.raises(BratsError, match=r"are both of fold 0; name the\s+folder of one trainer"):
        read_summaries(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        "[]",
        '{"metric_per_case": []}',
        '{"results": {"all": []}}',
        json.dumps({"metric_per_case": [{**entry("a", ROWS[0][2]), "metrics": {"1": {}}}]}),
        json.dumps({"metric_per_case": [{"metrics": {}}]}),
    ],
)
def test_file_that_is_no_summary_is_refused(tmp_path, content):
    write_summaries(tmp_path, ROWS, "fold_{}.json")
    (tmp_path / "fold_1.json").write_text(content)
    with pytest.raises(BratsError, match=r"fold_1\.json: .*summary\.json of nnU-Net v2"):
        read_summaries(tmp_path)
