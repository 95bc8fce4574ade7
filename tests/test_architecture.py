"""The house: a module may import only from the floors under it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = {  # top floor first; the list is the architecture in text
    "bratsprep": [
        "cli",
        "pager twinner",
        "evidence page_body",
        "builder inspector previewer verifier",
        "inspection page_charts page_sketch plots recompute",
        "balance convert journal phantom reader schemes summary workers",
        "backend layout phantom_write scan writer",
        "chunks digest manifest nifti normalise phantom_paint storage",
        "anatomy codec crop draft",
        "fetch histograms mask_details naming recompute_prints schema source",
        "ahead",
        "contents fingerprint heaps kernels labels members streams subjects twin_search",
        "case config deflate inflate page_parts start whole widen",
        "errors foreign highpass huffman lanes lookup moments native pages peak png shade",
        "symbols",
    ],
    "bratstrain": [
        "cli",
        "page_commands study_commands",
        "commands",
        "study_runner",
        "study_page",
        "comparer reporter study_table",
        "compare_page run_page study_rows",
        "comparison score_page",
        "ranks",
        "scored viewing",
        "engine evaluator exporter figure predictor",
        "aims job run",
        "inputs pairs trainer",
        "inference labelmap postprocess tables validate",
        "columns",
        "aggregate fitted loader",
        "case_page charts checkpoint metrics study_file",
        "dataset lesions models page recipes twins",
        "adamw augment blocks config device losses paired published runlog",
        "sampler schedule signals splits sprites stopping surface",
        "components nearest",
    ],
}
# All that bratstrain may take from bratsprep.
DOOR = {
    "case", "config", "convert", "crop", "errors", "kernels", "labels", "layout", "nifti",
    "page_parts", "peak", "png", "reader", "scan", "schema", "schemes", "source", "subjects",
    "twin_search", "whole",
}  # fmt: skip
MODULES = sorted(path for package in FLOORS for path in (ROOT / package).glob("[!_]*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def floor(package, module):
    return next(i for i, names in enumerate(FLOORS[package]) if module in names.split())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_imports_run_downhill(path):
    package = path.parent.name
    for name in imports(path):
        parts = name.split(".")
        if len(parts) < 2 or not (ROOT / parts[0] / f"{parts[1]}.py").exists():
            continue
        if parts[0] != package:
            assert package == "bratstrain", f"{path.name}: bratsprep must not know bratstrain"
            assert parts[1] in DOOR, f"{path.name}: bratsprep.{parts[1]} is not on the door list"
        else:
            assert floor(package, path.stem) < floor(package, parts[1]), name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_file_is_two_files(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_import_hides_inside_a_function(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            inner = [n for n in ast.walk(node) if isinstance(n, ast.Import | ast.ImportFrom)]
            assert not inner, f"{path.name}:{inner[0].lineno}"


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bratsprep.schema", ["numba", "nibabel", "torch"]),
        ("bratsprep.cli", ["numba", "nibabel", "torch", "h5py", "matplotlib", "numpy"]),
        ("bratstrain.cli", ["numba", "nibabel", "torch", "h5py", "matplotlib", "numpy"]),
        ("bratsprep.builder", ["torch", "matplotlib"]),
    ],
)
def test_import_is_light(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
