"""`benchmarks.gpu`: every part runs on a CPU, and what was not measured is named so."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks.figures import gpu_fit
from benchmarks.gpu_parts import PARTS, Kit
from benchmarks.gpu_table import DRY, document
from benchmarks.gpu_ways import agreement
from benchmarks.train_parts import Size
from tests.helpers import niftis

ROOT = Path(__file__).parent.parent.parent
BARE = [{"augmented": 100.0, "plain": 110.0}, {"augmented": 100.0, "plain": 110.0}]
SPEED = {
    "model": "unet",
    "precision": "bf16",
    "compile": False,
    "bare": BARE,
    "bare_device_memory_mb": 512.0,
    "operations_per_slice": 1e9,
    "fit": {"slices_per_s": 97.0, "wait_share": 0.02},
}
MATRIX = {"precision": "bf16", "operations_per_s": 4e11}
FACTS = {
    "date": "2026-01-01",
    "kind": "cuda",
    "slice file": "12 phantoms",
    "machine": {"gpu": "X"},
    "versions": {"torch": "2.11"},
}


def kit_results(**rows):
    return {"facts": FACTS, "rows": rows}


def test_table_says_share_of_the_matrix_rate_and_fit_over_bare():
    text = document(kit_results(speed=[SPEED], matrix=[MATRIX]))
    assert "| unet | bf16 | False | 100 | 25.0% | 512 | 97 | 0.970 | 2.0% |" in text


def test_a_part_without_rows_is_not_measured():
    text = document(kit_results(matrix=[gpu.OUT_OF_TIME]))
    assert text.count("\nnot measured\n") == len(gpu.PARTS) - 1
    assert "not measured: the time was over" in text


def test_share_without_a_matrix_rate_is_not_measured():
    assert "| 100 | not measured |" in document(kit_results(speed=[SPEED]))


def test_a_killed_run_that_failed_says_so():
    row = {"model": "unet", "killed_after": 3, "missing": "failed with exit status 1"}
    whole = row | {"killed": {"largest_difference": 0.5, "same_bits": False}}
    text = document(kit_results(kill=[{**row}, {k: v for k, v in whole.items() if k != "missing"}]))
    assert "failed with exit status 1" in text
    assert "0.5" in text


def test_the_aim_reads_the_kit_before_the_benchmark_of_training():
    slower = SPEED | {"fit": {"slices_per_s": 90.0}}
    train = {"cuda": {"rows": {"speed": [slower]}}}
    assert gpu_fit({"train": train}) == pytest.approx(0.9)
    assert gpu_fit({"train": train, "gpu": kit_results(speed=[SPEED])}) == pytest.approx(0.97)


def test_parts_after_the_time_are_not_measured(tmp_path, monkeypatch):
    clock = itertools.chain([0.0, 1.0, 61.0], itertools.repeat(99.0))
    monkeypatch.setattr(gpu.time, "monotonic", lambda: next(clock))
    parts = dict.fromkeys(("first", "second"), lambda _: iter([{"n": 1}, {"n": 2}]))
    monkeypatch.setattr(gpu, "PARTS", parts)
    results = {"facts": FACTS, "rows": {}}
    gpu.measure(None, results, tmp_path / "gpu.json", 1, parts)
    assert results["rows"] == {"first": [{"n": 1}], "second": [gpu.OUT_OF_TIME]}
    assert json.loads((tmp_path / "gpu.json").read_text()) == results


def test_parts_that_are_not_measured_again_stay(tmp_path):
    kept = {"matrix": [MATRIX], "speed": [SPEED]}
    (tmp_path / "gpu.json").write_text(json.dumps(kit_results(**kept)))
    later = FACTS | {"date": "2026-02-02", "machine": {"gpu": "X", "load before": "3.0"}}
    assert gpu.earlier(tmp_path / "gpu.json", ["speed"], later) == {"matrix": [MATRIX]}
    assert gpu.earlier(tmp_path / "none.json", ["speed"], later) == {}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"machine": {"gpu": "Y"}}, "has matrix measured elsewhere: gpu X, here Y; measure every"),
        ({"versions": {"torch": "3.0"}}, "torch 2.11, here 3.0"),
        ({"slice file": "own"}, "slice file 12 phantoms, here own"),
    ],
)
def test_parts_of_another_place_are_not_kept_in_one_table(tmp_path, other, message):
    kept = {"matrix": [MATRIX], "speed": [SPEED]}
    (tmp_path / "gpu.json").write_text(json.dumps(kit_results(**kept)))
    with pytest.raises(SystemExit, match=message):
        gpu.earlier(tmp_path / "gpu.json", ["speed"], FACTS | other)
    assert gpu.earlier(tmp_path / "gpu.json", ["speed", "matrix"], FACTS | other) == {}


def test_whole_brains_are_needed_for_volumes_of_own_data(tmp_path):
    size = Size(4, 3, 2, fits=True)
    kit = Kit("cpu", tmp_path, tmp_path, None, tmp_path, ("unet",), size)
    assert [*PARTS["volumes"](kit)] == [
        {"missing": "not measured: needs --brain, a slice file of every plane with brain"}
    ]


def test_agreement_is_over_labelled_voxels(tmp_path):
    for folder, value in (("one", 1), ("other", 2)):
        (tmp_path / folder).mkdir()
        label = torch.zeros(4, 4, 4, dtype=torch.uint8)
        label[0, 0, :2] = 1
        label[0, 0, 2] = value
        niftis.write(tmp_path / folder / "a.nii.gz", label.numpy())
    assert agreement(tmp_path / "one", tmp_path / "other") == pytest.approx(2 / 3)


def test_data_without_its_raw_cases_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["gpu", "--work", str(tmp_path), "--dry", "--data", "train.h5"]
    )
    with pytest.raises(SystemExit, match="give --data and --raw together"):
        gpu.main()


def test_without_a_gpu_nothing_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu", "--work", str(tmp_path)])
    with pytest.raises(SystemExit, match="torch finds no GPU; --dry goes the same way"):
        gpu.main()


@pytest.mark.slow
def test_every_part_runs_dry_on_a_cpu(programs, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    done = subprocess.run(
        [programs / "python", "-m", "benchmarks.gpu", "--dry", "--work", tmp_path / "work",
         "--results", results, "--minutes", "60"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert DRY in done.stdout
    assert list(results.iterdir()) == []
    rows = json.loads((tmp_path / "work" / "gpu.json").read_text())["rows"]
    assert list(rows) == list(gpu.PARTS)
    assert rows.pop("memory") == [{"missing": "not measured: needs a GPU"}]
    assert not [row for part in rows.values() for row in part if "missing" in row]
    assert rows["tests"][0]["exit"] == 0
    assert rows["kill"][0]["killed"]["same_bits"]
    assert rows["apply"][0]["predict_s_cpu"] > 0
