"""Every command with paths that people have: spaces, other alphabets, quotes, options' looks."""

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main as prep
from bratsprep.errors import BratsError
from bratstrain.commands.cli import main as train
from tests.helpers import studies
from tests.helpers.fitfiles import one_thread  # noqa: F401  for every test here

CPU = ("--device", "cpu")


def called(program, *arguments):
    done = CliRunner().invoke(program, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a b  c", "Ünïcode 脳 🧠", "-x", "it's $HOME; #1", "%20 {x}"])
def test_every_command_takes_any_path(tmp_path, monkeypatch, name):
    """Kept relative, so that a name that looks like an option is met too."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    place = "./" + name
    raw, data, run = f"{place} raw", f"{place}.h5", f"{place} run"
    called(prep, "phantom", raw, "--cases", 6, "--shape", "32x32x16")
    called(prep, "build", raw, data, "--crop", "32x32", "--workers", 1)
    called(prep, "verify", data, raw)
    called(prep, "inspect", data, "--plot", f"{place} plot.png", "--html", f"{place}.html")
    called(prep, "preview", data, "-o", f"{place}.png")
    called(prep, "twins", raw, "-o", f"{place}.csv")
    called(prep, "build", raw, f"{place} again.h5", "--crop", "32x32", "--subjects", f"{place}.csv")
    called(train, "fit", data, "--run", run, "--width", 2, "--depth", 2, "--steps", 2, "--batch", 2,
           *CPU)  # fmt: skip
    called(train, "evaluate", run, "--raw", raw, *CPU)
    said = called(train, "predict", run, raw, "-o", f"{place} out", *CPU)
    assert len(list((folder / f"{name} out").glob("*.nii.gz"))) == 6
    assert f"{name} out" in said
    called(train, "report", run, "--raw", raw, "-o", f"{place} report.html", *CPU)
    shutil.copytree(run, f"{place} run 2")
    called(train, "compare", run, f"{place} run 2", "--data", data, "-o", f"{place} c.html", *CPU)
    called(train, "export", run, f"{place}.onnx")


def test_page_is_made_of_a_name_that_is_no_text(tmp_path):
    raw = Path(os.fsdecode(os.fsencode(tmp_path) + b"/raw\xff"))
    try:
        bratsprep.phantoms(raw, cases=1, shape=(32, 32, 16))
    except BratsError:
        pytest.skip("this file system takes text alone")
    bratsprep.inspect_page(raw, tmp_path / "x.html", workers=1)
    assert r"raw\udcff" in (tmp_path / "x.html").read_text()


@pytest.mark.slow
def test_study_takes_any_path(tmp_path, monkeypatch):
    folder = tmp_path / "it's 脳 {x} %20"
    folder.mkdir()
    monkeypatch.chdir(folder)
    called(prep, "phantom", "a raw", "--cases", 6, "--shape", "32x32x16")
    file = studies.written(folder).rename(folder / "a 脳.toml")
    called(train, "study", file.name, "--raw", "a raw", "-o", "an out", "--workers", 1, *CPU)
    assert (folder / "an out").is_dir()
