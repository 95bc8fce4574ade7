"""The benchmark of joining measures a join and a copy of the same bytes."""

import json
import sys

from benchmarks import join


def test_a_pair_is_measured_and_written(tmp_path, monkeypatch, capsys):
    words = ["join", "--work", f"{tmp_path / 'work'}", "--cases", "3", "--parts", "2"]
    words += ["--pairs", "1", "--shape", "240", "240", "24", "--results", f"{tmp_path}"]
    monkeypatch.setattr(sys, "argv", words)
    join.main()
    (took,) = json.loads((tmp_path / "join.json").read_text())
    assert took["join, on disk"] >= took["join"] > 0
    assert took["copy, on disk"] >= took["copy"] > 0
    assert "3 cases in 2 parts" in capsys.readouterr().out
    assert (tmp_path / "work" / "join" / join.NAME).exists()


def test_ratios_are_those_of_pairs():
    one = {"copy": 1.0, "copy, on disk": 2.0, "removing the parts": 1.0}
    pairs = [one | {"join": 2.0, "join, on disk": 6.0}, one | {"join": 4.0, "join, on disk": 3.0}]
    text = "\n".join(join.table(pairs))
    assert "| join / copy | 3.00 | 2.00 to 4.00 |" in text
    assert "| join, on disk / copy, on disk + removing the parts | 1.50 | 1.00 to 2.00 |" in text
