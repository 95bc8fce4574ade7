"""`bratsprep doctor` as a whole, on this machine."""

import json

import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main
from bratsprep.diagnosis.findings import Diagnosis, Finding


@pytest.mark.slow
def test_this_installation_is_well(tmp_path):
    done = CliRunner().invoke(main, ["doctor", str(tmp_path), "--json"])
    whole = json.loads(done.output)
    assert (done.exit_code, whole["is_well"]) == (0, True)
    assert whole["facts"]["disk"]["folder"] == str(tmp_path)
    assert whole["facts"]["packages"]["numpy"]
    assert whole["facts"]["gpu"]["asked"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("state", "code"), [("fault", 1), ("missing", 0)])
def test_exit_code_tells_whether_something_essential_is_missing(monkeypatch, state, code):
    found = Diagnosis((Finding("packages", state, "h5py is not installed", "install it"),), {})
    monkeypatch.setattr(bratsprep, "doctor", lambda _: found)
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == code
    assert "install it" in done.output


def test_folder_that_is_missing_is_a_fault_of_the_call(tmp_path):
    assert CliRunner().invoke(main, ["doctor", str(tmp_path / "missing")]).exit_code == 2
