"""Structure that no linter knows: file sizes, imports inside functions, and light imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path for package in ("bratsprep", "bratstrain") for path in (ROOT / package).rglob("[!_]*.py")
)
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_file_is_two_files(path):
    assert len(path.read_text().splitlines()) <= 500


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_no_import_hides_inside_a_function(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not inner, f"{path.name}:{inner[0].lineno}"


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
