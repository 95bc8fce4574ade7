"""`bratstrain demo`: its steps, its refusals, and what it leaves."""

import pytest
from click.testing import CliRunner

import bratstrain
from bratsprep.errors import BratsError
from bratstrain.commands import demonstration
from bratstrain.commands.cli import main


class Recorder:
    """Stands for both programs and remembers what it is given."""

    def __init__(self, code=None):
        self.calls, self.code, self.compiled = [], code, []

    def main(self, words, prog_name, **_):
        self.calls.append([prog_name, *words])
        return self.code

    def ahead(self, *names):
        """Stand for `Ahead`, which is waited for beside the calls."""
        self.compiled = list(names)
        return self

    def wait(self, name):
        self.calls.append(name)

    def close(self):
        self.calls.append("closed")


@pytest.fixture
def recorder(monkeypatch):
    made = Recorder()
    monkeypatch.setattr(demonstration, "program", lambda _: made)
    monkeypatch.setattr(demonstration, "Ahead", made.ahead)
    return made


@pytest.mark.parametrize("quick", [False, True])
def test_steps_are_printed_and_run_in_the_folder(recorder, tmp_path, quick):
    shown = []
    folder = tmp_path / "my demo"
    done = bratstrain.demo(folder, quick=quick, tell=shown.append)
    calls = [call for call in recorder.calls if isinstance(call, list)]
    assert len(calls) == len(shown) == len(demonstration.STEPS)
    assert recorder.calls[0][:3] == ["bratsprep", "phantom", f"{folder}/raw"]
    assert shown[0].startswith(f"$ bratsprep phantom '{folder}/raw' --cases")
    assert ("6" in recorder.calls[0]) == quick
    assert all(demonstration.FOLDER not in word for call in calls for word in call)
    assert done.lines()[0].endswith("my demo/report.html")


def test_steps_wait_for_their_kernels(recorder, tmp_path):
    bratstrain.demo(tmp_path, tell=str)
    order = [call if isinstance(call, str) else call[1] for call in recorder.calls]
    assert recorder.compiled == ["build", "scores"]
    assert order[order.index("build") + 1] == "build"  # said first by the process, then the step
    assert order[order.index("scores") + 1] == "evaluate"
    assert order[-1] == "closed"


def test_smaller_steps_replace_steps():
    assert set(demonstration.SMALLER) <= set(demonstration.STEPS)


def test_folder_that_holds_something_is_refused(recorder, tmp_path):
    (tmp_path / "scan.nii").write_bytes(b"")
    with pytest.raises(BratsError, match=r"holds scan\.nii already"):
        bratstrain.demo(tmp_path)
    assert recorder.calls == []


def test_file_in_place_of_the_folder_is_refused(recorder, tmp_path):
    (tmp_path / "demo").write_bytes(b"")
    with pytest.raises(BratsError, match="cannot be used"):
        bratstrain.demo(tmp_path / "demo")
    assert recorder.calls == []


def test_missing_extra_is_named_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.setattr(demonstration, "find_spec", lambda name: None if name == "torch" else name)
    done = CliRunner().invoke(main, ["demo", str(tmp_path / "demo")])
    assert done.exit_code == 1
    assert "pip install 'bratsprep[train]'" in done.output
    assert not (tmp_path / "demo").exists()


def test_step_that_fails_stops_the_demo(recorder, tmp_path):
    recorder.code = 1
    with pytest.raises(BratsError, match="'bratsprep phantom' ended with exit code 1"):
        bratstrain.demo(tmp_path, tell=str)
    assert [call[1] for call in recorder.calls[:-1]] == ["phantom"]
    assert recorder.calls[-1] == "closed"


@pytest.mark.slow
def test_quick_demo_ends_by_naming_the_page(tmp_path):
    done = CliRunner().invoke(main, ["demo", str(tmp_path / "demo"), "--quick"])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "demo" / "report.html") in done.output.split("open ")[-1]
    assert (tmp_path / "demo" / "report.html").stat().st_size > 5_000
