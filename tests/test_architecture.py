"""Structure that no linter checks; what holds the numbers is `benchmarks/structure.py`."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import structure

ROOT = Path(__file__).parent.parent
MODULES = structure.every_module()


def test_half_of_the_files_are_short():
    assert statistics.median(module.lines for module in MODULES) <= structure.MEDIAN_LINES


def test_no_file_is_long():
    assert [*structure.long_files(MODULES)] == []


def test_no_function_is_long():
    assert [*structure.long_functions(MODULES)] == []


def test_few_modules_are_small():
    assert len([*structure.small_modules(MODULES)]) <= structure.MAX_SMALL


def test_no_function_imports():
    assert [*structure.hidden_imports(MODULES)] == []


def test_no_modules_import_each_other_in_a_circle():
    assert structure.import_circle(*structure.PACKAGES) == []


def test_every_array_parameter_has_its_shape_and_dtype_described():
    assert [*structure.undescribed_arrays(MODULES)] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bratsprep.slicefile.schema", ["numba", "nibabel", "torch"]),
        ("bratsprep.cli", ["numba", "nibabel", "torch", "h5py", "matplotlib", "numpy"]),
        ("bratstrain.commands.cli", ["numba", "nibabel", "torch", "h5py", "matplotlib", "numpy"]),
        ("bratsprep.building.builder", ["torch", "matplotlib"]),
    ],
)
def test_import_is_light(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
