"""Which rows of `benchmarks.build` run on how many cases, and which phantoms they read."""

import sys

import pytest

from benchmarks import build, inputs


@pytest.fixture
def args(monkeypatch):
    """The command line of a default run, with words after it."""

    def parsed(*words):
        monkeypatch.setattr(sys, "argv", ["build", *words])
        return build.parse()

    return parsed


def turn(options, number=0, *, whole=True):
    """Names and cases of a round."""
    return [(row.name, cases) for row, cases in build.turn(options, number, whole=whole)]


def test_first_round_has_every_row_and_growth(args):
    found = turn(args())
    assert found == [
        ("floor", 16), ("ours", 16), ("nnunet", 16),
        ("floor", 48), ("ours", 48), ("ours-2", 48), ("ours-1", 48), ("ours-tar", 48),
        ("h5py", 48), ("nnunet", 48), ("monai", 48), ("torchio", 48), ("notebook", 8),
        ("floor", 144), ("ours", 144), ("nnunet", 144),
        ("nnunet-start", 4),
    ]  # fmt: skip


def test_later_rounds_are_without_peers(args):
    rows = {name for name, _ in turn(args(), number=1)}
    assert rows == {"floor", "ours", "ours-2", "ours-1", "ours-tar"}


def test_second_type_of_voxels_has_the_peers_of_an_aim(args):
    rows = turn(args(), whole=False)
    assert {cases for _, cases in rows} == {48, 4}
    assert {name for name, _ in rows} == {
        "floor", "ours", "ours-2", "ours-1", "ours-tar", "h5py", "nnunet", "nnunet-start",
    }  # fmt: skip


def test_nnunet_is_given_fewer_cases_where_asked(args):
    rows = turn(args("--nnunet-cases", "48"))
    assert [cases for name, cases in rows if name == "nnunet"] == [16, 48]


def test_only_named_rows_run(args):
    assert turn(args("--only", "floor,ours", "--more-cases", ""), whole=False) == [
        ("floor", 48), ("ours", 48),
    ]  # fmt: skip


def test_quick_run_starts_nothing_twice(args):
    rows = turn(args("--quick"))
    assert {cases for _, cases in rows} == {4}
    assert len(rows) == 10


def test_unknown_row_is_refused(args, capsys):
    with pytest.raises(SystemExit):
        args("--only", "ourz")
    assert "--only knows floor, h5py" in capsys.readouterr().err


def test_phantoms_of_a_larger_set_are_used(tmp_path, monkeypatch):
    for name in ("phantoms-int16-4", "phantoms-int16-9", "phantoms-float32-7"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").touch()
    monkeypatch.setattr(inputs, "phantoms", lambda folder, **_: folder.mkdir())
    assert inputs.made(tmp_path, "int16", 6).whole.name == "phantoms-int16-9"
    assert inputs.made(tmp_path, "int16", 4).whole.name == "phantoms-int16-4"
    assert inputs.made(tmp_path, "int16", 10).whole.name == "phantoms-int16-10"
