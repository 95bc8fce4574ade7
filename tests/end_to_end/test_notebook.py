"""The notebook runs from top to bottom, twice: the second time goes on with what the first left.

Its cells are run by IPython's own shell in a process of its own, which knows `!` and `%pip`; a
Jupyter kernel beside it would add sockets, ports and a dozen packages, and run the same cells.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bratsprep

NOTEBOOK = Path(__file__).parent.parent.parent / "notebooks" / "colab.ipynb"
RUNNER = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for number, source in enumerate(json.load(sys.stdin)):
    shell.user_ns["_exit_code"] = 0
    done = shell.run_cell(source, store_history=True)
    if not done.success or shell.user_ns["_exit_code"]:
        sys.exit(f"cell {number} failed: {source}")
"""
SETTINGS = """
RAW = "raw.tar"
FILE = "train.h5"
RUN = "runs/first"
PREDICTED = "predicted"
BUILD = "--crop 64x64"
FIT = (
    "--test-share 0.25 --model residual --width 4 --depth 3 --batch 8 --lr 5e-3 --device cpu"
)
MINUTES = 0.03
"""


def cells(kind="code"):
    """Cells of the notebook of one kind."""
    return [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == kind]


def sources():
    """Code of the notebook, the test's settings behind its own."""
    found = []
    for cell in cells():
        found.append("".join(cell["source"]))
        if "parameters" in cell["metadata"].get("tags", ()):
            found.append(SETTINGS)
    return found


def run(folder, until=""):
    """Run every cell in a folder, or those up to the one that holds some text."""
    found = sources()
    last = next((n for n, source in enumerate(found, 1) if until and until in source), len(found))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    away = {"IPYTHONDIR": str(folder / "ipython"), "PATH": path}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", RUNNER], input=json.dumps(found[:last]), cwd=folder,
        env={**os.environ, **away}, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Folder of two runs of the notebook, and what each said."""
    folder = tmp_path_factory.mktemp("notebook")
    bratsprep.phantoms(folder / "raw", cases=8, shape=(64, 64, 32), archive="tar")
    return folder, [run(folder), run(folder, until="bratstrain fit")]


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(ran):
    first = ran[1][0]
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]


@pytest.mark.slow
def test_it_runs_again_where_it_was_cut_off(ran):
    again = ran[1][1]
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert "complete already, nothing to do" in again.stdout
    assert "is complete already" in again.stdout


@pytest.mark.slow
def test_it_leaves_pages_and_a_prediction(ran):
    folder = ran[0]
    assert all((folder / name).stat().st_size > 10_000 for name in ("inspect.html", "report.html"))
    assert len(list((folder / "predicted").glob("*.nii.gz"))) == 1


def test_the_notebook_holds_no_outputs():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells())


def test_the_notebook_has_one_cell_of_settings():
    tagged = [cell for cell in cells() if "parameters" in cell["metadata"].get("tags", ())]
    assert len(tagged) == 1
    assert "MINUTES = 50" in "".join(tagged[0]["source"])


def test_the_notebook_is_nbformat_4_with_ids():
    whole = json.loads(NOTEBOOK.read_text())
    ids = [cell["id"] for cell in whole["cells"]]
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    assert len(set(ids)) == len(ids)
