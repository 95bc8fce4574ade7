"""`--difference` the whole way: fit, predict, evaluate and export see the same channel."""

import json

import numpy as np
import onnxruntime
import pytest

import bratstrain
from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.apply_config import ApplyConfig
from bratstrain.inference.segment import segment
from bratstrain.runs.fitted import load_fitted
from tests.helpers import fitfiles
from tests.helpers.fitfiles import SMALL, one_thread  # noqa: F401  for every test here

SETTINGS = SMALL | {"steps": 2, "validate_steps": 2, "difference": "t1gd-t1w", "augment": "none"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("difference")
    data = fitfiles.phantom_file(folder, margin=1)
    bratstrain.fit(data, folder / "run", **SETTINGS)
    return folder


def test_the_run_knows_the_places_and_is_resumed_by_the_same_call(made):
    config = json.loads((made / "run" / "config.json").read_text())["model"]
    assert (config["difference"], config["differences"]) == ("t1gd-t1w", [2, 1])
    assert bratstrain.fit(made / "small.h5", made / "run", **SETTINGS).was_complete
    with pytest.raises(ValueError, match="begun with difference t1gd-t1w; this call asks for"):
        bratstrain.fit(made / "small.h5", made / "run", **SETTINGS | {"difference": "flair-t2w"})


def test_prediction_and_export_take_the_images_alone(made, tmp_path):
    fitted = load_fitted([made / "run"], "cpu")
    bratstrain.export(made / "run", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    with SliceFile(made / "small.h5") as file:
        image, _, z = file.volume(str(file.cases["id"][0]))
    _, own = segment(fitted, image, np.asarray(z), ApplyConfig(), keep=True)
    (given,) = session.run(None, {"image": image.astype(np.float32)})
    np.testing.assert_allclose(given, own.swapaxes(0, 1), atol=1e-4)


def test_an_ensemble_with_and_without_it_is_refused(made, tmp_path):
    bratstrain.fit(made / "small.h5", tmp_path / "plain", **SMALL, steps=1)
    with pytest.raises(BratsError, match="takes single planes with t1gd-t1w for classes"):
        load_fitted([made / "run", tmp_path / "plain"], "cpu")


def test_a_modality_that_the_file_lacks_is_refused(made, tmp_path):
    with pytest.raises(ValueError, match="difference must be A-B of two of the modalities"):
        bratstrain.fit(made / "small.h5", tmp_path / "run", **SETTINGS | {"difference": "adc-t1w"})
