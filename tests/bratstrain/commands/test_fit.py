import json
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

import bratstrain
from bratstrain.commands.cli import main, stopping
from tests.helpers import fitfiles
from tests.helpers.fitfiles import one_thread  # noqa: F401  for every test here

ROOT = Path(__file__).parent.parent.parent.parent
SMALL = ["--width", "4", "--depth", "3", "--batch", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(fitfiles.phantom_file(tmp_path_factory.mktemp("data")))


def call(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_help_does_not_load_torch():
    code = (
        "import sys\nfrom bratstrain.commands.cli import main\n"
        "try: main(['fit', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert re.search(r"Example:\n +bratstrain fit out.h5 --model residual", done.stdout)


def test_fit_says_where_and_how_well(data, tmp_path):
    done = call("fit", data, "--run", tmp_path / "run", *SMALL, "--steps", 2, "--lr", "1e-3")
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'run'}: begins; residual, " in done.stderr
    assert f"{tmp_path / 'run'}: 2 steps in " in done.stdout
    assert "mean region volume Dice " in done.stdout
    assert "(tumour slices only)" in done.stdout


def test_fit_prints_each_validation_and_nothing_when_quiet(data, tmp_path):
    options = [*SMALL, "--steps", 2, "--validate-steps", 1]
    told = call("fit", data, "--run", tmp_path / "a", *options)
    assert [line for line in told.stderr.splitlines() if "step 1" in line or "step 2" in line]
    quiet = call("fit", data, "--run", tmp_path / "b", *options, "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout.startswith(f"{tmp_path / 'b'}: 2 steps in ")


def test_settings_without_effect_exit_with_2(data, tmp_path):
    options = ["--model", "unet", "--dropout", "0.1"]
    done = call("fit", data, "--run", tmp_path / "run", *SMALL, *options)
    assert done.exit_code == 2
    assert "dropout has no effect on model unet" in done.stderr
    assert not (tmp_path / "run" / "config.json").exists()


def test_options_reach_the_settings(data, tmp_path):
    options = ["--norm", "batch", "--no-deep-supervision", "--clip", "0", "--epochs", "1"]
    done = call("fit", data, "--run", tmp_path / "run", *SMALL, *options, "--fold", 2)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "run" / "config.json").read_text())
    model = found["model"]
    assert (model["norm"], model["width"], model["deep_supervision"]) == ("batch", 4, False)
    assert (found["clip"], found["epochs"], found["fold"], found["batch_size"]) == (0.0, 1, 2, 4)


def test_batch_auto_is_settled_and_goes_on(data, tmp_path):
    options = ["--width", "4", "--depth", "3", "--steps", "1", "--batch", "auto"]
    for said in ("1 steps in", "is complete already"):
        done = call("fit", data, "--run", tmp_path / "run", *options, "--device", "cpu")
        assert said in done.stdout
    assert json.loads((tmp_path / "run" / "config.json").read_text())["batch_size"] == 8


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--steps", "3", "--epochs", "2"], 2, "give one length of a run"),
        (["--batch", "none"], 2, "must be auto or at least 1, got none"),
        (["--precision", "fp16"], 2, "fp16 needs a GPU"),
        (["--device", "tpu"], 2, "device must be auto, cpu, cuda, cuda:N or mps"),
        (["--device", "cuda:99"], 1, "torch sees"),
        (["--split", "none.json"], 1, "none.json: cannot be read"),
    ],
)
def test_fault_has_its_exit_code_and_message(data, tmp_path, options, code, message):
    done = call("fit", data, "--run", tmp_path / "run", *SMALL, *options)
    assert done.exit_code == code
    assert message in done.stderr
    assert "Traceback" not in done.output


def test_file_that_is_no_slice_file_is_refused(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"no")
    done = call("fit", tmp_path / "a.h5", "--run", tmp_path / "run")
    assert done.exit_code == 1
    assert "a.h5: " in done.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_has_its_exit_code(data, tmp_path, monkeypatch, signum, code):
    fitfiles.cut(monkeypatch, 2, lambda: signal.raise_signal(signum))
    done = call("fit", data, "--run", tmp_path / "run", *SMALL, "--steps", "9")
    assert done.exit_code == code
    assert "repeat the command to resume" in done.stderr
    assert (tmp_path / "run" / "last.pt").exists()


def test_leak_is_a_loud_warning(data, tmp_path):
    with pytest.warns(UserWarning, match="split slice has a subject on two sides"):
        done = call(
            "fit", data, "--run", tmp_path / "run", *SMALL, "--steps", 1, "--split", "slice"
        )
    assert done.exit_code == 0


def test_warnings_are_a_line_for_people():
    before = warnings.formatwarning
    with stopping():
        assert warnings.formatwarning("it leaks", UserWarning, "x.py", 3) == "WARNING: it leaks\n"
    assert warnings.formatwarning is before


def test_bare_interrupt_exits_with_130(capsys):
    with pytest.raises(SystemExit) as stop, stopping():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


def test_every_verb_is_a_command():
    public = {name for name in bratstrain.__all__ if name[0].islower() and name[0] != "_"}
    without_command = {"draw_case", "draw_report", "evaluate_nnunet", "score_folders"}
    assert set(main.commands) == public - without_command
