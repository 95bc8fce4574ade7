"""The installed packages: which are missing, too old, or cannot be imported."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from bratsprep.diagnosis.asking import ask
from bratsprep.diagnosis.findings import Finding

OWN: Final = "bratsprep"
DEVELOPERS: Final = ("test", "check", "docs", "all")
"""Extras that no command uses."""
PURPOSES: Final = {
    "train": "fitting and applying networks",
    "plot": "figures",
    "export": "ONNX export",
    "hub": "networks from the Hugging Face Hub",
}
_IMPORT: Final = """
import importlib, json, sys
faults = {}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        faults[name] = f"{type(error).__name__}: {error}".splitlines()[0]
print(json.dumps(faults))
"""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that the project needs."""

    name: str
    extra: str
    """Extra that it belongs to; empty for what is always needed."""
    lowest: str
    """Oldest version that is accepted; empty for any."""

    @property
    def module(self) -> str:
        """Name to import it by."""
        return self.name.lower().replace("-", "_")


def requirements(lines: Sequence[str] | None = None) -> list[Requirement]:
    """Read the requirements of the installed project.

    Args:
        lines: as the metadata state them; those of the installed project by default.
    """
    found = []
    for line in (requires(OWN) or ()) if lines is None else lines:
        specifier, _, marker = line.partition(";")
        name = re.split(r"[^\w.-]", specifier.strip(), maxsplit=1)[0]
        lowest = re.search(r">=\s*([\d.]+)", specifier)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", marker)
        group = extra[1] if extra else ""
        if name != OWN and group not in DEVELOPERS:
            found.append(Requirement(name, group, lowest[1] if lowest else ""))
    return found


def installed_version(name: str) -> str | None:
    """Version of an installed package; None where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_packages(needed: Sequence[Requirement]) -> tuple[list[Finding], dict[str, str | None]]:
    """Examine packages: those of an extra together, those that are always needed one by one.

    Args:
        needed: packages to look for.

    Returns:
        What was found, and the version of each package.
    """
    versions = {one.name: installed_version(one.name) for one in needed}
    faults = import_faults([one.module for one in needed if versions[one.name]])
    findings = []
    for extra in dict.fromkeys(one.extra for one in needed):
        group = [one for one in needed if one.extra == extra]
        wrong = [fault for one in group if (fault := fault_of(one, versions[one.name], faults))]
        subject = f"extra {extra}" if extra else "packages"
        if wrong:
            findings.append(
                Finding(
                    subject, "missing" if extra else "fault", "; ".join(wrong), advice_for(extra)
                )
            )
        else:
            shown = ", ".join(f"{one.name} {versions[one.name]}" for one in group)
            findings.append(Finding(subject, "ok", shown))
    return findings, versions


def advice_for(extra: str) -> str:
    """How to install the packages of an extra, or those that are always needed."""
    if not extra:
        return "pip install --upgrade --force-reinstall bratsprep"
    purpose = f" (for {PURPOSES[extra]})" if extra in PURPOSES else ""
    return f"pip install 'bratsprep[{extra}]'{purpose}"


def fault_of(needed: Requirement, present: str | None, faults: dict[str, str]) -> str:
    """State what is wrong with a package; empty where nothing is."""
    if present is None:
        return f"{needed.name} is not installed"
    if needed.lowest and as_numbers(present) < as_numbers(needed.lowest):
        return f"{needed.name} {present} is older than {needed.lowest}"
    fault = faults.get(needed.module)
    return f"{needed.name} {present} cannot be imported: {fault}" if fault else ""


def as_numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version, for a comparison; zeros at the end do not count."""
    numbers = [int(part) for part in re.split(r"[^\d.]", text, maxsplit=1)[0].split(".") if part]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def import_faults(modules: Sequence[str]) -> dict[str, str]:
    """Import modules in a process of their own, which may die of it.

    Returns:
        The error of each that cannot be imported.
    """
    answer = ask(_IMPORT, *modules)
    if answer.text is not None:
        faults: dict[str, str] = json.loads(answer.text)
        return faults
    if len(modules) == 1:
        return {modules[0]: answer.fault}
    alone = [import_faults([name]) for name in modules]
    return {name: fault for found in alone for name, fault in found.items()}
