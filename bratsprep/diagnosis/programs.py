"""What is outside the packages: GPU, libdeflate, kernels, and a browser for the pages' tests."""

import json
import shutil
from collections.abc import Callable
from typing import Any, Final

from bratsprep.diagnosis.asking import ask
from bratsprep.diagnosis.findings import Finding
from bratsprep.system.kernel_cache import ADVICE, is_temporary

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_TORCH: Final = """
import json, torch
cuda = torch.cuda.is_available()
devices = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
print(json.dumps({
    "torch": torch.__version__, "cuda": torch.version.cuda, "usable": cuda,
    "devices": [{"name": one.name, "memory_bytes": one.total_memory} for one in devices],
    "threads": torch.get_num_threads(),
}))
"""
_LIBDEFLATE: Final = """
from bratsprep.deflate.libdeflate import libdeflate
print("found" if libdeflate() else "none")
"""
Which = Callable[[str], str | None]


def check_gpu(has_torch: bool, which: Which = shutil.which) -> tuple[Finding, dict[str, Any]]:
    """Ask torch, in a process of its own, for the GPUs that it can use.

    Args:
        has_torch: whether torch is installed.
        which: finds a program.
    """
    has_driver = which("nvidia-smi") is not None
    if not has_torch:
        text = "not asked, since torch is not installed"
        return Finding("GPU", "note", text), {"asked": False, "driver": has_driver}
    answer = ask(_TORCH)
    if answer.text is None:
        advice = "reinstall torch as https://pytorch.org/get-started says"
        return Finding("GPU", "missing", f"torch fails: {answer.fault}", advice), {"asked": True}
    facts: dict[str, Any] = {"asked": True, "driver": has_driver, **json.loads(answer.text)}
    return gpu_finding(facts), facts


def gpu_finding(facts: dict[str, Any]) -> Finding:
    """Judge what torch said.

    Args:
        facts: `devices`, `usable`, `cuda`, `torch` and `driver`.
    """
    if facts["usable"]:
        names = [f"{one['name']} ({one['memory_bytes'] / 1e9:.0f} GB)" for one in facts["devices"]]
        return Finding("GPU", "ok", f"{', '.join(names)}, CUDA {facts['cuda']}")
    if facts["driver"]:
        build = f"CUDA {facts['cuda']}" if facts["cuda"] else "the CPU alone"
        text = f"a driver is installed, but torch {facts['torch']} (for {build}) cannot use it"
        advice = "install a torch for your driver: https://pytorch.org/get-started"
        return Finding("GPU", "missing", text, advice)
    return Finding("GPU", "note", "none; networks are fitted on the CPU")


def check_libdeflate() -> tuple[Finding, dict[str, Any]]:
    """Look for the libdeflate that reads slices in one call."""
    answer = ask(_LIBDEFLATE)
    found = answer.text == "found"
    if found:
        return Finding("libdeflate", "ok", "found, slices are read in one call"), {"found": True}
    text = answer.fault or "not found: slices are read one by one, several times as slowly"
    advice = "pip install --force-reinstall --only-binary :all: imagecodecs"
    return Finding("libdeflate", "missing", text, advice), {"found": False}


def check_kernels() -> tuple[Finding, dict[str, Any]]:
    """Say whether compiled kernels are kept."""
    if not is_temporary():
        return Finding("kernels", "ok", "kept once they are compiled"), {"kept": True}
    text = "compiled anew by every command, for up to half a minute: no folder can be written"
    return Finding("kernels", "note", text, ADVICE), {"kept": False}


def check_browser(which: Which = shutil.which) -> tuple[Finding, dict[str, Any]]:
    """Look for Chromium, which only the tests of the pages and their pictures need.

    Args:
        which: finds a program.
    """
    path = next((found for name in BROWSERS if (found := which(name))), None)
    if path is None:
        text = "not found; only the tests of the HTML pages need it"
        return Finding("Chromium", "note", text), {"path": None}
    return Finding("Chromium", "ok", path), {"path": path}
