"""A file is there whole or not at all."""

from pathlib import Path

import pytest

from bratsprep.errors import BuildError
from bratsprep.system.atomic import replacing


def test_file_is_replaced_in_one_move(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with replacing(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_file_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with pytest.raises(BuildError, match="a: cannot be written: disk is full"), replacing(path):
        raise OSError("disk is full")
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_anything_else_that_fails_is_passed_on(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_place_that_nothing_can_be_removed_from_is_said(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    message = "a: cannot be written: Permission denied; choose another place"
    with pytest.raises(BuildError, match=message), replacing(tmp_path / "a"):
        pass
