"""What `doctor` prints."""

import json

from bratsprep.diagnosis.findings import Diagnosis, Finding

FINE = Finding("memory", "ok", "8 GB")
MISSING = Finding("extra train", "missing", "torch is not installed", "install it")
FAULT = Finding("packages", "fault", "h5py is not installed", "install it")


def test_advice_stands_below_its_finding():
    lines = Diagnosis((FINE, MISSING), {}).lines()
    assert lines[0].split() == ["ok", "memory", "8", "GB"]
    assert lines[2].split("->") == [" " * 22, " install it"]


def test_only_a_fault_is_essential():
    assert Diagnosis((FINE, MISSING), {}).is_well
    assert "optional and missing: extra train" in Diagnosis((FINE, MISSING), {}).verdict()
    assert not Diagnosis((FINE, FAULT), {}).is_well
    assert Diagnosis((FAULT,), {}).verdict() == "essential and missing: packages"


def test_json_holds_findings_and_facts():
    whole = json.loads(json.dumps(Diagnosis((FINE, FAULT), {"cores": 2}).to_json()))
    assert whole["is_well"] is False
    assert whole["facts"] == {"cores": 2}
    assert whole["findings"][1]["advice"] == "install it"
