"""`bratstrain crossval` at its command line; the verb has tests of its own."""

import pytest
from click.testing import CliRunner

import bratsprep
from bratstrain.commands.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    raw = bratsprep.phantoms(folder / "raw", cases=3, shape=(32, 32, 16), workers=1)
    bratsprep.build(raw, folder / "data.h5", crop="32x32", workers=1)
    return folder


def run(data, *options):
    command = ["crossval", f"{data / 'data.h5'}", "--raw", f"{data / 'raw'}", *options]
    return CliRunner().invoke(main, command)


def test_a_fold_that_does_not_exist_is_a_fault_of_the_call(data, tmp_path):
    done = run(data, "-o", str(tmp_path / "cv"), "--folds", "0,9")
    assert done.exit_code == 2
    assert "fold 9 does not exist" in done.output


def test_the_fold_of_a_run_is_no_option(data):
    done = run(data, "--fold", "1")
    assert done.exit_code == 2


def test_a_part_says_what_is_missing(data, tmp_path):
    small = ["--width", "2", "--depth", "2", "--steps", "2", "--batch", "2", "--device", "cpu"]
    done = run(data, "-o", str(tmp_path / "cv"), "--folds", "1", "--quiet", *small)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].endswith(
        "1 of 3 folds; missing: 0,2; run the same command with --folds 0,2, or without --folds for "
        "them and the table"
    )
