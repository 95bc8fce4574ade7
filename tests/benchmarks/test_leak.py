"""The page about the leak shows the numbers of the committed results."""

import csv
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from benchmarks import leak, leak_masks, leak_tables
from bratsprep.discovery.subject_tables import SubjectTable
from tests.helpers.nnunet_results import drawn_rows

ROOT = Path(__file__).parent.parent.parent
RECORD = json.loads((ROOT / "benchmarks" / "results" / "leak.json").read_text())
TABLES = leak_tables.tables(RECORD)


@pytest.mark.parametrize("name", TABLES)
def test_table_of_the_page_is_that_of_the_results(name):
    assert "\n".join(TABLES[name]) in (ROOT / "docs" / "leak.md").read_text()


@pytest.mark.parametrize(
    ("value", "digits", "sign", "text"),
    [(0.25, 3, False, ".250"), (-0.25, 3, True, "\N{MINUS SIGN}.250"), (0.25, 1, True, "+.2"),
     (1.96, 1, True, "+2.0"), (0.0, 2, True, ".00"), (-0.001, 2, False, ".00")],
)  # fmt: skip
def test_numbers_are_written_as_on_the_pages(value, digits, sign, text):
    assert leak_tables.plain(value, digits, sign) == text


@pytest.fixture
def scores(tmp_path):
    """CSV file of two made-up networks over three classes, and the subjects."""
    rows, subjects = drawn_rows(0, others=(6, 4))
    path = tmp_path / "scores.csv"
    columns = [f"{name}_{part}" for name in ("voxels", "nnunet", "resenc_m") for part in leak.PARTS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "fold", *columns])
        for case, fold, parts in rows:
            (one, n_one), (two, n_two) = parts.values()
            dice = [one, two, one if fold else ""]
            writer.writerow([case, fold, n_one, n_two, n_one, *dice, *dice])
    return path, subjects


def test_scores_of_each_network_are_read(scores):
    found = leak.read_scores(scores[0])
    assert list(found) == ["nnunet", "resenc_m"]
    assert found["nnunet"].dice.shape == found["nnunet"].voxels.shape == (100, 3)
    np.testing.assert_array_equal(np.isnan(found["nnunet"].dice[:, 2]), found["nnunet"].fold == 0)


def test_script_prints_the_tables_and_keeps_the_numbers(scores, tmp_path, monkeypatch, capsys):
    path, subjects = scores
    people = SubjectTable("csv:0123456789abcdef", subjects, {})
    monkeypatch.setattr(leak, "task01", lambda: people)
    monkeypatch.setattr(leak, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(sys, "argv", ["leak", str(path)])
    leak.main()
    record = json.loads((tmp_path / "results" / "leak.json").read_text())
    assert set(record["networks"]) == {"nnunet", "resenc_m"}
    assert "| nnU-Net v2 | mean |" in capsys.readouterr().out


def test_agreement_is_the_dice_of_the_two_references(tmp_path):
    one, other = np.zeros((2, 4, 4, 2), np.uint8)
    one[:2], other[1:3] = 2, 2  # NCR: 16 voxels each, 8 shared
    other[3, 3, 0] = 1
    for name, mask in (("a", one), ("b", other)):
        nib.save(nib.Nifti1Image(mask, np.eye(4)), tmp_path / f"{name}.nii.gz")
    found = leak_masks.references_dice(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(found, [0.5, 0.0, np.nan])


def test_score_near_the_agreement_is_a_small_distance():
    agreement = leak_masks.Agreement(
        np.arange(16).reshape(8, 2),
        np.arange(8) < 4,
        np.tile([[0.2], [0.4], [0.6], [0.8]], (2, 3)),
    )
    pairs = agreement.dice + np.where(agreement.is_split, 0.01, 0.2)[:, None]
    pairs[0] += 0.01
    pairs[-1] -= 0.02
    found = agreement.compare(np.repeat(pairs, 2, axis=0))["NCR"]
    assert (found["n_split"], found["n_within"]) == (4, 4)
    assert found["distance_split"] == pytest.approx(0.0125)
    assert found["distance_within"] == pytest.approx(0.195)
    assert found["p_one_sided"] == pytest.approx(1 / 70)
    assert found["difference"]["low"] > 0
