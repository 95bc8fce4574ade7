"""Fits of networks that take patches."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import bratsprep
from benchmarks.load_file import write_slice_file
from bratsprep.errors import BratsError
from bratstrain.training.fit import fit
from bratstrain.training.step import Trainer
from tests.bratstrain.training.test_step import CONFIG, CPU
from tests.helpers import fitfiles
from tests.helpers.fitfiles import (
    SMALL,
    assert_same,
    cut_and_resumed,
    one_thread,  # noqa: F401  for every test here
    records,
)

ROOT = Path(__file__).parent.parent.parent.parent
WHOLE = SMALL | {
    "model": "residual3d", "patch": "8x16x16", "batch_size": 2, "dropout": 0.2, "ema": 0.9,
    "steps": 6, "validate_steps": 3, "checkpoint_steps": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"), slices="brain")


def test_one_batch_is_learnt_by_heart():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 4, (2, 8, 8, 8), generator=generator, dtype=torch.uint8)
    image = torch.nn.functional.one_hot(label.long(), 4).permute(0, 4, 1, 2, 3).float()
    model = dataclasses.replace(CONFIG.model, kind="unet3d", patch="8x8x8", width=8)
    config = dataclasses.replace(CONFIG, model=model, ema=0.0, learning_rate=0.02)
    trainer = Trainer(config, CPU)
    for step in range(80):
        trainer.step(image, label, step, 0.0)
    assert float((trainer.segment(image).argmax(dim=1) == label).float().mean()) > 0.97


@pytest.mark.parametrize("augment", ["modern", "combined"])
def test_patches_are_augmented_with_their_labels(augment):
    model = dataclasses.replace(CONFIG.model, kind="unet3d", patch="8x16x16")
    trainer = Trainer(dataclasses.replace(CONFIG, model=model, augment=augment), CPU)
    image = torch.randn(2, 4, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    label = torch.ones(2, 8, 16, 16, dtype=torch.uint8)
    assert bool(trainer.step(image, label, 0, 0.0).isfinite())


@pytest.mark.slow
def test_interrupted_run_ends_with_the_same_weights(data, tmp_path, monkeypatch):
    lines = []
    fit(data, tmp_path / "whole", tell=lines.append, **WHOLE)
    cut_and_resumed(monkeypatch, data, tmp_path / "run", 5, **WHOLE)
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert "batches of 2 patches of 8x16x16" in lines[0]
    found = records(tmp_path / "whole", "validation")
    assert [record["step"] for record in found] == [3, 6]
    assert found[0]["planes"] == "stored planes"


def test_step_of_a_3d_network_has_two_patches_by_default(data, tmp_path):
    settings = {name: value for name, value in WHOLE.items() if name != "batch_size"}
    fit(data, tmp_path / "run", **settings | {"steps": 1})
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["batch_size"] == 2
    assert config["model"]["thickness"] == 1.0


def test_file_of_tumour_planes_is_refused(tmp_path):
    path = fitfiles.phantom_file(tmp_path)
    with pytest.raises(BratsError, match=r"planes with brain, .*--slices brain"):
        fit(path, tmp_path / "run", **WHOLE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "unet", "patch": "8x16x16"}, "patch has no effect on model unet"),
        ({"model": "unet3d", "context": 3}, "context has no effect on model unet3d"),
        ({"model": "unet3d", "split": "slice"}, "split slice are of slices"),
        ({"model": "unet3d", "block": 4}, "block and split slice are of slices"),
        ({"model": "unet3d", "patch": "8x16"}, "patch must be three sides"),
        ({"model": "unet3d", "patch": "8x8x8", "depth": 6}, "halved 1 times; take --depth 2"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(data, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        fit(data, tmp_path / "run", **settings)


PLANES = 4
"""Of a case, to write many cases soon."""
_PEAK = """
import sys, bratstrain, torch
from bratsprep.system.memory import peak_bytes
torch.set_num_threads(1)
bratstrain.fit(sys.argv[1], sys.argv[2], device="cpu", width=4, depth=2, steps=8,
    validate_steps=100, split=sys.argv[4], sampling="uniform", norm="batch", batch_size=4,
    **eval(sys.argv[3]))
print(peak_bytes() / 1e6)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"model": "unet", "context": 3}, {"model": "unet3d", "patch": "8x32x32"}],
    ids=["neighbours", "patches"],
)
def test_memory_does_not_grow_with_the_cases(tmp_path, settings):
    peaks, counts = [], (20, 200)
    for n_cases in counts:
        path = tmp_path / f"{n_cases}.h5"
        write_slice_file(path, PLANES * n_cases, planes=PLANES)
        with bratsprep.open(path) as file:
            names = list(map(str, file.cases["id"]))
        split = tmp_path / f"{n_cases}.json"  # two are validated, for the time
        split.write_text(json.dumps([{"train": names[2:], "val": names[:2]}]))
        command = [sys.executable, "-c", _PEAK, path, tmp_path / str(n_cases), str(settings), split]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        peaks.append(float(done.stdout.split()[-1]))
    image_mb = 4 * 192 * 160 * 2 / 1e6
    growth_mb, more_mb = peaks[1] - peaks[0], (counts[1] - counts[0]) * PLANES * image_mb
    # Tables and fingerprints grow with the cases, by 100 KB each; their images do not count.
    assert growth_mb < 0.2 * more_mb, peaks
