"""Missing, old and broken packages."""

import pytest

from bratsprep.diagnosis import packages
from bratsprep.diagnosis.asking import Answer
from bratsprep.diagnosis.packages import Requirement

LINES = [
    "click>=8.1",
    "indexed_gzip >= 1.9",
    "tqdm",
    'torch>=2.4; extra == "train"',
    "bratsprep[train]; extra == 'all'",
    'mypy>=1.13; extra == "test"',
    "tensorboard>=2.16 ; python_version > '3' and extra == 'train'",
]


def test_requirements_are_read_from_metadata():
    assert packages.requirements(LINES) == [
        Requirement("click", "", "8.1"),
        Requirement("indexed_gzip", "", "1.9"),
        Requirement("tqdm", "", ""),
        Requirement("torch", "train", "2.4"),
        Requirement("tensorboard", "train", "2.16"),
    ]


def test_requirements_of_the_installation_hold_numpy():
    assert "numpy" in {one.name for one in packages.requirements()}


def examined(monkeypatch, versions, faults, needed):
    monkeypatch.setattr(packages, "installed_version", versions.get)
    monkeypatch.setattr(packages, "import_faults", lambda _: faults)
    return packages.check_packages(needed)


@pytest.mark.parametrize(
    ("versions", "faults", "state", "text"),
    [
        ({"a": "1.10"}, {}, "ok", "a 1.10"),
        ({"a": "1.9.0"}, {}, "ok", "a 1.9.0"),
        ({}, {}, "fault", "a is not installed"),
        ({"a": "1.8.9rc1"}, {}, "fault", "a 1.8.9rc1 is older than 1.9"),
        ({"a": "2.0+cpu"}, {"a": "OSError: gone"}, "fault", "cannot be imported: OSError: gone"),
    ],
    ids=["newer", "as old as allowed", "missing", "too old", "broken"],
)
def test_package_that_is_always_needed(monkeypatch, versions, faults, state, text):
    findings, _ = examined(monkeypatch, versions, faults, [Requirement("a", "", "1.9")])
    assert [one.state for one in findings] == [state]
    assert text in findings[0].text
    assert bool(findings[0].advice) == (state == "fault")


def test_package_of_an_extra_is_optional(monkeypatch):
    needed = [Requirement("torch", "train", "2.4"), Requirement("b", "train", "")]
    findings, versions = examined(monkeypatch, {"b": "1"}, {}, needed)
    assert findings[0].state == "missing"
    assert "pip install 'bratsprep[train]'" in findings[0].advice
    assert versions == {"torch": None, "b": "1"}


def test_version_without_numbers_is_the_oldest():
    assert packages.as_numbers("unknown") < packages.as_numbers("0.1")


def test_import_faults_are_found():
    faults = packages.import_faults(["json", "no_such_module_at_all"])
    assert list(faults) == ["no_such_module_at_all"]
    assert faults["no_such_module_at_all"].startswith("ModuleNotFoundError")


def test_module_that_kills_the_process_is_named(monkeypatch):
    def dies(_, *modules):
        return Answer(None, "killed") if "bad" in modules else Answer("{}", "")

    monkeypatch.setattr(packages, "ask", dies)
    assert packages.import_faults(["good", "bad"]) == {"bad": "killed"}


def test_package_that_is_not_there_has_no_version():
    assert packages.installed_version("no-such-package-at-all") is None
