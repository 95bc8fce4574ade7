"""`bratstrain study` as a user meets it: its output, its exit codes, and what a kill costs."""

import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import bratsprep
from bratstrain.commands.cli import main
from bratstrain.studies.study_file import SHIPPED
from tests.helpers import forks
from tests.helpers.studies import FILE, phantoms, written


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
    return forks.begin(forks.commanding, words_of(folder, raw))


def words_of(folder, raw):
    """Words of the call."""
    words = ["study", str(folder / "small.toml"), "--raw", str(raw), "-o", str(folder / "out")]
    return [*words, "--device", "cpu", "--threads", "1"]


def stamps(folder):
    """Inode and time of each file of a run folder, its lock aside."""
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_killed_study_goes_on_and_leaves_finished_runs_as_they_are(tmp_path):
    raw = phantoms(tmp_path)
    written(tmp_path, FILE.replace("steps = 4", "steps = 40"))
    runs = tmp_path / "out" / "runs"
    first = begun(tmp_path, raw)
    wait_for(lambda: list(runs.glob("plain-*/log.jsonl")))
    forks.kill(first)
    (leaky,) = runs.glob("leaky-*")
    (plain,) = runs.glob("plain-*")
    before = stamps(leaky)
    assert not list(plain.glob("evaluation-test-raw*"))
    second = CliRunner().invoke(main, words_of(tmp_path, raw))
    assert second.exit_code == 0, second.output
    assert stamps(leaky) == before
    assert "run 1 of 3: leaky is finished" in second.stderr
    assert "3 of 3 experiments on raw" in second.stdout


DEMO = "width = 8, depth = 3, steps = 120, validate_steps = 60"
"""In every shipped study: what makes its demo last minutes."""
SHORTER = {
    DEMO: "width = 2, depth = 3, steps = 6, validate_steps = 3",
    "steps = 360": "steps = 12",
    "seeds = [0, 1]": "seeds = [0]",
    "seeds = [0, 1, 2]": "seeds = [0, 1]",
}
"""What makes it last seconds."""


@pytest.fixture
def one_thread():
    """So small a network is fitted soonest by one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["context", "deck", "learning", "negatives"])
def test_shipped_study_runs_on_phantoms(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bratsprep.phantoms("raw", cases=8, shape=(32, 32, 24), workers=1)
    text = (SHIPPED / f"{name}.toml").read_text()
    assert text.count(DEMO) == 1
    for demo, short in SHORTER.items():
        text = text.replace(demo, short)
    Path(f"{name}.toml").write_text(text)
    result = invoke(f"{name}.toml", "--raw", "raw", "--profile", "demo",
                    "--device", "cpu", "--threads", "1")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert Path(f"runs/{name}-demo/study.csv").is_file()
    assert "claims" in result.output
