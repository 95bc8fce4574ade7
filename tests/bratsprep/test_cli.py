import contextlib
import json
import os
import pty
import subprocess
import sys
import termios

import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import Size, main
from bratsprep.slicefile.writer import SliceWriter
from tests.helpers.stops import stop_after

SHAPE = "44x50x20"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "msd", cases=3, shape=(44, 50, 20), workers=1
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


def test_the_way_through(run, tmp_path):
    assert run("phantom", "raw", "--cases", 3, "--shape", SHAPE).exit_code == 0
    built = run("build", "raw", "train.h5", "--crop", "48x48")
    assert built.exit_code == 0
    assert "Decathlon Task01, labels msd" in built.output
    assert "3 cases of 3 subjects" in built.output
    assert "0 brain and 0 tumour voxels outside the crop" in built.output
    assert run("verify", "train.h5", "raw").output.startswith("train.h5: ok")
    assert "BRATS" in run("inspect", "train.h5", "--plot", "balance.png").output
    assert json.loads(run("inspect", "raw", "--json").output)["cases"] == 3
    assert run("preview", "train.h5", "-o", "page.png").exit_code == 0
    for picture in ("balance.png", "page.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_faults_of_the_data_exit_with_1(run, raw):
    result = run("build", "nowhere", "out.h5")
    assert result.exit_code == 1
    assert "nowhere" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("--crop", "big"), ("--negatives", "2"), ("--margin", "-1"), ("--slices", "some"),
        ("--dtype", "int16"), ("--max-ram", "lots"), ("--normalise", "none", "--dtype", "float16"),
    ],
)  # fmt: skip
def test_faults_of_the_call_exit_with_2(run, raw, words):
    assert run("build", raw, "out.h5", *words).exit_code == 2


def test_phantom_shape_must_have_three_sides(run):
    assert run("phantom", "raw", "--shape", "12x12").exit_code == 2


def test_skipped_cases_exit_with_1_and_are_listed(run, tmp_path):
    folder = bratsprep.phantoms(tmp_path / "raw", cases=2, shape=(44, 50, 20), workers=1)
    image = folder / "imagesTr" / "BRATS_001.nii.gz"
    image.write_bytes(image.read_bytes()[:-900])
    result = run("build", folder, "out.h5", "--on-error", "skip")
    assert result.exit_code == 1
    assert "skipped  1 case:\n  BRATS_001: " in result.output
    assert (tmp_path / "out.h5").exists()


def test_interrupt_says_how_to_go_on(run, raw, monkeypatch):
    stop_after(monkeypatch, SliceWriter, 0)
    result = run("build", raw, "out.h5")
    assert result.exit_code == 1
    assert "out.h5: stopped; repeat the same command to resume" in result.output


def test_config_file_takes_the_same_names(run, raw, tmp_path):
    (tmp_path / "prep.toml").write_text('crop = "48x40"\nslices = "brain"\nworkers = 1\n')
    assert run("build", raw, "out.h5", "--config", "prep.toml").exit_code == 0
    with bratsprep.open(tmp_path / "out.h5") as file:
        assert file.shape == (48, 40)
        assert file.config.slices == "brain"


def test_command_line_goes_before_the_config_file(run, raw, tmp_path):
    (tmp_path / "prep.toml").write_text('crop = "48x40"\n')
    run("build", raw, "out.h5", "--config", "prep.toml", "--crop", "40x40")
    with bratsprep.open(tmp_path / "out.h5") as file:
        assert file.shape == (40, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [("colour = 1", "unknown setting colour"), ("crop = [", "prep.toml")],
    ids=["unknown", "broken"],
)
def test_a_wrong_config_file_exits_with_2(run, raw, tmp_path, text, message):
    (tmp_path / "prep.toml").write_text(text)
    result = run("build", raw, "out.h5", "--config", "prep.toml")
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize(
    ("text", "size"), [("900M", 900 << 20), ("2G", 2 << 30), ("1.5g", 3 << 29), ("64kb", 64 << 10)]
)
def test_sizes_are_read(text, size):
    assert Size().convert(text, None, None) == size


def test_build_prints_its_notes(run, tmp_path):
    folder = bratsprep.phantoms(
        tmp_path / "raw", cases=1, shape=(44, 50, 20), layout="brats2020", workers=1
    )
    case = folder / "BraTS20_Training_001"
    (case / "BraTS20_Training_001_seg.nii.gz").rename(case / "W39_1998.09.19_Segm.nii.gz")
    assert "note" in run("build", folder, "out.h5").output


def test_missing_extra_is_named(run, raw, monkeypatch):
    run("build", raw, "out.h5")
    for name in ("previewer", "figures"):
        monkeypatch.delitem(sys.modules, f"bratsprep.inspection.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("preview", "out.h5", "-o", "page.png")
    assert result.exit_code == 1
    assert "matplotlib is missing; install it with: pip install 'bratsprep[plot]'" in result.output


@pytest.mark.usefixtures("forked_python")
def test_progress_is_drawn_on_a_terminal_only(raw, tmp_path):
    command = [sys.executable, "-m", "bratsprep", "build", raw]
    quiet = subprocess.run(
        [*command, tmp_path / "a.h5"], capture_output=True, text=True, check=True
    )
    assert quiet.stderr == ""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    subprocess.run([*command, tmp_path / "b.h5"], stderr=theirs, stdout=subprocess.DEVNULL, check=1)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65_536):
            shown += part
    shown = shown.decode()
    os.close(ours)
    assert "3/3" in shown
    assert "MB/s" in shown
    assert "MB of memory" in shown
