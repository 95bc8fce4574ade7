"""Runs that are given several planes, applied to cases, to stored slices and as ONNX."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import open_file
from bratstrain.apply_config import ApplyConfig
from bratstrain.evaluation.case_pairs import Labeller, label_stored
from bratstrain.inference.onnx_export import export
from bratstrain.inference.predictor import predict
from bratstrain.inference.segment import segment
from bratstrain.runs.fitted import load_fitted
from tests.bratstrain.inference.test_predictor import CASE, images_of, raw_labels
from tests.helpers import niftis, runs, slicefiles

CONFIG = ApplyConfig(device="cpu", batch_size=3)


def labels_by_hand(network, image, places):
    """(s, h, w) classes of planes whose neighbours are those named."""
    stacked = torch.from_numpy(image[np.array(places)].astype(np.float32)).transpose(1, 2)
    with torch.inference_mode():
        return network(stacked.flatten(1, 2)).argmax(dim=1).numpy()


def test_every_plane_is_labelled_from_its_neighbours(tmp_path):
    network = runs.write(tmp_path / "run", context=3)
    niftis.write_case(tmp_path / "raw")
    predict(tmp_path / "run", tmp_path / "raw", tmp_path / "out", batch_size=2)
    image, planes, (y, x) = runs.prepared(images_of(tmp_path / "raw" / CASE))
    n = len(planes)
    assert planes.tolist() == list(range(planes[0], planes[0] + n))
    places = [[max(i - 1, 0), i, min(i + 1, n - 1)] for i in range(n)]
    wanted = np.zeros(images_of(tmp_path / "raw" / CASE).shape[1:], np.uint8)
    h, w = runs.WINDOW
    wanted[planes, y : y + h, x : x + w] = labels_by_hand(network, image, places)
    chances = np.eye(4)[wanted].transpose(3, 0, 1, 2)
    found = runs.axial(tmp_path / "out" / f"{CASE}.nii.gz")
    np.testing.assert_array_equal(found, raw_labels(chances))
    assert len(np.unique(wanted)) >= 3


@pytest.mark.parametrize("tta", ["none", "lr+ap"])
def test_labels_do_not_depend_on_the_batches(tmp_path, tta):
    runs.write(tmp_path / "run", context=5)
    fitted = load_fitted([tmp_path / "run"], "cpu")
    image = np.random.default_rng(0).normal(size=(7, 4, 6, 5)).astype(np.float32)
    found = [
        segment(fitted, image, np.arange(7), ApplyConfig(device="cpu", batch_size=size, tta=tta))[0]
        for size in (1, 7)
    ]
    np.testing.assert_array_equal(*found)


def test_neighbours_in_another_part_of_a_split_by_slice_are_seen(tmp_path):
    network = runs.write(tmp_path / "run", context=3)
    image, _ = slicefiles.write(tmp_path / "small.h5", [("A", "A", [1, 2, 3, 4])])
    fitted = load_fitted([tmp_path / "run"], "cpu")
    with open_file(tmp_path / "small.h5") as file:
        mine = np.array([1, 3])
        found = label_stored(Labeller(fitted, CONFIG), file, mine, file.read(mine))
    wanted = labels_by_hand(network, image, [[0, 1, 2], [2, 3, 3]])
    np.testing.assert_array_equal(found.planes, wanted)
    assert found.entropy.shape == found.planes.shape
    (counted,) = {int(each.n.sum()) for each in found.calibration.values()}
    assert counted == np.count_nonzero((image[1::2] != 0).any(axis=1))


def test_runs_of_different_contexts_are_no_ensemble(tmp_path):
    runs.write(tmp_path / "a")
    runs.write(tmp_path / "b", context=3)
    with pytest.raises(BratsError, match=r"b: takes 3 planes for classes, .*a takes single planes"):
        load_fitted([tmp_path / "a", tmp_path / "b"])


@pytest.mark.slow
def test_exported_model_takes_planes_by_name(tmp_path):
    network = runs.write(tmp_path / "run", context=3)
    done = export(tmp_path / "run", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 4, 3, 6, 5]
    image = np.random.default_rng(1).normal(size=(2, 4, 3, 6, 5)).astype(np.float32)
    (probability,) = session.run(["probability"], {"image": image})
    with torch.inference_mode():
        expected = network(torch.from_numpy(image).flatten(1, 2)).softmax(dim=1).numpy()
    np.testing.assert_allclose(probability, expected, atol=1e-4)
    model = onnx.load(done.path)
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["context"] == 3
    assert metadata["axes"]["image"] == ["batch", "modality", "plane", "height", "width"]
    axes = model.graph.input[0].type.tensor_type.shape.dim
    assert [axis.denotation for axis in axes][2:] == ["DATA_FEATURE"] * 3
