"""GPU, libdeflate and Chromium, there and missing."""

import json

import pytest

from bratsprep.diagnosis import programs
from bratsprep.diagnosis.asking import Answer

GPU = {"torch": "2.9", "cuda": "12.8", "usable": True, "threads": 4,
       "devices": [{"name": "T4", "memory_bytes": 15_800_000_000}]}  # fmt: skip
CPU = {"torch": "2.9+cpu", "cuda": None, "usable": False, "devices": [], "threads": 2}


def absent(_):
    return None


def present(name):
    return f"/usr/bin/{name}"


@pytest.mark.parametrize(
    ("said", "which", "state", "text"),
    [
        (GPU, present, "ok", "T4 (16 GB), CUDA 12.8"),
        (CPU, absent, "note", "none; networks are fitted on the CPU"),
        (CPU, present, "missing", "for the CPU alone"),
        ({**CPU, "cuda": "13.0"}, present, "missing", "for CUDA 13.0"),
    ],
    ids=["usable", "no GPU", "wrong torch", "old driver"],
)
def test_gpu(monkeypatch, said, which, state, text):
    monkeypatch.setattr(programs, "ask", lambda _: Answer(json.dumps(said), ""))
    finding, facts = programs.check_gpu(True, which)
    assert finding.state == state
    assert text in finding.text
    assert facts["torch"] == said["torch"]


def test_torch_that_fails_is_reported(monkeypatch):
    monkeypatch.setattr(programs, "ask", lambda _: Answer(None, "OSError: libcudart"))
    finding, _ = programs.check_gpu(True, absent)
    assert finding.state == "missing"
    assert "libcudart" in finding.text


def test_torch_is_not_asked_where_it_is_not_installed(monkeypatch):
    monkeypatch.delattr(programs, "ask")
    finding, facts = programs.check_gpu(False, absent)
    assert finding.state == "note"
    assert facts == {"asked": False, "driver": False}


@pytest.mark.parametrize(
    ("answer", "state", "text"),
    [
        (Answer("found", ""), "ok", "found"),
        (Answer("none", ""), "missing", "not found"),
        (Answer(None, "ImportError: numpy"), "missing", "ImportError: numpy"),
    ],
    ids=["found", "none", "broken"],
)
def test_libdeflate(monkeypatch, answer, state, text):
    monkeypatch.setattr(programs, "ask", lambda _: answer)
    finding, facts = programs.check_libdeflate()
    assert finding.state == state
    assert text in finding.text
    assert facts == {"found": state == "ok"}


def test_browser():
    assert programs.check_browser(absent)[0].state == "note"
    finding, facts = programs.check_browser(
        lambda name: present(name) if "chrome" in name else None
    )
    assert finding.state == "ok"
    assert facts == {"path": "/usr/bin/google-chrome"}
