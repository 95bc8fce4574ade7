"""What a GPU changes: precisions, resuming, memory, copies, a group of one, labels.

Run by `make gpu`, with the tests of the loader that need a GPU.
"""

import json

import numpy as np
import pytest
import torch

import bratstrain
from benchmarks.gpu_ways import agreement
from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile, open_file
from bratstrain.data.loader import Loader
from bratstrain.data.patch_plan import make_patch_plan
from bratstrain.device import Arriving, set_up
from bratstrain.ranks.process_group import joined
from bratstrain.recipes import configure
from bratstrain.runs.checkpoint import load_network
from bratstrain.training.fit import fit
from bratstrain.training.step import Trainer, empty_batch
from tests.helpers import fitfiles
from tests.helpers.fitfiles import (
    WHOLE,
    CutError,
    cut,
    one_thread,  # noqa: F401  for every test here
    records,
)
from tests.helpers.ranks import place_of_one

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]
LEARNING = fitfiles.LEARNING | {"device": "cuda"}
STEPS = {"width": 8, "depth": 3, "batch_size": 2, "precision": "fp32", "ema": 0.9}
VOLUMES = {"patch": "8x32x32", "batch_size": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def brain(tmp_path_factory):
    """Slice file of every plane with brain, and its raw cases."""
    folder = tmp_path_factory.mktemp("brain")
    return fitfiles.phantom_file(folder, slices="brain"), folder / "raw"


def learnt(trainer):
    """Losses of some steps on batches that are not alike."""
    config, device = trainer.config, trainer.device
    draw = torch.Generator().manual_seed(0)
    found = []
    with set_up(device):
        for step in range(6):
            image, label = empty_batch(config.model, (32, 32), config.batch_size, device)
            image = torch.randn(image.shape, generator=draw).to(device)
            label = torch.randint(0, 4, label.shape, generator=draw).to(device, torch.uint8)
            found.append(float(trainer.step(image, label, step, 0.0)))
    assert len(set(found)) == len(found)
    return found


def losses(run):
    return [record["loss"] for record in records(run, "train")]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_gpu_learns_in_each_precision(data, tmp_path, precision):
    fit(data, tmp_path / "run", **LEARNING | {"precision": precision})
    found = losses(tmp_path / "run")
    assert found[-1] < 0.7 * found[0]


def test_gpu_goes_on_after_a_cut(data, tmp_path, monkeypatch):
    settings = WHOLE | {"device": "cuda", "precision": "fp16", "batch_size": 0}
    with monkeypatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
        cut(patch, 5)
        fit(data, tmp_path / "run", **settings)
    done = fit(data, tmp_path / "run", device="cuda")
    assert done.progress.step == 8
    assert done.config.batch_size == 64


def test_gpu_run_is_read_and_resumed_on_a_cpu(data, tmp_path):
    run = tmp_path / "run"
    fit(data, run, **WHOLE | {"device": "cuda", "precision": "fp32", "steps": 4})
    network, _ = load_network(run / "best.pt")
    assert {value.device.type for value in network.state_dict().values()} == {"cpu"}
    assert fit(data, run, device="cpu").progress.step == 4


def test_a_batch_without_room_on_a_gpu_is_said(data, tmp_path):
    settings = LEARNING | {"batch_size": 1 << 12, "width": 64, "steps": 1}
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.02)
    try:
        with pytest.raises(BratsError, match="memory of the GPU is full"):
            fit(data, tmp_path / "run", **settings)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "unet"},
        {"model": "attention"},
        {"model": "residual", "context": 3},
        {"model": "residual", "target": "regions", "augment": "modern"},
        {"model": "residual", "augment": "targeted"},
        {"model": "unet3d"} | VOLUMES,
        {"model": "attention3d"} | VOLUMES,
        {"model": "residual3d", "augment": "modern"} | VOLUMES,
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_gpu_learns_each_network(brain, tmp_path, settings):
    fit(brain[0], tmp_path / "run", **LEARNING | settings)
    found = losses(tmp_path / "run")
    assert found[-1] < 0.9 * found[0]


