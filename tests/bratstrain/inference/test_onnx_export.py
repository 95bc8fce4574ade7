"""ONNX: the same probabilities as the network, for any batch and any size of slice."""

import json
import logging
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain.config import ModelConfig
from bratstrain.inference import onnx_export
from bratstrain.inference.onnx_export import Probability, difference, export, quiet, to_onnx
from bratstrain.networks.build import build_model
from bratstrain.runs.fitted import load_fitted
from tests.helpers import runs


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Run folder, its network, and what was exported from it."""
    folder = tmp_path_factory.mktemp("onnx")
    network = runs.write(folder / "run")
    return folder / "run", network, export(folder / "run", folder / "model.onnx")


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", [(1, 4, 6, 5), (3, 4, 7, 9), (5, 4, 16, 4)])
def test_probabilities_are_the_networks_for_any_size(exported, shape):
    _, network, done = exported
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = session(done.path).run(["probability"], {"image": image})[0]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(image)).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_file_says_what_its_numbers_mean(exported):
    said = session(exported[2].path).get_modelmeta().custom_metadata_map
    assert json.loads(said["modalities"]) == ["flair", "t1w", "t1gd", "t2w"]
    assert json.loads(said["classes"]) == ["background", "NCR", "ED", "ET"]
    assert json.loads(said["spacing_mm"]) == [1.0, 1.0, 2.0]
    assert json.loads(said["preparation"])["crop"] == "6x5"
    assert json.loads(said["size"]) == [6, 5]


def test_check_was_on_two_sizes_and_within_the_tolerance(exported):
    done = exported[2]
    assert done.shapes == ((2, 4, 6, 5), (1, 4, 4, 8))
    assert 0 <= done.difference <= 1e-4
    assert done.line().startswith(f"{done.path}: 0.")
    assert "opset 18" in done.line()


def test_file_that_differs_is_not_written(exported, tmp_path, monkeypatch):
    other = load_fitted([exported[0]])
    runs.write(tmp_path / "run", seed=5)
    wrong = to_onnx(Probability(other.networks[0]).eval(), other)
    monkeypatch.setattr(onnx_export, "to_onnx", lambda *_: wrong)
    with pytest.raises(BratsError, match=r"off the network's, at most 0.001 is allowed; nothing"):
        export(tmp_path / "run", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_difference_is_the_largest_one():
    network = torch.nn.Identity()

    def other(image):
        off = image.copy()
        off[0, 0, 0, 0] -= 0.25
        return off

    assert difference(network, other, (1, 4, 6, 5)) == pytest.approx(0.25)


def test_exporter_without_a_program_is_refused(exported, monkeypatch):
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: None)
    with pytest.raises(BratsError, match="torch gave no ONNX program"):
        export(exported[0], "model.onnx")


def test_logging_is_as_it_was_afterwards():
    before = logging.root.manager.disable
    with quiet():
        assert logging.root.manager.disable >= logging.WARNING
    assert logging.root.manager.disable == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "norm", "deep"), [("residual", "batch", False), ("attention", "instance", True)]
)
def test_every_network_can_be_exported(exported, kind, norm, deep):
    config = ModelConfig(kind=kind, width=4, depth=3, norm=norm, deep_supervision=deep)
    network = Probability(build_model(config)).eval()
    fitted = replace(load_fitted([exported[0]]), size=(12, 20))
    content = to_onnx(network, fitted).SerializeToString()
    found = session(content)

    def other(image):
        return found.run(["probability"], {"image": image})[0]

    assert difference(network, other, (2, 4, 9, 14)) < 1e-4


def test_missing_onnx_is_a_missing_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "bratstrain.inference.onnx_export")
    with pytest.raises(ModuleNotFoundError, match="onnx"):
        __import__("bratstrain.inference.onnx_export")
