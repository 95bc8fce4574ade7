"""System, cores, memory and disk."""

import os
from pathlib import Path

import pytest

from bratsprep.diagnosis import machine


def test_system_is_named():
    finding, facts = machine.check_system()
    assert finding.state == "ok"
    assert facts["python"] in finding.text


def test_quota_is_shown_beside_the_cores(monkeypatch):
    monkeypatch.setattr(machine, "core_quota", lambda: 1.5)
    finding, facts = machine.check_cores()
    assert "1.5" in finding.text
    assert facts["quota"] == 1.5
    monkeypatch.setattr(machine, "core_quota", lambda: None)
    assert "quota" not in machine.check_cores()[0].text


@pytest.mark.parametrize(
    ("total", "limit", "free", "state", "text"),
    [
        (8e9, None, 6e9, "ok", "8.0 GB, 6.0 GB free"),
        (8e9, 4e9, 6e9, "ok", "4.0 GB (limit of the control group), 4.0 GB free"),
        (8e9, 1e9, None, "note", "1.0 GB (limit of the control group)"),
        (None, None, None, "note", "the system does not tell its size"),
    ],
    ids=["machine", "limit", "little", "unknown"],
)
def test_memory(monkeypatch, total, limit, free, state, text):
    monkeypatch.setattr(machine, "machine_memory", lambda: total)
    monkeypatch.setattr(machine, "memory_limit", lambda: limit)
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    finding, _ = machine.check_memory()
    assert (finding.state, finding.text) == (state, text)


def test_free_memory_is_what_is_available(tmp_path):
    table = tmp_path / "meminfo"
    table.write_text("MemTotal: 9 kB\nMemAvailable:     5 kB\n")
    assert machine.free_memory(table) == 5 * 1024
    table.write_text("MemTotal: 9 kB\n")
    assert machine.free_memory(table) is None
    assert machine.free_memory(tmp_path / "missing") is None


def test_disk_is_measured_and_left_as_it_was(tmp_path):
    write, read, _ = machine.disk_rates(tmp_path)
    assert write > 0
    assert read > 0
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_missing_is_a_fault(tmp_path):
    finding, facts = machine.check_disk(tmp_path / "missing")
    assert finding.state == "fault"
    assert finding.advice
    assert facts == {"folder": str(tmp_path / "missing")}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(
        machine.tempfile, "TemporaryFile", lambda **_: open("/dev/full", "r+b", 0)  # noqa: PTH123, SIM115
    )  # fmt: skip
    finding, _ = machine.check_disk(tmp_path)
    assert finding.state == "fault"
    assert "No space left" in finding.text


def test_short_write_is_no_space():
    class Short:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, block):
            return len(block) - 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine.tempfile, "TemporaryFile", lambda **_: Short())
        with pytest.raises(OSError, match="no space left"):
            machine.disk_rates(Path())


@pytest.mark.parametrize(
    ("free", "rates", "state"),
    [
        (100e9, (400.0, 900.0, True), "ok"),
        (1e9, (400.0, 900.0, True), "note"),
        (100e9, (400.0, 9.0, False), "note"),
    ],
    ids=["fine", "nearly full", "slow"],
)
def test_disk_is_judged(monkeypatch, tmp_path, free, rates, state):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(machine, "disk_rates", lambda _: rates)
    finding, facts = machine.check_disk(tmp_path)
    assert finding.state == state
    assert bool(finding.advice) == (state == "note")
    assert ("from the cache" in finding.text) != rates[2]
    assert facts["read_mb_per_s"] == rates[1]


def test_without_advice_to_the_kernel_the_cache_is_read(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    assert machine.disk_rates(tmp_path)[2] is False
