"""A slice file of small phantoms to fit on, and ways to look at what a run left."""

import json

import pytest
import torch

import bratsprep
from bratstrain.training import fit

SMALL = {"model": "residual", "width": 4, "depth": 3, "batch_size": 4, "device": "cpu"}
# Everything that a cut might disturb: dropout, augmentation, averaging, warm-up, clipping.
WHOLE = SMALL | {
    "dropout": 0.2, "steps": 8, "validate_steps": 4, "checkpoint_steps": 3, "ema": 0.9,
}  # fmt: skip
LEARNING = SMALL | {
    "augment": "none", "steps": 40, "validate_steps": 40, "learning_rate": 1e-2, "ema": 0.0,
}  # fmt: skip
TIMES = ("seconds", "slices_per_s", "wait_share", "memory_mb", "gpu_memory_mb")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Have torch use one thread in every test of a module that imports this, and in its children.

    Weights depend on the number of threads, by the rounding of sums.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(before)


def phantom_file(folder, **settings):
    """Six phantoms of 32 x 32 x 16 voxels as a slice file of their tumour planes."""
    raw = bratsprep.phantoms(folder / "raw", cases=6, shape=(32, 32, 16))
    out = folder / "small.h5"
    bratsprep.build(raw, out, workers=1, **{"crop": "32x32"} | settings)
    return out


class CutError(Exception):
    """Stands for anything that ends a run without warning."""


def cut(monkeypatch, step, what=None):
    """Have the loop meet something after a step: an exception, or what a function does."""
    train = fit.Fitting.train

    def train_and_meet(self, batch):
        train(self, batch)
        if self.state.step == step:
            if what is None:
                raise CutError
            what()

    monkeypatch.setattr(fit.Fitting, "train", train_and_meet)


def cut_and_resumed(monkeypatch, data, folder, step, **settings):
    """Fit in a folder with a cut after a step, and to the end from what it left."""
    with monkeypatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
        cut(patch, step)
        fit.fit(data, folder, **settings)
    return fit.fit(data, folder, **settings)


def assert_same(run, whole):
    """Hold weights, moments, counters and log of two runs against each other, bit for bit."""
    for name in ("last.pt", "best.pt"):
        assert content(run / name) == content(whole / name)
    assert records(run) == records(whole)


def content(path):
    """All of a .pt file, times aside, its tensors as lists of numbers."""
    whole = torch.load(path, weights_only=True)
    for name in ("used_s", "waited_s", "validation_s"):
        whole.get("progress", {}).pop(name, None)
    return plain(whole)


def plain(value):
    """Turn the tensors in nested dicts to bytes, so that == compares every bit."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.contiguous().numpy().tobytes()
    return value


def records(run, kind=None):
    """Lines of a run's log, times aside."""
    lines = (run / "log.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [
        {name: value for name, value in record.items() if name not in TIMES}
        for record in found
        if kind in (None, record["kind"])
    ]
