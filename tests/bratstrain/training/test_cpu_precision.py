"""What `auto` does on a CPU: bf16 only where the processor has it and steps show that it pays."""

import itertools
import json

import pytest
import torch

import bratstrain
from bratsprep.slicefile.reader import SliceFile
from bratstrain.recipes import configure
from bratstrain.runs.checkpoint import load_network
from bratstrain.training import cpu_precision, prepare_run
from bratstrain.training.cpu_precision import Trial, has_native_bf16, needs_trial, try_steps
from tests.helpers.fitfiles import SMALL, one_thread, phantom_file

__all__ = ["one_thread"]
CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return phantom_file(tmp_path_factory.mktemp("precision"))


@pytest.fixture
def native(monkeypatch):
    """A processor that says that it computes with bf16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}, raising=False)


def facts_of(run):
    """What run.json keeps, and the precision in config.json."""
    known = json.loads((run / "run.json").read_text())
    return known | {"precision": json.loads((run / "config.json").read_text())["precision"]}


@pytest.mark.parametrize(
    ("capabilities", "is_native"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, False),
        ({}, False),
    ],
)
def test_native_is_what_torch_says(monkeypatch, capabilities, is_native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_native_bf16() is is_native


def test_an_older_torch_that_does_not_say_has_no_native_bf16(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_native_bf16()


@pytest.mark.parametrize(
    ("fp32_s", "bf16_s", "precision"), [(1.6, 1.0, "bf16"), (1.05, 1.0, "fp32"), (1.0, 4.0, "fp32")]
)
def test_bf16_has_to_be_clearly_faster(fp32_s, bf16_s, precision):
    assert Trial(fp32_s, bf16_s).precision == precision


@pytest.mark.parametrize(
    ("precision", "device", "is_tried"),
    [("auto", CPU, True), ("auto", GPU, False), ("bf16", CPU, False), ("fp32", CPU, False)],
)
def test_a_trial_is_for_auto_on_a_cpu(native, precision, device, is_tried):
    assert needs_trial(configure(precision=precision), device) is is_tried


def test_steps_are_timed_after_a_first_one_that_is_not(data, monkeypatch):
    clock = itertools.accumulate([0, 90, 0, 7, 0, 5, 0, 80, 0, 2, 0, 3])
    monkeypatch.setattr(cpu_precision, "perf_counter", lambda: next(clock))
    with SliceFile(data) as file:
        config = prepare_run.sized(
            configure(**{k: v for k, v in SMALL.items() if k != "device"}), file
        )
        assert try_steps(config, file, CPU) == Trial(5, 2)


@pytest.mark.parametrize(("bf16_s", "precision"), [(1.0, "bf16"), (3.0, "fp32")])
def test_a_run_takes_and_records_what_the_trial_shows(
    data, tmp_path, native, monkeypatch, bf16_s, precision
):
    monkeypatch.setattr(prepare_run, "try_steps", lambda *_: Trial(2.0, bf16_s))
    bratstrain.fit(data, tmp_path / "run", steps=2, **SMALL)
    facts = facts_of(tmp_path / "run")
    assert facts["precision"] == precision
    assert facts["precision_trial"] == {"fp32_s": 2.0, "bf16_s": bf16_s}
    assert facts["threads"] == 1


def test_a_resumed_run_keeps_its_precision_without_another_trial(
    data, tmp_path, native, monkeypatch
):
    monkeypatch.setattr(prepare_run, "try_steps", lambda *_: Trial(2.0, 1.0))
    run = tmp_path / "run"
    bratstrain.fit(data, run, steps=2, **SMALL)
    monkeypatch.delattr(prepare_run, "try_steps")
    bratstrain.fit(data, run, steps=2, **SMALL)
    assert facts_of(run)["precision"] == "bf16"


def test_without_native_bf16_nothing_is_tried(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    bratstrain.fit(data, tmp_path / "run", steps=2, **SMALL)
    facts = facts_of(tmp_path / "run")
    assert (facts["precision"], facts["precision_trial"]) == ("fp32", None)


def test_a_trial_leaves_the_runs_weights_as_they_are(data, tmp_path, native, monkeypatch):
    settings = SMALL | {"steps": 2}
    monkeypatch.setattr(cpu_precision, "FASTER", 1e9)
    bratstrain.fit(data, tmp_path / "tried", **settings)
    bratstrain.fit(data, tmp_path / "plain", precision="fp32", **settings)
    tried, plain = (
        load_network(tmp_path / name / "best.pt")[1].network for name in ("tried", "plain")
    )
    assert all(torch.equal(tried[name], plain[name]) for name in plain)
