"""libdeflate by address says whether a whole file was used and a whole buffer filled."""

import gzip

import pytest

from bratsprep.deflate import libdeflate

PLAIN = bytes(range(256)) * 40
PACKED = gzip.compress(PLAIN, mtime=0)


def filled(packed, size=None):
    out = bytearray(len(PLAIN) if size is None else size)
    return libdeflate.gunzip(memoryview(packed), memoryview(out)), bytes(out)


def test_one_member_fills_the_buffer():
    assert filled(PACKED) == (True, PLAIN)


@pytest.mark.parametrize(
    ("packed", "size"),
    [
        (PACKED + PACKED, len(PLAIN)),
        (PACKED + b"xx", len(PLAIN)),
        (PACKED[:-1], len(PLAIN)),
        (PACKED[:40] + b"?" + PACKED[41:], len(PLAIN)),
        (PACKED, len(PLAIN) + 1),
        (PACKED, len(PLAIN) - 1),
        (b"", len(PLAIN)),
    ],
    ids=["twice", "trailing", "cut", "damaged", "larger", "smaller", "empty"],
)
def test_anything_else_does_not(packed, size):
    assert not filled(packed, size)[0]


def test_nothing_is_unpacked_without_the_library(monkeypatch):
    monkeypatch.setattr(libdeflate, "libdeflate", lambda: None)
    assert not filled(PACKED)[0]


@pytest.mark.parametrize("origin", [None, "/nowhere/imagecodecs/__init__.py"])
def test_libdeflate_that_is_not_installed_is_none(monkeypatch, origin):
    spec = None if origin is None else type("Spec", (), {"origin": origin})
    monkeypatch.setattr(libdeflate, "find_spec", lambda _: spec)
    assert libdeflate.libdeflate.__wrapped__() is None
