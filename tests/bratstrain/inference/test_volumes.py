"""Runs that take patches, applied to cases and as ONNX."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain.apply_config import ApplyConfig
from bratstrain.inference.onnx_export import export
from bratstrain.inference.predictor import predict
from bratstrain.inference.segment import segment
from bratstrain.runs.fitted import load_fitted
from tests.bratstrain.inference.test_predictor import CASE
from tests.helpers import niftis, runs

VOLUME = {"kind": "unet3d", "patch": "8x8x8"}


@pytest.fixture
def run(tmp_path):
    network = runs.write(tmp_path / "run", **VOLUME)
    return tmp_path / "run", network


def noise(n_planes, h=6, w=5):
    return np.random.default_rng(0).normal(size=(n_planes, 4, h, w)).astype(np.float32)


def test_case_in_one_window_is_one_forward_pass(run):
    folder, network = run
    image = noise(8, 8, 8)
    label, kept = segment(
        load_fitted([folder], "cpu"), image, np.arange(3, 11), ApplyConfig(device="cpu"), keep=True
    )
    volume = torch.from_numpy(image).transpose(0, 1)[None]
    with torch.inference_mode():
        wanted = network(volume).softmax(dim=1)[0].numpy()
    np.testing.assert_array_equal(kept, wanted)
    np.testing.assert_array_equal(label, wanted.argmax(axis=0))


def test_plane_that_is_missing_is_empty_and_gets_no_label(run):
    folder, network = run
    image = noise(7, 8, 8)
    z = np.array([0, 1, 2, 4, 5, 6, 7])
    label, _ = segment(load_fitted([folder], "cpu"), image, z, ApplyConfig(device="cpu"))
    volume = np.zeros((1, 4, 8, 8, 8), np.float32)
    volume[0][:, z] = image.swapaxes(0, 1)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(volume)).argmax(dim=1)[0].numpy()
    np.testing.assert_array_equal(label, wanted[z])


def test_flips_of_a_volume_are_the_mean_of_its_passes(run):
    folder, network = run
    image = noise(8, 8, 8)
    config = ApplyConfig(device="cpu", tta="lr")
    _, kept = segment(load_fitted([folder], "cpu"), image, np.arange(8), config, keep=True)
    volume = torch.from_numpy(image).transpose(0, 1)[None]
    with torch.inference_mode():
        plain = network(volume).softmax(dim=1)
        mirrored = network(volume.flip(-1)).softmax(dim=1).flip(-1)
    np.testing.assert_allclose(kept, ((plain + mirrored) / 2)[0], atol=1e-5)


def test_raw_case_is_predicted_on_its_own_grid(run, tmp_path):
    niftis.write_case(tmp_path / "raw", codes="LPS")
    predict(run[0], tmp_path / "raw", tmp_path / "out", probabilities=True)
    scan = runs.axial(tmp_path / "raw" / CASE / f"{CASE}_flair.nii.gz")
    found = runs.axial(tmp_path / "out" / f"{CASE}.nii.gz")
    assert found.shape == scan.shape
    assert len(np.unique(found)) >= 3


def test_patches_and_planes_are_no_ensemble(run, tmp_path):
    runs.write(tmp_path / "other")
    with pytest.raises(
        BratsError, match=r"other: takes single planes for classes, .* takes patches of 8x8"
    ):
        load_fitted([run[0], tmp_path / "other"])


@pytest.mark.slow
def test_exported_model_takes_patches(run, tmp_path):
    folder, network = run
    done = export(folder, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 4, 8, 8, 8]
    image = np.random.default_rng(1).normal(size=(2, 4, 8, 8, 8)).astype(np.float32)
    (probability,) = session.run(["probability"], {"image": image})
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).softmax(dim=1).numpy()
    np.testing.assert_allclose(probability, expected, atol=1e-4)
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(done.path).metadata_props}
    assert metadata["patch"] == [8, 8, 8]
    assert metadata["axes"]["probability"] == ["batch", "class", "plane", "height", "width"]
