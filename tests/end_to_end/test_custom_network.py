"""A network of the user's own through every verb, and the trust that loading it takes."""

import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner

import bratstrain
from bratsprep.errors import BratsError
from bratstrain.commands.cli import main
from bratstrain.runs.checkpoint import load_network
from tests.helpers import customnets, fitfiles
from tests.helpers.customnets import GOOD, package  # noqa: F401  a fixture
from tests.helpers.fitfiles import CutError, content, cut, one_thread  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("package")
SETTINGS = {
    "model": GOOD, "model_options": {"width": 6}, "steps": 6, "validate_steps": 3,
    "checkpoint_steps": 2, "batch_size": 4, "device": "cpu", "ema": 0.9,
}  # fmt: skip
TRUST = {"trusted_models": (GOOD,)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"), crop="30x30")


@pytest.fixture
def run(data, tmp_path):
    """A finished run of the custom network."""
    bratstrain.fit(data, tmp_path / "run", **SETTINGS)
    return tmp_path / "run"


def test_cut_run_ends_as_the_whole_one(data, run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
        cut(patch, 5)
        bratstrain.fit(data, tmp_path / "cut", **SETTINGS)
    bratstrain.fit(data, tmp_path / "cut", model=GOOD)
    for name in ("last.pt", "best.pt"):
        assert content(tmp_path / "cut" / name) == content(run / name)


def test_checkpoint_holds_no_code(run):
    whole = torch.load(run / "best.pt", weights_only=True)
    assert {name.partition(".")[0] for name in whole["network"]} == {"network"}
    assert json.loads((run / "config.json").read_text())["model"]["kind"] == GOOD


def test_verbs_work_with_trust(data, run, tmp_path):
    raw = data.parent / "raw"
    report = bratstrain.evaluate(run, data=data, device="cpu", **TRUST)
    assert len(report.scores) == 1
    page = bratstrain.report(run, data=data, device="cpu", **TRUST)
    assert page.path.stat().st_size > 1000
    out = tmp_path / "out"
    predicted = bratstrain.predict(run, raw, out, device="cpu", **TRUST)
    assert len(predicted.cases) == 6
    done = bratstrain.export(run, tmp_path / "model.onnx", **TRUST)
    session = onnxruntime.InferenceSession(done.path, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).normal(size=(3, 4, 30, 30)).astype(np.float32)
    network, _ = load_network(run / "best.pt", [GOOD])
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).softmax(dim=1).numpy()
    (probability,) = session.run(["probability"], {"image": image})
    np.testing.assert_allclose(probability, expected, atol=1e-4)


def test_nothing_is_imported_without_trust(data, run, tmp_path):
    customnets.forget()
    verbs = (
        lambda: bratstrain.fit(data, run, device="cpu"),
        lambda: bratstrain.evaluate(run, data=data),
        lambda: bratstrain.report(run, data=data),
        lambda: bratstrain.predict(run, data.parent / "raw", tmp_path / "out"),
        lambda: bratstrain.export(run, tmp_path / "model.onnx"),
        lambda: bratstrain.evaluate(run, data=data, trusted_models=("another.module:build",)),
    )
    for verb in verbs:
        with pytest.raises(BratsError, match=rf"if you trust it, add --(trust-)?model {GOOD}"):
            verb()
    assert not customnets.is_imported()


def test_predict_names_the_import_that_is_missing(data, run, tmp_path, monkeypatch):
    customnets.forget()
    monkeypatch.setattr(sys, "path", sys.path[1:])
    with pytest.raises(BratsError, match=r"best.pt: .*cannot be imported, tiny_networks is miss"):
        bratstrain.predict(run, data.parent / "raw", tmp_path / "out", **TRUST)


def test_module_that_has_changed_is_refused(package, run):  # noqa: F811  the fixture
    customnets.forget()
    source = (package / "nets.py").read_text()
    (package / "nets.py").write_text(source.replace("self.norm = nn.B", "self.other = nn.B"))
    (package / "nets.py").write_text(source.replace("norm", "moved_norm"))
    with pytest.raises(BratsError, match=r"weights do not fit the network: network\.moved_norm"):
        load_network(run / "best.pt", [GOOD])


def test_contract_is_checked_before_the_run_begins(data, tmp_path):
    kind = f"{customnets.PACKAGE}.nets:unused"
    with pytest.raises(ValueError, match=r"no gradient reaches parameter spare\.weight"):
        bratstrain.fit(data, tmp_path / "run", **SETTINGS | {"model": kind, "model_options": {}})
    assert not (tmp_path / "run" / "config.json").exists()


def test_frozen_weights_stay_while_the_others_learn(data, tmp_path):
    kind = f"{customnets.PACKAGE}.nets:frozen_encoder"
    settings = SETTINGS | {"model": kind, "model_options": {}}
    bratstrain.fit(data, tmp_path / "a", **settings | {"steps": 1})
    bratstrain.fit(data, tmp_path / "b", **settings)
    first, last = (torch.load(tmp_path / name / "last.pt")["network"] for name in "ab")
    assert torch.equal(first["network.down.weight"], last["network.down.weight"])
    assert not torch.equal(first["network.up.weight"], last["network.up.weight"])


def test_commands_take_the_name_and_its_options(data, tmp_path):
    run, command = str(tmp_path / "run"), CliRunner().invoke
    arguments = ["fit", str(data), "--run", run, "--model", GOOD, "--model-option", "width=5"]
    done = command(main, [*arguments, "--steps", "2", "--batch", "2", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model"]["model_options"] == {
        "width": 5
    }
    refused = command(main, ["evaluate", run, "--data", str(data)])
    assert refused.exit_code == 1
    assert f"--trust-model {GOOD}" in refused.output
    scored = command(main, ["evaluate", run, "--data", str(data), "--trust-model", GOOD])
    assert scored.exit_code == 0, scored.output


@pytest.mark.parametrize(
    ("text", "message"),
    [("width", "must be NAME=VALUE"), ("width=1 --model-option width=2", "give each name once")],
)
def test_option_of_another_form_is_a_fault_of_the_call(data, text, message):
    arguments = ["fit", str(data), "--model", GOOD, "--model-option", *text.split()]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert message in done.output


def test_study_runs_no_code_of_a_file(data, tmp_path):
    (tmp_path / "study.toml").write_text(
        f'[fit]\nmodel = "{GOOD}"\ntest_share = 0.2\n[[experiment]]\nname = "a"\n'
    )
    customnets.forget()
    with pytest.raises(ValueError, match=f"model {GOOD} is code outside of bratstrain"):
        bratstrain.study(tmp_path / "study.toml", data.parent / "raw")
    assert not customnets.is_imported()
