"""Runs that begin with the weights of another run."""

import json
import shutil

import numpy as np
import pytest
import torch

import bratsprep
from bratsprep.errors import BratsError
from bratstrain.data.trained_cases import joined_rows, read_trained, row_dtype
from bratstrain.runs.checkpoint import Weights, load
from bratstrain.sharing.publisher import publish
from bratstrain.training.fit import fit
from bratstrain.training.start import read_origin
from tests.helpers import fitfiles
from tests.helpers.customnets import PACKAGE, package  # noqa: F401  a fixture
from tests.helpers.fitfiles import (
    SMALL,
    CutError,
    content,
    cut,
    one_thread,  # noqa: F401  for every test here
)

BASE = SMALL | {"steps": 2, "validate_steps": 2, "augment": "none"}
TUNED = {"batch_size": 4, "device": "cpu", "steps": 2, "validate_steps": 2, "augment": "none"}
STILL = TUNED | {"learning_rate": 1e-12, "ema": 0.0}
"""Settings under which weights stay what they are, so that those of the beginning are seen."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def old(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old") / "old"
    fit(data, folder, **BASE)
    return folder


def facts_of(run):
    return json.loads((run / "run.json").read_text())


def network_of(run):
    return load(run / "best.pt", Weights).network


def near(one, two):
    weights = [name for name in one if name.endswith("weight")]
    return all(torch.allclose(one[name], two[name], atol=1e-6) for name in weights)


def test_a_run_begins_with_the_weights_and_the_network_of_another(data, old, tmp_path):
    lines = []
    with pytest.warns(UserWarning, match="LEARNT|fitted on the persons") as caught:
        fit(data, tmp_path / "run", start=old, fold=1, tell=lines.append, **STILL)
    assert near(network_of(tmp_path / "run"), network_of(old))
    start = facts_of(tmp_path / "run")["start"]
    assert (start["run"], start["step"], start["left"]) == ("old", 2, {})
    assert start["untold"] == ""
    n = len(start["taken"])
    assert f"begins with {n} of {n} tensors of old" in lines
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["model"]["width"], config["model"]["depth"]) == (4, 3)
    assert len(caught) == 1


def test_a_validation_person_that_the_other_run_has_learnt_is_named(data, old, tmp_path):
    learnt = json.loads((old / "split.json").read_text())["train"]
    with pytest.warns(UserWarning, match="old, which this run begins from") as caught:
        fit(data, tmp_path / "run", start=old, fold=1, **TUNED)
    mine = json.loads((tmp_path / "run" / "split.json").read_text())["validation"]
    known = [case for case in mine if case in learnt]
    assert known
    assert all(case in str(caught[0].message) for case in known)
    facts = facts_of(tmp_path / "run")
    assert facts["start"]["learnt"] == {case: [case] for case in known}
    assert set(facts["twins"]["cases"]) == set(known)
    rows = read_trained(tmp_path / "run" / "training.npy")
    assert set(rows["id"]) == {
        *learnt,
        *json.loads((tmp_path / "run/split.json").read_text())["train"],
    }


def test_nobody_is_named_where_the_other_run_has_learnt_none_of_them(data, old, tmp_path):
    fit(data, tmp_path / "run", start=old, **TUNED)  # the same fold
    facts = facts_of(tmp_path / "run")
    assert facts["start"]["learnt"] == {}
    assert facts["twins"]["cases"] == {}


def test_what_does_not_fit_is_drawn_anew_and_said(data, old, tmp_path):
    lines = []
    fit(data, tmp_path / "run", start=old, depth=4, tell=lines.append, **STILL)
    left = facts_of(tmp_path / "run")["start"]["left"]
    assert left
    assert all("there" in why for why in left.values())
    said = next(line for line in lines if "drawn anew" in line)
    assert next(iter(left)) in said
    before, after = network_of(old), network_of(tmp_path / "run")
    assert all(torch.allclose(before[name], after[name], atol=1e-6)
               for name in after if name not in left)  # fmt: skip


def test_a_network_that_fits_nowhere_is_refused(data, old, tmp_path):
    with pytest.raises(BratsError, match=r"^old: no layer fits residual of width 6"):
        fit(data, tmp_path / "run", start=old, width=6, **TUNED)
    assert not (tmp_path / "run" / "config.json").exists()


def test_other_classes_leave_the_last_layer_anew(old, tmp_path):
    raw = bratsprep.phantoms(tmp_path / "raw", cases=4, shape=(32, 32, 16), layout="brats-ped")
    data = tmp_path / "ped.h5"
    bratsprep.build(raw, data, workers=1, crop="32x32", labels="brats-ped")
    lines = []
    # The phantoms are the same persons under other names, which their images show.
    with pytest.warns(UserWarning, match=r"BraTS-PED-00001-000 \(as BRATS_001\)"):
        fit(data, tmp_path / "run", start=old, tell=lines.append, **TUNED)
    left = facts_of(tmp_path / "run")["start"]["left"]
    assert {name.split(".")[0] for name in left} == {"heads"}
    assert any("old was fitted on other slices: classes" in line for line in lines)


def test_a_killed_run_resumes_without_the_other_one(data, old, tmp_path, monkeypatch):
    gone = tmp_path / "old"
    shutil.copytree(old, gone)
    settings = TUNED | {"steps": 4, "checkpoint_steps": 3}
    fit(data, tmp_path / "whole", start=gone, **settings)
    for step in (1, 3):
        run = tmp_path / f"cut-{step}"
        with monkeypatch.context() as patch, pytest.raises(CutError):  # noqa: PT012
            cut(patch, step)
            fit(data, run, start=old, **settings)
        fit(data, run, device="cpu")
        assert content(run / "best.pt") == content(tmp_path / "whole" / "best.pt")
        assert content(run / "last.pt") == content(tmp_path / "whole" / "last.pt")


def test_resuming_from_other_weights_is_refused(data, old, tmp_path):
    fit(data, tmp_path / "run", **BASE)
    with pytest.raises(BratsError, match="was begun from no other run, not from these weights"):
        fit(data, tmp_path / "run", start=old, device="cpu")


def test_derived_folders_differ_with_the_weights(data, old, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = fit(data, start=old, **TUNED).folder
    two = fit(data, start=one, **TUNED).folder
    assert one != two


def test_a_published_network_is_begun_from_and_its_silence_is_said(data, old, tmp_path):
    pytest.importorskip("safetensors")
    publish(old, tmp_path / "shared")
    lines = []
    fit(data, tmp_path / "run", start=tmp_path / "shared", fold=1, tell=lines.append, **STILL)
    assert near(network_of(tmp_path / "run"), network_of(old))
    assert facts_of(tmp_path / "run")["start"]["untold"] == "shared"
    assert any("shared keeps no image fingerprints" in line for line in lines)
    second = read_origin(tmp_path / "run")
    assert second.untold == "shared"  # and of whoever begins from that one


def test_a_cross_validation_is_no_single_run(tmp_path):
    (tmp_path / "crossval.json").write_text("{}")
    with pytest.raises(BratsError, match=r"several networks; begin from one .*fold-0"):
        read_origin(tmp_path)


@pytest.mark.usefixtures("package")
def test_a_custom_network_must_be_named_again(data, tmp_path):
    custom = {"model": f"{PACKAGE}.nets:build"}
    fit(data, tmp_path / "old", **custom, **TUNED)
    with pytest.raises(BratsError, match=r"^old: .*beginning from it would execute that code"):
        fit(data, tmp_path / "run", start=tmp_path / "old", **TUNED)
    fit(data, tmp_path / "run", start=tmp_path / "old", **custom, **STILL)
    assert near(network_of(tmp_path / "run"), network_of(tmp_path / "old"))


def test_rows_of_other_modalities_keep_their_names_alone():
    own, earlier = np.zeros(1, row_dtype(4)), np.zeros(2, row_dtype(2))
    own["id"], earlier["id"], earlier["brain_voxels"] = ["a"], ["b", "c"], 9
    joined = joined_rows(own, earlier)
    assert joined.dtype == own.dtype
    assert joined["id"].tolist() == ["a", "b", "c"]
    assert joined["brain_voxels"].tolist() == [0, 0, 0]
    assert joined_rows(own, own)["id"].tolist() == ["a"]
