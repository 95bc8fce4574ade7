"""Networks of the Hugging Face Hub, from a stand-in that speaks its HTTP interface."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import bratstrain
from bratsprep.errors import BratsError
from bratstrain.runs.hub import located
from tests.helpers import niftis, runs

ROOT = Path(__file__).parent.parent.parent.parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"
EXTRA = "setup.py"
"""A file of code beside the network, which must not be downloaded."""


class Hub(BaseHTTPRequestHandler):
    """The two questions of a download: which files a revision has, and each file."""

    def log_message(self, *_):
        """Print nothing."""

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer(head=False)

    def answer(self, head):
        self.server.asked.append(self.path)
        folder, path = self.server.folder, self.path.split("?")[0]
        if path.startswith("/api/models/me/net/"):
            names = [*sorted(file.name for file in folder.iterdir()), EXTRA]
            siblings = [{"rfilename": name} for name in names]
            tree = [{"type": "file", "path": n, "size": 1, "oid": COMMIT} for n in names]
            info = {"id": "me/net", "modelId": "me/net", "sha": COMMIT, "siblings": siblings}
            self.send(json.dumps(tree if "/tree/" in path else info).encode(), head)
        elif path.startswith("/me/net/resolve/") and (folder / path.split("/")[-1]).is_file():
            self.send((folder / path.split("/")[-1]).read_bytes(), head)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def send(self, content, head):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not head:
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path):
    pytest.importorskip("huggingface_hub", reason="the Hub needs huggingface_hub")
    pytest.importorskip("safetensors", reason="published networks need safetensors")
    runs.write(tmp_path / "run")
    bratstrain.publish(tmp_path / "run", tmp_path / "shared")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder, server.asked = tmp_path / "shared", []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def predict(address, server, tmp_path):
    """Predict in a process of its own, whose Hub is the stand-in."""
    return subprocess.run(
        [sys.executable, "-m", "bratstrain", "predict", address, "raw", "-o", "theirs"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={
            "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf"),
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1",
        },
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_network_of_the_hub_predicts_as_the_run(hub, tmp_path):
    niftis.write_case(tmp_path / "raw")
    bratstrain.predict(tmp_path / "run", tmp_path / "raw", tmp_path / "own", device="cpu")
    done = predict("hf://me/net@v1", hub, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    own, theirs = (
        np.asarray(nib.load(tmp_path / name / "BraTS2021_00001.nii.gz").dataobj)
        for name in ("own", "theirs")
    )
    np.testing.assert_array_equal(theirs, own)
    assert any("/revision/v1" in path or "/resolve/v1/" in path for path in hub.asked)
    assert not any("resolve" in path and EXTRA in path for path in hub.asked)


@pytest.mark.slow
@pytest.mark.usefixtures("forked_python")
def test_network_that_is_not_there_is_named(hub, tmp_path):
    niftis.write_case(tmp_path / "raw")
    done = predict("hf://me/other", hub, tmp_path)
    assert done.returncode == 1
    assert "hf://me/other: cannot be downloaded" in done.stderr


@pytest.mark.parametrize("address", ["hf://me", "hf:/me/net", "hf://me/net/more", "hf://../a"])
def test_address_that_is_none_is_refused(address):
    with pytest.raises(BratsError, match="is no address"):
        located(address)


def test_folder_is_taken_as_it_is(tmp_path):
    assert located(tmp_path) == tmp_path
    assert located("runs/a") == Path("runs/a")


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        located("hf://me/net")
    assert caught.value.name == "huggingface_hub"
