"""Checkpoints and run folders from elsewhere: plain tensors of the right sizes, or nothing."""

import dataclasses
import io
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from bratstrain.config import TrainConfig
from bratstrain.networks.build import build_model
from bratstrain.runs import checkpoint
from bratstrain.runs.checkpoint import VERSIONS, Checkpoint, Weights, load, load_network, save
from bratstrain.runs.fitted import load_fitted
from tests.helpers import runs
from tests.helpers.attacked import refused
from tests.helpers.class_sets import GLIOMA, SCHEME

CONFIG = runs.CONFIG


@pytest.fixture(scope="module", autouse=True)
def torch_is_warm():
    """What torch imports at its first use is not what an attack takes."""
    with torch.device("meta"):
        build_model(CONFIG.model)
    torch.empty(2, device="meta")


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def weights(**changes):
    whole = Weights(
        CONFIG.to_json(), "d", "s", runs.prep().to_json(), GLIOMA.to_json(),
        json.dumps({SCHEME.name: json.loads(SCHEME.to_json())}), list(runs.WINDOW), 3, 0.5,
        dict(runs.network_of().state_dict()),
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


def raw_save(path, changes):
    """Write a `best.pt` with some fields that `save` would refuse."""
    names = [known.name for known in dataclasses.fields(Weights)]
    whole = {name: getattr(weights(), name) for name in names}
    torch.save(
        {"format": "bratstrain", "version": VERSIONS[Weights], "kind": "weights"} | whole | changes,
        path,
    )
    return path


def repacked(path, name, content):
    """Put other bytes into the archive that a checkpoint is, with checksums that fit."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w") as new:
        for one in old.namelist():
            new.writestr(one, content if one.endswith(name) else old.read(one))


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (os.system, ("touch mark",)),
        (eval, ("open('mark', 'w')",)),
        (Path.touch, (Path("mark"),)),
        (torch.load, ("mark",)),
    ],
    ids=["system", "eval", "touch", "load"],
)
def test_pickle_that_calls(tmp_path, monkeypatch, call, arguments):
    monkeypatch.chdir(tmp_path)
    raw_save(tmp_path / "best.pt", {"network": Hostile(call, *arguments)})
    with refused("best.pt: is no checkpoint of bratstrain", tmp_path):
        load_network(tmp_path / "best.pt")


@pytest.mark.parametrize("protocol", range(6))
def test_pickle_of_any_protocol_that_calls(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    path = raw_save(tmp_path / "best.pt", {})
    repacked(path, "data.pkl", pickle.dumps(Hostile(os.system, "touch mark"), protocol))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with refused("best.pt: is no checkpoint of bratstrain", tmp_path):
            load_network(path)


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def laughing(depth=60):
    value = []
    for _ in range(depth):
        value = [value, value]
    return value


def circle():
    value = []
    value.append(value)
    return value


def test_list_that_holds_itself_is_looked_at_once(tmp_path):
    raw_save(tmp_path / "best.pt", {"extra": circle()})
    assert load(tmp_path / "best.pt", Weights).step == 3


@pytest.mark.parametrize("value", [nested(100), laughing()], ids=["nested", "laughs"])
def test_lists_without_end(tmp_path, value):
    raw_save(tmp_path / "best.pt", {"extra": value})
    with refused("is no checkpoint of bratstrain"):
        load_network(tmp_path / "best.pt")


def test_pickle_nested_deeper_than_python_goes(tmp_path):
    path = raw_save(tmp_path / "best.pt", {})
    repacked(path, "data.pkl", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")
    with refused("is no checkpoint of bratstrain"):
        load_network(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.ones(1).expand(10**6, 10**6),
        lambda: torch.empty(10**9, device="meta"),
        lambda: torch.zeros(3, 3).to_sparse(),
    ],
    ids=["expanded", "meta", "sparse"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_tensor_that_claims_what_it_does_not_hold(tmp_path, make):
    network = dict(runs.network_of().state_dict()) | {"head.weight": make()}
    raw_save(tmp_path / "best.pt", {"network": network})
    with refused("is no checkpoint of bratstrain"):
        load_network(tmp_path / "best.pt")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"width": 10**6}, "width must be 1 to 1024"),
        ({"depth": 64}, "depth must be 2 to 10"),
        ({"classes": 10**9}, "classes must be 1 to 64"),
        ({"width": 1024, "depth": 10}, "weights do not fit the network"),
        ({"width": 10**400}, "width must be below 2\\*\\*53"),
        ({"kind": "eval"}, "model must be one of"),
    ],
)
def test_network_larger_than_its_weights_is_never_built(tmp_path, model, message):
    names = json.loads(CONFIG.to_json())
    names["model"] |= model
    with refused(message):
        load_network(raw_save(tmp_path / "best.pt", {"config": json.dumps(names)}))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"learning_rate": NaN}', '{"steps": 1e999}', '{"fold": true}', "null"]
)
def test_settings_that_cannot_be(tmp_path, text):
    with refused("its settings cannot be read"):
        load_network(raw_save(tmp_path / "best.pt", {"config": text}))


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [6]},
        {"shape": [10**9, 10**9]},
        {"shape": [0, 5]},
        {"shape": ["6", "5"]},
        {"shape": [6.5, 5]},
        {"preparation": "[" * 100_000},
        {"preparation": "[]"},
        {"preparation": '{"margin": "x"}'},
        {"preparation": '{"subjects": 3}'},
        {"preparation": '{"crop": "1000000x1000000"}'},
    ],
)
def test_preparation_that_cannot_be(tmp_path, changes):
    runs.write(tmp_path / "run")
    raw_save(tmp_path / "run" / "best.pt", changes)
    with refused("best.pt: "):
        load_fitted([tmp_path / "run"], "cpu")


def test_names_of_weights_that_are_no_words(tmp_path):
    raw_save(tmp_path / "best.pt", {"network": {1: torch.ones(1)}})
    with refused("best.pt: "):
        load_network(tmp_path / "best.pt")


def test_archive_within_an_archive_is_not_unpacked(tmp_path):
    path = tmp_path / "best.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(64 << 20))
    with refused("is compressed; a checkpoint of bratstrain never is"):
        load(path, Checkpoint)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused(tmp_path):
    path = raw_save(tmp_path / "best.pt", {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
        archive.writestr("archive/version", b"3\n")
    with refused("best.pt: "):
        raise_where_it_loads(path)


def raise_where_it_loads(path):
    """Load, and say with our own error that it went well: the extra members are not looked at."""
    load_network(path)
    raise checkpoint.BratsError(f"{path}: loaded")


def test_state_of_another_kind_of_network(tmp_path):
    other = dict(torch.nn.Linear(3, 3).state_dict())
    save(tmp_path / "best.pt", weights(network=other))
    with refused("weights do not fit the network"):
        load_network(tmp_path / "best.pt")


def test_good_weights_still_load(tmp_path):
    save(tmp_path / "best.pt", weights())
    network, found = load_network(tmp_path / "best.pt")
    assert TrainConfig.from_json(found.config) == CONFIG
    assert not network.training
