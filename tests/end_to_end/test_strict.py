"""The commands in Python's development mode, with every warning an error and one core alone."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not hasattr(os, "sched_setaffinity"), reason="this system cannot keep a process to a core"
    ),
]
RUN = """
import os, runpy
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
runpy.run_module("%s", run_name="__main__")
"""
FIT = ("--model", "residual", "--width", "4", "--depth", "2", "--batch", "4", "--steps", "12",
       "--test-share", "0.3", "--device", "cpu")  # fmt: skip
BUILD = ("--crop", "32x32", "--negatives", "0.5", "--workers", "2")
COMMANDS = {
    "help of bratsprep": ("bratsprep", "--help"),
    "help of bratstrain": ("bratstrain", "--help"),
    "phantom": ("bratsprep", "phantom", "raw", "--cases", "6", "--shape", "32x32x16"),
    "build": ("bratsprep", "build", "raw", "train.h5", *BUILD),
    "verify": ("bratsprep", "verify", "train.h5", "raw"),
    "inspect": ("bratsprep", "inspect", "train.h5", "--html", "inspect.html"),
    "preview": ("bratsprep", "preview", "train.h5", "-o", "preview.png"),
    "fit": ("bratstrain", "fit", "train.h5", "--run", "run", *FIT),
    "evaluate": ("bratstrain", "evaluate", "run", "--raw", "raw", "--split", "test"),
    "predict": ("bratstrain", "predict", "run", "raw", "-o", "predicted"),
    "report": ("bratstrain", "report", "run", "--raw", "raw", "--split", "test", "-o", "r.html"),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Every command in turn, each a process of its own."""
    folder = tmp_path_factory.mktemp("strict")
    strict = [sys.executable, "-X", "dev", "-W", "error", "-c"]
    return {
        name: subprocess.run(
            [*strict, RUN % package, *words],
            cwd=folder, capture_output=True, text=True, check=False,
        )
        for name, (package, *words) in COMMANDS.items()
    }  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_command_ends_well_on_one_core_without_a_warning(done, name):
    said = done[name].stderr
    assert done[name].returncode == 0, said
    assert not [word for word in ("Warning", "Exception ignored", "Traceback") if word in said], (
        said
    )


COUNT = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from %s import cores
print(cores())
"""


@pytest.mark.parametrize("module", ["bratsprep.system.threads", "bratstrain.device"])
def test_one_core_is_all_that_is_counted(module):
    command = [sys.executable, "-c", COUNT % module]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "1\n"
