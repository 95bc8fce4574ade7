"""From raw cases to pages with classes and modalities that no release of BraTS has."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

import bratsprep
import bratstrain
from bratstrain.inference.predictor import predict
from bratstrain.runs.fitted import load_fitted
from tests.helpers.class_sets import ONE, ONE_TOML, SIX, SIX_TOML
from tests.helpers.fitfiles import (  # noqa: F401  one_thread is a fixture of this module
    SMALL,
    content,
    cut_and_resumed,
    one_thread,
)

SETTINGS = SMALL | {"steps": 4, "validate_steps": 2, "checkpoint_steps": 1}
SETS = {"six": (SIX, SIX_TOML, "t1w,t2w"), "one": (ONE, ONE_TOML, "flair")}


@pytest.fixture(scope="module", params=SETS)
def made(request, tmp_path_factory):
    """Raw phantoms, slice file and run of a set; with its scheme and modalities."""
    folder = tmp_path_factory.mktemp(request.param)
    scheme, text, modalities = SETS[request.param]
    toml = folder / f"{request.param}.toml"
    toml.write_text(text)
    raw = bratsprep.phantoms(
        folder / "raw", cases=6, shape=(32, 32, 16), layout="nnunet", scheme=str(toml),
        modalities=modalities,
    )  # fmt: skip
    data = folder / "small.h5"
    bratsprep.build(raw, data, workers=1, crop="32x32", labels=str(toml), modalities=modalities)
    bratstrain.fit(data, folder / "run", **SETTINGS)
    return folder, scheme, modalities.split(",")


def test_network_has_the_channels_and_classes_of_the_data(made):
    folder, scheme, modalities = made
    fitted = load_fitted([folder / "run"], "cpu")
    assert fitted.classes == scheme.classes
    assert fitted.scheme == scheme
    config = json.loads((folder / "run" / "config.json").read_text())["model"]
    assert (config["modalities"], config["classes"]) == (len(modalities), len(scheme.classes))


def test_cases_are_scored_by_their_own_classes_and_regions(made):
    folder, scheme, _ = made
    report = bratstrain.evaluate(folder / "run", raw=folder / "raw", split="all")
    assert len(report.scores) == 6
    for case in report.scores:
        assert tuple(case.parts) == tuple(scheme.classes.parts)
        assert case.confusion.shape == (len(scheme.classes),) * 2
    assert set(report.order) == {*scheme.classes.parts, *scheme.classes.means}


def test_predictions_are_written_in_the_values_of_the_scheme(made, tmp_path):
    folder, scheme, _ = made
    done = predict(folder / "run", folder / "raw", tmp_path / "out")
    assert len(done.cases) == 6
    for case in done.cases:
        values = set(np.unique(np.asanyarray(nib.load(case.path).dataobj)).tolist())
        assert values <= scheme.values()


def test_run_that_was_cut_off_is_resumed(made, tmp_path, monkeypatch):
    folder, _, _ = made
    arguments = folder / "small.h5", tmp_path / "run"
    cut_and_resumed(monkeypatch, *arguments, 3, **SETTINGS)
    assert content(tmp_path / "run" / "best.pt") == content(folder / "run" / "best.pt")


def test_run_is_exported_compared_and_shown(made, tmp_path):
    folder, scheme, _ = made
    bratstrain.export(folder / "run", tmp_path / "network.onnx")
    assert (tmp_path / "network.onnx").stat().st_size
    shutil.copytree(folder / "run", tmp_path / "again")
    both = [folder / "run", tmp_path / "again"]
    bratstrain.compare(both, raw=folder / "raw", out=tmp_path / "compare.html")
    page = tmp_path / "page.html"
    bratstrain.report(folder / "run", out=page, raw=folder / "raw")
    text = page.read_text()
    assert all(name in text for name in (*scheme.classes.tumour, *scheme.classes.region_names))


def test_data_of_other_classes_are_refused(made, tmp_path):
    folder, _, modalities = made
    other = bratsprep.phantoms(
        tmp_path / "raw", cases=2, shape=(32, 32, 16), layout="nnunet", scheme="brats2023",
        modalities=",".join(modalities),
    )  # fmt: skip
    with pytest.raises(bratsprep.BratsError, match="classes"):
        bratstrain.evaluate(folder / "run", raw=other, split="all", labels="brats2023")
