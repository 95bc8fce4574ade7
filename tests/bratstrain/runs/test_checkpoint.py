import dataclasses
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain.config import ModelConfig, TrainConfig
from bratstrain.networks.build import build_model
from bratstrain.runs import checkpoint
from bratstrain.runs.checkpoint import Checkpoint, Weights, load, load_network, save
from bratstrain.runs.plain import not_plain
from tests.helpers.class_sets import GLIOMA

CONFIG = TrainConfig(model=ModelConfig(width=2, depth=2))


def state(step=3):
    network = dict(build_model(CONFIG.model, step).state_dict())
    return Checkpoint(
        CONFIG.to_json(), "d", "s", {"step": step, "used_s": 0.5}, network, {}, 0, {}, {}
    )


def weights():
    network = dict(build_model(CONFIG.model, 1).state_dict())
    return Weights(
        config=CONFIG.to_json(), data_digest="d", split_digest="s", preparation="{}",
        classes=GLIOMA.to_json(), schemes="{}", shape=[8, 8], step=3, score=0.25, network=network,
    )  # fmt: skip


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.pt"
    save(path, state())
    return path


def test_checkpoint_comes_back_as_it_was(saved):
    found = load(saved, Checkpoint)
    assert found.progress == {"step": 3, "used_s": 0.5}
    for name, tensor in state().network.items():
        assert torch.equal(found.network[name], tensor)


def test_checkpoint_is_plain_to_torch(saved):
    assert torch.load(saved, weights_only=True)["format"] == "bratstrain"


def test_network_comes_back_ready_to_predict(tmp_path):
    save(tmp_path / "best.pt", weights())
    network, found = load_network(tmp_path / "best.pt")
    image = torch.ones(1, 4, 8, 8)
    assert not network.training
    assert found.score == 0.25
    assert torch.equal(network(image), build_model(CONFIG.model, 1).eval()(image))


@pytest.mark.parametrize("value", [np.float64(1), np.int64(1), np.bool_(True), Path("x"), {1, 2}])
def test_save_refuses_what_is_not_plain(tmp_path, value):
    odd = dataclasses.replace(state(), progress={"step": value})
    with pytest.raises(TypeError, match=r"^last.pt: checkpoint.progress.step is "):
        save(tmp_path / "last.pt", odd)
    assert list(tmp_path.iterdir()) == []


def test_plain_looks_into_lists_and_keys():
    assert not_plain({"a": [1, (2.0, None)], 3: True}) == ""
    assert not_plain({"a": [1, [np.float32(2)]]}) == "checkpoint.a.1.0 is float32"
    assert not_plain({(1,): 2}) == "a key of checkpoint is tuple"


def test_save_that_fails_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def fill_the_disk(whole, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", fill_the_disk)
    with pytest.raises(BratsError, match=r"last.pt: cannot be written: No space left on device"):
        save(saved, state(4))
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["last.pt"]


def test_save_that_is_killed_leaves_the_old_file(saved, monkeypatch):
    before = saved.read_bytes()

    def die(whole, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.torch, "save", die)
    with pytest.raises(KeyboardInterrupt):
        save(saved, state(4))
    assert saved.read_bytes() == before


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_checkpoint_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(BratsError, match=r"last.pt: is truncated or no checkpoint at all"):
        load(saved, Checkpoint)


def test_changed_bit_is_found(saved):
    whole = bytearray(saved.read_bytes())
    with zipfile.ZipFile(saved) as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
        middle = largest.header_offset + 64 + len(largest.filename) + largest.file_size // 2
    whole[middle] ^= 1
    saved.write_bytes(whole)
    with pytest.raises(BratsError, match="is damaged; its checksum differs"):
        load(saved, Checkpoint)


def test_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(BratsError, match=r"none.pt: cannot be read: No such file"):
        load(tmp_path / "none.pt", Checkpoint)


class Hostile:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_checkpoint_cannot_run_code(tmp_path):
    mark = tmp_path / "mark"
    torch.save({"format": "bratstrain", "network": Hostile(mark)}, tmp_path / "bad.pt")
    with pytest.raises(BratsError, match=r"bad.pt: is no checkpoint of bratstrain"):
        load(tmp_path / "bad.pt", Checkpoint)
    assert not mark.exists()


def test_bare_pickle_cannot_run_code(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "bad.pt").write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(BratsError, match=r"bad.pt: is truncated or no checkpoint at all"):
        load(tmp_path / "bad.pt", Checkpoint)
    assert not mark.exists()


@pytest.mark.parametrize(
    "whole",
    [
        [1, 2],
        {"format": "other"},
        {"format": "bratstrain", "config": torch.float16},
        {
            "format": "bratstrain",
            "network": torch.nn.Parameter(torch.ones(1)),
            "x": torch.Size([1]),
        },
    ],
)
def test_plain_file_from_elsewhere_is_refused(tmp_path, whole):
    torch.save(whole, tmp_path / "bad.pt")
    with pytest.raises(BratsError, match=r"is no checkpoint of bratstrain; 'bratstrain fit'"):
        load(tmp_path / "bad.pt", Checkpoint)


def test_compressed_archive_is_refused(saved, tmp_path):
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(tmp_path / "c.pt", "w", 8) as archive:
        for one in old.infolist():
            archive.writestr(one.filename, old.read(one))
    with pytest.raises(BratsError, match=r"c.pt: is compressed"):
        load(tmp_path / "c.pt", Checkpoint)


def test_weights_are_no_checkpoint(saved):
    with pytest.raises(BratsError, match="is 'checkpoint' of version 3; expected 'weights' of"):
        load(saved, Weights)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("config", 3, "'config' is int, expected str"),
        ("progress", [], "'progress' is list, expected dict"),
        ("network", {"a": 3}, "'network' holds a value that is no tensor"),
    ],
)
def test_field_of_another_type_is_refused(tmp_path, name, value, message):
    save(tmp_path / "last.pt", dataclasses.replace(state(), **{name: value}))
    with pytest.raises(BratsError, match=message):
        load(tmp_path / "last.pt", Checkpoint)


@pytest.mark.parametrize("text", ["{", "[]", '{"width": 3}', '{"model": {"width": "x"}}'])
def test_settings_that_cannot_be_read_are_named(tmp_path, text):
    save(tmp_path / "best.pt", dataclasses.replace(weights(), config=text))
    with pytest.raises(BratsError, match=r"best.pt: its settings cannot be read"):
        load_network(tmp_path / "best.pt")


def test_weights_of_another_network_are_refused(tmp_path):
    odd = dict(build_model(ModelConfig(width=4, depth=2)).state_dict())
    save(tmp_path / "best.pt", dataclasses.replace(weights(), network=odd))
    with pytest.raises(BratsError, match=r"best.pt: weights do not fit the network"):
        load_network(tmp_path / "best.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    network = dict(weights().network)
    network["heads.0.bias"] = torch.tensor([0.0, value, 0.0, 0.0])
    save(tmp_path / "best.pt", dataclasses.replace(weights(), network=network))
    with pytest.raises(BratsError, match=r"best.pt: heads.0.bias holds values that are not finite"):
        load_network(tmp_path / "best.pt")