@pytest.mark.parametrize("settings", [{}, {"model": "unet3d"} | VOLUMES], ids=["planes", "patches"])
def test_steps_of_a_gpu_are_those_of_a_cpu(brain, tmp_path, settings):
    few = LEARNING | {"steps": 10, "validate_steps": 10, "precision": "fp32"}
    for device in ("cuda", "cpu"):
        fit(brain[0], tmp_path / device, **few | settings | {"device": device})
    np.testing.assert_allclose(losses(tmp_path / "cuda"), losses(tmp_path / "cpu"), rtol=0.02)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated")
def test_compiled_steps_learn(data, tmp_path):
    fit(data, tmp_path / "run", **LEARNING | {"compile": True})
    assert losses(tmp_path / "run")[-1] < 0.7 * losses(tmp_path / "run")[0]


@pytest.mark.parametrize("settings", [{"norm": "instance"}, {"norm": "batch"}])
def test_group_of_one_gpu_learns_what_one_gpu_does(tmp_path, settings):
    config = configure(**STEPS | settings)
    device = torch.device("cuda")
    with joined(place_of_one(tmp_path), device) as group:
        in_group = learnt(Trainer(config, device, group=group))
    np.testing.assert_allclose(in_group, learnt(Trainer(config, device)), rtol=0.01)


def test_gpu_patches_equal_those_of_a_cpu(brain):
    with open_file(brain[0]) as file:
        patches = make_patch_plan(file, np.arange(len(file)), (8, 16, 16), 2, "foreground", 0)
        found = {}
        for name in ("cpu", "cuda"):
            device = torch.device(name)
            with Loader(file, patches, first=0, last=9, device=device) as loader:
                found[name] = [batch.reading.gather(batch.image, batch.label) for batch in loader]
        for mine, theirs in zip(found["cuda"], found["cpu"], strict=True):
            for one, other in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(one.float().cpu(), other.float())


@pytest.mark.parametrize(
    "settings", [{}, {"context": 3}, {"model": "unet3d"} | VOLUMES], ids=["1", "3", "patches"]
)
def test_labels_of_a_gpu_are_those_of_a_cpu(brain, tmp_path, settings):
    data, raw = brain
    run = tmp_path / "run"
    fit(data, run, **LEARNING | {"precision": "fp32"} | settings)
    for device in ("cuda", "cpu"):
        bratstrain.predict(run, raw, tmp_path / device, device=device)
    assert agreement(tmp_path / "cuda", tmp_path / "cpu") > 0.99
    with SliceFile(data) as file:
        n_cases = len(file.cases["id"])
    report = bratstrain.evaluate(run, raw=raw, split="all", device="cuda")
    assert len(report.scores) == n_cases


def test_auto_takes_the_gpu_and_its_precision(data, tmp_path):
    done = fit(data, tmp_path / "run", **LEARNING | {"device": "auto", "steps": 2})
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["device"] == torch.cuda.get_device_name()
    assert facts["peak_gpu_memory_mb"] > 0
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    assert done.config.precision == ("bf16" if has_bf16 else "fp16")


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "residual", "dropout": 0.2},
        {"model": "attention", "norm": "batch", "precision": "bf16"},
        {"model": "unet", "context": 3},
        {"model": "unet3d", "patch": "8x16x16"},
    ],
    ids=lambda settings: settings["model"],
)
def test_recorded_steps_are_the_steps(settings):
    recorded, issued = (Trainer(configure(**STEPS | settings), torch.device("cuda")) for _ in "ab")
    assert recorded._recorded is not None
    issued._recorded = None
    np.testing.assert_allclose(learnt(recorded), learnt(issued), rtol=0.01)
    for one, other in zip(recorded.weights().values(), issued.weights().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=1e-3)


def test_what_comes_from_a_gpu_is_the_number():
    values = torch.arange(5.0, device="cuda")
    assert [float(Arriving(value * 2)) for value in values] == [0, 2, 4, 6, 8]


def test_memory_of_a_recorded_trainer_is_given_back():
    config, device = configure(**STEPS | {"width": 32}), torch.device("cuda")
    learnt(Trainer(config, device))
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    learnt(Trainer(config, device))
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before
