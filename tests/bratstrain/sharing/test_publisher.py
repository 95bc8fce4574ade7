"""Published networks: what is in the folder, and that it predicts as the run does."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import bratstrain
from bratsprep.errors import BratsError
from bratstrain.commands.cli import main
from bratstrain.pages.card_text import CardFacts, ScoreSet
from bratstrain.runs import published
from bratstrain.runs.checkpoint import Weights, load, save
from bratstrain.runs.fitted import load_fitted, read_split
from bratstrain.sharing.card import CHECKED, WITHHELD, without_cases
from tests.helpers import niftis, runs

pytest.importorskip("safetensors", reason="published networks need safetensors")
ROOT = Path(__file__).parent.parent.parent.parent
CASE = "BraTS2021_00001"
PREDICT = "import sys, bratstrain; bratstrain.predict(*sys.argv[1:], device='cpu')"


@pytest.fixture
def run(tmp_path):
    runs.write(tmp_path / "run", facts={"data": "/home/me/train.h5", "machine": "mine"})
    return tmp_path / "run"


@pytest.fixture
def shared(run, tmp_path):
    bratstrain.publish(run, tmp_path / "shared")
    return tmp_path / "shared"


def labels(path):
    return np.asarray(nib.load(path / f"{CASE}.nii.gz").dataobj)


@pytest.mark.usefixtures("forked_python")
def test_a_copy_predicts_the_same_labels_in_another_process(run, shared, tmp_path):
    niftis.write_case(tmp_path / "raw")
    bratstrain.predict(run, tmp_path / "raw", tmp_path / "own", device="cpu")
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(shared, copy)
    shutil.rmtree(shared)
    shutil.rmtree(run)
    words = [str(copy), str(tmp_path / "raw"), str(tmp_path / "theirs")]
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, *words], capture_output=True, text=True, cwd=copy,
        env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = labels(tmp_path / "own")
    assert len(np.unique(wanted)) >= 3
    np.testing.assert_array_equal(labels(tmp_path / "theirs"), wanted)


def test_it_is_said_that_the_training_cases_are_unknown(shared, tmp_path):
    niftis.write_case(tmp_path / "raw")
    done = bratstrain.predict(shared, tmp_path / "raw", tmp_path / "out", device="cpu")
    assert done.unknown == (shared.name,)
    assert "shared keeps no fingerprints of its training cases" in done.lines()[-1]


def test_weights_and_settings_are_those_of_the_run(run, shared):
    own, read = load(run / "best.pt", Weights), published.read_published(shared)
    assert replace(own, network={}) == replace(read, network={})
    assert own.network.keys() == read.network.keys()
    assert all(bool((own.network[name] == read.network[name]).all()) for name in own.network)


def test_the_folder_holds_no_case_and_no_path(shared):
    assert {path.name for path in shared.iterdir()} == {*published.FILES, published.SUMS}
    content = b"".join(path.read_bytes() for path in shared.iterdir())
    for word in (b"BraTS2021_0000", b"/home/me", b"mine", str(shared.parent).encode()):
        assert word not in content


def test_the_card_names_modalities_classes_and_the_score(shared):
    card = (shared / "README.md").read_text()
    assert card.startswith("---\n")
    for word in ("flair, t1w, t1gd, t2w", "ET", "Not a medical device", "not stated"):
        assert word in card


def test_the_card_states_the_licence_of_the_data(run, tmp_path):
    done = CliRunner().invoke(
        main, ["publish", str(run), str(tmp_path / "b"), "--license", "CC-BY-SA-4.0"]
    )
    assert done.exit_code == 0, done.output
    assert "licence of the data**: CC-BY-SA-4.0" in (tmp_path / "b" / "README.md").read_text()


def test_sentences_that_name_a_case_are_withheld_and_the_gap_shows():
    told = ScoreSet(
        title="test", convention="x", head=["", "Dice"], rows=[["ET", ".8"]],
        said=["a-1 is a-10 again", "5 cases, no twin"],
    )  # fmt: skip
    facts = CardFacts(
        name="n", about="", data={}, preparation={}, network={}, training={}, scores=[told],
        split={"training": "5 cases", "repeated patients": "1 twin: a-10 = b"}, limits=["a-100"],
    )  # fmt: skip
    found = without_cases(facts, {"a-10", "5"})
    assert found.split == {"training": WITHHELD, "repeated patients": WITHHELD}
    assert found.scores[0].said == [WITHHELD, WITHHELD]
    assert found.limits == ["a-100", CHECKED]
    assert without_cases(facts, {"a-1"}).scores[0].said == [WITHHELD, "5 cases, no twin"]


def test_checksums_are_in_the_form_of_sha256sum(shared):
    lines = (shared / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{published.sha256(shared / name)}  {name}" for name in published.FILES]


@pytest.mark.parametrize("name", published.FILES)
def test_damaged_file_is_refused(shared, name):
    content = bytearray((shared / name).read_bytes())
    content[-2] ^= 1
    (shared / name).write_bytes(content)
    with pytest.raises(BratsError, match=f"{name}: differs from its checksum"):
        load_fitted([shared], "cpu")


@pytest.mark.parametrize("name", published.FILES)
def test_missing_file_is_refused(shared, name):
    (shared / name).unlink()
    with pytest.raises(BratsError):
        published.read_published(shared)


def resign(folder, **changes):
    """Change the settings as a forger would, checksums included."""
    path = folder / "model.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    sums = "".join(f"{published.sha256(folder / name)}  {name}\n" for name in published.FILES)
    (folder / "SHA256SUMS").write_text(sums)
    return content


def test_code_that_forged_settings_name_is_not_run(shared, tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('code was run')")
    monkeypatch.syspath_prepend(tmp_path)
    config = json.loads(json.loads((shared / "model.json").read_text())["config"])
    config["model"]["kind"] = "evil:make"
    resign(shared, config=json.dumps(config))
    with pytest.raises(BratsError, match="--trust-model evil:make"):
        load_fitted([shared], "cpu")


def test_pickle_in_place_of_the_weights_is_refused(shared, run):
    shutil.copy(run / "best.pt", shared / "model.safetensors")
    resign(shared)
    with pytest.raises(BratsError, match="is no file of safetensors"):
        load_fitted([shared], "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2; expected"),
        ({"format": "x"}, "expected 'bratstrain published network'"),
        ({"step": "1"}, "'step' is str, expected int"),
        ({"shape": None}, "'shape' is NoneType, expected list"),
        ({"config": "{"}, "its settings cannot be read"),
    ],
)
def test_forged_settings_are_refused(shared, changes, message):
    resign(shared, **changes)
    with pytest.raises(BratsError, match=message):
        load_fitted([shared], "cpu")


def test_checksum_that_is_missing_is_refused(shared):
    (shared / "SHA256SUMS").write_text("0  model.json\n")
    with pytest.raises(BratsError, match="has no checksum of model"):
        published.check_sums(shared)


def test_custom_network_is_not_published(run, tmp_path):
    weights = load(run / "best.pt", Weights)
    config = json.loads(weights.config)
    config["model"]["kind"] = "mine.nets:make"
    save(run / "best.pt", replace(weights, config=json.dumps(config)))
    with pytest.raises(BratsError, match="made by mine"):
        bratstrain.publish(run, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_the_weights_are_read_once(run, tmp_path, monkeypatch):
    paths, load_file = [], torch.load
    monkeypatch.setattr(
        torch, "load", lambda path, **how: paths.append(path) or load_file(path, **how)
    )
    bratstrain.publish(run, tmp_path / "shared")
    assert paths == [run / "best.pt"]


def test_nothing_is_overwritten(run, shared):
    with pytest.raises(BratsError, match="nothing is overwritten"):
        bratstrain.publish(run, shared)


def test_published_folder_has_no_split_to_score(shared):
    with pytest.raises(BratsError, match="evaluate --predictions"):
        read_split(shared)


def test_command_prints_checksums_and_the_use(run, tmp_path):
    done = CliRunner().invoke(main, ["publish", str(run), str(tmp_path / "shared")])
    assert done.exit_code == 0, done.output
    assert f"bratstrain predict {tmp_path / 'shared'} RAW" in done.output
    assert published.sha256(tmp_path / "shared" / "model.json") in done.output
