"""ONNX: the probabilities of the network for any batch, and metadata that suffice to use it."""

import json
import logging
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from bratsprep.errors import BratsError
from bratstrain.config import ModelConfig
from bratstrain.inference import onnx_export
from bratstrain.inference.onnx_export import Probability, difference, export, quiet, to_onnx
from bratstrain.networks.build import build_model
from bratstrain.runs.fitted import load_fitted
from tests.helpers import niftis, runs


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Run folder, its network, and what was exported from it."""
    folder = tmp_path_factory.mktemp("onnx")
    network = runs.write(folder / "run")
    return folder / "run", network, export(folder / "run", folder / "model.onnx")


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("n_slices", [1, 3, 5])
def test_probabilities_are_the_networks_for_any_batch(exported, n_slices):
    _, network, done = exported
    image = np.random.default_rng(1).normal(size=(n_slices, 4, 6, 5)).astype(np.float32)
    (probability,) = session(done.path).run(["probability"], {"image": image})
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).softmax(dim=1).numpy()
    np.testing.assert_allclose(probability, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 4, 7, 5), (1, 4, 6, 8), (1, 4, 240, 240), (2, 3, 6, 5)])
def test_model_refuses_other_sizes(exported, shape):
    with pytest.raises(InvalidArgument, match="invalid dimensions for input: image"):
        session(exported[2].path).run(["probability"], {"image": np.zeros(shape, np.float32)})


def test_axes_are_named(exported):
    model = session(exported[2].path)
    assert [(one.name, one.shape) for one in model.get_inputs()] == [("image", ["batch", 4, 6, 5])]
    assert [(one.name, one.shape) for one in model.get_outputs()] == [
        ("probability", ["batch", 4, 6, 5])
    ]
    graph = onnx.load(exported[2].path).graph
    for value in (*graph.input, *graph.output):
        meanings = [axis.denotation for axis in value.type.tensor_type.shape.dim]
        assert meanings == ["DATA_BATCH", "DATA_CHANNEL", "DATA_FEATURE", "DATA_FEATURE"]


def metadata(path):
    said = session(path).get_modelmeta().custom_metadata_map
    return {name: json.loads(value) for name, value in said.items()}


def test_metadata_say_what_the_numbers_mean(exported):
    facts = metadata(exported[2].path)
    assert facts["modalities"] == ["flair", "t1w", "t1gd", "t2w"]
    assert facts["classes"] == ["background", "NCR", "ED", "ET"]
    assert facts["axes"]["image"] == ["batch", "modality", "height", "width"]
    assert facts["orientation"] == {"width": "left to right", "height": "posterior to anterior"}
    assert facts["window"] == [6, 5]
    assert facts["spacings_mm"] == [[1.0, 1.0, 2.0]]
    assert facts["scheme"] == "brats2017"
    assert facts["label_codes"] == {"background": 0, "NCR": 1, "ED": 2, "ET": 4}
    assert facts["preparation"]["crop"] == "6x5"
    assert facts["run"] == "run"
    assert facts["versions"]["bratsprep"] == version("bratsprep")


def test_metadata_suffice_to_prepare_a_case(exported):
    """Follow them with NumPy alone; `runs.prepared` does and is held against `predict`."""
    facts = metadata(exported[2].path)
    images, _ = niftis.phantom(0)
    stored = images.transpose(0, 3, 2, 1)  # (x, y, z) in RAS+ to planes of (height, width)
    assert facts["normalisation"]["rule"] == "z-score"
    assert facts["normalisation"]["moments"].endswith("of each modality")
    assert facts["normalisation"]["rounded_to"] == "float16"
    image, _, _ = runs.prepared(stored, tuple(facts["window"]))
    (probability,) = session(exported[2].path).run(["probability"], {"image": image})
    expected = runs.chances([exported[1]], stored)
    planes = np.flatnonzero((stored != 0).any(axis=(0, 2, 3)))
    _, _, (y, x) = runs.prepared(stored)
    cut = expected[:, planes, y : y + 6, x : x + 5].swapaxes(0, 1)
    np.testing.assert_allclose(probability, cut, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "moments", "dtype"),
    [
        ({}, "of each modality", "float16"),
        ({"normalise": "case", "dtype": "float32"}, "of all modalities together", "float32"),
        ({"normalise": "none"}, "of each modality", "float32"),
    ],
)
def test_normalisation_is_what_the_network_is_given(exported, settings, moments, dtype):
    fitted = replace(load_fitted([exported[0]]), preparation=runs.prep(**settings), scheme=None)
    rule = onnx_export.normalisation(fitted)
    assert rule["moments"].endswith(moments)
    assert rule["rounded_to"] == dtype


def test_unknown_scheme_has_no_codes():
    assert onnx_export.label_codes(None) is None


def test_check_was_on_two_batches_and_within_the_tolerance(exported):
    done = exported[2]
    assert done.shapes == ((2, 4, 6, 5), (1, 4, 6, 5))
    assert 0 <= done.difference <= 1e-4
    assert done.line().startswith(f"{done.path}: 0.")
    assert "opset 18" in done.line()


def test_file_that_differs_is_not_written(exported, tmp_path, monkeypatch):
    other = load_fitted([exported[0]])
    runs.write(tmp_path / "run", seed=5)
    wrong = to_onnx(Probability(other.networks[0], config=other.model).eval(), other)
    monkeypatch.setattr(onnx_export, "to_onnx", lambda *_: wrong)
    with pytest.raises(BratsError, match=r"differ by .* at most 0.001 is allowed; nothing"):
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
    network = Probability(build_model(config), config=config).eval()
    fitted = replace(load_fitted([exported[0]]), size=(12, 20))
    content = to_onnx(network, fitted).SerializeToString()
    found = session(content)

    def other(image):
        return found.run(["probability"], {"image": image})[0]

    assert difference(network, other, (3, 4, 12, 20)) < 1e-4


def test_missing_onnx_is_a_missing_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "bratstrain.inference.onnx_export")
    with pytest.raises(ModuleNotFoundError, match="onnx"):
        __import__("bratstrain.inference.onnx_export")
