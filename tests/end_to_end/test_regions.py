"""`--target regions` the whole way: fit, resume, evaluate, predict, export, publish, ensembles."""

import json

import nibabel as nib
import numpy as np
import onnxruntime
import pytest
import torch

import bratsprep
import bratstrain
from bratsprep.errors import BratsError
from bratsprep.slicefile.reader import SliceFile
from bratstrain.apply_config import ApplyConfig
from bratstrain.inference.segment import segment
from bratstrain.networks.outputs import labels_of
from bratstrain.runs.fitted import load_fitted
from tests.helpers import fitfiles
from tests.helpers.fitfiles import (  # noqa: F401  one_thread is a fixture of this module
    SMALL,
    CutError,
    content,
    cut,
    one_thread,
)

REGIONS = SMALL | {
    "target": "regions", "steps": 30, "validate_steps": 15, "augment": "none",
    "learning_rate": 1e-2,
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Raw phantoms, slice file and a run on regions."""
    folder = tmp_path_factory.mktemp("regions")
    data = fitfiles.phantom_file(folder)
    bratstrain.fit(data, folder / "run", **REGIONS)
    return folder


def test_the_network_has_a_logit_for_each_region(made):
    fitted = load_fitted([made / "run"], "cpu")
    assert (fitted.model.target, tuple(fitted.model.nesting)) == ("regions", (2, 1, 3))
    assert fitted.networks[0](torch.zeros(1, 4, 32, 32)).shape == (1, 3, 32, 32)


def test_validation_measures_what_evaluate_measures_on_the_same_planes(made):
    """The validation of the best step against the labels of the loaded network, by hand."""
    log = [json.loads(line) for line in (made / "run" / "log.jsonl").read_text().splitlines()]
    best = json.loads((made / "run" / "run.json").read_text())["best_step"]
    logged = next(r for r in log if (r["kind"], r["step"]) == ("validation", best))
    ids = json.loads((made / "run" / "split.json").read_text())["validation"]
    fitted, dice = load_fitted([made / "run"], "cpu"), []
    with SliceFile(made / "small.h5") as file:
        for case in ids:
            image, truth, z = file.volume(case)
            predicted, _ = segment(fitted, image, np.asarray(z), ApplyConfig())
            for labels in ((3,), (1, 3), (1, 2, 3)):
                a, b = np.isin(truth, labels), np.isin(predicted, labels)
                total = a.sum() + b.sum()
                dice.append(2 * (a & b).sum() / total if total else 1.0)
    assert logged["mean_regions"] == pytest.approx(np.mean(dice))
    assert logged["mean_regions"] > 0.15  # it has learnt something


def test_a_killed_run_ends_with_the_same_weights(made, tmp_path, monkeypatch):
    settings = REGIONS | {"steps": 6, "validate_steps": 3, "checkpoint_steps": 2}
    bratstrain.fit(made / "small.h5", tmp_path / "whole", **settings)
    with monkeypatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
        cut(patch, 3)
        bratstrain.fit(made / "small.h5", tmp_path / "run", **settings)
    bratstrain.fit(made / "small.h5", tmp_path / "run", device="cpu")
    assert content(tmp_path / "run" / "best.pt") == content(tmp_path / "whole" / "best.pt")


def test_predictions_are_those_of_the_regions_and_of_the_onnx_model(made, tmp_path):
    fitted = load_fitted([made / "run"], "cpu")
    raw = made / "raw"
    done = bratstrain.predict(made / "run", raw, tmp_path / "out", probabilities=True, device="cpu")
    bratstrain.export(made / "run", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(
        tmp_path / "net.onnx", providers=["CPUExecutionProvider"]
    )
    decision = json.loads(session.get_modelmeta().custom_metadata_map["decision"])
    assert (decision["nesting"], decision["threshold"]) == ([2, 1, 3], 0.5)
    case = done.cases[0]
    written = np.asarray(nib.load(case.path).dataobj)
    chances = np.asarray(
        nib.load(str(case.path).replace(".nii.gz", "_probabilities.nii.gz")).dataobj
    )
    np.testing.assert_allclose(chances.sum(axis=-1), 1, atol=1e-5)
    decided = labels_of(torch.from_numpy(chances).movedim(-1, 0)[None], (2, 1, 3))[0].numpy()
    np.testing.assert_array_equal(fitted.scheme.raw()[decided], written)
    assert len(np.unique(written)) > 1
    with SliceFile(made / "small.h5") as file:
        image, _, z = file.volume(str(file.cases["id"][0]))
        (given,) = session.run(None, {"image": image.astype(np.float32)})
        label, own = segment(fitted, image, np.asarray(z), ApplyConfig(), keep=True)
    np.testing.assert_allclose(given, own.swapaxes(0, 1), atol=1e-4)
    assert (labels_of(torch.from_numpy(given), (2, 1, 3)).numpy() == label).mean() > 0.999


def test_scores_and_pages_take_regions(made, tmp_path):
    report = bratstrain.evaluate(
        made / "run", raw=made / "raw", split="all", out=tmp_path / "scores"
    )
    assert len(report.scores) == 6
    bratstrain.report(made / "run", raw=made / "raw", out=tmp_path / "page.html")
    assert "Soft-Dice loss on the validation cases" in (tmp_path / "page.html").read_text()
    bratstrain.card(made / "run", out=tmp_path / "card.md")
    assert "nested regions (sigmoid)" in (tmp_path / "card.md").read_text()


def test_a_published_network_decides_as_the_run_does(made, tmp_path):
    pytest.importorskip("safetensors")
    bratstrain.publish(made / "run", tmp_path / "shared")
    one, two = load_fitted([made / "run"], "cpu"), load_fitted([tmp_path / "shared"], "cpu")
    assert one.model == two.model
    with SliceFile(made / "small.h5") as file:
        image, _, z = file.volume(str(file.cases["id"][0]))
    labels = [segment(each, image, np.asarray(z), ApplyConfig())[0] for each in (one, two)]
    np.testing.assert_array_equal(*labels)


def test_an_ensemble_of_both_targets_is_refused(made, tmp_path):
    bratstrain.fit(made / "small.h5", tmp_path / "classes", **SMALL, steps=1)
    with pytest.raises(
        BratsError, match=r"takes single planes for classes, .*run takes single planes for regions"
    ):
        load_fitted([made / "run", tmp_path / "classes"], "cpu")
    both = load_fitted([made / "run", made / "run"], "cpu")
    assert len(both.networks) == 2


def test_fine_tuning_from_classes_to_regions_leaves_the_last_layer_anew(made, tmp_path):
    bratstrain.fit(made / "small.h5", tmp_path / "classes", **SMALL, steps=1)
    bratstrain.fit(
        made / "small.h5",
        tmp_path / "tuned",
        start=tmp_path / "classes",
        target="regions",
        steps=1,
        device="cpu",
    )
    left = json.loads((tmp_path / "tuned" / "run.json").read_text())["start"]["left"]
    assert {name.split(".")[0] for name in left} == {"heads"}


def test_regions_that_do_not_nest_are_refused_before_a_run_begins(tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=4, shape=(32, 32, 16), layout="brats2024")
    bratsprep.build(raw, tmp_path / "d.h5", workers=1, crop="32x32")
    with pytest.raises(ValueError, match=r"^target regions needs .*; take target classes$"):
        bratstrain.fit(tmp_path / "d.h5", tmp_path / "run", **REGIONS)
    assert not (tmp_path / "run" / "config.json").exists()


def test_resampled_cases_are_decided_on_the_grid_of_the_scan(tmp_path):
    data = fitfiles.phantom_file(tmp_path, spacing="2x2x2", crop="16x16")
    bratstrain.fit(
        data, tmp_path / "run", **REGIONS | {"depth": 2, "steps": 4, "validate_steps": 4}
    )
    done = bratstrain.predict(
        tmp_path / "run", tmp_path / "raw", tmp_path / "out", probabilities=True, device="cpu"
    )
    fitted = load_fitted([tmp_path / "run"], "cpu")
    for case in done.cases[:2]:
        written = np.asarray(nib.load(case.path).dataobj)
        chances = nib.load(str(case.path).replace(".nii.gz", "_probabilities.nii.gz")).get_fdata()
        wanted = fitted.scheme.raw()[
            labels_of(torch.from_numpy(chances).movedim(-1, 0)[None], (2, 1, 3))[0].numpy()
        ]
        assert (wanted == written).mean() > 0.9999  # float32 of the file, at exactly a half
