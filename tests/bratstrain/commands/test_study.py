"""`bratstrain study` as a user meets it: its output, its exit codes, and what a kill costs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import bratsprep
from bratstrain.commands.cli import main
from bratstrain.studies.study_file import SHIPPED
from tests.helpers.studies import FILE, phantoms, written

ROOT = Path(__file__).parent.parent.parent.parent


def invoke(*words):
    return CliRunner().invoke(main, ["study", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deck", "--raw", "raw"), "has profiles; choose one with --profile; known: full, demo"),
        (("deck", "--raw", "raw", "--profile", "big"), "[profile.big] does not exist"),
        (("deck", "--raw", "raw", "--profile", "demo", "--workers", "-1"), "workers must be"),
        (("deck", "--profile", "demo"), "Missing option '--raw'"),
    ],
)
def test_faults_of_the_call_exit_with_2(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("desk", "--raw", "raw"), "is neither a file nor a built-in study"),
        (("negatives", "--raw", "raw", "--profile", "demo"), "raw"),
    ],
)
def test_faults_of_the_data_exit_with_1(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*words)
    assert result.exit_code == 1
    assert message in result.output


def wait_for(is_there, seconds=600):
    """Wait until something is there."""
    end = time.monotonic() + seconds
    while not is_there() and time.monotonic() < end:
        time.sleep(0.01)
    assert is_there()


def begun(folder, raw):
    """Begin the small study in another process."""
    words = ["study", str(folder / "small.toml"), "--raw", str(raw), "-o", str(folder / "out")]
    code = "from bratstrain.commands.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words, "--device", "cpu", "--threads", "1"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def stamps(folder):
    """Inode and time of each file of a run folder, its lock aside."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.slow
def test_killed_study_goes_on_and_leaves_finished_runs_as_they_are(tmp_path):
    raw = phantoms(tmp_path)
    written(tmp_path, FILE.replace("steps = 4", "steps = 40"))
    runs = tmp_path / "out" / "runs"
    first = begun(tmp_path, raw)
    wait_for(lambda: list(runs.glob("plain-*/log.jsonl")))
    first.kill()
    first.communicate()
    (leaky,) = runs.glob("leaky-*")
    (plain,) = runs.glob("plain-*")
    before = stamps(leaky)
    assert not list(plain.glob("evaluation-test-raw*"))
    second = begun(tmp_path, raw)
    out, err = second.communicate()
    assert second.returncode == 0, err
    assert stamps(leaky) == before
    assert "run 1 of 3: leaky is finished" in err
    assert "3 of 3 experiments on raw" in out


@pytest.fixture
def one_thread():
    """So small a network is fitted soonest by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["context", "deck", "negatives"])
def test_shipped_study_runs_on_phantoms(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bratsprep.phantoms("raw", cases=8, shape=(32, 32, 24), workers=1)
    result = invoke(SHIPPED / f"{name}.toml", "--raw", "raw", "--profile", "demo",
                    "--device", "cpu", "--threads", "1")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Path(f"runs/{name}-demo/study.csv").is_file()
    assert "claims" in result.output
