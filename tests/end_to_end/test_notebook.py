"""The notebooks run from top to bottom, twice: the second time goes on with what the first left.

Their cells are run by IPython's own shell in a process of its own, which knows `!` and `%pip`; a
Jupyter kernel beside it would add sockets, ports and a dozen packages, and run the same cells.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bratsprep
from tests.helpers import notebooks

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
EARLIER = ""
FILE = "train.h5"
RUN = "runs/first"
PREDICTED = "predicted"
BUILD = "--crop 64x64"
FIT = (
    "--test-share 0.25 --model residual --width 4 --depth 3 --batch 8 --lr 5e-3 --device cpu"
)
MINUTES = 0.03
"""


VIEWER = """
class SliceType:
    MULTIPLANAR = "multiplanar"


class NiiVue:
    def load_volumes(self, volumes):
        print([(str(each["path"]), each["path"].stat().st_size > 100) for each in volumes])

    def set_slice_type(self, slice_type):
        print(slice_type)
"""
"""In place of the 3D viewer, which is no dependency: what the notebook calls of it."""


def cells(place, kind="code"):
    """Cells of a notebook of one kind."""
    whole = json.loads((notebooks.FOLDER / f"{place}.ipynb").read_text())
    return [cell for cell in whole["cells"] if cell["cell_type"] == kind]


def is_tagged(cell):
    """Whether a cell is that of the settings."""
    return "parameters" in cell["metadata"].get("tags", ())


def sources(place, more=""):
    """Code of a notebook, the test's settings behind its own."""
    found = []
    for cell in cells(place):
        found.append("".join(cell["source"]))
        if is_tagged(cell):
            found.append(SETTINGS + more)
    return found


def run(programs, folder, place, until="", more=""):
    """Run every cell in a folder, or those up to the one that holds some text."""
    found = sources(place, more)
    last = next((n for n, source in enumerate(found, 1) if until and until in source), len(found))
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    away = {"IPYTHONDIR": str(folder / "ipython"), "PATH": path}
    return subprocess.run(
        [programs / "python", "-W", "error", "-c", RUNNER], input=json.dumps(found[:last]),
        cwd=folder, env={**os.environ, **away}, capture_output=True, text=True, check=False,
        timeout=600,
    )  # fmt: skip


def run_viewer(programs, folder, place):
    """Run the settings, the imports and the last cell, where the others have been run."""
    *_, found = sources(place)
    begin = f'import importlib.util\nfrom pathlib import Path\ncase = "{predicted_case(folder)}"\n'
    away = {"IPYTHONDIR": str(folder / "ipython")}
    return subprocess.run(
        [programs / "python", "-W", "error", "-c", RUNNER],
        input=json.dumps([begin, SETTINGS, found]), cwd=folder, env={**os.environ, **away},
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def predicted_case(folder):
    """Id of the only case that has been predicted."""
    (label,) = (folder / "predicted").glob("*.nii.gz")
    return label.name.removesuffix(".nii.gz")


@pytest.fixture(scope="module", params=notebooks.PLACES)
def place(request):
    return request.param


@pytest.fixture(scope="module")
def ran(programs, tmp_path_factory, place):
    """Folder of two runs of the notebook, and what each said."""
    folder = tmp_path_factory.mktemp("notebook")
    bratsprep.phantoms(folder / "raw", cases=8, shape=(64, 64, 32), archive="tar")
    until = "bratstrain fit"
    return folder, [run(programs, folder, place), run(programs, folder, place, until)]


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


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ipyniivue") is not None, reason="it is installed")
def test_it_says_that_there_is_no_viewer(ran):
    assert "no 3D viewer: run '%pip install ipyniivue'" in ran[1][0].stdout


@pytest.mark.slow
def test_the_viewer_is_given_scan_and_prediction(ran, programs, place):
    folder = ran[0]
    package = folder / "ipyniivue.py"
    package.write_text(VIEWER)
    shown = run_viewer(programs, folder, place)
    package.unlink()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    label = f"predicted/{predicted_case(folder)}.nii.gz"
    assert f"[('scan.nii.gz', True), ('{label}', True)]" in shown.stdout


@pytest.mark.slow
def test_the_run_of_an_earlier_session_is_taken_over(tmp_path, ran, programs, place):
    if place != "kaggle":
        pytest.skip("the run is in Drive, where it stays")
    for name in ("raw.tar", "train.h5"):
        shutil.copy(ran[0] / name, tmp_path / name)
    earlier = ran[0] / "runs" / "first"
    more = f"EARLIER = {str(earlier)!r}\n"
    again = run(programs, tmp_path, place, "bratstrain fit", more)
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    assert f"goes on with {earlier}" in again.stdout
    assert "is complete already" in again.stdout


def test_the_notebook_is_made_from_the_source(place):
    assert (notebooks.FOLDER / f"{place}.ipynb").read_text() == notebooks.notebook(place)


def test_the_notebook_holds_no_outputs(place):
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells(place))


def test_the_notebook_has_one_cell_of_settings(place):
    (tagged,) = filter(is_tagged, cells(place))
    text = "".join(tagged["source"])
    assert f"MINUTES = {notebooks.PLACES[place]} " in text
    assert ("/kaggle/input/" in text) is (place == "kaggle")


def test_the_notebook_is_nbformat_4_with_ids(place):
    whole = json.loads((notebooks.FOLDER / f"{place}.ipynb").read_text())
    ids = [cell["id"] for cell in whole["cells"]]
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    assert len(set(ids)) == len(ids)
